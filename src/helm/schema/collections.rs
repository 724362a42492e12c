//! Objects and arrays.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::scalars::equal;
use super::{Check, Seen};

impl<'s> Check<'s, '_> {
    fn at(&mut self, part: impl Into<String>, schema: &'s Json, value: &Json) {
        self.path.push(part.into());
        self.value(schema, value);
        self.path.pop();
    }

    fn counted(&mut self, map: &'s Map<String, Json>, count: usize, least: &str, most: &str) {
        let limit = |keyword: &str| map.get(keyword).and_then(Json::as_f64);
        if let Some(limit) = limit(least).filter(|limit| (count as f64) < *limit) {
            self.fail(format!("{least}: got {count}, want {limit}"));
        }
        if let Some(limit) = limit(most).filter(|limit| count as f64 > *limit) {
            self.fail(format!("{most}: got {count}, want {limit}"));
        }
    }

    fn missing(&mut self, object: &Map<String, Json>, wanted: &Json, because: &str) {
        let names = wanted.as_array().into_iter().flatten().filter_map(Json::as_str);
        let missing: Vec<String> =
            names.filter(|name| !object.contains_key(*name)).map(|name| format!("'{name}'")).collect();
        match missing.len() {
            0 => {}
            1 => self.fail(format!("missing property {}{because}", missing[0])),
            _ => self.fail(format!("missing properties {}{because}", missing.join(", "))),
        }
    }

    pub(super) fn object(&mut self, map: &'s Map<String, Json>, object: &Map<String, Json>, seen: &mut Seen) {
        self.counted(map, object.len(), "minProperties", "maxProperties");
        if let Some(required) = map.get("required") {
            self.missing(object, required, "");
        }
        self.dependencies(map, object, seen);
        let properties = map.get("properties").and_then(Json::as_object);
        let patterns = map.get("patternProperties").and_then(Json::as_object);
        let mut additional = Vec::new();
        for (name, value) in object {
            let mut known = false;
            if let Some(schema) = properties.and_then(|properties| properties.get(name)) {
                known = true;
                self.at(name, schema, value);
            }
            for (pattern, schema) in patterns.into_iter().flatten() {
                if self.schema.pattern(pattern).is_some_and(|regex| regex.is_match(name)) {
                    known = true;
                    self.at(name, schema, value);
                }
            }
            match map.get("additionalProperties") {
                Some(Json::Bool(false)) if !known => additional.push(format!("'{name}'")),
                Some(schema) if !known => {
                    known = true;
                    self.at(name, schema, value);
                }
                _ => {}
            }
            if known {
                seen.properties.insert(name.clone());
            }
            if let Some(schema) = map.get("propertyNames").filter(|_| self.schema.draft >= 6)
                && self.fits(schema, &Json::from(name.as_str())).is_none()
            {
                self.fail(format!("invalid propertyName '{name}'"));
            }
        }
        if !additional.is_empty() {
            self.fail(format!("additional properties {} not allowed", additional.join(", ")));
        }
    }

    fn dependencies(&mut self, map: &'s Map<String, Json>, object: &Map<String, Json>, seen: &mut Seen) {
        for keyword in ["dependencies", "dependentRequired", "dependentSchemas"] {
            if keyword != "dependencies" && self.schema.draft < 2019 {
                continue;
            }
            for (name, wanted) in map.get(keyword).and_then(Json::as_object).into_iter().flatten() {
                if !object.contains_key(name) {
                    continue;
                }
                match wanted {
                    Json::Array(_) => self.missing(object, wanted, &format!(", which '{name}' needs")),
                    schema => {
                        let found = self.value(schema, &Json::Object(object.clone()));
                        seen.add(found);
                    }
                }
            }
        }
    }

    pub(super) fn array(&mut self, map: &'s Map<String, Json>, items: &[Json], seen: &mut Seen) {
        self.counted(map, items.len(), "minItems", "maxItems");
        if map.get("uniqueItems") == Some(&Json::Bool(true)) {
            self.unique(items);
        }
        let newest = self.schema.draft >= 2020;
        let (first, rest) = match (newest, map.get("items")) {
            (true, items) => (map.get("prefixItems"), items),
            (false, list @ Some(Json::Array(_))) => (list, map.get("additionalItems")),
            (false, schema) => (None, schema),
        };
        let first = first.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        for (i, item) in items.iter().enumerate() {
            let schema = first.get(i).or(rest);
            if let Some(schema) = schema {
                seen.items.insert(i);
                self.at(i.to_string(), schema, item);
            }
        }
        if let Some(schema) = map.get("contains").filter(|_| self.schema.draft >= 6) {
            self.contains(map, schema, items, seen);
        }
    }

    fn unique(&mut self, items: &[Json]) {
        for (i, item) in items.iter().enumerate() {
            if let Some(first) = items[..i].iter().position(|other| equal(other, item)) {
                self.fail(format!("items at {first} and {i} are equal"));
                return;
            }
        }
    }

    fn contains(&mut self, map: &'s Map<String, Json>, schema: &'s Json, items: &[Json], seen: &mut Seen) {
        let mut found = BTreeSet::new();
        for (i, item) in items.iter().enumerate() {
            if self.fits(schema, item).is_some() {
                found.insert(i);
            }
        }
        let limit = |keyword: &str| map.get(keyword).and_then(Json::as_u64).filter(|_| self.schema.draft >= 2019);
        let least = limit("minContains").unwrap_or(1);
        let most = limit("maxContains");
        if (found.len() as u64) < least {
            self.fail(format!("too few items that it must contain: {}, want {least}", found.len()));
        }
        if let Some(most) = most.filter(|most| found.len() as u64 > *most) {
            self.fail(format!("too many items that it must contain: {}, want {most}", found.len()));
        }
        if self.schema.draft >= 2020 {
            seen.items.extend(found);
        }
    }

    pub(super) fn unevaluated(&mut self, map: &'s Map<String, Json>, value: &Json, seen: &mut Seen) {
        if self.schema.draft < 2019 {
            return;
        }
        match value {
            Json::Object(object) => {
                let Some(schema) = map.get("unevaluatedProperties") else { return };
                for (name, value) in object.iter().filter(|(name, _)| !seen.properties.contains(*name)) {
                    self.at(name, schema, value);
                }
                seen.properties.extend(object.keys().cloned());
            }
            Json::Array(items) => {
                let Some(schema) = map.get("unevaluatedItems") else { return };
                for (i, item) in items.iter().enumerate().filter(|(i, _)| !seen.items.contains(i)) {
                    self.at(i.to_string(), schema, item);
                }
                seen.items.extend(0..items.len());
            }
            _ => {}
        }
    }
}
