//! TOML as Helm's `toToml` (BurntSushi's encoder) writes it: plain keys first, then tables, indented by depth; and
//! `fromToml`.

use super::super::format;
use super::super::value::{Map, Value};
use super::{Answer, Builtin, any, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("toToml", "a", |_, a| encode(&any(a, 0))),
    row("fromToml", "s", |_, a| {
        Ok(match ::toml::from_str::<::toml::Table>(text(a, 0)) {
            Ok(table) => decode(::toml::Value::Table(table)),
            Err(error) => super::yaml::error_map(format!("toml: {}", error.message())),
        })
    }),
];

/// Helm hands a mistake back as the text.
fn encode(value: &Value) -> Answer {
    // What JSON can hold is finite and not too deep to walk.
    value.to_json()?;
    let Value::Map(map) = value else {
        return Ok(Value::string("toml: top-level values must be Go maps or structs"));
    };
    let mut out = String::new();
    match has_nil_item(value) {
        true => out.push_str("toml: cannot encode array with nil element"),
        false => table(&mut out, map, &mut Vec::new()),
    }
    Ok(Value::from(out))
}

fn has_nil_item(value: &Value) -> bool {
    match value {
        Value::List(list) => list.items().iter().any(|item| item.is_nil() || has_nil_item(item)),
        Value::Map(map) => map.entries().iter().any(|(_, item)| has_nil_item(item)),
        _ => false,
    }
}

fn decode(value: ::toml::Value) -> Value {
    match value {
        ::toml::Value::String(text) => Value::from(text),
        ::toml::Value::Integer(i) => Value::Int64(i),
        ::toml::Value::Float(f) => Value::Float(f),
        ::toml::Value::Boolean(b) => Value::Bool(b),
        ::toml::Value::Datetime(at) => super::dates::from_toml(&at),
        ::toml::Value::Array(items) => Value::list(items.into_iter().map(decode).collect()),
        ::toml::Value::Table(table) => Value::Map(table.into_iter().map(|(k, v)| (k.into(), decode(v))).collect()),
    }
}

fn is_tables(value: &Value) -> bool {
    matches!(value, Value::List(list)
        if !list.items().is_empty() && list.items().iter().all(|i| matches!(i, Value::Map(_))))
}

fn table(out: &mut String, map: &Map, path: &mut Vec<String>) {
    let margin = "  ".repeat(path.len());
    for (name, value) in &map.entries() {
        if !(matches!(value, Value::Map(_)) || value.is_nil() || is_tables(value)) {
            out.push_str(&format!("{margin}{} = {}\n", key(name), inline(value)));
        }
    }
    for (name, value) in &map.entries() {
        path.push(key(name));
        let margin = "  ".repeat(path.len() - 1);
        match value {
            Value::Map(inner) => {
                blank(out, path.len());
                out.push_str(&format!("{margin}[{}]\n", path.join(".")));
                table(out, inner, path);
            }
            Value::List(list) if is_tables(value) => {
                for inner in list.items() {
                    let Value::Map(inner) = inner else { continue };
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

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Float(_) => {
            let shown = format::display(value);
            if shown.contains(['.', 'e']) { shown } else { format!("{shown}.0") }
        }
        Value::List(list) => format!("[{}]", list.items().iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let pairs: Vec<String> = map.entries().iter().map(|(k, v)| format!("{} = {}", key(k), inline(v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Object(_) | Value::Undefined(_) | Value::Null => string(&format::display(value)),
        number_or_bool => format::display(number_or_bool),
    }
}
