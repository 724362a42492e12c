//! Go's own built-ins: comparison, `index`, `slice`, `len`, printing and `call`; and Helm's `include`, `tpl`,
//! `required` and `fail`.

use super::super::bytes::bytes_of;
use super::super::error::CallError;
use super::super::exec::Exec;
use super::super::format;
use super::super::value::{Element, List, Value};
use super::{Answer, Builtin, any, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("and", "vv*", |_, a| Ok(any(a, 0))),
    row("or", "vv*", |_, a| Ok(any(a, 0))),
    row("not", "v", |_, a| Ok(Value::Bool(!any(a, 0).truth()))),
    row("eq", "vv*", |_, a| eq(a)),
    row("ne", "vv", |_, a| match eq(a)? {
        Value::Bool(b) => Ok(Value::Bool(!b)),
        other => Ok(other),
    }),
    row("lt", "vv", |_, a| less(a, 0, 1)),
    row("gt", "vv", |_, a| Ok(Value::Bool(!less(a, 0, 1)?.truth() && !same(&any(a, 0), &any(a, 1))?))),
    row("le", "vv", |_, a| Ok(Value::Bool(less(a, 0, 1)?.truth() || same(&any(a, 0), &any(a, 1))?))),
    row("ge", "vv", |_, a| Ok(Value::Bool(!less(a, 0, 1)?.truth()))),
    row("len", "v", |_, a| len(&any(a, 0))),
    row("index", "vv*", |e, a| index(e, a)),
    row("print", "a*", |_, a| Ok(Value::from(format::sprint(a)))),
    row("println", "a*", |_, a| Ok(Value::from(format::sprintln(a)))),
    row("printf", "sa*", |_, a| Ok(Value::from(format::sprintf(text(a, 0), &a[1..])))),
    row("html", "a*", |_, a| Ok(Value::from(html(&joined(a))))),
    row("js", "a*", |_, a| Ok(Value::from(js(&joined(a))))),
    row("urlquery", "a*", |_, a| Ok(Value::from(super::urls::query_escape(&joined(a))))),
    row("call", "va*", |_, a| call(a)),
    row("include", "sa", |e, a| e.include(text(a, 0), &any(a, 1))),
    row("tpl", "sa", |e, a| e.tpl(text(a, 0), &any(a, 1))),
    row("fail", "s", |_, a| Err(CallError::Failed { message: text(a, 0).to_owned() })),
    row("required", "sa", |_, a| match any(a, 1) {
        Value::Null => Err(CallError::Failed { message: text(a, 0).to_owned() }),
        Value::String(s) if s.is_empty() => Err(CallError::Failed { message: text(a, 0).to_owned() }),
        value => Ok(value),
    }),
];

/// What the escaping functions escape: the printed arguments, nil as a template prints it.
fn joined(args: &[Value]) -> String {
    let shown: Vec<Value> =
        args.iter().map(|a| if a.is_nil() { Value::string(format::NO_VALUE) } else { a.clone() }).collect();
    format::sprint(&shown)
}

/// Go's basic kinds: values of different ones cannot be compared.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Basic {
    Bool,
    Int,
    Float,
    String,
    Other,
}

fn basic(value: &Value) -> Basic {
    match value {
        Value::Bool(_) => Basic::Bool,
        Value::Int(_) | Value::Int64(_) | Value::Uint(_) => Basic::Int,
        Value::Float(_) => Basic::Float,
        Value::String(_) => Basic::String,
        _ => Basic::Other,
    }
}

/// Any integer as one comparable number.
fn wide(value: &Value) -> i128 {
    match value {
        Value::Int(i) | Value::Int64(i) => i128::from(*i),
        Value::Uint(u) => i128::from(*u),
        _ => 0,
    }
}

fn eq(args: &[Value]) -> Answer {
    let first = any(args, 0);
    if args.len() < 2 {
        return Err(CallError::argument("missing argument for comparison"));
    }
    for other in &args[1..] {
        if same(&first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn same(a: &Value, b: &Value) -> Result<bool, CallError> {
    let (ka, kb) = (basic(a), basic(b));
    if ka != kb {
        if a.is_nil() || b.is_nil() {
            return Ok(false);
        }
        return Err(CallError::argument(format!(
            "incompatible types for comparison: {} and {}",
            a.type_name(),
            b.type_name()
        )));
    }
    Ok(match (a, b) {
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::Float(x), Value::Float(y)) => x == y,
        (Value::String(x), Value::String(y)) => x == y,
        _ if ka == Basic::Int => wide(a) == wide(b),
        _ if a.is_nil() || b.is_nil() => a.is_nil() == b.is_nil(),
        _ => return Err(CallError::argument(format!("non-comparable type {}", b.type_name()))),
    })
}

fn less(args: &[Value], first: usize, second: usize) -> Answer {
    let (a, b) = (any(args, first), any(args, second));
    if basic(&a) == Basic::Other || basic(&b) == Basic::Other {
        return Err(CallError::argument("invalid type for comparison"));
    }
    Ok(Value::Bool(match (&a, &b) {
        (Value::Float(x), Value::Float(y)) => x < y,
        (Value::String(x), Value::String(y)) => x < y,
        _ if basic(&a) == Basic::Int && basic(&b) == Basic::Int => wide(&a) < wide(&b),
        (Value::Bool(_), Value::Bool(_)) => return Err(CallError::argument("invalid type for comparison")),
        _ => {
            return Err(CallError::argument(format!(
                "incompatible types for comparison: {} and {}",
                a.type_name(),
                b.type_name()
            )));
        }
    }))
}

fn len(value: &Value) -> Answer {
    let count = match value {
        Value::String(s) => bytes_of(s).len(),
        Value::List(l) => l.items().len(),
        Value::Map(m) => m.len(),
        Value::Object(o) => match o.data() {
            Some(data) => return len(&data),
            None => return Err(CallError::argument(format!("len of type {}", value.type_name()))),
        },
        Value::Undefined(_) | Value::Null => return Err(CallError::argument("len of nil pointer")),
        other => return Err(CallError::argument(format!("len of type {}", other.type_name()))),
    };
    Ok(Value::Int(count as i64))
}

fn index(exec: &Exec<'_>, args: &[Value]) -> Answer {
    let mut item = any(args, 0);
    if item.is_nil() {
        return Err(CallError::argument("index of untyped nil"));
    }
    for key in args.iter().skip(1) {
        if let Value::Object(object) = &item
            && let Some(data) = object.data()
        {
            item = data;
        }
        item = match &item {
            Value::List(list) => list.items()[position(key, list.items().len())?].clone(),
            Value::String(s) => {
                let bytes = bytes_of(s);
                Value::Int(i64::from(bytes[position(key, bytes.len())?]))
            }
            Value::Map(map) => match key {
                Value::String(key) => map.get(key).unwrap_or_else(|| match map.element() {
                    Element::String => Value::string(""),
                    _ if exec.engine.mode == super::super::Mode::Strict => Value::Undefined(key.clone()),
                    _ => Value::Null,
                }),
                _ if key.is_nil() => return Err(CallError::argument("value is nil; should be of type string")),
                _ => return Err(CallError::argument(format!("value has type {}; should be string", key.type_name()))),
            },
            _ if item.is_nil() => return Err(CallError::argument("index of nil pointer")),
            other => return Err(CallError::argument(format!("can't index item of type {}", other.type_name()))),
        };
    }
    Ok(item)
}

fn position(key: &Value, len: usize) -> Result<usize, CallError> {
    match key.as_int() {
        Some(i) => usize::try_from(i)
            .ok()
            .filter(|i| *i < len)
            .ok_or_else(|| CallError::argument(format!("index out of range: {i}"))),
        None if key.is_nil() => Err(CallError::argument("cannot index slice/array with nil")),
        None => Err(CallError::argument(format!("cannot index slice/array with type {}", key.type_name()))),
    }
}

/// A run of a list, keeping its element type; bounds as Go checks them.
pub(crate) fn part(list: &List, start: i64, end: i64) -> Answer {
    let bounds = (usize::try_from(start), usize::try_from(end));
    match bounds {
        (Ok(s), Ok(e)) if s <= e && e <= list.items().len() => {
            Ok(Value::List(List::of(list.element(), list.items()[s..e].to_vec())))
        }
        _ => Err(CallError::argument(format!("slice bounds out of range [{start}:{end}]"))),
    }
}

fn call(args: &[Value]) -> Answer {
    if let Some(Value::Object(object)) = args.first()
        && let Some(answer) = object.invoke(&args[1..])
    {
        return answer;
    }
    Err(CallError::argument(format!("non-function of type {}", any(args, 0).type_name())))
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out
}
