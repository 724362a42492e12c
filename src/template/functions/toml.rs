//! TOML output as Helm's `toToml` (BurntSushi's encoder): plain keys first, then tables, indented by depth.
//! There is no `fromToml`: no TOML reader is among the dependencies.

use serde_json::Value as Json;

use super::super::value::Value;
use super::{Builtin, any, row};

pub(crate) const TABLE: &[Builtin] = &[row("toToml", "a", |_, a| {
    let json = any(a, 0).to_json()?;
    let mut out = String::new();
    if let Json::Object(map) = &json {
        table(&mut out, map, &mut Vec::new());
    }
    Ok(Value::from(out))
})];

type Object = serde_json::Map<String, Json>;

fn is_tables(json: &Json) -> bool {
    matches!(json, Json::Array(items) if !items.is_empty() && items.iter().all(Json::is_object))
}

fn table(out: &mut String, map: &Object, path: &mut Vec<String>) {
    let margin = "  ".repeat(path.len());
    for (name, value) in map {
        if !(value.is_object() || value.is_null() || is_tables(value)) {
            out.push_str(&format!("{margin}{} = {}\n", key(name), inline(value)));
        }
    }
    for (name, value) in map {
        path.push(key(name));
        let margin = "  ".repeat(path.len() - 1);
        match value {
            Json::Object(inner) => {
                blank(out, path.len());
                out.push_str(&format!("{margin}[{}]\n", path.join(".")));
                table(out, inner, path);
            }
            Json::Array(items) if is_tables(value) => {
                for inner in items.iter().filter_map(Json::as_object) {
                    blank(out, path.len());
                    out.push_str(&format!("{margin}[[{}]]\n", path.join(".")));
                    table(out, inner, path);
                }
            }
            _ => {}
        }
        path.pop();
    }
}

/// An empty line parts top-level tables from what is before them.
fn blank(out: &mut String, depth: usize) {
    if depth == 1 && !out.is_empty() {
        out.push('\n');
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { name.to_owned() } else { string(name) }
}

fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn inline(json: &Json) -> String {
    match json {
        Json::Null => "\"\"".to_owned(),
        Json::Bool(b) => b.to_string(),
        // Numbers of JSON data are float64 in Go, so the encoder writes them with a fraction.
        Json::Number(n) if n.is_f64() => super::json::number(n),
        Json::Number(n) => format!("{n}.0"),
        Json::String(s) => string(s),
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{} = {}", key(k), inline(v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}
