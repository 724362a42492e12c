//! Sprig's defaults and type questions.

use super::super::error::CallError;
use super::super::value::{MAX_DEPTH, Value};
use super::{Builtin, any, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("default", "aa*", |_, a| Ok(any(a, usize::from(a.get(1).is_some_and(|v| !is_empty(v)))))),
    row("empty", "a", |_, a| Ok(Value::Bool(is_empty(&any(a, 0))))),
    row("coalesce", "a*", |_, a| Ok(a.iter().find(|v| !is_empty(v)).cloned().unwrap_or(Value::Null))),
    row("all", "a*", |_, a| Ok(Value::Bool(!a.iter().any(is_empty)))),
    row("any", "a*", |_, a| Ok(Value::Bool(a.iter().any(|v| !is_empty(v))))),
    row("ternary", "aab", |_, a| Ok(any(a, usize::from(!any(a, 2).truth())))),
    row("typeOf", "a", |_, a| Ok(Value::from(any(a, 0).type_name()))),
    row("typeIs", "sa", |_, a| Ok(Value::Bool(any(a, 1).type_name() == text(a, 0)))),
    row("typeIsLike", "sa", |_, a| {
        let name = any(a, 1).type_name();
        Ok(Value::Bool(name == text(a, 0) || name.strip_prefix('*') == Some(text(a, 0))))
    }),
    row("kindOf", "a", |_, a| Ok(Value::from(any(a, 0).kind_name()))),
    row("kindIs", "sa", |_, a| Ok(Value::Bool(any(a, 1).kind_name() == text(a, 0)))),
    row("deepEqual", "aa", |_, a| deep_equal(&any(a, 0), &any(a, 1)).map(Value::Bool)),
    row("hello", "", |_, _| Ok(Value::from("Hello!"))),
];

/// Sprig's `empty`: like Go's truth, but a struct is never empty.
pub(crate) fn is_empty(value: &Value) -> bool {
    !value.truth()
}

/// `reflect.DeepEqual`: types must match too, so int 1 and int64 1 differ.
pub(crate) fn deep_equal(a: &Value, b: &Value) -> Result<bool, CallError> {
    equal(a, b, MAX_DEPTH)
}

fn equal(a: &Value, b: &Value, depth: usize) -> Result<bool, CallError> {
    let Some(below) = depth.checked_sub(1) else { return Err(CallError::TooDeep) };
    Ok(match (a, b) {
        _ if a.is_nil() || b.is_nil() => a.is_nil() && b.is_nil(),
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::Int(x), Value::Int(y)) | (Value::Int64(x), Value::Int64(y)) => x == y,
        (Value::Uint(x), Value::Uint(y)) => x == y,
        (Value::Float(x), Value::Float(y)) => x == y,
        (Value::String(x), Value::String(y)) => x == y,
        (Value::List(x), Value::List(y)) => {
            if x.element() != y.element() || x.items().len() != y.items().len() {
                return Ok(false);
            }
            for (x, y) in x.items().iter().zip(y.items()) {
                if !equal(x, y, below)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(x), Value::Map(y)) => {
            if x.same(y) {
                return Ok(true);
            }
            let (left, right) = (x.entries(), y.entries());
            if x.element() != y.element() || left.len() != right.len() {
                return Ok(false);
            }
            for ((ka, va), (kb, vb)) in left.iter().zip(&right) {
                if ka != kb || !equal(va, vb, below)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Object(x), Value::Object(y)) => x.type_name() == y.type_name() && x.display() == y.display(),
        _ => false,
    })
}
