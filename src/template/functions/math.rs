//! Sprig's arithmetic: integers are int64 and wrap, as Go's do; conversions follow `spf13/cast` (0 when impossible).

use super::super::error::CallError;
use super::super::format;
use super::super::literal;
use super::super::value::{Element, List, Value};
use super::{Answer, Builtin, any, int, row, text};

/// The longest list `until` and its like may make.
const MAX_ITEMS: i64 = 1_000_000;

pub(crate) const TABLE: &[Builtin] = &[
    row("int", "a", |_, a| Ok(Value::Int(to_int(&any(a, 0))))),
    row("int64", "a", |_, a| Ok(Value::Int64(to_int(&any(a, 0))))),
    row("float64", "a", |_, a| Ok(Value::Float(to_float(&any(a, 0))))),
    row("atoi", "s", |_, a| Ok(Value::Int(text(a, 0).parse().unwrap_or(0)))),
    row("toDecimal", "a", |_, a| Ok(Value::Int64(octal(&format::display(&any(a, 0)))))),
    row("add1", "a", |_, a| Ok(Value::Int64(to_int(&any(a, 0)).wrapping_add(1)))),
    row("add", "a*", |_, a| Ok(Value::Int64(a.iter().map(to_int).fold(0, i64::wrapping_add)))),
    row("sub", "aa", |_, a| Ok(Value::Int64(to_int(&a[0]).wrapping_sub(to_int(&a[1]))))),
    row("mul", "aa*", |_, a| Ok(Value::Int64(a.iter().map(to_int).fold(1, i64::wrapping_mul)))),
    row("div", "aa", |_, a| divide(a, i64::wrapping_div)),
    row("mod", "aa", |_, a| divide(a, i64::wrapping_rem)),
    row("max", "aa*", |_, a| Ok(Value::Int64(a.iter().map(to_int).max().unwrap_or(0)))),
    row("biggest", "aa*", |_, a| Ok(Value::Int64(a.iter().map(to_int).max().unwrap_or(0)))),
    row("min", "aa*", |_, a| Ok(Value::Int64(a.iter().map(to_int).min().unwrap_or(0)))),
    row("maxf", "aa*", |_, a| Ok(Value::Float(a.iter().map(to_float).fold(f64::NEG_INFINITY, f64::max)))),
    row("minf", "aa*", |_, a| Ok(Value::Float(a.iter().map(to_float).fold(f64::INFINITY, f64::min)))),
    row("addf", "a*", |_, a| Ok(Value::Float(a.iter().map(to_float).fold(0.0, |x, y| shorter(x + y))))),
    row("add1f", "a", |_, a| Ok(Value::Float(shorter(to_float(&any(a, 0)) + 1.0)))),
    row("subf", "aa*", |_, a| Ok(fold(a, |x, y| x - y))),
    row("mulf", "aa*", |_, a| Ok(fold(a, |x, y| x * y))),
    row("divf", "aa*", |_, a| {
        if a[1..].iter().any(|v| to_float(v) == 0.0) {
            return Err(CallError::argument("decimal division by 0"));
        }
        Ok(fold(a, |x, y| sixteen(x / y)))
    }),
    row("floor", "a", |_, a| Ok(Value::Float(to_float(&any(a, 0)).floor()))),
    row("ceil", "a", |_, a| Ok(Value::Float(to_float(&any(a, 0)).ceil()))),
    row("round", "aif*", |_, a| Ok(Value::Float(round(a)))),
    row("until", "i", |_, a| {
        let count = int(a, 0);
        steps(0, count, if count < 0 { -1 } else { 1 }).map(ints)
    }),
    row("untilStep", "iii", |_, a| steps(int(a, 0), int(a, 1), int(a, 2)).map(ints)),
    row("seq", "i*", |_, a| seq(a)),
];

/// `cast.ToInt64`: floats are cut, strings are read by prefix, anything else is 0.
pub(crate) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(i) | Value::Int64(i) => *i,
        Value::Uint(u) => *u as i64,
        Value::Float(f) => whole(*f),
        Value::Bool(b) => i64::from(*b),
        Value::String(s) => {
            let whole = match s.split_once('.') {
                Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
                _ => s,
            };
            literal::integer(whole, 0).and_then(|i| i64::try_from(i).ok()).unwrap_or(0)
        }
        _ => 0,
    }
}

/// `cast.ToFloat64`.
pub(crate) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(i) | Value::Int64(i) => *i as f64,
        Value::Uint(u) => *u as f64,
        Value::Float(f) => *f,
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::String(s) => s.parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

/// Go's conversion on amd64: what does not fit becomes the smallest integer.
fn whole(f: f64) -> i64 {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if (-BEYOND..BEYOND).contains(&f) { f as i64 } else { i64::MIN }
}

fn octal(text: &str) -> i64 {
    literal::integer(text, 8).and_then(|i| i64::try_from(i).ok()).unwrap_or(0)
}

/// Sprig computes floats in decimal (0.1 + 0.2 is 0.3): fifteen digits are what decimal and binary agree on.
fn tidy(f: f64) -> f64 {
    format!("{f:.14e}").parse().unwrap_or(f)
}

fn fold(args: &[Value], operation: fn(f64, f64) -> f64) -> Value {
    let first = to_float(&any(args, 0));
    if args.len() < 2 {
        return Value::Float(first);
    }
    Value::Float(args[1..].iter().map(to_float).fold(first, |x, y| shorter(operation(x, y))))
}

/// Decimal division keeps sixteen places.
fn sixteen(f: f64) -> f64 {
    format!("{f:.16}").parse().unwrap_or(f)
}

/// The value with the fewest digits within the error of one operation.
fn shorter(f: f64) -> f64 {
    if f == 0.0 {
        return 0.0;
    }
    // From here on neighbouring floats are whole numbers: what looks like noise may be meant.
    if f.abs() >= 1e15 {
        return f;
    }
    let tidied = tidy(f);
    if format!("{tidied:e}").len() + 2 < format!("{f:e}").len() { tidied } else { f }
}

fn divide(args: &[Value], operation: fn(i64, i64) -> i64) -> Answer {
    match to_int(&args[1]) {
        0 => Err(CallError::argument("integer divide by zero")),
        by => Ok(Value::Int64(operation(to_int(&args[0]), by))),
    }
}

fn round(args: &[Value]) -> f64 {
    let threshold = args.get(2).map_or(0.5, to_float);
    let power = 10f64.powf(int(args, 1) as f64);
    let digit = power * to_float(&any(args, 0));
    let rounded = if digit.fract() >= threshold { digit.ceil() } else { digit.floor() };
    rounded / power
}

fn steps(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, CallError> {
    let mut out = Vec::new();
    let down = stop < start;
    if (down && step >= 0) || (!down && step <= 0) {
        return Ok(out);
    }
    let mut next = start;
    while if down { next > stop } else { next < stop } {
        if out.len() as i64 >= MAX_ITEMS {
            return Err(CallError::argument(format!("more than {MAX_ITEMS} numbers")));
        }
        out.push(next);
        let Some(after) = next.checked_add(step) else { break };
        next = after;
    }
    Ok(out)
}

fn ints(numbers: Vec<i64>) -> Value {
    Value::List(List::of(Element::Int, numbers.into_iter().map(Value::Int).collect()))
}

fn seq(args: &[Value]) -> Answer {
    let given: Vec<i64> = args.iter().filter_map(Value::as_int).collect();
    let (start, step, end) = match given.as_slice() {
        [end] => (1, if *end < 1 { -1 } else { 1 }, *end),
        [start, end] => (*start, if end < start { -1 } else { 1 }, *end),
        [start, step, end] => (*start, *step, *end),
        _ => return Ok(Value::string("")),
    };
    if end < start && step > 0 {
        return Ok(Value::string(""));
    }
    let beyond = end.saturating_add(if end < start { -1 } else { 1 });
    let numbers: Vec<String> = steps(start, beyond, step)?.iter().map(i64::to_string).collect();
    Ok(Value::from(numbers.join(" ")))
}
