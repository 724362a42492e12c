//! Moments: RFC 3339 in and out, `2 weeks ago`, and spans such as `1h30m`.
//!
//! Years 0000 to 9999, the range of RFC 3339. Leap seconds are read as the second that follows.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oci::calendar;

/// A moment, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970-01-01T00:00:00Z, negative before.
    pub seconds: i64,
    /// Nanoseconds of that second, 0 to 999 999 999.
    pub nanos: u32,
}

impl Moment {
    /// A whole second since 1970.
    pub const fn at(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// Reads `2024-05-06T07:08:09.123Z` or with an offset such as `+02:00`.
    ///
    /// Source: RFC 3339, section 5.6.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once(['T', 't', ' '])?;
        let days = parse_date(date)?;
        let zone_at = rest.find(['Z', 'z', '+', '-'])?;
        let (clock, zone) = rest.split_at(zone_at);
        let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(c, f)| (c, Some(f)));
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - parse_zone(zone)?;
        Some(Self { seconds, nanos: fraction.map_or(Some(0), parse_fraction)? })
    }

    /// Reads a day such as `2024-05-06`: its first second, in UTC.
    pub fn parse_day(text: &str) -> Option<Self> {
        parse_date(text).map(|days| Self::at(days * 86_400))
    }

    /// How long before `now` this was: `2 weeks ago`. What lies ahead is said to be now.
    pub fn ago(self, now: Self) -> String {
        let seconds = u64::try_from(now.seconds.saturating_sub(self.seconds)).unwrap_or(0);
        format!("{} ago", span(seconds))
    }

    /// This moment less a span.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Self { seconds: self.seconds.saturating_sub(seconds), nanos: self.nanos }
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => {
                Self { seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX), nanos: after.subsec_nanos() }
            }
            Err(before) => Self::at(i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds)),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&calendar::date_time(self.seconds))?;
        if self.nanos > 0 {
            let fraction = format!("{:09}", self.nanos);
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// A length of time in words, the largest unit only: `About a minute`, `3 hours`, `2 weeks`.
pub fn span(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    let days = hours / 24;
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3_600 => format!("{minutes} minutes"),
        3_600..7_200 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if days < 14 => format!("{days} days"),
        _ if days < 60 => format!("{} weeks", days / 7),
        _ if days < 730 => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    }
}

/// Reads a span: a number with each of `d`, `h`, `m`, `s`, as in `1h30m`.
pub fn parse_span(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let count: u64 = rest[..end].parse().ok()?;
        let unit = match rest.as_bytes()[end] {
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = total.checked_add(Duration::from_secs(count.checked_mul(unit)?))?;
        rest = &rest[end + 1..];
    }
    (!text.is_empty()).then_some(total)
}

fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut out = [0; N];
    let mut parts = text.split(separator);
    for (slot, width) in out.iter_mut().zip(widths) {
        let part = parts.next().filter(|p| p.len() == width && p.bytes().all(|b| b.is_ascii_digit()))?;
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

fn parse_date(text: &str) -> Option<i64> {
    let [year, month, day] = numbers(text, '-', [4, 2, 2])?;
    let days = calendar::days(year, month, day);
    // Reading the day number back refuses 31 April and the 29 February of common years.
    ((1..=12).contains(&month) && calendar::date(days) == (year, month, day)).then_some(days)
}

fn parse_zone(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let [hour, minute] = numbers(text.get(1..)?, ':', [2, 2])?;
    (hour <= 23 && minute <= 59).then_some(sign * (hour * 3_600 + minute * 60))
}

fn parse_fraction(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{text:0<9}").get(..9)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_read_and_written_as_rfc_3339_has_them() {
        for (text, seconds, again) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59Z", -1, "1969-12-31T23:59:59Z"),
            ("2024-02-29T12:30:00.5Z", 1_709_209_800, "2024-02-29T12:30:00.5Z"),
            ("2024-02-29T14:30:00+02:00", 1_709_209_800, "2024-02-29T12:30:00Z"),
            ("2024-02-29t04:30:00.123456789-08:00", 1_709_209_800, "2024-02-29T12:30:00.123456789Z"),
            ("2000-01-01 00:00:00Z", 946_684_800, "2000-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", -62_135_596_800, "0001-01-01T00:00:00Z"),
        ] {
            let moment = Moment::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(moment.seconds, seconds, "{text}");
            assert_eq!(moment.to_string(), again, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for bad in [
            "",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00Z",
            "24-01-01T00:00:00Z",
            "2024-01-01T00:00:00+2",
            "2024-01-01T00:00:00Zx",
            "\u{661}024-01-01T00:00:00Z",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ages_are_said_in_the_largest_unit() {
        for (seconds, want) in [
            (-5, "Less than a second ago"),
            (0, "Less than a second ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "About a minute ago"),
            (150, "2 minutes ago"),
            (3_600, "About an hour ago"),
            (7_200, "2 hours ago"),
            (172_800, "2 days ago"),
            (14 * 86_400, "2 weeks ago"),
            (60 * 86_400, "2 months ago"),
            (730 * 86_400, "2 years ago"),
        ] {
            assert_eq!(Moment::at(0).ago(Moment::at(seconds)), want, "{seconds}");
        }
    }

    #[test]
    fn spans_are_read() {
        for (text, want) in [("10s", Some(10)), ("1h30m", Some(5_400)), ("2d", Some(172_800)), ("0s", Some(0))] {
            assert_eq!(parse_span(text).map(|span| span.as_secs()), want, "{text}");
        }
        for bad in ["", "h", "10", "-1h", "1x", "1h30", "99999999999999999999s", "9999999999999999999d"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_is_read_back(seconds in -62_135_596_800_i64..253_402_300_799, nanos in 0_u32..1_000_000_000) {
            let moment = Moment { seconds, nanos };
            prop_assert_eq!(Moment::parse(&moment.to_string()), Some(moment));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let (moment, length) = (Moment::parse(&text), parse_span(&text));
            prop_assert!(moment.is_none() || text.len() >= 20);
            prop_assert!(length.is_none() || !text.is_empty());
        }
    }
}
