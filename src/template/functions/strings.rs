//! Sprig's string functions. Positions count bytes, as in Go; a cut inside a character leaves U+FFFD.

use super::super::bytes::{Bytes, bytes_of};
use super::super::error::CallError;
use super::super::format;
use super::super::value::{Element, Map, Value};
use super::{Answer, Builtin, any, from_bytes, int, row, text};

/// The longest text `repeat`, `indent` and their like may make.
pub(crate) const MAX_TEXT: usize = 64 << 20;

pub(crate) const TABLE: &[Builtin] = &[
    row("trim", "s", |_, a| Ok(Value::string(text(a, 0).trim()))),
    row("upper", "s", |_, a| Ok(Value::from(map_chars(text(a, 0), upper)))),
    row("lower", "s", |_, a| Ok(Value::from(map_chars(text(a, 0), lower)))),
    row("title", "s", |_, a| Ok(Value::from(title(text(a, 0))))),
    row("untitle", "s", |_, a| Ok(Value::from(untitle(text(a, 0))))),
    row("substr", "iis", |_, a| substr(int(a, 0), int(a, 1), text(a, 2))),
    row("repeat", "is", |_, a| repeat(int(a, 0), text(a, 1))),
    row("trimAll", "ss", |_, a| Ok(trim_all(a))),
    row("trimall", "ss", |_, a| Ok(trim_all(a))),
    row("trimSuffix", "ss", |_, a| {
        let t = text(a, 1);
        Ok(Value::string(t.strip_suffix(text(a, 0)).unwrap_or(t)))
    }),
    row("trimPrefix", "ss", |_, a| {
        let t = text(a, 1);
        Ok(Value::string(t.strip_prefix(text(a, 0)).unwrap_or(t)))
    }),
    row("nospace", "s", |_, a| Ok(Value::from(text(a, 0).split(char::is_whitespace).collect::<String>()))),
    row("trunc", "is", |_, a| Ok(trunc(int(a, 0), text(a, 1)))),
    row("contains", "ss", |_, a| Ok(Value::Bool(text(a, 1).contains(text(a, 0))))),
    row("hasPrefix", "ss", |_, a| Ok(Value::Bool(text(a, 1).starts_with(text(a, 0))))),
    row("hasSuffix", "ss", |_, a| Ok(Value::Bool(text(a, 1).ends_with(text(a, 0))))),
    row("quote", "a*", |_, a| Ok(quoted(a, |v| format::quote(&strval(v))))),
    row("squote", "a*", |_, a| Ok(quoted(a, |v| format!("'{}'", format::display(v))))),
    row("cat", "a*", |_, a| {
        let parts: Vec<String> = a.iter().filter(|v| !v.is_nil()).map(format::display).collect();
        Ok(Value::from(parts.join(" ")))
    }),
    row("indent", "is", |_, a| indent(int(a, 0), text(a, 1)).map(Value::from)),
    row("nindent", "is", |_, a| Ok(Value::from(format!("\n{}", indent(int(a, 0), text(a, 1))?)))),
    row("replace", "sss", |_, a| replace(text(a, 0), text(a, 1), text(a, 2))),
    row("plural", "ssi", |_, a| Ok(any(a, usize::from(int(a, 2) != 1)))),
    row("toString", "a", |_, a| Ok(Value::from(strval(&any(a, 0))))),
    row("toStrings", "a", |_, a| Ok(Value::strings(strings(&any(a, 0))))),
    row("join", "sa", |_, a| Ok(Value::from(strings(&any(a, 1)).join(text(a, 0))))),
    row("split", "ss", |_, a| Ok(numbered(pieces(text(a, 0), text(a, 1), -1)))),
    row("splitn", "sis", |_, a| Ok(numbered(pieces(text(a, 0), text(a, 2), int(a, 1))))),
    row("splitList", "ss", |_, a| Ok(Value::strings(pieces(text(a, 0), text(a, 1), -1)))),
];

/// Sprig's `strval`.
pub(crate) fn strval(value: &Value) -> String {
    match Bytes::of(value) {
        Some(bytes) => bytes.text(),
        None => format::display(value),
    }
}

/// Sprig's `strslice`: the printed form of every item that is not nil.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::List(list) => list.items().iter().filter(|v| !v.is_nil()).map(strval).collect(),
        Value::Object(object) if matches!(object.data(), Some(Value::List(_))) => {
            object.data().map(|d| strings(&d)).unwrap_or_default()
        }
        _ if value.is_nil() => Vec::new(),
        other => vec![strval(other)],
    }
}

fn map_chars(text: &str, map: fn(char) -> char) -> String {
    text.chars().map(map).collect()
}

/// Go maps one character to one: those whose upper form is longer stay as they are.
pub(crate) fn upper(c: char) -> char {
    let mut up = c.to_uppercase();
    match (up.next(), up.next()) {
        (Some(u), None) => u,
        _ => c,
    }
}

pub(crate) fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Go's deprecated `strings.Title`: a letter after anything that is not a letter, digit or underscore.
fn title(text: &str) -> String {
    let mut previous = ' ';
    text.chars()
        .map(|c| {
            let separator = if previous.is_ascii() {
                !(previous.is_ascii_alphanumeric() || previous == '_')
            } else {
                !previous.is_alphanumeric() && previous.is_whitespace()
            };
            previous = c;
            if separator { upper(c) } else { c }
        })
        .collect()
}

fn untitle(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            if c.is_whitespace() {
                start = true;
                return c;
            }
            let out = if start { lower(c) } else { c };
            start = false;
            out
        })
        .collect()
}

fn substr(start: i64, end: i64, text: &str) -> Answer {
    let bytes = bytes_of(text);
    let len = bytes.len() as i64;
    let (from, to) = match (start, end) {
        (s, e) if s < 0 => (0, e),
        (s, e) if e < 0 || e > len => (s, len),
        both => both,
    };
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to && to <= bytes.len() => Ok(from_bytes(&bytes[from..to])),
        _ => Err(CallError::argument(format!("slice bounds out of range [{from}:{to}] with length {len}"))),
    }
}

fn repeat(count: i64, text: &str) -> Answer {
    let count = usize::try_from(count).map_err(|_negative| CallError::argument("strings: negative Repeat count"))?;
    if count.saturating_mul(text.len()) > MAX_TEXT {
        return Err(CallError::argument(format!("the result would be longer than {MAX_TEXT} bytes")));
    }
    Ok(Value::from(text.repeat(count)))
}

fn trim_all(args: &[Value]) -> Value {
    let set = text(args, 0);
    Value::string(text(args, 1).trim_matches(|c| set.contains(c)))
}

fn trunc(count: i64, text: &str) -> Value {
    let bytes = bytes_of(text);
    let len = bytes.len();
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if size >= len {
        return Value::string(text);
    }
    if count < 0 { from_bytes(&bytes[len - size..]) } else { from_bytes(&bytes[..size]) }
}

fn quoted(args: &[Value], quote: fn(&Value) -> String) -> Value {
    let parts: Vec<String> = args.iter().filter(|v| !v.is_nil()).map(quote).collect();
    Value::from(parts.join(" "))
}

fn indent(spaces: i64, text: &str) -> Result<String, CallError> {
    let spaces = usize::try_from(spaces).map_err(|_negative| CallError::argument("strings: negative Repeat count"))?;
    let lines = text.matches('\n').count() + 1;
    if spaces.saturating_mul(lines) > MAX_TEXT {
        return Err(CallError::argument(format!("the result would be longer than {MAX_TEXT} bytes")));
    }
    let pad = " ".repeat(spaces);
    Ok(format!("{pad}{}", text.replace('\n', &format!("\n{pad}"))))
}

fn replace(old: &str, new: &str, source: &str) -> Answer {
    let count = source.matches(old).count();
    if count.saturating_mul(new.len()) > MAX_TEXT {
        return Err(CallError::argument(format!("the result would be longer than {MAX_TEXT} bytes")));
    }
    Ok(Value::from(source.replace(old, new)))
}

/// `strings.SplitN`: an empty separator splits into characters; a count of 0 gives nothing, below 0 everything.
fn pieces(separator: &str, source: &str, count: i64) -> Vec<String> {
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    if limit == 0 {
        return Vec::new();
    }
    if !separator.is_empty() {
        return source.splitn(limit, separator).map(str::to_owned).collect();
    }
    let mut parts: Vec<String> = source.chars().take(limit - 1).map(String::from).collect();
    let rest: String = source.chars().skip(limit - 1).collect();
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

fn numbered(parts: Vec<String>) -> Value {
    let entries = parts.into_iter().enumerate().map(|(i, p)| (format!("_{i}").into(), Value::from(p))).collect();
    Value::Map(Map::of(Element::String, entries))
}
