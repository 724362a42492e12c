//! Times as text, in UTC and to the second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oci::calendar;

const DAY: i64 = 86_400;

/// `2024-02-29T12:00:00Z`; times before 1970 count as 1970.
pub fn format(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
    format!("{}Z", calendar::date_time(seconds))
}

/// Reads what [`format`] writes.
pub fn parse(text: &str) -> Option<SystemTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok().filter(|number| *number >= 0);
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
    let is_formed = text.len() == 20 && separators.iter().all(|(at, byte)| text.as_bytes()[*at] == *byte);
    let date = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (year, month, day) = date;
    if !is_formed || year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    let days = calendar::days(year, month, day);
    if calendar::date(days) != date {
        return None;
    }
    let seconds = days * DAY + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_being_written() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_825_600, "2000-02-29T12:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(format(time), text);
            assert_eq!(parse(text), Some(time), "{text}");
        }
        for bad in ["", "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01 00:00:00Z", "1969-01-01T00:00:00Z"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
