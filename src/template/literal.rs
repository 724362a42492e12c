//! Go's literals: quoted strings, characters and numbers.

use super::bytes::text_of;
use super::node::Number;

/// The text of a Go quoted string or character, without its quotes; `None` on a bad escape.
pub(crate) fn unquote(body: &str, quote: char) -> Option<String> {
    let mut out = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(&mut out, c);
            continue;
        }
        match chars.next()? {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' => out.push(b'\\'),
            'x' => out.push(u8::try_from(digits(&mut chars, 2, 16)?).ok()?),
            'u' => push(&mut out, char::from_u32(digits(&mut chars, 4, 16)?)?),
            'U' => push(&mut out, char::from_u32(digits(&mut chars, 8, 16)?)?),
            first @ '0'..='7' => {
                let value = first.to_digit(8)? * 64 + digits(&mut chars, 2, 8)?;
                out.push(u8::try_from(value).ok()?);
            }
            c if c == quote => push(&mut out, c),
            _ => return None,
        }
    }
    Some(text_of(&out))
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    let mut value = 0u32;
    for _ in 0..count {
        value = value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)?;
    }
    Some(value)
}

/// A Go integer with sign, base prefix and underscores; `base` 0 means "by prefix".
pub(crate) fn integer(text: &str, base: u32) -> Option<i128> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = body.to_ascii_lowercase();
    let (radix, body) = if base != 0 {
        (base, lower.as_str())
    } else if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    let body = if base == 0 { strip_underscores(body, radix != 10)? } else { body.to_owned() };
    if !body.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(&body, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// Underscores may only stand between digits, or between a prefix and a digit.
fn strip_underscores(body: &str, prefixed: bool) -> Option<String> {
    let bad = (body.starts_with('_') && !prefixed) || body.ends_with('_') || body.contains("__");
    (!bad).then(|| body.replace('_', ""))
}

/// A hexadecimal float after its prefix: `1.8p3`. The exponent is needed, and counts twos.
fn hexadecimal(body: &str) -> Option<f64> {
    let (mantissa, exponent) = body.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let value = u128::from_str_radix(&digits, 16).ok()? as f64;
    let exponent: i32 = exponent.parse().ok()?;
    Some(value * 2f64.powi(exponent.checked_sub(i32::try_from(fraction.len()).ok()? * 4)?))
}

/// A Go number token.
pub(crate) fn number(text: &str) -> Option<Number> {
    if let Some(value) = integer(text, 0) {
        let int = i64::try_from(value).ok();
        if int.is_none() && u64::try_from(value).is_err() {
            return None;
        }
        return Some(Number { int, float: value as f64, is_float: false });
    }
    let lower = text.to_ascii_lowercase();
    let float: f64 = match lower.trim_start_matches(['+', '-']).strip_prefix("0x") {
        Some(body) => hexadecimal(&strip_underscores(body, true)?)? * if lower.starts_with('-') { -1.0 } else { 1.0 },
        None if !lower.contains(['.', 'e']) => return None,
        None => strip_underscores(&lower, false)?.parse().ok()?,
    };
    if !float.is_finite() {
        return None;
    }
    let int = (float.fract() == 0.0 && float.abs() < 9.2e18).then_some(float as i64);
    Some(Number { int, float, is_float: true })
}
