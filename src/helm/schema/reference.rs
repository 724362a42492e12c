//! `$ref` inside one schema: pointers, anchors, and the names that `$id` gives.

use serde_json::Value as Json;
use url::Url;

use super::Check;

impl<'s> Check<'s, '_> {
    /// What a reference means and the schema it lies in; `None` for what is not in this schema.
    pub(super) fn resolve(&self, reference: &str) -> Option<(&'s Json, &'s Json)> {
        let (resource, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = if resource.is_empty() { self.base } else { named(self.schema.root, resource)? };
        let target = match fragment {
            "" => Some(base),
            pointer if pointer.starts_with('/') => base.pointer(&decoded(pointer)),
            anchor => anchored(base, anchor),
        };
        target.map(|target| (base, target))
    }
}

/// A pointer inside a URL has its odd characters as `%xx`.
fn decoded(pointer: &str) -> String {
    let mut out = Vec::with_capacity(pointer.len());
    let bytes = pointer.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = pointer.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn id(schema: &Json) -> Option<&str> {
    schema.get("$id").or(schema.get("id")).and_then(Json::as_str)
}

/// The schema with that `$id`, written out or relative to the root's.
fn named<'s>(root: &'s Json, name: &str) -> Option<&'s Json> {
    let base = id(root).and_then(|id| Url::parse(id).ok());
    let absolute = |text: &str| match &base {
        Some(base) => base.join(text).ok().map(|url| url.to_string()),
        None => Some(text.to_owned()),
    };
    let wanted = absolute(name)?;
    let is_it = |schema: &Json| {
        id(schema).is_some_and(|id| {
            let id = id.trim_end_matches('#');
            id == name || absolute(id).is_some_and(|id| id == wanted)
        })
    };
    find(root, &is_it)
}

fn anchored<'s>(base: &'s Json, anchor: &str) -> Option<&'s Json> {
    let is_it = |schema: &Json| {
        let named = |keyword| schema.get(keyword).and_then(Json::as_str) == Some(anchor);
        named("$anchor") || named("$dynamicAnchor") || id(schema).and_then(|id| id.strip_prefix('#')) == Some(anchor)
    };
    find(base, &is_it)
}

/// The first schema of a tree that is it, outer ones first.
fn find<'s>(root: &'s Json, is_it: &dyn Fn(&Json) -> bool) -> Option<&'s Json> {
    let mut pending = vec![root];
    while let Some(schema) = pending.pop() {
        match schema {
            Json::Object(map) => {
                if is_it(schema) {
                    return Some(schema);
                }
                pending.extend(map.values());
            }
            Json::Array(items) => pending.extend(items),
            _ => {}
        }
    }
    None
}
