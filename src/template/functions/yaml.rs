//! YAML as Helm prints and reads it: through JSON, by the rules of the `yaml` room.

use crate::yaml::{self, Dialect};

use super::super::error::CallError;
use super::super::value::{Map, Numbers, Value};
use super::{Builtin, any, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("toYaml", "a", |_, a| Ok(Value::from(encode(&any(a, 0), Dialect::Flush).unwrap_or_default()))),
    row("mustToYaml", "a", |_, a| encode(&any(a, 0), Dialect::Flush).map(Value::from)),
    row("toYamlPretty", "a", |_, a| Ok(Value::from(encode(&any(a, 0), Dialect::Indented).unwrap_or_default()))),
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

fn encode(value: &Value, dialect: Dialect) -> Result<String, CallError> {
    let json = match dialect {
        Dialect::Flush => value.to_json()?,
        // This encoder sees the floats themselves.
        Dialect::Indented => value.to_json_floats()?,
    };
    let mut text = yaml::write(&json, dialect);
    text.truncate(text.len() - usize::from(text.ends_with('\n')));
    Ok(text)
}

/// A value as `toYaml` writes it; empty when it cannot be written.
pub fn yaml_of(value: &Value) -> String {
    encode(value, Dialect::Flush).unwrap_or_default()
}
