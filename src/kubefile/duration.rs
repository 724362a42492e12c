//! Go's duration syntax (`time.ParseDuration`): `1h30m`, `1.5s`, `300ms`. Non-negative results only.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a sequence of numbers with units.
    #[error("it is not a sequence of numbers with units")]
    Malformed,
    /// A number without unit.
    #[error("a unit is missing")]
    MissingUnit,
    /// A unit that is none.
    #[error("`{0}` is no unit")]
    UnknownUnit(String),
    /// More than 292 years.
    #[error("it is too long")]
    TooLong,
    /// Below zero, or not zero yet below a millisecond, where the least is a millisecond.
    #[error("it is less than a millisecond")]
    TooShort,
}

/// Reads a duration as Go does, in nanoseconds.
///
/// # Errors
/// When `text` is malformed, too long for 63 bits of nanoseconds, or negative.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Malformed);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanoseconds, after) = term(rest)?;
        total = total.checked_add(nanoseconds).filter(|sum| *sum <= 1 << 63).ok_or(DurationError::TooLong)?;
        rest = after;
    }
    if negative && total > 0 {
        return Err(DurationError::TooShort);
    }
    if total > i64::MAX as u64 {
        return Err(DurationError::TooLong);
    }
    Ok(Duration::from_nanos(total))
}

/// Reads a duration that is zero or at least a millisecond, as health checks need.
///
/// # Errors
/// As [`parse`], and when it lies between zero and a millisecond.
pub fn parse_interval(text: &str) -> Result<Duration, DurationError> {
    let duration = parse(text)?;
    if !duration.is_zero() && duration < Duration::from_millis(1) {
        return Err(DurationError::TooShort);
    }
    Ok(duration)
}

fn term(text: &str) -> Result<(u64, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Malformed);
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let unit = unit(name)?;
    let number: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_digits| DurationError::TooLong)? };
    let value = number.checked_mul(unit).filter(|value| *value <= 1 << 63).ok_or(DurationError::TooLong)?;
    let value = value.checked_add(part(fraction, unit)).ok_or(DurationError::TooLong)?;
    Ok((value, after))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit(name: &str) -> Result<u64, DurationError> {
    match name {
        "" => Err(DurationError::MissingUnit),
        "ns" => Ok(1),
        "us" | "\u{b5}s" | "\u{3bc}s" => Ok(1_000),
        "ms" => Ok(1_000_000),
        "s" => Ok(1_000_000_000),
        "m" => Ok(60_000_000_000),
        "h" => Ok(3_600_000_000_000),
        other => Err(DurationError::UnknownUnit(other.to_owned())),
    }
}

/// A fraction of a unit, rounded down. Digits beyond what 63 bits hold cannot change a nanosecond and are left out.
fn part(digits: &str, unit: u64) -> u64 {
    let mut value: u64 = 0;
    let mut scale = 1.0_f64;
    for digit in digits.bytes() {
        let Some(next) = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0'))) else { break };
        if next > i64::MAX as u64 {
            break;
        }
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

#[cfg(test)]
mod tests {
    use super::{DurationError, parse, parse_interval};
    use std::time::Duration;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("30s", 30_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("10µs", 10_000),
            ("+5ms", 5_000_000),
            ("0.000000001s", 1),
            ("2562047h47m16.854775807s", i64::MAX as u64),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for (text, error) in [
            ("", DurationError::Malformed),
            ("5", DurationError::MissingUnit),
            ("s", DurationError::Malformed),
            (".s", DurationError::Malformed),
            ("5 s", DurationError::UnknownUnit(" s".to_owned())),
            ("5d", DurationError::UnknownUnit("d".to_owned())),
            ("-5s", DurationError::TooShort),
            ("9999999999999999999999h", DurationError::TooLong),
            ("2562048h", DurationError::TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert_eq!(parse_interval("10us"), Err(DurationError::TooShort));
        assert_eq!(parse_interval("0s"), Ok(Duration::ZERO));
    }
}
