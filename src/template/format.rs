//! Prints values as Go's `fmt` does: `%v` and the other verbs with flags, width and precision.
//!
//! Floats follow `strconv`: the shortest digits that read back the same, in `%e` form below 1e-4 and from 1e6
//! on, exactly as Go chooses. Not here: `%p` and `%w`, which no value of ours has.

use super::bytes::{Bytes, bytes_of, carried};
use super::value::{MAX_DEPTH, Value};

/// What Go prints for a missing value.
pub(crate) const NO_VALUE: &str = "<no value>";

/// `fmt.Sprint(v)` of one value.
pub fn display(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, &Spec::plain('v'), MAX_DEPTH);
    out
}

/// `fmt.Sprint(v…)`: a space between operands when neither is a string.
pub(crate) fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        let strings = matches!(value, Value::String(_)) || i > 0 && matches!(values[i - 1], Value::String(_));
        if i > 0 && !strings {
            out.push(' ');
        }
        out.push_str(&display(value));
    }
    out
}

/// `fmt.Sprintln(v…)`.
pub(crate) fn sprintln(values: &[Value]) -> String {
    let mut out = values.iter().map(display).collect::<Vec<_>>().join(" ");
    out.push('\n');
    out
}

/// One verb with its flags.
#[derive(Clone, Default)]
struct Spec {
    verb: char,
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%#v`: Go syntax (the flag changes meaning under `v`).
    go: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    fn plain(verb: char) -> Self {
        Self { verb, ..Self::default() }
    }
}

/// Widths and precisions beyond this are refused, as Go refuses those beyond a million.
const MAX_WIDTH: usize = 100_000;

/// `fmt.Sprintf`.
pub(crate) fn sprintf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut next = 0;
    let mut reordered = false;
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut spec = Spec::default();
        rest = flags(rest, &mut spec);
        let mut bad_index = false;
        rest = explicit(rest, args.len(), &mut next, &mut reordered, &mut bad_index);
        rest = size(rest, args, &mut next, &mut out, &mut spec, Part::Width);
        if let Some(after) = rest.strip_prefix('.') {
            rest = explicit(after, args.len(), &mut next, &mut reordered, &mut bad_index);
            spec.precision = Some(0);
            rest = size(rest, args, &mut next, &mut out, &mut spec, Part::Precision);
        }
        rest = explicit(rest, args.len(), &mut next, &mut reordered, &mut bad_index);
        let Some(verb) = rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        rest = &rest[verb.len_utf8()..];
        spec.verb = verb;
        if verb == 'v' {
            spec.go = std::mem::take(&mut spec.sharp);
            spec.plus = false;
        }
        match args.get(next) {
            _ if verb == '%' => out.push('%'),
            _ if bad_index => out.push_str(&format!("%!{verb}(BADINDEX)")),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
            Some(value) => {
                next += 1;
                argument(&mut out, value, &spec);
            }
        }
    }
    out.push_str(rest);
    if !reordered && next < args.len() {
        let extra: Vec<String> = args[next..]
            .iter()
            .map(|a| if a.is_nil() { "<nil>".to_owned() } else { format!("{}={}", a.type_name(), display(a)) })
            .collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn flags<'f>(mut rest: &'f str, spec: &mut Spec) -> &'f str {
    while let Some(c) = rest.chars().next() {
        match c {
            '-' => spec.minus = true,
            '+' => spec.plus = true,
            '#' => spec.sharp = true,
            ' ' => spec.space = true,
            '0' => spec.zero = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    if spec.minus {
        spec.zero = false;
    }
    rest
}

/// `[n]` before a verb, width or precision.
fn explicit<'f>(rest: &'f str, count: usize, next: &mut usize, reordered: &mut bool, bad: &mut bool) -> &'f str {
    let Some(inner) = rest.strip_prefix('[') else { return rest };
    *reordered = true;
    let Some(close) = inner.find(']') else {
        *bad = true;
        return inner;
    };
    match inner[..close].parse::<usize>() {
        Ok(n) if n >= 1 && n <= count => *next = n - 1,
        _ => *bad = true,
    }
    &inner[close + 1..]
}

enum Part {
    Width,
    Precision,
}

fn size<'f>(rest: &'f str, args: &[Value], next: &mut usize, out: &mut String, spec: &mut Spec, part: Part) -> &'f str {
    if let Some(after) = rest.strip_prefix('*') {
        let given = args.get(*next).and_then(Value::as_int).filter(|n| n.unsigned_abs() <= MAX_WIDTH as u64);
        *next += usize::from(*next < args.len());
        match (part, given) {
            (Part::Width, Some(n)) => {
                spec.minus |= n < 0;
                spec.zero &= n >= 0;
                spec.width = usize::try_from(n.unsigned_abs()).ok();
            }
            (Part::Width, None) => out.push_str("%!(BADWIDTH)"),
            (Part::Precision, Some(n)) => spec.precision = usize::try_from(n).ok(),
            (Part::Precision, None) => {
                spec.precision = None;
                out.push_str("%!(BADPREC)");
            }
        }
        return after;
    }
    let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if len > 0 {
        let n = rest[..len].parse::<usize>().ok().filter(|n| *n <= MAX_WIDTH);
        match part {
            Part::Width => spec.width = n,
            Part::Precision => spec.precision = n,
        }
    }
    &rest[len..]
}

fn argument(out: &mut String, value: &Value, spec: &Spec) {
    match spec.verb {
        'T' => pad(out, &value.type_name(), &Spec { verb: 's', ..spec.clone() }),
        'v' if value.is_nil() => pad(out, "<nil>", spec),
        _ if value.is_nil() => out.push_str(&format!("%!{}(<nil>)", spec.verb)),
        _ => write(out, value, spec, MAX_DEPTH),
    }
}

fn bad(out: &mut String, value: &Value, spec: &Spec) {
    out.push_str(&format!("%!{}({}=", spec.verb, value.type_name()));
    // Go prints the value with the flags of the verb that did not fit.
    write(out, value, &Spec { verb: 'v', ..spec.clone() }, MAX_DEPTH);
    out.push(')');
}

fn write(out: &mut String, value: &Value, spec: &Spec, depth: usize) {
    let Some(below) = depth.checked_sub(1) else {
        out.push_str("<nested too deep>");
        return;
    };
    match value {
        Value::Undefined(_) | Value::Null => out.push_str(if spec.go { "interface {}(nil)" } else { "<nil>" }),
        Value::Bool(b) => match spec.verb {
            't' | 'v' => pad(out, if *b { "true" } else { "false" }, spec),
            _ => bad(out, value, spec),
        },
        Value::Int(i) | Value::Int64(i) => integer(out, value, *i < 0, i.unsigned_abs(), spec),
        Value::Uint(u) => integer(out, value, false, *u, spec),
        Value::Float(f) => float(out, value, *f, spec),
        Value::String(s) => string(out, value, s, spec),
        Value::List(list) => {
            let go = spec.go;
            let (open, close, between) = if go { ("{", "}", ", ") } else { ("[", "]", " ") };
            if go {
                out.push_str(&value.type_name());
            }
            out.push_str(open);
            for (i, item) in list.items().iter().enumerate() {
                if i > 0 {
                    out.push_str(between);
                }
                write(out, item, spec, below);
            }
            out.push_str(close);
        }
        Value::Map(map) => {
            let go = spec.go;
            let (open, close, between) = if go { ("{", "}", ", ") } else { ("map[", "]", " ") };
            if go {
                out.push_str(&value.type_name());
            }
            out.push_str(open);
            for (i, (key, item)) in map.entries().iter().enumerate() {
                if i > 0 {
                    out.push_str(between);
                }
                write(out, &Value::String(key.clone()), spec, below);
                out.push(':');
                write(out, item, spec, below);
            }
            out.push_str(close);
        }
        Value::Object(object) => match Bytes::of(value) {
            Some(bytes) if matches!(spec.verb, 's' | 'q' | 'x' | 'X') => string(out, value, &bytes.text(), spec),
            _ => string(out, value, &object.display(), spec),
        },
    }
}

/// Pads with spaces (or zeros on the left) to the width, counted in characters.
fn pad(out: &mut String, text: &str, spec: &Spec) {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    if spec.minus {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else {
        out.extend(std::iter::repeat_n(if spec.zero { '0' } else { ' ' }, missing));
        out.push_str(text);
    }
}

fn integer(out: &mut String, value: &Value, negative: bool, magnitude: u64, spec: &Spec) {
    let digits = match spec.verb {
        'v' | 'd' => magnitude.to_string(),
        'b' => format!("{magnitude:b}"),
        'o' | 'O' => format!("{magnitude:o}"),
        'x' => format!("{magnitude:x}"),
        'X' => format!("{magnitude:X}"),
        'c' | 'q' => {
            let c = u32::try_from(magnitude).ok().filter(|_| !negative).and_then(char::from_u32).unwrap_or('\u{fffd}');
            let text = if spec.verb == 'c' { c.to_string() } else { quote_with(&c.to_string(), '\'') };
            return pad(out, &text, &Spec { zero: false, ..spec.clone() });
        }
        'U' => {
            let text = format!("U+{:04X}", if negative { magnitude.wrapping_neg() } else { magnitude });
            return pad(out, &text, &Spec { zero: false, ..spec.clone() });
        }
        _ => return bad(out, value, spec),
    };
    let mut digits = digits;
    if let Some(precision) = spec.precision {
        if precision == 0 && magnitude == 0 {
            return pad(out, "", &Spec { zero: false, ..spec.clone() });
        }
        digits = format!("{}{digits}", "0".repeat(precision.saturating_sub(digits.len())));
    } else if let (true, Some(width)) = (spec.zero, spec.width) {
        let sign = usize::from(negative || spec.plus || spec.space);
        digits = format!("{}{digits}", "0".repeat(width.saturating_sub(sign).saturating_sub(digits.len())));
    }
    let prefix = match (spec.verb, spec.sharp) {
        ('O', _) => "0o",
        ('b', true) => "0b",
        ('o', true) if !digits.starts_with('0') => "0",
        ('x', true) => "0x",
        ('X', true) => "0X",
        _ => "",
    };
    let text = format!("{}{prefix}{digits}", sign(negative, spec));
    pad(out, &text, &Spec { zero: false, ..spec.clone() });
}

fn sign(negative: bool, spec: &Spec) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

fn float(out: &mut String, value: &Value, f: f64, spec: &Spec) {
    let magnitude = f.abs();
    let body = if f.is_nan() {
        "NaN".to_owned()
    } else if f.is_infinite() {
        "Inf".to_owned()
    } else {
        match spec.verb {
            'v' | 'g' => general(magnitude, spec.precision),
            'G' => general(magnitude, spec.precision).to_uppercase(),
            'e' => exponent(magnitude, spec.precision.unwrap_or(6)),
            'E' => exponent(magnitude, spec.precision.unwrap_or(6)).to_uppercase(),
            'f' | 'F' => format!("{magnitude:.*}", spec.precision.unwrap_or(6)),
            'b' => binary(magnitude),
            'x' => hexadecimal(magnitude, spec),
            'X' => hexadecimal(magnitude, spec).to_uppercase(),
            _ => return bad(out, value, spec),
        }
    };
    if !matches!(spec.verb, 'v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F' | 'b' | 'x' | 'X') {
        return bad(out, value, spec);
    }
    let negative = f.is_sign_negative() && !f.is_nan();
    let sign = match (f.is_infinite(), sign(negative, spec)) {
        (true, "") => "+",
        (_, sign) => sign,
    };
    if spec.zero && f.is_finite() {
        let width = spec.width.unwrap_or(0).saturating_sub(sign.len());
        let zeros = width.saturating_sub(body.len());
        out.push_str(sign);
        out.push_str(&"0".repeat(zeros));
        out.push_str(&body);
        return;
    }
    pad(out, &format!("{sign}{body}"), &Spec { zero: false, ..spec.clone() });
}

/// `%e`: at least two exponent digits, always signed.
fn exponent(f: f64, precision: usize) -> String {
    go_exponent(&format!("{f:.precision$e}"))
}

fn go_exponent(rust: &str) -> String {
    let Some((digits, exp)) = rust.split_once('e') else { return rust.to_owned() };
    let (sign, exp) = exp.strip_prefix('-').map_or(('+', exp), |e| ('-', e));
    format!("{digits}e{sign}{exp:0>2}")
}

/// `%b`: whole mantissa and binary exponent.
fn binary(f: f64) -> String {
    let bits = f.to_bits();
    let mantissa = bits & ((1 << 52) - 1);
    let exponent = i64::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let (mantissa, exponent) = if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) };
    format!("{mantissa}p{exponent:+}")
}

/// `%x`: hexadecimal mantissa, decimal binary exponent.
fn hexadecimal(f: f64, spec: &Spec) -> String {
    let precision = spec.precision;
    let bits = f.to_bits();
    let mut mantissa = bits & ((1 << 52) - 1);
    let mut exponent = i64::try_from((bits >> 52) & 0x7ff).unwrap_or(0) - 1023;
    match (exponent, mantissa) {
        (-1023, 0) => exponent = 0,
        (-1023, _) => {
            // A subnormal is shifted until its leading bit stands where the implied one would.
            let shift = mantissa.leading_zeros() - 11;
            mantissa <<= shift;
            exponent = -1022 - i64::from(shift);
        }
        _ => mantissa |= 1 << 52,
    }
    if let Some(digits) = precision.filter(|p| *p < 13) {
        let drop = 52 - 4 * digits;
        let half = 1u64 << (drop - 1);
        let odd = (mantissa >> drop) & 1;
        mantissa = (mantissa + half - 1 + odd) >> drop << drop;
        if mantissa >> 53 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let all = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let digits = match precision {
        Some(p) => format!("{all:0<p$}")[..p].to_owned(),
        // With `#` Go fills up to six digits, counting the two before the point.
        None if spec.sharp => format!("{:0<4}", all.trim_end_matches('0')),
        None => all.trim_end_matches('0').to_owned(),
    };
    let dot = if digits.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x{}{dot}{digits}p{sign}{:02}", mantissa >> 52, exponent.unsigned_abs())
}

/// `%g`: shortest digits when no precision is given.
fn general(f: f64, precision: Option<usize>) -> String {
    let scientific = match precision {
        None => format!("{f:e}"),
        Some(p) => format!("{f:.*e}", p.max(1) - 1),
    };
    let Some((digits, exp)) = scientific.split_once('e') else { return scientific };
    let exp: i32 = exp.parse().unwrap_or(0);
    let trimmed = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    let significant = trimmed.chars().filter(char::is_ascii_digit).count();
    let mut limit = precision.map_or(6, |p| i32::try_from(p.max(1)).unwrap_or(i32::MAX));
    if precision.is_some()
        && limit > i32::try_from(significant).unwrap_or(i32::MAX)
        && i32::try_from(significant).unwrap_or(i32::MAX) > exp
    {
        limit = i32::try_from(significant).unwrap_or(i32::MAX);
    }
    if exp < -4 || exp >= limit {
        return go_exponent(&format!("{trimmed}e{exp}"));
    }
    let decimals = i32::try_from(significant).unwrap_or(0) - 1 - exp;
    format!("{f:.*}", usize::try_from(decimals).unwrap_or(0))
}

fn string(out: &mut String, value: &Value, text: &str, spec: &Spec) {
    let cut = || match spec.precision {
        Some(p) => text.chars().take(p).collect::<String>(),
        None => text.to_owned(),
    };
    match spec.verb {
        'v' if spec.go => pad(out, &quote(text), spec),
        'v' | 's' => pad(out, &cut(), spec),
        'q' if spec.sharp && !text.contains('`') && !text.contains(char::is_control) => {
            pad(out, &format!("`{}`", cut()), spec);
        }
        'q' if spec.plus => pad(out, &ascii(&quote(&cut())), spec),
        'q' => pad(out, &quote(&cut()), spec),
        'x' | 'X' => {
            let bytes = bytes_of(text);
            let bytes = &bytes[..spec.precision.unwrap_or(bytes.len()).min(bytes.len())];
            let mut body = String::new();
            for (i, byte) in bytes.iter().enumerate() {
                if spec.space && i > 0 {
                    body.push(' ');
                }
                if spec.sharp && (i == 0 || spec.space) {
                    body.push_str("0x");
                }
                body.push_str(&format!("{byte:02x}"));
            }
            let body = if spec.verb == 'X' { body.to_uppercase() } else { body };
            pad(out, &body, spec);
        }
        _ => bad(out, value, spec),
    }
}

/// `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    quote_with(text, '"')
}

fn quote_with(text: &str, mark: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for c in text.chars() {
        match c {
            c if c == mark => out.extend(['\\', c]),
            '\\' => out.push_str("\\\\"),
            c if carried(c).is_some() => out.push_str(&format!("\\x{:02x}", carried(c).unwrap_or_default())),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push(mark);
    out
}

fn ascii(quoted: &str) -> String {
    let mut out = String::new();
    for c in quoted.chars() {
        match c as u32 {
            0..0x80 => out.push(c),
            n @ 0x80..0x1_0000 => out.push_str(&format!("\\u{n:04x}")),
            n => out.push_str(&format!("\\U{n:08x}")),
        }
    }
    out
}

/// Go's `unicode.IsPrint`, by way of what Rust's `Debug` leaves as it is; the only space that counts is U+0020.
fn is_printable(c: char) -> bool {
    if c == ' ' || c == '\'' || c == '"' {
        return true;
    }
    !c.is_whitespace() && (c.escape_debug().count() == 1 || !c.escape_debug().to_string().starts_with("\\u"))
}
