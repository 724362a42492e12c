//! Sprig's list functions. Every answer is a new list: nothing changes the list given.

use super::super::error::CallError;
use super::super::value::{Element, List, Value};
use super::compare::part;
use super::kinds::{deep_equal, is_empty};
use super::strings::strings;
use super::{Answer, Builtin, any, int, list, row};

pub(crate) const TABLE: &[Builtin] = &[
    row("list", "a*", |_, a| Ok(Value::list(a.to_vec()))),
    row("tuple", "a*", |_, a| Ok(Value::list(a.to_vec()))),
    row("first", "a", |_, a| Ok(list(a, 0, "find first")?.items().first().cloned().unwrap_or(Value::Null))),
    row("last", "a", |_, a| Ok(list(a, 0, "find last")?.items().last().cloned().unwrap_or(Value::Null))),
    row("rest", "a", |_, a| {
        let list = list(a, 0, "find rest")?;
        Ok(Value::list(list.items().iter().skip(1).cloned().collect()))
    }),
    row("initial", "a", |_, a| {
        let list = list(a, 0, "find initial")?;
        Ok(Value::list(list.items()[..list.items().len().saturating_sub(1)].to_vec()))
    }),
    row("append", "aa", |_, a| push(a)),
    row("push", "aa", |_, a| push(a)),
    row("prepend", "aa", |_, a| {
        let mut items = vec![any(a, 1)];
        items.extend_from_slice(list(a, 0, "prepend")?.items());
        Ok(Value::list(items))
    }),
    row("concat", "a*", |_, a| {
        let mut items = Vec::new();
        for i in 0..a.len() {
            items.extend_from_slice(list(a, i, "concat")?.items());
        }
        Ok(Value::list(items))
    }),
    row("reverse", "a", |_, a| Ok(Value::list(list(a, 0, "find reverse")?.items().iter().rev().cloned().collect()))),
    row("compact", "a", |_, a| {
        let list = list(a, 0, "compact")?;
        Ok(Value::list(list.items().iter().filter(|v| !is_empty(v)).cloned().collect()))
    }),
    row("uniq", "a", |_, a| uniq(a)),
    row("without", "aa*", |_, a| without(a)),
    row("has", "aa", |_, a| has(a)),
    row("slice", "aa*", |_, a| slice(a)),
    row("chunk", "ia", |_, a| chunk(a)),
    row("sortAlpha", "a", |_, a| {
        let mut sorted = match any(a, 0) {
            Value::Null => vec!["<nil>".to_owned()],
            value => strings(&value),
        };
        sorted.sort_unstable();
        Ok(Value::strings(sorted))
    }),
];

fn push(args: &[Value]) -> Answer {
    let mut items = list(args, 0, "push")?.items().to_vec();
    items.push(any(args, 1));
    Ok(Value::list(items))
}

fn contains(items: &[Value], wanted: &Value) -> Result<bool, CallError> {
    for item in items {
        if deep_equal(wanted, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(args: &[Value]) -> Answer {
    let mut kept: Vec<Value> = Vec::new();
    for item in list(args, 0, "find uniq")?.items() {
        if !contains(&kept, item)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

fn without(args: &[Value]) -> Answer {
    let mut kept = Vec::new();
    for item in list(args, 0, "find without")?.items() {
        if !contains(&args[1..], item)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

fn has(args: &[Value]) -> Answer {
    if any(args, 1).is_nil() {
        return Ok(Value::Bool(false));
    }
    let haystack = list(args, 1, "find has")?;
    Ok(Value::Bool(contains(haystack.items(), &any(args, 0))?))
}

fn slice(args: &[Value]) -> Answer {
    let list = list(args, 0, "slice")?;
    if list.items().is_empty() {
        return Ok(Value::Null);
    }
    let end = args.get(2).map_or(list.items().len() as i64, super::math::to_int);
    part(&list, args.get(1).map_or(0, super::math::to_int), end)
}

fn chunk(args: &[Value]) -> Answer {
    let items = list(args, 1, "chunk")?;
    let size = usize::try_from(int(args, 0)).ok().filter(|s| *s > 0);
    let Some(size) = size else { return Err(CallError::argument("chunk: the size must be at least 1")) };
    let chunks = items.items().chunks(size).map(|c| Value::list(c.to_vec())).collect();
    Ok(Value::List(List::of(Element::List, chunks)))
}
