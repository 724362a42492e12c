//! The proleptic Gregorian calendar: days since 1970-01-01 and their dates. Documents of images hold times, and every
//! text of a time is made from this.

/// Days from the first of March of year 0 to 1970-01-01.
const EPOCH: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats itself.
const ERA: i64 = 146_097;

/// Days since 1970-01-01 of a day. Days beyond a month's end are days of the months after it; the month is 1 to 12.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the leap day is the last of its year.
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
}

/// Year, month (from 1) and day (from 1) of a day counted from 1970-01-01: the other way round.
pub fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Date and time of day in UTC of seconds since 1970, `2024-02-29T12:00:00`: RFC 3339 without fraction and zone.
pub fn date_time(seconds: i64) -> String {
    let (days, clock) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_belong_together() {
        for (number, of) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (19_782, (2024, 2, 29)),
            (47_541, (2100, 3, 1)),
            (-719_468, (0, 3, 1)),
            (-719_528, (0, 1, 1)),
        ] {
            assert_eq!(date(number), of, "{number}");
            assert_eq!(days(of.0, of.1, of.2), number, "{of:?}");
        }
        let mut last = date(-800_000);
        for number in -799_999..800_000 {
            let (year, month, day) = date(number);
            let is_next = (year, month, day) == (last.0, last.1, last.2 + 1)
                || (year, month, day) == (last.0, last.1 + 1, 1)
                || (year, month, day) == (last.0 + 1, 1, 1) && last.1 == 12;
            assert!(is_next && days(year, month, day) == number, "{number}: {last:?}, {year}-{month}-{day}");
            last = (year, month, day);
        }
    }
}
