//! `--set` and its relatives: `a.b=1,c[0].d=x,e={1,2}` and what Helm makes of every corner of it.
//!
//! A backslash takes the next character for itself (not in `--set-literal`); an index makes a list as long as needed,
//! up to [`MAX_INDEX`]; names nest up to [`MAX_NESTING`].

use std::cell::RefCell;

use serde_json::{Map, Number, Value as Json};

use super::ChartError;

/// The largest index of a list.
const MAX_INDEX: i64 = 65_536;
/// How deep a name may nest.
const MAX_NESTING: usize = 30;

/// Which of the flags a text was given with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    Json,
    Typed,
    Text,
    File,
    Literal,
}

impl Flag {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "set-json",
            Self::Typed => "set",
            Self::Text => "set-string",
            Self::File => "set-file",
            Self::Literal => "set-literal",
        }
    }
}

/// Why parsing stopped: the end of the text is no mistake by itself.
enum Stop {
    End,
    Wrong(String),
}

type Parsed<T> = Result<T, Stop>;

fn wrong<T>(reason: impl Into<String>) -> Parsed<T> {
    Err(Stop::Wrong(reason.into()))
}

/// Lays one text over values.
pub(crate) fn apply(
    flag: Flag,
    text: &str,
    values: &mut Map<String, Json>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ChartError> {
    let mut parser = Parser { rest: text, flag, read };
    loop {
        match parser.key(values, 0) {
            Ok(()) => {}
            Err(Stop::End) => return Ok(()),
            Err(Stop::Wrong(reason)) => {
                return Err(ChartError::Set { flag: flag.name(), text: text.to_owned(), reason });
            }
        }
    }
}

/// The paths that a `--set-file` text names.
pub(crate) fn paths(text: &str) -> Result<Vec<String>, ChartError> {
    let names = RefCell::new(Vec::new());
    let noted = |path: &str| {
        names.borrow_mut().push(path.to_owned());
        Some(String::new())
    };
    apply(Flag::File, text, &mut Map::new(), &noted)?;
    Ok(names.into_inner())
}

/// The parts of a text between marks that no backslash stands before.
pub(crate) fn cut(text: &str, mark: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        match parts.last_mut() {
            Some(part) if escaped || c != mark => part.push(c),
            _ => parts.push(String::new()),
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

struct Parser<'t> {
    rest: &'t str,
    flag: Flag,
    /// The text of a file that `--set-file` names.
    read: &'t dyn Fn(&str) -> Option<String>,
}

/// A list value, or the sign that there is none.
enum ListValue {
    List(Vec<Json>),
    None,
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Characters up to one of the stops, which is taken too; `None` for it at the end of the text.
    fn until(&mut self, stops: &str) -> (String, Option<char>) {
        let mut out = String::new();
        while let Some(c) = self.next() {
            if stops.contains(c) {
                return (out, Some(c));
            }
            if c != '\\' || self.flag == Flag::Literal {
                out.push(c);
                continue;
            }
            match self.next() {
                Some(escaped) => out.push(escaped),
                None => break,
            }
        }
        (out, None)
    }

    fn key(&mut self, values: &mut Map<String, Json>, nesting: usize) -> Parsed<()> {
        let stops = if self.flag == Flag::Literal { "=[." } else { "=[,." };
        let (key, stop) = self.until(stops);
        match stop {
            None if key.is_empty() => Err(Stop::End),
            None => wrong(format!("key {key:?} has no value")),
            Some('[') => self.indexed(values, &key, nesting),
            Some('=') => self.assigned(values, &key),
            Some(',') => {
                put(values, &key, Json::from(""));
                wrong(format!("key {key:?} has no value (cannot end with ,)"))
            }
            Some(_) => self.below(values, &key, nesting),
        }
    }

    fn indexed(&mut self, values: &mut Map<String, Json>, key: &str, nesting: usize) -> Parsed<()> {
        let index = self.index()?;
        let mut list = match values.get_mut(key) {
            None => Vec::new(),
            Some(Json::Array(items)) => std::mem::take(items),
            Some(_) => return wrong(format!("{key:?} is no list")),
        };
        let result = self.item(&mut list, index, nesting);
        put(values, key, Json::Array(list));
        result
    }

    fn assigned(&mut self, values: &mut Map<String, Json>, key: &str) -> Parsed<()> {
        if self.flag == Flag::Literal {
            put(values, key, Json::from(self.rest));
            self.rest = "";
            return Ok(());
        }
        if self.flag == Flag::Json {
            let value = self.json()?;
            put(values, key, value);
            return Ok(());
        }
        match self.list() {
            Ok(ListValue::List(items)) => {
                put(values, key, Json::Array(items));
                Ok(())
            }
            Ok(ListValue::None) => {
                let (text, _) = self.until(",");
                let value = self.value(text)?;
                put(values, key, value);
                Ok(())
            }
            Err(Stop::End) => {
                put(values, key, Json::from(""));
                Err(Stop::End)
            }
            Err(stop) => Err(stop),
        }
    }

    fn below(&mut self, values: &mut Map<String, Json>, key: &str, nesting: usize) -> Parsed<()> {
        let nesting = nested(nesting)?;
        let mut inner = match values.get_mut(key) {
            None => Map::new(),
            Some(Json::Object(map)) => std::mem::take(map),
            Some(_) => return wrong(format!("{key:?} is no map")),
        };
        let result = self.key(&mut inner, nesting);
        if result.is_ok() && inner.is_empty() {
            return wrong(format!("key map {key:?} has no value"));
        }
        if !inner.is_empty() || values.contains_key(key) {
            put(values, key, Json::Object(inner));
        }
        result
    }

    fn index(&mut self) -> Parsed<i64> {
        let (text, stop) = self.until("]");
        if stop.is_none() {
            return wrong("error parsing index: there is no `]`");
        }
        text.parse().or_else(|_unreadable| wrong(format!("error parsing index: {text:?} is no number")))
    }

    /// What stands after `name[index]`.
    fn item(&mut self, list: &mut Vec<Json>, index: i64, nesting: usize) -> Parsed<()> {
        if index < 0 {
            return wrong(format!("negative {index} index not allowed"));
        }
        let (text, stop) = self.until("[.=");
        if !text.is_empty() {
            return wrong(format!("unexpected data at end of array index: {text:?}"));
        }
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        match stop {
            None => Err(Stop::End),
            Some('=') => {
                let value = self.item_value()?;
                set_index(list, index, value)
            }
            Some('[') => {
                let next = self.index()?;
                let mut inner = match list.get_mut(position) {
                    None | Some(Json::Null) => Vec::new(),
                    Some(Json::Array(items)) => items.clone(),
                    Some(_) => return wrong("a list was wanted where there is none"),
                };
                self.item(&mut inner, next, nesting)?;
                set_index(list, index, Json::Array(inner))
            }
            Some(_) => {
                let mut inner = match list.get_mut(position) {
                    Some(Json::Object(map)) => map.clone(),
                    _ => Map::new(),
                };
                let result = self.key(&mut inner, nesting);
                if position < list.len() || result.is_ok() {
                    set_index(list, index, Json::Object(inner))?;
                }
                result
            }
        }
    }

    fn item_value(&mut self) -> Parsed<Json> {
        match self.flag {
            Flag::Literal => {
                let text = Json::from(self.rest);
                self.rest = "";
                return Ok(text);
            }
            Flag::Json => return self.json(),
            _ => {}
        }
        match self.list() {
            Ok(ListValue::List(items)) => Ok(Json::Array(items)),
            Ok(ListValue::None) => {
                let (text, _) = self.until(",");
                self.value(text)
            }
            Err(Stop::End) => Ok(Json::from("")),
            Err(stop) => Err(stop),
        }
    }

    /// `{a,b}`, when it stands here.
    fn list(&mut self) -> Parsed<ListValue> {
        match self.rest.chars().next() {
            None => return Err(Stop::End),
            Some('{') => self.rest = &self.rest[1..],
            Some(_) => return Ok(ListValue::None),
        }
        let mut items = Vec::new();
        loop {
            let (text, stop) = self.until(",}");
            if stop.is_none() {
                return wrong("list must terminate with '}'");
            }
            items.push(self.value(text)?);
            if stop == Some('}') {
                self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                return Ok(ListValue::List(items));
            }
        }
    }

    fn value(&self, text: String) -> Parsed<Json> {
        match self.flag {
            Flag::Typed => Ok(typed(text)),
            Flag::File => match (self.read)(&text) {
                Some(content) => Ok(Json::from(content)),
                None => wrong(format!("the file `{text}` was not read")),
            },
            _ => Ok(Json::from(text)),
        }
    }

    /// A JSON value and what may follow it; nothing at all is null.
    fn json(&mut self) -> Parsed<Json> {
        if self.blank() {
            return Ok(Json::Null);
        }
        let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<Json>();
        let value = match stream.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return wrong(error.to_string()),
            None => return wrong("there is no JSON value"),
        };
        self.rest = &self.rest[stream.byte_offset()..];
        self.blank();
        Ok(floats(value))
    }

    /// Passes white space and one comma; whether it came to the comma or the end.
    fn blank(&mut self) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(',') {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => self.rest.is_empty(),
        }
    }
}

fn nested(nesting: usize) -> Parsed<usize> {
    if nesting >= MAX_NESTING {
        return wrong(format!(
            "value name nested level is greater than maximum supported nested level of {MAX_NESTING}"
        ));
    }
    Ok(nesting + 1)
}

/// Sets a key; an empty one is nobody's.
fn put(values: &mut Map<String, Json>, key: &str, value: Json) {
    if !key.is_empty() {
        values.insert(key.to_owned(), value);
    }
}

fn set_index(list: &mut Vec<Json>, index: i64, value: Json) -> Parsed<()> {
    let Some(position) = usize::try_from(index).ok().filter(|_| index <= MAX_INDEX) else {
        return wrong(format!("index of {index} is greater than maximum supported index of {MAX_INDEX}"));
    };
    if list.len() <= position {
        list.resize(position + 1, Json::Null);
    }
    list[position] = value;
    Ok(())
}

/// What `--set` takes a text for; there are no fractions.
fn typed(text: String) -> Json {
    for (word, value) in [("true", Json::Bool(true)), ("false", Json::Bool(false)), ("null", Json::Null)] {
        if text.eq_ignore_ascii_case(word) {
            return value;
        }
    }
    if text == "0" {
        return Json::from(0);
    }
    match text.parse::<i64>() {
        Ok(number) if !text.starts_with('0') => Json::from(number),
        _ => Json::String(text),
    }
}

/// Go's JSON decoder knows floats only.
fn floats(value: Json) -> Json {
    match value {
        Json::Number(n) => n.as_f64().and_then(Number::from_f64).map_or(Json::Null, Json::Number),
        Json::Array(items) => items.into_iter().map(floats).collect(),
        Json::Object(map) => Json::Object(map.into_iter().map(|(key, value)| (key, floats(value))).collect()),
        other => other,
    }
}
