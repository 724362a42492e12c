//! `values.schema.json`: JSON Schema of drafts 4, 6, 7, 2019-09 and 2020-12, as far as values can be checked offline.
//!
//! A schema is interpreted, not compiled: it is held against one document, once. `$ref` is followed inside the schema;
//! one that would have to be fetched is taken as fulfilled, because nothing is fetched here. `format` is checked by the
//! drafts before 2019-09, as Helm's library does.

mod collections;
mod form;
mod format;
mod reference;
mod scalars;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use regex::Regex;
use serde_json::{Map, Value as Json};

use super::ChartError;
use crate::template::go_regex;

/// How deep schemas may refer to each other before one value.
const MAX_DEPTH: usize = 256;

/// What a schema looked at, for `unevaluatedProperties` and `unevaluatedItems`.
#[derive(Clone, Debug, Default)]
struct Seen {
    properties: BTreeSet<String>,
    items: BTreeSet<usize>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.properties.extend(other.properties);
        self.items.extend(other.items);
    }
}

/// A schema being held against a document.
pub(crate) struct Schema<'s> {
    root: &'s Json,
    draft: u32,
    patterns: RefCell<HashMap<String, Option<Regex>>>,
}

/// A place in the document and what was found wrong so far.
struct Check<'s, 'f> {
    schema: &'f Schema<'s>,
    /// The schema that `#` means here: the nearest one with an `$id`.
    base: &'s Json,
    path: Vec<String>,
    depth: usize,
    failures: Vec<String>,
}

/// Holds values against a chart's schema; the answer names each place that does not fit.
///
/// # Errors
/// The schema itself is not one.
pub(crate) fn check(chart: &str, schema: &[u8], values: &Json) -> Result<Vec<String>, ChartError> {
    let wrong = |reason: String| ChartError::NoSchema { chart: chart.to_owned(), reason };
    let root: Json = serde_json::from_slice(schema).map_err(|error| wrong(error.to_string()))?;
    let schema = Schema { root: &root, draft: draft(&root), patterns: RefCell::default() };
    form::check(&root, schema.draft).map_err(wrong)?;
    let mut check = Check { schema: &schema, base: &root, path: Vec::new(), depth: 0, failures: Vec::new() };
    check.value(&root, values);
    Ok(check.failures)
}

/// The draft that `$schema` names; the newest without one.
fn draft(root: &Json) -> u32 {
    let named = root.get("$schema").and_then(Json::as_str).unwrap_or_default();
    [("draft-04", 4), ("draft-06", 6), ("draft-07", 7), ("2019-09", 2019)]
        .iter()
        .find(|(name, _)| named.contains(name))
        .map_or(2020, |(_, draft)| *draft)
}

impl Schema<'_> {
    fn pattern(&self, text: &str) -> Option<Regex> {
        let mut patterns = self.patterns.borrow_mut();
        patterns.entry(text.to_owned()).or_insert_with(|| go_regex(text).ok()).clone()
    }
}

impl<'s> Check<'s, '_> {
    fn fail(&mut self, reason: impl AsRef<str>) {
        let place = self.path.iter().fold(String::new(), |all, part| all + "/" + part);
        self.failures.push(format!("at '{place}': {}", reason.as_ref()));
    }

    /// Whether a value fits, without saying why not.
    fn fits(&mut self, schema: &'s Json, value: &Json) -> Option<Seen> {
        let before = self.failures.len();
        let seen = self.value(schema, value);
        let fits = self.failures.len() == before;
        self.failures.truncate(before);
        fits.then_some(seen)
    }

    /// Holds a value against a schema.
    fn value(&mut self, schema: &'s Json, value: &Json) -> Seen {
        let map = match schema {
            Json::Bool(true) => return Seen::default(),
            Json::Bool(false) => {
                self.fail("nothing is allowed here");
                return Seen::default();
            }
            Json::Object(map) => map,
            _ => return Seen::default(),
        };
        if self.depth >= MAX_DEPTH {
            self.fail(format!("the schema refers to itself more than {MAX_DEPTH} times"));
            return Seen::default();
        }
        self.depth += 1;
        let outer = self.base;
        let has_id = map.get("$id").or(map.get("id")).and_then(Json::as_str).is_some_and(|id| !id.starts_with('#'));
        if has_id {
            self.base = schema;
        }
        let seen = self.keywords(map, value);
        self.base = outer;
        self.depth -= 1;
        seen
    }

    fn keywords(&mut self, map: &'s Map<String, Json>, value: &Json) -> Seen {
        let mut seen = Seen::default();
        for keyword in ["$ref", "$recursiveRef", "$dynamicRef"] {
            if let Some(reference) = map.get(keyword).and_then(Json::as_str)
                && let Some((base, target)) = self.resolve(reference)
            {
                let outer = std::mem::replace(&mut self.base, base);
                seen.add(self.value(target, value));
                self.base = outer;
            }
        }
        if self.schema.draft < 2019 && map.contains_key("$ref") {
            return seen;
        }
        if !self.typed(map, value) {
            return seen;
        }
        match value {
            Json::Object(object) => self.object(map, object, &mut seen),
            Json::Array(items) => self.array(map, items, &mut seen),
            Json::String(text) => self.string(map, text),
            Json::Number(number) => self.number(map, number),
            _ => {}
        }
        self.combined(map, value, &mut seen);
        self.unevaluated(map, value, &mut seen);
        seen
    }

    /// `allOf`, `anyOf`, `oneOf`, `not`, `if`.
    fn combined(&mut self, map: &'s Map<String, Json>, value: &Json, seen: &mut Seen) {
        let list = |keyword: &str| map.get(keyword).and_then(Json::as_array).map(Vec::as_slice);
        for schema in list("allOf").unwrap_or_default() {
            seen.add(self.value(schema, value));
        }
        if let Some(schemas) = list("anyOf") {
            let fitting: Vec<Seen> = schemas.iter().filter_map(|schema| self.fits(schema, value)).collect();
            match fitting.is_empty() {
                true => self.none_fits(schemas, value, "none of the alternatives fits"),
                false => fitting.into_iter().for_each(|found| seen.add(found)),
            }
        }
        if let Some(schemas) = list("oneOf") {
            let mut fitting: Vec<Seen> = schemas.iter().filter_map(|schema| self.fits(schema, value)).collect();
            match fitting.len() {
                0 => self.none_fits(schemas, value, "none of the alternatives fits"),
                1 => seen.add(fitting.remove(0)),
                _ => self.fail("more than one of the alternatives fits"),
            }
        }
        if let Some(schema) = map.get("not")
            && self.fits(schema, value).is_some()
        {
            self.fail("it is what it must not be");
        }
        if let Some(schema) = map.get("if").filter(|_| self.schema.draft >= 7) {
            let branch = match self.fits(schema, value) {
                Some(found) => {
                    seen.add(found);
                    map.get("then")
                }
                None => map.get("else"),
            };
            if let Some(schema) = branch {
                seen.add(self.value(schema, value));
            }
        }
    }

    /// Says why the first alternative does not fit, which is mostly what was meant.
    fn none_fits(&mut self, schemas: &'s [Json], value: &Json, summary: &str) {
        let before = self.failures.len();
        if let Some(first) = schemas.first() {
            self.value(first, value);
        }
        let why = self.failures.get(before).cloned();
        self.failures.truncate(before);
        match why {
            Some(why) => self.fail(format!("{summary} (of the first: {why})")),
            None => self.fail(summary),
        }
    }
}
