//! JSON as Go's `encoding/json` writes and reads it: sorted keys, HTML characters escaped unless `toRawJson`.

use serde_json::Value as Json;

use super::super::Mode;
use super::super::bytes::carried;
use super::super::error::CallError;
use super::super::value::{Numbers, Value};
use super::{Builtin, any, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("toJson", "a", |_, a| Ok(Value::from(encode(&any(a, 0), Style::Html).unwrap_or_default()))),
    row("json", "a", |_, a| encode(&any(a, 0), Style::Raw).map(Value::from)),
    row("mustToJson", "a", |_, a| encode(&any(a, 0), Style::Html).map(Value::from)),
    row("toPrettyJson", "a", |_, a| Ok(Value::from(encode(&any(a, 0), Style::Pretty).unwrap_or_default()))),
    row("mustToPrettyJson", "a", |_, a| encode(&any(a, 0), Style::Pretty).map(Value::from)),
    row("toRawJson", "a", |_, a| encode(&any(a, 0), Style::Raw).map(Value::from)),
    row("mustToRawJson", "a", |_, a| encode(&any(a, 0), Style::Raw).map(Value::from)),
    row("fromJson", "s", |e, a| match (e.engine.mode, decode(text(a, 0))) {
        (Mode::Helm, decoded) => Ok(super::yaml::as_map(decoded, "")),
        (_, decoded) => Ok(decoded.unwrap_or(Value::Null)),
    }),
    row("mustFromJson", "s", |_, a| decode(text(a, 0))),
    row("fromJsonArray", "s", |_, a| Ok(super::yaml::as_list(decode(text(a, 0)), ""))),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Html,
    Pretty,
    Raw,
}

fn decode(source: &str) -> Result<Value, CallError> {
    let json: Json = serde_json::from_str(source).map_err(|e| CallError::argument(format!("invalid JSON: {e}")))?;
    Ok(Value::from_json(&json, Numbers::Float))
}

fn encode(value: &Value, style: Style) -> Result<String, CallError> {
    let json = value.to_json_bytes()?;
    let mut out = String::new();
    put(&mut out, &json, style, 0);
    Ok(out)
}

/// Compact JSON without HTML escapes: what YAML's scalars are made from.
pub(crate) fn number(json: &serde_json::Number) -> String {
    match (json.is_f64(), json.as_f64()) {
        (true, Some(f)) if f == 0.0 => if f.is_sign_negative() { "-0" } else { "0" }.to_owned(),
        (true, Some(f)) if f.abs() < 1e-6 || f.abs() >= 1e21 => {
            let text = format!("{f:e}");
            match text.split_once('e') {
                Some((digits, exp)) if !exp.starts_with('-') => format!("{digits}e+{exp}"),
                _ => text,
            }
        }
        (true, Some(f)) => f.to_string(),
        _ => json.to_string(),
    }
}

fn newline(out: &mut String, style: Style, depth: usize) {
    if style == Style::Pretty {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    }
}

fn put(out: &mut String, json: &Json, style: Style, depth: usize) {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Json::Number(n) => out.push_str(&number(n)),
        Json::String(s) => string(out, s, style),
        Json::Array(items) if items.is_empty() => out.push_str("[]"),
        Json::Object(map) if map.is_empty() => out.push_str("{}"),
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                newline(out, style, depth + 1);
                put(out, item, style, depth + 1);
            }
            newline(out, style, depth);
            out.push(']');
        }
        Json::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                newline(out, style, depth + 1);
                string(out, key, style);
                out.push_str(if style == Style::Pretty { ": " } else { ":" });
                put(out, item, style, depth + 1);
            }
            newline(out, style, depth);
            out.push('}');
        }
    }
}

fn string(out: &mut String, text: &str, style: Style) {
    out.push('"');
    for c in text.chars() {
        match c {
            c if carried(c).is_some() => out.push_str("\\ufffd"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '<' | '>' | '&' if style != Style::Raw => out.push_str(&format!("\\u{:04x}", c as u32)),
            '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}
