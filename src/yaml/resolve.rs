//! What a plain scalar means: the table of YAML 1.1 as `go-yaml` version 2 has it.

use serde_json::{Number, Value as Json};

use super::Numbers;

/// The kind a scalar resolved to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text,
}

/// The meaning of a plain scalar without a tag.
pub(crate) fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => is_float(text).and_then(|()| text.parse().ok()).map_or(Scalar::Text, Scalar::Float),
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => Scalar::Text,
    }
}

fn number(text: &str) -> Scalar {
    let stripped: String;
    let plain = if text.contains('_') {
        stripped = text.replace('_', "");
        stripped.as_str()
    } else {
        text
    };
    if let Some(integer) = integer(plain) {
        return integer;
    }
    match is_float(plain).and_then(|()| plain.parse::<f64>().ok()) {
        Some(float) if float.is_finite() => Scalar::Float(float),
        _ => Scalar::Text,
    }
}

/// Go's `ParseInt` and `ParseUint` with the base taken from the prefix.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match body.get(..2) {
        Some("0x" | "0X") => (16, &body[2..]),
        Some("0o" | "0O") => (8, &body[2..]),
        Some("0b" | "0B") => (2, &body[2..]),
        _ if body.len() > 1 && body.starts_with('0') => (8, &body[1..]),
        _ => (10, body),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    match i64::try_from(magnitude) {
        Ok(value) => Some(Scalar::Int(if negative { -value } else { value })),
        Err(_) if negative && magnitude == 1 << 63 => Some(Scalar::Int(i64::MIN)),
        Err(_) if !negative && !text.starts_with('+') => Some(Scalar::Uint(magnitude)),
        Err(_) => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> Option<()> {
    let digits = |t: &str| t.len() - t.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(rest);
    rest = &rest[whole..];
    if let Some(after) = rest.strip_prefix('.') {
        let fraction = digits(after);
        if whole + fraction == 0 {
            return None;
        }
        rest = &after[fraction..];
    } else if whole == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        rest = if count == 0 { rest } else { &exponent[count..] };
    }
    rest.is_empty().then_some(())
}

/// A number as JSON; `None` for what JSON cannot hold.
pub(crate) fn json(scalar: &Scalar, text: &str, numbers: Numbers) -> Option<Json> {
    Some(match scalar {
        Scalar::Null => Json::Null,
        Scalar::Bool(b) => Json::Bool(*b),
        Scalar::Int(i) if numbers == Numbers::Exact => Json::from(*i),
        Scalar::Uint(u) if numbers == Numbers::Exact => Json::from(*u),
        Scalar::Int(i) => Json::Number(Number::from_f64(*i as f64)?),
        Scalar::Uint(u) => Json::Number(Number::from_f64(*u as f64)?),
        Scalar::Float(f) => Json::Number(Number::from_f64(*f)?),
        Scalar::Text => Json::String(text.to_owned()),
    })
}

/// A plain scalar as the key of a map, as text; `None` for null.
pub(crate) fn key(text: &str) -> Option<String> {
    Some(match plain(text) {
        Scalar::Null => return None,
        Scalar::Bool(b) => b.to_string(),
        Scalar::Int(i) => i.to_string(),
        Scalar::Uint(u) => u.to_string(),
        Scalar::Float(f) => shortest(f as f32),
        Scalar::Text => text.to_owned(),
    })
}

/// A scalar where only a text is wanted, such as `appVersion: 1.10`: Go turns numbers and booleans into their shortest
/// form (here `1.1`). `None` for null, lists and maps.
pub fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Bool(b) => Some(b.to_string()),
        Json::Number(n) if n.is_f64() => Some(shortest(n.as_f64().unwrap_or(0.0) as f32)),
        Json::Number(n) => Some(n.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Whether a text means itself when it stands without quotes, for readers of YAML 1.1.
pub(super) fn is_text(text: &str) -> bool {
    plain(text) == Scalar::Text && !is_sexagesimal(text) && !is_time(text)
}

/// `12:30:45`, which some readers take for a number to the base 60.
fn is_sexagesimal(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = body.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let part = |text: &str| match text.as_bytes() {
        [one] => one.is_ascii_digit(),
        [ten, one] => (b'0'..=b'5').contains(ten) && one.is_ascii_digit(),
        _ => false,
    };
    let Some((last, middle)) = rest.split_last() else { return false };
    let (last, fraction) = last.split_once('.').map_or((*last, ""), |(whole, fraction)| (whole, fraction));
    first.starts_with(|c: char| c.is_ascii_digit())
        && digits(first)
        && middle.iter().all(|text| part(text))
        && part(last)
        && digits(fraction)
}

/// A date, with or without a time: `2001-1-2`, `2001-01-02T15:04:05.5Z`, `2001-01-02 15:04:05`.
fn is_time(text: &str) -> bool {
    let date = || {
        let (year, rest) = text.split_at_checked(4)?;
        let year: u32 = year.parse().ok().filter(|_| year.bytes().all(|b| b.is_ascii_digit()))?;
        let (month, rest) = two(rest.strip_prefix('-')?)?;
        let (day, rest) = two(rest.strip_prefix('-')?)?;
        Some((year, month, day, rest))
    };
    let Some((year, month, day, after)) = date() else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    if !(1..=days).contains(&day) {
        return false;
    }
    match after.chars().next() {
        None => true,
        Some('T' | 't') => is_clock(&after[1..]).is_some_and(is_zone),
        Some(' ') => is_clock(&after[1..]) == Some(""),
        Some(_) => false,
    }
}

/// One or two digits and what follows them.
fn two(text: &str) -> Option<(u32, &str)> {
    let len = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    Some((text[..len].parse().ok()?, &text[len..]))
}

/// What follows `15:04:05.5`.
fn is_clock(text: &str) -> Option<&str> {
    let (hour, rest) = two(text)?;
    let (minute, rest) = two(rest.strip_prefix(':')?)?;
    let (second, rest) = two(rest.strip_prefix(':')?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (rest.len() < fraction.len()).then_some(rest)
        }
        None => Some(rest),
    }
}

fn is_zone(text: &str) -> bool {
    let offset = |rest: &str| {
        let bytes = rest.as_bytes();
        let digits = |at: &[usize]| at.iter().all(|i| bytes[*i].is_ascii_digit());
        bytes.len() == 5 && bytes[2] == b':' && digits(&[0, 1, 3, 4]) && rest[..2] <= *"24" && rest[3..] <= *"60"
    };
    text == "Z" || text.strip_prefix(['+', '-']).is_some_and(offset)
}

/// Go's `FormatFloat(f, 'g', -1, 64)`.
pub(super) fn general(float: f64) -> String {
    exponent_form(&format!("{float:e}"), &float.to_string())
}

fn exponent_form(scientific: &str, plain: &str) -> String {
    let Some((digits, exponent)) = scientific.split_once('e') else { return plain.to_owned() };
    match exponent.parse::<i32>() {
        Ok(-4..6) => plain.to_owned(),
        Ok(e) => format!("{digits}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs()),
        Err(_) => plain.to_owned(),
    }
}

/// Go's `FormatFloat(f, 'g', -1, 32)`.
pub(crate) fn shortest(float: f32) -> String {
    if float.is_nan() {
        return ".nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    exponent_form(&format!("{float:e}"), &float.to_string())
}
