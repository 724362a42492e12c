//! Sprig's map functions. `set`, `unset` and the merges change the map they are given, as in Go.

use super::super::error::CallError;
use super::super::value::{MAX_DEPTH, Map, Value};
use super::kinds::is_empty;
use super::strings::strval;
use super::{Answer, Builtin, any, map, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("dict", "a*", |_, a| Ok(dict(a))),
    row("get", "ms", |_, a| Ok(map(a, 0).get(text(a, 1)).unwrap_or_else(|| Value::string("")))),
    row("set", "msa", |_, a| {
        map(a, 0).insert(text(a, 1), any(a, 2));
        Ok(any(a, 0))
    }),
    row("unset", "ms", |_, a| {
        map(a, 0).remove(text(a, 1));
        Ok(any(a, 0))
    }),
    row("hasKey", "ms", |_, a| Ok(Value::Bool(map(a, 0).contains_key(text(a, 1))))),
    row("pluck", "sm*", |_, a| Ok(Value::list((1..a.len()).filter_map(|i| map(a, i).get(text(a, 0))).collect()))),
    row("keys", "m*", |_, a| {
        let all = (0..a.len()).flat_map(|i| map(a, i).entries());
        Ok(Value::strings(all.map(|(k, _)| k)))
    }),
    row("values", "m", |_, a| Ok(Value::list(map(a, 0).entries().into_iter().map(|(_, v)| v).collect()))),
    row("pick", "ms*", |_, a| {
        let wanted: Vec<&str> = a[1..].iter().filter_map(Value::as_str).collect();
        Ok(Value::Map(map(a, 0).entries().into_iter().filter(|(k, _)| wanted.contains(&&**k)).collect()))
    }),
    row("omit", "ms*", |_, a| {
        let unwanted: Vec<&str> = a[1..].iter().filter_map(Value::as_str).collect();
        Ok(Value::Map(map(a, 0).entries().into_iter().filter(|(k, _)| !unwanted.contains(&&**k)).collect()))
    }),
    row("merge", "mm*", |_, a| merge_all(a, Conflict::KeepLeft)),
    row("mergeOverwrite", "mm*", |_, a| merge_all(a, Conflict::TakeRight)),
    row("dig", "a*", |_, a| dig(a)),
    row("deepCopy", "a", |_, a| match any(a, 0) {
        Value::Null => Err(CallError::argument("nil cannot be copied")),
        value => copy(&value, MAX_DEPTH),
    }),
];

fn dict(args: &[Value]) -> Value {
    let map = Map::new();
    for pair in args.chunks(2) {
        map.insert(strval(&pair[0]), pair.get(1).cloned().unwrap_or_else(|| Value::string("")));
    }
    Value::Map(map)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Conflict {
    KeepLeft,
    TakeRight,
}

fn merge_all(args: &[Value], conflict: Conflict) -> Answer {
    let target = map(args, 0);
    for i in 1..args.len() {
        merge(&target, &map(args, i), conflict, MAX_DEPTH)?;
    }
    Ok(any(args, 0))
}

/// Deep merge as mergo does it: maps merge, an empty left value gives way, a nil on the right only overwrites.
fn merge(target: &Map, source: &Map, conflict: Conflict, depth: usize) -> Result<(), CallError> {
    let Some(below) = depth.checked_sub(1) else { return Err(CallError::TooDeep) };
    if target.same(source) {
        return Ok(());
    }
    for (key, new) in source.entries() {
        match (target.get(&key), &new) {
            (Some(Value::Map(old)), Value::Map(new)) if !old.is_empty() => merge(&old, new, conflict, below)?,
            (_, Value::Null) if conflict == Conflict::KeepLeft => {}
            (Some(old), _) if conflict == Conflict::KeepLeft && !is_empty(&old) => {}
            (Some(Value::Map(_)), other) if conflict == Conflict::TakeRight && is_empty(other) => {
                target.insert(key, new);
            }
            _ => target.insert(key, new),
        }
    }
    Ok(())
}

fn dig(args: &[Value]) -> Answer {
    let [path @ .., default, root] = args else {
        return Err(CallError::argument("dig needs at least three arguments"));
    };
    if path.is_empty() {
        return Err(CallError::argument("dig needs at least three arguments"));
    }
    let mut at = root.clone();
    for key in path {
        let Value::String(key) = key else {
            return Err(CallError::WrongType { expected: "string", got: key.type_name() });
        };
        let Value::Map(map) = &at else {
            return Err(CallError::WrongType { expected: "map[string]interface {}", got: at.type_name() });
        };
        match map.get(key) {
            Some(next) => at = next,
            None => return Ok(default.clone()),
        }
    }
    Ok(at)
}

fn copy(value: &Value, depth: usize) -> Answer {
    let Some(below) = depth.checked_sub(1) else { return Err(CallError::TooDeep) };
    Ok(match value {
        Value::List(list) => {
            let items = list.items().iter().map(|v| copy(v, below)).collect::<Result<_, _>>()?;
            Value::List(super::super::value::List::of(list.element(), items))
        }
        Value::Map(map) => {
            let fresh = Map::of(map.element(), std::collections::BTreeMap::new());
            for (key, item) in map.entries() {
                fresh.insert(key, copy(&item, below)?);
            }
            Value::Map(fresh)
        }
        other => other.clone(),
    })
}
