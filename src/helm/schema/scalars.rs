//! Types, enumerations, numbers and texts.

use serde_json::{Map, Number, Value as Json};

use super::{Check, format};

/// Equality of JSON values: 1 and 1.0 are one number.
pub(super) fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn is_type(value: &Json, name: &str) -> bool {
    match (name, value) {
        ("integer", Json::Number(n)) => n.as_f64().is_some_and(|f| f.fract() == 0.0),
        (name, value) => name == type_name(value),
    }
}

pub(super) fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// A number as JSON writes it, without a fraction of zero.
fn shown(value: &Json) -> String {
    match value {
        Json::Number(n) => n.as_f64().map_or_else(|| n.to_string(), |f| f.to_string()),
        other => other.to_string(),
    }
}

impl<'s> Check<'s, '_> {
    /// `type`, `const`, `enum`, `format`: when they do not fit, nothing else is looked at.
    pub(super) fn typed(&mut self, map: &'s Map<String, Json>, value: &Json) -> bool {
        let wanted: Vec<&str> = match map.get("type") {
            Some(Json::String(name)) => vec![name],
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        if !wanted.is_empty() && !wanted.iter().any(|name| is_type(value, name)) {
            self.fail(format!("got {}, want {}", type_name(value), wanted.join(" or ")));
            return false;
        }
        if let Some(only) = map.get("const").filter(|_| self.schema.draft >= 6)
            && !equal(only, value)
        {
            self.fail(format!("value must be {}", shown(only)));
            return false;
        }
        if let Some(allowed) = map.get("enum").and_then(Json::as_array)
            && !allowed.iter().any(|item| equal(item, value))
        {
            let allowed: Vec<String> = allowed.iter().map(shown).collect();
            self.fail(format!("value must be one of {}", allowed.join(", ")));
            return false;
        }
        let named = map.get("format").and_then(Json::as_str).filter(|_| self.schema.draft < 2019);
        if let (Some(name), Json::String(text)) = (named, value)
            && !format::fits(name, text)
        {
            self.fail(format!("{value} is not valid {name}"));
            return false;
        }
        true
    }

    pub(super) fn number(&mut self, map: &'s Map<String, Json>, number: &Number) {
        let got = number.as_f64().unwrap_or(0.0);
        let limit = |keyword: &str| map.get(keyword).and_then(Json::as_f64);
        let excluded = |keyword: &str| map.get(keyword) == Some(&Json::Bool(true));
        let checks = [("minimum", "exclusiveMinimum", "<"), ("maximum", "exclusiveMaximum", ">")];
        for (inclusive, exclusive, sign) in checks {
            let beyond = |limit: f64| if sign == "<" { got < limit } else { got > limit };
            if let Some(limit) = limit(inclusive)
                && (beyond(limit) || excluded(exclusive) && got == limit)
            {
                self.fail(format!("{inclusive}: got {got}, want {limit}"));
            }
            if let Some(limit) = limit(exclusive)
                && (beyond(limit) || got == limit)
            {
                self.fail(format!("{exclusive}: got {got}, want {limit}"));
            }
        }
        if let Some(step) = limit("multipleOf").filter(|step| *step > 0.0) {
            let quotient = got / step;
            if (quotient - quotient.round()).abs() > 1e-9 * quotient.abs().max(1.0) {
                self.fail(format!("multipleOf: got {got}, want {step}"));
            }
        }
    }

    pub(super) fn string(&mut self, map: &'s Map<String, Json>, text: &str) {
        let count = text.chars().count() as f64;
        for (keyword, bad) in [("minLength", f64::lt as fn(&f64, &f64) -> bool), ("maxLength", f64::gt)] {
            if let Some(limit) = map.get(keyword).and_then(Json::as_f64)
                && bad(&count, &limit)
            {
                self.fail(format!("{keyword}: got {count}, want {limit}"));
            }
        }
        if let Some(pattern) = map.get("pattern").and_then(Json::as_str)
            && self.schema.pattern(pattern).is_some_and(|regex| !regex.is_match(text))
        {
            self.fail(format!("'{text}' does not match pattern '{pattern}'"));
        }
    }
}
