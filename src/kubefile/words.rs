//! The words of a logical line: keyword, flags, quoted words, JSON arrays. Nothing is expanded here.

use super::error::Problem;
use super::span::Fault;

/// White space that separates words; other Unicode blanks are only trimmed.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// An instruction taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) keyword: String,
    pub(crate) flags: Vec<String>,
    pub(crate) rest: String,
}

/// Takes keyword and leading `--flags` off a line.
pub(crate) fn command(line: &str, escape: char) -> Result<Command, Fault> {
    let line = line.trim();
    let (keyword, after) = split_once_blank(line).unwrap_or((line, ""));
    let (flags, rest) = flags(after, escape)?;
    Ok(Command { keyword: keyword.to_owned(), flags, rest: rest.trim().to_owned() })
}

/// The text before and after the first run of blanks.
pub(crate) fn split_once_blank(text: &str) -> Option<(&str, &str)> {
    let end = text.find(is_blank)?;
    let (word, rest) = text.split_at(end);
    Some((word, rest.trim_start_matches(is_blank)))
}

/// Words between blanks, quotes meaning nothing.
pub(crate) fn split_blank(text: &str) -> Vec<String> {
    text.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn flags(text: &str, escape: char) -> Result<(Vec<String>, &str), Fault> {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (flag, after) = flag(rest, escape)?;
        rest = after.trim_start();
        if flag == "--" {
            break;
        }
        flags.push(flag);
    }
    Ok((flags, rest))
}

/// One flag, its quotes and escapes taken away, and the text after it.
fn flag(text: &str, escape: char) -> Result<(String, &str), Fault> {
    let mut flag = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return Ok((flag, text.get(at..).unwrap_or_default())),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape => flag.extend(chars.next().map(|(_, c)| c)),
            _ => flag.push(c),
        }
    }
    match quote {
        Some(quote) => Err(Fault::at(&quote.to_string(), Problem::UnclosedQuote { quote })),
        None => Ok((flag, "")),
    }
}

/// Words between white space, where quotes and escapes keep a word together and stay in it.
pub(crate) fn quoted(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        if c == escape && quote != Some('\'') {
            // An escape character at the very end is dropped.
            if let Some(next) = chars.next() {
                word.extend([c, next]);
            }
            continue;
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What a text is when read as a JSON array of strings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Json {
    /// It is one.
    Strings(Vec<String>),
    /// It is an array, but of something else.
    OtherArray,
    /// It is none.
    Text,
}

/// Reads an argument that may be a JSON array.
pub(crate) fn json(text: &str) -> Json {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return Json::Text;
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return Json::Text };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    });
    strings.collect::<Option<Vec<_>>>().map_or(Json::OtherArray, Json::Strings)
}
