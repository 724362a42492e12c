//! Helm's rules for laying values over each other, on maps that are shared as Go's are.
//!
//! Sharing is part of the rules: a table of globals that a parent and a subchart both hold is one map, and a template
//! that changes it changes it for both. `Mode::Coalesce` lets a null delete a key, `Mode::Merge` keeps the null for a
//! later round.

use serde_json::{Map as JsonMap, Value as Json};

use super::ChartError;
use super::tree::Node;
use crate::template::{List, Map, Numbers, Value};

/// The key of values that every subchart sees.
pub(crate) const GLOBAL: &str = "global";

/// What a null does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It deletes the key it meets.
    Coalesce,
    /// It stays.
    Merge,
}

/// Values of a chart or a user: floats from YAML, whole numbers from `--set`.
pub(crate) fn values(map: &JsonMap<String, Json>) -> Map {
    map.iter().map(|(key, value)| (key.as_str().into(), value_of(value))).collect()
}

fn value_of(json: &Json) -> Value {
    match json {
        Json::Number(n) if !n.is_f64() => n.as_i64().map_or(Value::Null, Value::Int64),
        Json::Array(items) => Value::list(items.iter().map(value_of).collect()),
        Json::Object(map) => Value::Map(values(map)),
        other => Value::from_json(other, Numbers::Float),
    }
}

/// A copy that shares nothing.
pub(crate) fn deep_copy(map: &Map) -> Map {
    map.entries().into_iter().map(|(key, value)| (key, copied(&value))).collect()
}

fn copied(value: &Value) -> Value {
    match value {
        Value::Map(map) => Value::Map(deep_copy(map)),
        Value::List(list) => Value::List(List::of(list.element(), list.items().iter().map(copied).collect())),
        other => other.clone(),
    }
}

/// The values of a chart and its subcharts under those that are given.
pub(crate) fn coalesced(node: &Node<'_>, given: &Map, mode: Mode) -> Result<Map, ChartError> {
    let target = deep_copy(given);
    coalesce(node, &target, mode)?;
    Ok(target)
}

fn coalesce(node: &Node<'_>, target: &Map, mode: Mode) -> Result<(), ChartError> {
    own_values(node, target, mode);
    for child in &node.children {
        let below = match target.get(&child.name) {
            None => {
                let fresh = Map::new();
                target.insert(child.name.as_str(), Value::Map(fresh.clone()));
                fresh
            }
            Some(Value::Map(map)) => map,
            Some(_) => return Err(ChartError::SubchartValues { name: child.name.clone() }),
        };
        globals(&below, target);
        coalesce(child, &below, mode)?;
    }
    Ok(())
}

/// The chart's own values give way to those that are there.
fn own_values(node: &Node<'_>, target: &Map, mode: Mode) {
    for (key, own) in deep_copy(&node.values).entries() {
        match (target.get(&key), own) {
            (None, own) => target.insert(key, own),
            (Some(Value::Null), _) if mode == Mode::Coalesce => target.remove(&key),
            (Some(Value::Map(given)), Value::Map(own)) => {
                let is_child = node.children.iter().any(|child| *child.name == *key);
                tables(&given, &own, if is_child { Mode::Merge } else { mode });
            }
            _ => {}
        }
    }
}

/// Globals of the parent go over those of the subchart.
fn globals(below: &Map, above: &Map) {
    let global = |map: &Map| match map.get(GLOBAL) {
        None => Some(Map::new()),
        Some(Value::Map(map)) => Some(map),
        Some(_) => None,
    };
    let (Some(own), Some(given)) = (global(below), global(above)) else { return };
    for (key, value) in given.entries() {
        match (value, own.get(&key)) {
            (Value::Map(table), old) => {
                let shallow: Map = table.entries().into_iter().collect();
                match old {
                    None => own.insert(key, Value::Map(shallow)),
                    Some(Value::Map(old)) => {
                        tables(&shallow, &old, Mode::Merge);
                        own.insert(key, Value::Map(shallow));
                    }
                    Some(_) => {}
                }
            }
            (_, Some(Value::Map(_))) => {}
            (value, _) => own.insert(key, value),
        }
    }
    below.insert(GLOBAL, Value::Map(own));
}

/// Merges a table into another, which has the last word.
pub(crate) fn tables(target: &Map, source: &Map, mode: Mode) {
    let had_value: Vec<_> = source.entries().into_iter().filter(|(_, v)| !v.is_nil()).map(|(k, _)| k).collect();
    for (key, value) in target.entries() {
        if value.is_nil() {
            source.insert(key, Value::Null);
        }
    }
    for (key, value) in source.entries() {
        match (target.get(&key), value) {
            (Some(Value::Null), _) if mode == Mode::Coalesce && had_value.contains(&key) => target.remove(&key),
            (None, value) => target.insert(key, value),
            (Some(Value::Map(old)), Value::Map(new)) => tables(&old, &new, mode),
            _ => {}
        }
    }
}

/// The table at a path of keys with dots between them.
pub(crate) fn table(values: &Map, path: &str) -> Option<Map> {
    path.split('.').try_fold(values.clone(), |map, key| match map.get(key) {
        Some(Value::Map(inner)) => Some(inner),
        _ => None,
    })
}

/// The value at a path of keys with dots between them, when it is no table.
pub(crate) fn leaf(values: &Map, path: &str) -> Option<Value> {
    let (parent, key) = match path.rsplit_once('.') {
        Some((parent, key)) => (table(values, parent)?, key),
        None => (values.clone(), path),
    };
    parent.get(key).filter(|value| !matches!(value, Value::Map(_)))
}
