//! Whether a schema is one: each keyword holds what its draft says that it holds.

use serde_json::{Map, Value as Json};

use super::MAX_DEPTH;
use crate::template::go_regex;

/// The schemas that one keyword holds.
enum Held {
    One,
    Several,
    Named,
}

/// What a keyword holds in a draft that knows it.
fn held(keyword: &str, draft: u32) -> Option<Held> {
    let (since, held) = match keyword {
        "not" | "items" | "additionalItems" | "additionalProperties" => (4, Held::One),
        "contains" | "propertyNames" => (6, Held::One),
        "if" | "then" | "else" => (7, Held::One),
        "unevaluatedItems" | "unevaluatedProperties" => (2019, Held::One),
        "allOf" | "anyOf" | "oneOf" => (4, Held::Several),
        "prefixItems" => (2020, Held::Several),
        "properties" | "patternProperties" | "definitions" | "dependencies" => (4, Held::Named),
        "$defs" | "dependentSchemas" => (2019, Held::Named),
        _ => return None,
    };
    (draft >= since).then_some(held)
}

/// Finds what cannot be meant.
pub(super) fn check(root: &Json, draft: u32) -> Result<(), String> {
    let mut pending = vec![(root, 0)];
    while let Some((schema, depth)) = pending.pop() {
        let map = match schema {
            Json::Object(map) => map,
            Json::Bool(_) if draft >= 6 => continue,
            _ => return Err(format!("`{schema}` is no schema")),
        };
        if depth > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        if draft < 2019 && map.get("$ref").is_some_and(Json::is_string) {
            continue;
        }
        types(map)?;
        keywords(map, draft)?;
        for (keyword, value) in map {
            let below: Vec<&Json> = match (held(keyword, draft), value) {
                (None, _) => continue,
                // The one place where draft 4 has true and false.
                (_, Json::Bool(_)) if matches!(keyword.as_str(), "additionalProperties" | "additionalItems") => {
                    continue;
                }
                (Some(Held::One), Json::Array(items)) if keyword == "items" && draft < 2020 => items.iter().collect(),
                (Some(Held::One), value) => vec![value],
                (Some(Held::Several), Json::Array(items)) if !items.is_empty() => items.iter().collect(),
                // A dependency may be a list of names.
                (Some(Held::Named), Json::Object(map)) => map.values().filter(|v| !v.is_array()).collect(),
                _ => return Err(format!("`{keyword}` does not hold schemas")),
            };
            pending.extend(below.into_iter().map(|schema| (schema, depth + 1)));
        }
    }
    Ok(())
}

fn types(map: &Map<String, Json>) -> Result<(), String> {
    const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];
    let named: Vec<&Json> = match map.get("type") {
        None => return Ok(()),
        Some(Json::Array(names)) if !names.is_empty() => names.iter().collect(),
        Some(name) => vec![name],
    };
    match named.iter().find(|name| name.as_str().is_none_or(|name| !TYPES.contains(&name))) {
        Some(unknown) => Err(format!("there is no type `{}`", unknown.as_str().unwrap_or(&unknown.to_string()))),
        None => Ok(()),
    }
}

fn keywords(map: &Map<String, Json>, draft: u32) -> Result<(), String> {
    for (keyword, value) in map {
        let fits = match keyword.as_str() {
            "exclusiveMinimum" | "exclusiveMaximum" if draft < 6 => value.is_boolean(),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
            "multipleOf" => value.as_f64().is_some_and(|step| step > 0.0),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                value.as_f64().is_some_and(|count| count >= 0.0 && count.fract() == 0.0)
            }
            "required" => value.as_array().is_some_and(|names| names.iter().all(Json::is_string)),
            "enum" => value.is_array(),
            "uniqueItems" => value.is_boolean(),
            "pattern" | "format" | "$ref" => value.is_string(),
            _ => true,
        };
        if !fits {
            return Err(format!("`{keyword}` cannot be `{value}`"));
        }
    }
    let named = map.get("patternProperties").and_then(Json::as_object).into_iter().flat_map(|map| map.keys());
    for pattern in named.map(String::as_str).chain(map.get("pattern").and_then(Json::as_str)) {
        if let Err(reason) = go_regex(pattern) {
            return Err(format!("`{pattern}` is no regular expression: {reason}"));
        }
    }
    Ok(())
}
