//! Time zones by name, from the database compiled in: the same answer on every machine. `Local` is UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A zone's offset at a moment, and what it is called then.
pub(crate) struct Zone {
    /// Seconds east of UTC.
    pub(crate) offset: i32,
    /// Such as `CEST`, or `+03` where there is no name.
    pub(crate) abbreviation: String,
}

/// The zone at a moment in Unix seconds. What is not known reads as UTC, as in Go; names are those of the database,
/// with their capitals.
pub(crate) fn find(name: &str, seconds: i64) -> Zone {
    let known = || {
        let zone = TimeZone::get(name).ok()?;
        if zone.iana_name() != Some(name) {
            return None;
        }
        let info = zone.to_offset_info(Timestamp::from_second(seconds).ok()?);
        Some(Zone { offset: info.offset().seconds(), abbreviation: info.abbreviation().to_owned() })
    };
    known().unwrap_or_else(|| Zone { offset: 0, abbreviation: "UTC".to_owned() })
}

/// A zone's abbreviation at the start of a text, by the rules of Go's `time.Parse`: its length.
pub(crate) fn abbreviation(text: &str) -> Option<usize> {
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix("GMT") {
        return Some(3 + signed_hours(rest).unwrap_or(0));
    }
    if text.starts_with(['+', '-']) {
        return signed_hours(text).filter(|len| *len > 0);
    }
    let upper = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    match upper {
        3 => Some(3),
        4 if text.as_bytes()[3] == b'T' || text.starts_with("WITA") => Some(4),
        5 if text.as_bytes()[4] == b'T' => Some(5),
        _ => None,
    }
}

fn signed_hours(text: &str) -> Option<usize> {
    let digits = text.strip_prefix(['+', '-'])?;
    let len = digits.bytes().take_while(u8::is_ascii_digit).count();
    let hours: u32 = digits[..len].parse().ok()?;
    (hours < 24).then_some(len + 1)
}

/// The offset that Go gives an abbreviation of `time.Parse` when it knows no better: only `GMT+3` and its like have one.
pub(crate) fn fabricated_offset(abbreviation: &str) -> i64 {
    abbreviation.strip_prefix("GMT").and_then(|hours| hours.parse::<i64>().ok()).unwrap_or(0) * 3600
}
