//! Events to JSON, without recursion: a stack holds the collections that are open.
//!
//! Merge keys (`<<`) take effect where they stand, as in Go's reader: they replace what was set before them and give
//! way to what follows.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Tag, options};
use serde_json::{Map, Value as Json};

use super::resolve::{self, Scalar};
use super::{MAX_ALIASED, Numbers, YamlError};

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The line its first value stands on, from 1.
    pub line: usize,
    /// What it says; `Null` when it is empty.
    pub value: Json,
}

/// The first document of a text, which is all that Helm reads of a values file; `Null` when there is none.
///
/// # Errors
/// The text is not YAML, or holds what JSON cannot (a null or collection as a key, an infinite number).
pub fn first(text: &str, numbers: Numbers) -> Result<Json, YamlError> {
    Ok(Reader::new(text, numbers).document()?.map_or(Json::Null, |document| document.value))
}

/// Every document of a text.
///
/// # Errors
/// As [`first`], for any of them.
pub fn all(text: &str, numbers: Numbers) -> Result<Vec<Document>, YamlError> {
    let mut reader = Reader::new(text, numbers);
    let mut documents = Vec::new();
    while let Some(document) = reader.document()? {
        documents.push(document);
    }
    Ok(documents)
}

/// A collection that is not closed yet.
enum Open {
    List(Vec<Json>),
    Map { map: Map<String, Json>, key: Option<Key> },
}

enum Key {
    Named(String),
    Merge,
}

struct Frame {
    open: Open,
    anchor: usize,
    /// How many values it holds, itself included.
    count: usize,
}

struct Reader<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    numbers: Numbers,
    anchors: HashMap<usize, (Json, usize)>,
    aliased: usize,
}

fn error(at: &Marker, reason: impl Into<String>) -> YamlError {
    YamlError { line: at.line(), column: at.col() + 1, reason: reason.into() }
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, numbers: Numbers) -> Self {
        let options: Options = options! {
            block_scalar_eof_without_line_feed: true,
            bom_inside_document_as_content: true,
            emit_comments: false,
        };
        Self { parser: Parser::new_from_str_with_options(text, options), numbers, anchors: HashMap::new(), aliased: 0 }
    }

    /// The next document; `None` at the end of the stream.
    fn document(&mut self) -> Result<Option<Document>, YamlError> {
        let mut stack: Vec<Frame> = Vec::new();
        let mut root = Json::Null;
        let mut line = None;
        loop {
            let Some(event) = self.parser.next_event() else { return Ok(None) };
            let (event, span) = event.map_err(|e| error(e.marker(), e.kind().to_string()))?;
            let at = span.start;
            let (value, count) = match event {
                Event::StreamEnd => return Ok(None),
                Event::DocumentEnd => {
                    self.anchors.clear();
                    return Ok(Some(Document { line: line.unwrap_or(1), value: root }));
                }
                Event::Scalar(text, style, anchor, tag) => {
                    line.get_or_insert(at.line());
                    if self.takes_key(&mut stack, &text, style, tag.as_deref(), anchor, &at)? {
                        continue;
                    }
                    let value = self.scalar(&text, style, tag.as_deref(), &at)?;
                    self.remember(anchor, &value, 1);
                    (value, 1)
                }
                Event::SequenceStart(_, anchor, _) => {
                    line.get_or_insert(at.line());
                    stack.push(Frame { open: Open::List(Vec::new()), anchor, count: 1 });
                    continue;
                }
                Event::MappingStart(_, anchor, _) => {
                    line.get_or_insert(at.line());
                    stack.push(Frame { open: Open::Map { map: Map::new(), key: None }, anchor, count: 1 });
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Some(frame) = stack.pop() else { continue };
                    let value = match frame.open {
                        Open::List(items) => Json::Array(items),
                        Open::Map { map, .. } => Json::Object(map),
                    };
                    self.remember(frame.anchor, &value, frame.count);
                    (value, frame.count)
                }
                Event::Alias(id) => {
                    let Some((value, count)) = self.anchors.get(&id) else {
                        return Err(error(&at, "an anchor's value contains itself"));
                    };
                    self.aliased += count;
                    if self.aliased > MAX_ALIASED {
                        return Err(error(&at, format!("aliases repeat more than {MAX_ALIASED} values")));
                    }
                    (value.clone(), *count)
                }
                _ => continue,
            };
            match stack.last_mut() {
                None => root = value,
                Some(frame) => {
                    frame.count += count;
                    put(&mut frame.open, value, &at)?;
                }
            }
        }
    }

    fn remember(&mut self, anchor: usize, value: &Json, count: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), count));
        }
    }

    /// Takes a scalar that stands where a map wants a key.
    fn takes_key(
        &mut self,
        stack: &mut [Frame],
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        anchor: usize,
        at: &Marker,
    ) -> Result<bool, YamlError> {
        let Some(Frame { open: Open::Map { key: key @ None, .. }, .. }) = stack.last_mut() else { return Ok(false) };
        let is_merge = tag.map_or(style == ScalarStyle::Plain, |t| t.suffix() == "merge");
        if text == "<<" && is_merge {
            *key = Some(Key::Merge);
            return Ok(true);
        }
        let name = match (tag, style) {
            (None, ScalarStyle::Plain) => resolve::key(text).ok_or_else(|| error(at, "a key cannot be null"))?,
            _ => {
                let value = self.scalar(text, style, tag, at)?;
                resolve::text_of(&value).ok_or_else(|| error(at, "a key cannot be null"))?
            }
        };
        if anchor != 0 {
            let value = self.scalar(text, style, tag, at)?;
            self.remember(anchor, &value, 1);
        }
        *key = Some(Key::Named(name));
        Ok(true)
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: &Marker) -> Result<Json, YamlError> {
        let scalar = match tag {
            None if style == ScalarStyle::Plain => resolve::plain(text),
            None => Scalar::Text,
            Some(tag) => return self.tagged(text, tag, at),
        };
        resolve::json(&scalar, text, self.numbers).ok_or_else(|| error(at, format!("JSON has no number for `{text}`")))
    }

    fn tagged(&self, text: &str, tag: &Tag, at: &Marker) -> Result<Json, YamlError> {
        let scalar = match (tag.core_suffix().unwrap_or(tag.suffix()), resolve::plain(text)) {
            ("binary", _) => {
                let clean: String = text.split_whitespace().collect();
                let bytes =
                    STANDARD.decode(clean).map_err(|_unreadable| error(at, "a !!binary value is not base64"))?;
                return Ok(Json::String(String::from_utf8_lossy(&bytes).into_owned()));
            }
            ("bool", scalar @ Scalar::Bool(_)) | ("null", scalar @ Scalar::Null) => scalar,
            ("int", scalar @ (Scalar::Int(_) | Scalar::Uint(_))) | ("float", scalar @ Scalar::Float(_)) => scalar,
            ("float", Scalar::Int(i)) => Scalar::Float(i as f64),
            ("bool" | "null" | "int" | "float", _) => {
                return Err(error(at, format!("`{text}` is not a value of the type !!{}", tag.suffix())));
            }
            _ => Scalar::Text,
        };
        resolve::json(&scalar, text, self.numbers).ok_or_else(|| error(at, format!("JSON has no number for `{text}`")))
    }
}

/// Adds a finished value to the collection that is open.
fn put(open: &mut Open, value: Json, at: &Marker) -> Result<(), YamlError> {
    match open {
        Open::List(items) => items.push(value),
        Open::Map { map, key } => match key.take() {
            Some(Key::Named(name)) => {
                map.insert(name, value);
            }
            Some(Key::Merge) => merge(map, value, at)?,
            // An alias or a collection where a key is wanted.
            None => {
                let name = resolve::text_of(&value).ok_or_else(|| error(at, "a key must be a plain value"))?;
                *key = Some(Key::Named(name));
            }
        },
    }
    Ok(())
}

fn merge(map: &mut Map<String, Json>, value: Json, at: &Marker) -> Result<(), YamlError> {
    let sources = match value {
        Json::Array(items) => items,
        one => vec![one],
    };
    // Of several, the earlier ones win.
    for source in sources.into_iter().rev() {
        let Json::Object(source) = source else {
            return Err(error(at, "`<<` merges a map or a list of maps"));
        };
        map.extend(source);
    }
    Ok(())
}
