//! YAML as Helm prints and reads it (sigs.k8s.io/yaml): through JSON, keys sorted, lists not indented below their key,
//! and every string that YAML 1.1 would read as something else quoted.

use serde_json::Value as Json;

use crate::yaml;

use super::super::error::CallError;
use super::super::format;
use super::super::literal;
use super::super::value::{Map, Numbers, Value};
use super::{Builtin, any, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("toYaml", "a", |_, a| Ok(Value::from(encode(&any(a, 0), Lists::Flush).unwrap_or_default()))),
    row("mustToYaml", "a", |_, a| encode(&any(a, 0), Lists::Flush).map(Value::from)),
    row("toYamlPretty", "a", |_, a| Ok(Value::from(encode(&any(a, 0), Lists::Indented).unwrap_or_default()))),
    row("fromYaml", "s", |_, a| Ok(as_map(decode(text(a, 0)), UNMARSHALLING))),
    row("fromYamlArray", "s", |_, a| Ok(as_list(decode(text(a, 0)), UNMARSHALLING))),
];

/// What Go puts before a mistake of the JSON that YAML became.
const UNMARSHALLING: &str = "error unmarshaling JSON: while decoding JSON: ";

/// Helm hands a mistake back inside the map.
pub(crate) fn error_map(message: String) -> Value {
    let map = Map::new();
    map.insert("Error", Value::from(message));
    Value::Map(map)
}

/// What `fromYaml` and `fromJson` make of a decoded document.
pub(crate) fn as_map(decoded: Result<Value, CallError>, doing: &str) -> Value {
    match decoded {
        Ok(map @ Value::Map(_)) => map,
        Ok(Value::Null) => Value::Map(Map::new()),
        Ok(other) => error_map(format!("{doing}{}", mismatch(&other, "map[string]interface {}"))),
        Err(error) => error_map(error.to_string()),
    }
}

/// What `fromYamlArray` and `fromJsonArray` make of a decoded document.
pub(crate) fn as_list(decoded: Result<Value, CallError>, doing: &str) -> Value {
    match decoded {
        Ok(list @ Value::List(_)) => list,
        Ok(Value::Null) => Value::list(Vec::new()),
        Ok(other) => Value::list(vec![Value::from(format!("{doing}{}", mismatch(&other, "[]interface {}")))]),
        Err(error) => Value::list(vec![Value::from(error.to_string())]),
    }
}

fn mismatch(value: &Value, wanted: &str) -> String {
    let got = match value {
        Value::Map(_) => "object",
        Value::List(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    format!("json: cannot unmarshal {got} into Go value of type {wanted}")
}

fn decode(source: &str) -> Result<Value, CallError> {
    if source.trim().is_empty() {
        return Ok(Value::Null);
    }
    let json = yaml::first(source, yaml::Numbers::Floats)
        .map_err(|e| CallError::argument(format!("error converting YAML to JSON: yaml: {e}")))?;
    Ok(Value::from_json(&json, Numbers::Float))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    Flush,
    Indented,
}

fn encode(value: &Value, lists: Lists) -> Result<String, CallError> {
    let mut out = String::new();
    put(&mut out, &value.to_json()?, 0, lists);
    out.truncate(out.trim_end_matches('\n').len());
    Ok(out)
}

/// A value as `toYaml` writes it; empty when it cannot be written.
pub fn yaml_of(value: &Value) -> String {
    encode(value, Lists::Flush).unwrap_or_default()
}

fn margin(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Writes a node whose first line's margin is already there.
fn put(out: &mut String, json: &Json, indent: usize, lists: Lists) {
    match json {
        Json::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    margin(out, indent);
                }
                out.push_str("- ");
                put(out, item, indent + 2, lists);
            }
        }
        Json::Object(map) if !map.is_empty() => {
            for (i, (key, item)) in sorted(map).into_iter().enumerate() {
                if i > 0 {
                    margin(out, indent);
                }
                out.push_str(&scalar_text(key, indent, Place::Key));
                out.push(':');
                nested(out, item, indent, lists);
            }
        }
        other => line(out, other, indent),
    }
}

fn line(out: &mut String, json: &Json, indent: usize) {
    let column = out.rfind('\n').map_or(out.as_str(), |i| &out[i + 1..]).chars().count();
    out.push_str(&scalar(json, column, indent));
    out.push('\n');
}

/// A value after `key:`.
fn nested(out: &mut String, item: &Json, indent: usize, lists: Lists) {
    match item {
        Json::Array(items) if !items.is_empty() => {
            let indent = if lists == Lists::Indented { indent + 2 } else { indent };
            out.push('\n');
            margin(out, indent);
            put(out, item, indent, lists);
        }
        Json::Object(map) if !map.is_empty() => {
            out.push('\n');
            margin(out, indent + 2);
            put(out, item, indent + 2, lists);
        }
        other => {
            out.push(' ');
            line(out, other, indent + 2);
        }
    }
}

/// Keys in go-yaml's order: runs of digits compare as numbers, and a letter comes after what is not one.
fn sorted(map: &serde_json::Map<String, Json>) -> Vec<(&String, &Json)> {
    let mut entries: Vec<(&String, &Json)> = map.iter().collect();
    entries.sort_by(|(a, _), (b, _)| natural(a, b));
    entries
}

fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let shared = left.len().min(right.len());
    for i in 0..shared {
        let (x, y) = (left[i], right[i]);
        if x == y {
            continue;
        }
        let (alpha_x, alpha_y) = (x.is_alphabetic(), y.is_alphabetic());
        if alpha_x && alpha_y {
            return x.cmp(&y);
        }
        if alpha_x || alpha_y {
            return alpha_x.cmp(&alpha_y);
        }
        let number = |text: &[char]| -> (usize, u128) {
            let run: String = text.iter().take_while(|c| c.is_ascii_digit()).take(38).collect();
            (run.len(), run.parse().unwrap_or(0))
        };
        let ((nx, vx), (ny, vy)) = (number(&left[i..]), number(&right[i..]));
        return vx.cmp(&vy).then(nx.cmp(&ny)).then(x.cmp(&y));
    }
    left.len().cmp(&right.len())
}

fn scalar(json: &Json, column: usize, indent: usize) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(b) => b.to_string(),
        Json::Number(n) if n.as_f64() == Some(0.0) => "0".to_owned(),
        Json::Number(n) if n.is_f64() => format::display(&Value::Float(n.as_f64().unwrap_or(f64::NAN))),
        Json::Number(n) => n.to_string(),
        Json::String(s) => scalar_text(s, indent, Place::Value { column }),
        Json::Array(_) => "[]".to_owned(),
        Json::Object(_) => "{}".to_owned(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Key,
    /// After this many characters of the line.
    Value {
        column: usize,
    },
}

fn scalar_text(text: &str, indent: usize, place: Place) -> String {
    let special = text.chars().any(|c| c != '\n' && !printable(c));
    if resolves(text) || special || place == Place::Key && text.contains('\n') {
        return folded(text, '"', indent, place);
    }
    if text.contains('\n') {
        return if text.contains(" \n") || text.ends_with(' ') {
            folded(text, '"', indent, place)
        } else {
            block(text, indent)
        };
    }
    let quote = if plain(text) { ' ' } else { '\'' };
    folded(text, quote, indent, place)
}

fn printable(c: char) -> bool {
    matches!(c as u32, 0x20..=0x7e | 0xa0..=0xd7ff | 0xe000..=0xfefe | 0xff00..=0xfffd | 0x1_0000..)
}

/// `|`, with a hint of the indentation when the text starts with a space or line break.
fn block(text: &str, indent: usize) -> String {
    let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
    let chomp = if !text.ends_with('\n') {
        "-"
    } else if text.ends_with("\n\n") || text == "\n" {
        "+"
    } else {
        ""
    };
    let mut out = format!("|{hint}{chomp}");
    let body = text.strip_suffix('\n').unwrap_or(text);
    let indent = indent.max(2);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            margin(&mut out, indent);
            out.push_str(line);
        }
    }
    out
}

/// Whether a string may stand without quotes, apart from what it would resolve to.
fn plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let blank_second = text[first.len_utf8()..].chars().next().is_none_or(|c| c == ' ');
    let indicator = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => true,
        '-' | '?' | ':' => blank_second,
        _ => false,
    };
    !(indicator
        || text.starts_with("---")
        || text.starts_with("...")
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.ends_with(':')
        || text.contains(": ")
        || text.contains(" #"))
}

/// Whether YAML 1.1 would read the plain text as null, bool, number, merge key or time.
fn resolves(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "true", "True",
        "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF", ".inf", ".Inf", ".INF", "+.inf",
        "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN",
    ];
    if WORDS.contains(&text) {
        return true;
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return false;
    }
    let bare = text.replace('_', "");
    literal::integer(&bare, 0).is_some() || is_float(&bare) || is_sexagesimal(text) || is_time(text)
}

fn is_float(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = body.bytes().any(|b| b.is_ascii_digit());
    digits && body.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b)) && body.parse::<f64>().is_ok()
}

fn is_sexagesimal(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = body.split(':');
    let first = parts.next().is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit() || b == b'_'));
    let rest: Vec<&str> = parts.collect();
    first
        && !rest.is_empty()
        && rest.iter().enumerate().all(|(i, p)| {
            let whole = if i + 1 == rest.len() { p.split('.').next().unwrap_or(p) } else { p };
            matches!(whole.len(), 1 | 2)
                && whole.bytes().all(|b| b.is_ascii_digit())
                && (whole.len() == 1 || whole.as_bytes()[0] < b'6')
        })
}

fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    ["2006-1-2", "2006-1-2T15:4:5.999999999Z07:00", "2006-1-2t15:4:5.999999999Z07:00", "2006-1-2 15:4:5.999999999"]
        .iter()
        .any(|layout| super::dates::parse(layout, text).is_ok())
}

/// The text in the given quotes (a space means none), broken at spaces past column 80 as libyaml does.
fn folded(text: &str, quote: char, indent: usize, place: Place) -> String {
    const WIDTH: usize = 80;
    let mut out = String::new();
    let mut column = match place {
        Place::Key => 0,
        Place::Value { column } => column,
    };
    if quote != ' ' {
        out.push(quote);
        column += 1;
    }
    let mut spaces = false;
    let mut chars = text.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        let inside = quote == ' ' || (!first && next.is_some());
        let breakable = place != Place::Key && c == ' ' && !spaces && column > WIDTH && inside;
        first = false;
        if breakable && (quote == '"' || next != Some(' ')) {
            out.push('\n');
            margin(&mut out, indent);
            column = indent;
            if quote == '"' && next == Some(' ') {
                out.push('\\');
                column += 1;
            }
        } else {
            let before = out.len();
            match quote {
                '"' => escaped(&mut out, c),
                '\'' if c == '\'' => out.push_str("''"),
                _ => out.push(c),
            }
            column += out[before..].chars().count();
        }
        spaces = c == ' ';
    }
    if quote != ' ' {
        out.push(quote);
    }
    out
}

fn escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\0' => out.push_str("\\0"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\x0b' => out.push_str("\\v"),
        '\x0c' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        '\x1b' => out.push_str("\\e"),
        '\u{85}' => out.push_str("\\N"),
        '\u{feff}' => out.push_str("\\uFEFF"),
        c if !printable(c) => out.push_str(&format!("\\x{:02X}", c as u32)),
        c => out.push(c),
    }
}
