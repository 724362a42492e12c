//! Dates and durations on given times, with Go's layouts (`2006-01-02 15:04:05`).
//!
//! The proleptic Gregorian calendar, nanoseconds, fixed offsets, and the named zones of `zones.rs`.

use std::any::Any;
use std::rc::Rc;

use oci::calendar::{date, days};

use super::super::error::CallError;
use super::super::exec::Exec;
use super::super::value::{Object, Value};
use super::{Answer, Builtin, any, row, text, zones};

pub(crate) const TABLE: &[Builtin] = &[
    row("date", "sa", |e, a| shown(e, text(a, 0), &any(a, 1), "UTC")),
    row("dateInZone", "sas", |e, a| shown(e, text(a, 0), &any(a, 1), text(a, 2))),
    row("date_in_zone", "sas", |e, a| shown(e, text(a, 0), &any(a, 1), text(a, 2))),
    row("htmlDate", "a", |e, a| shown(e, "2006-01-02", &any(a, 0), "UTC")),
    row("htmlDateInZone", "as", |e, a| shown(e, "2006-01-02", &any(a, 0), text(a, 1))),
    row("dateModify", "st", |_, a| Ok(modify(a).unwrap_or_else(|_unreadable| any(a, 1)))),
    row("date_modify", "st", |_, a| Ok(modify(a).unwrap_or_else(|_unreadable| any(a, 1)))),
    row("mustDateModify", "st", |_, a| modify(a)),
    row("must_date_modify", "st", |_, a| modify(a)),
    row("toDate", "ss", |_, a| {
        Ok(parse(text(a, 0), text(a, 1)).unwrap_or(Time { seconds: ZERO, nanos: 0, offset: 0 }).into())
    }),
    row("mustToDate", "ss", |_, a| parse(text(a, 0), text(a, 1)).map(Value::from)),
    row("ago", "a", |e, a| ago(e, &any(a, 0))),
    row("unixEpoch", "t", |_, a| match time(&any(a, 0)) {
        Some(t) => Ok(Value::from(t.seconds.to_string())),
        None => Err(CallError::WrongType { expected: "time.Time", got: any(a, 0).type_name() }),
    }),
    row("duration", "a", |_, a| {
        let seconds = match any(a, 0) {
            Value::String(s) => s.parse::<i64>().unwrap_or(0),
            Value::Int64(i) => i,
            _ => 0,
        };
        Ok(Value::from(duration_text(seconds.wrapping_mul(SECOND))))
    }),
    row("durationRound", "a", |_, a| {
        let nanos = match any(a, 0) {
            Value::String(s) => duration(&s).unwrap_or(0),
            Value::Int64(i) => i,
            _ => 0,
        };
        Ok(Value::from(rounded(nanos.unsigned_abs())))
    }),
];

const SECOND: i64 = 1_000_000_000;
/// Go's zero time, year 1, in Unix seconds.
const ZERO: i64 = -62_135_596_800;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A moment with an offset from UTC: Go's `time.Time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Self::Object(Rc::new(time))
    }
}

impl Object for Time {
    fn type_name(&self) -> &str {
        "time.Time"
    }

    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    fn call(&self, name: &str, args: &[Value]) -> Option<Answer> {
        let local = self.seconds.saturating_add(i64::from(self.offset));
        let (year, month, day) = date(local.div_euclid(86_400));
        let within = local.rem_euclid(86_400);
        let value = match (name, args) {
            ("Unix", []) => Value::Int64(self.seconds),
            ("UnixNano", []) => Value::Int64(self.seconds.wrapping_mul(SECOND).wrapping_add(i64::from(self.nanos))),
            ("Year", []) => Value::Int(year),
            ("Month", []) => Value::string(MONTHS[usize::try_from(month - 1).unwrap_or(0)]),
            ("Day", []) => Value::Int(day),
            ("Hour", []) => Value::Int(within / 3600),
            ("Minute", []) => Value::Int(within / 60 % 60),
            ("Second", []) => Value::Int(within % 60),
            ("UTC", []) => Self { offset: 0, ..*self }.into(),
            ("IsZero", []) => Value::Bool(self.seconds == ZERO && self.nanos == 0),
            ("String", []) => Value::from(self.display()),
            ("Format", [Value::String(layout)]) => Value::from(format(layout, self, None)),
            _ => return None,
        };
        Some(Ok(value))
    }

    fn display(&self) -> String {
        let zone = if self.offset == 0 { "UTC" } else { "-0700" };
        format(&format!("2006-01-02 15:04:05.999999999 -0700 {zone}"), self, None)
    }

    fn encoded(&self) -> Option<Value> {
        Some(Value::from(format("2006-01-02T15:04:05.999999999Z07:00", self, None)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn time(value: &Value) -> Option<Time> {
    match value {
        Value::Object(object) => object.as_any().downcast_ref::<Time>().copied(),
        Value::Int(seconds) | Value::Int64(seconds) => Some(Time { seconds: *seconds, nanos: 0, offset: 0 }),
        _ => None,
    }
}

/// A date of a TOML document: what it leaves out is zero, and a time without a zone is UTC's.
pub(crate) fn from_toml(at: &::toml::value::Datetime) -> Value {
    let (year, month, day) = at.date.map_or((0, 1, 1), |d| (i64::from(d.year), i64::from(d.month), i64::from(d.day)));
    let (hour, minute, second, nanos) = at.time.map_or((0, 0, 0, 0), |t| {
        let second = t.second.unwrap_or(0);
        (i64::from(t.hour), i64::from(t.minute), i64::from(second), t.nanosecond.unwrap_or(0))
    });
    let offset = match at.offset {
        Some(::toml::value::Offset::Custom { minutes }) => i32::from(minutes) * 60,
        _ => 0,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - i64::from(offset);
    Time { seconds, nanos, offset }.into()
}

/// The time by a layout in a zone; what is no time means now.
fn shown(exec: &Exec<'_>, layout: &str, value: &Value, zone: &str) -> Answer {
    let time = match time(value) {
        Some(time) => time,
        None => now(exec, "a date that is not a time means now, and this rendering has no clock")?,
    };
    let zone = zones::find(zone, time.seconds);
    Ok(Value::from(format(layout, &Time { offset: zone.offset, ..time }, Some(&zone.abbreviation))))
}

fn now(exec: &Exec<'_>, why: &'static str) -> Result<Time, CallError> {
    let answer = super::impure::ask(exec, "now", &[]).unwrap_or(Err(CallError::Unavailable { why }))?;
    time(&answer).ok_or(CallError::WrongType { expected: "time.Time", got: answer.type_name() })
}

/// How long ago a time was, in whole seconds.
fn ago(exec: &Exec<'_>, value: &Value) -> Answer {
    let now = now(exec, super::impure::CLOCK)?;
    let then = time(value).unwrap_or(now);
    let nanos =
        i128::from(now.seconds - then.seconds) * i128::from(SECOND) + i128::from(now.nanos) - i128::from(then.nanos);
    let half = i128::from(SECOND / 2);
    let seconds = if nanos < 0 { -((half - nanos) / i128::from(SECOND)) } else { (nanos + half) / i128::from(SECOND) };
    Ok(Value::from(duration_text(i64::try_from(seconds).unwrap_or(i64::MAX / SECOND).saturating_mul(SECOND))))
}

fn modify(args: &[Value]) -> Answer {
    let nanos = duration(text(args, 0))?;
    let Some(base) = time(&any(args, 1)) else {
        return Err(CallError::WrongType { expected: "time.Time", got: any(args, 1).type_name() });
    };
    let total = i64::from(base.nanos) + nanos.rem_euclid(SECOND);
    let seconds = base.seconds.saturating_add(nanos.div_euclid(SECOND)).saturating_add(total / SECOND);
    Ok(Time { seconds, nanos: u32::try_from(total % SECOND).unwrap_or(0), ..base }.into())
}

/// The pieces a layout is made of, longest first where one starts another.
const PIECES: &[&str] = &[
    "January", "Jan", "Monday", "Mon", "MST", "2006", "-07:00", "-0700", "-07", "Z07:00", "Z0700", "002", "01", "02",
    "03", "04", "05", "06", "15", "PM", "pm", "_2", "1", "2", "3", "4", "5",
];

/// The first piece of a layout: what is before it, itself, what follows.
fn piece(layout: &str) -> Option<(&str, &str, &str)> {
    for (at, _) in layout.char_indices() {
        let rest = &layout[at..];
        for mark in ['.', ','] {
            if let Some(digits) = rest.strip_prefix(mark) {
                for digit in ['0', '9'] {
                    let run = digits.len() - digits.trim_start_matches(digit).len();
                    if run > 0 && !digits[run..].starts_with(|c: char| c.is_ascii_digit()) {
                        return Some((&layout[..at], &rest[..=run], &rest[run + 1..]));
                    }
                }
            }
        }
        if let Some(found) = PIECES.iter().find(|p| rest.starts_with(**p)) {
            return Some((&layout[..at], &rest[..found.len()], &rest[found.len()..]));
        }
    }
    None
}

/// `abbreviation` is what the zone is called; without one, the offset says it.
fn format(layout: &str, time: &Time, abbreviation: Option<&str>) -> String {
    let local = time.seconds.saturating_add(i64::from(time.offset));
    let (year, month, day) = date(local.div_euclid(86_400));
    let within = local.rem_euclid(86_400);
    let (hour, minute, second) = (within / 3600, within / 60 % 60, within % 60);
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let month_name = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let day_name = DAYS[usize::try_from((local.div_euclid(86_400) + 4).rem_euclid(7)).unwrap_or(0)];
    let mut out = String::new();
    let mut rest = layout;
    while let Some((before, mark, after)) = piece(rest) {
        out.push_str(before);
        rest = after;
        out.push_str(&match mark {
            "January" => month_name.to_owned(),
            "Jan" => month_name[..3].to_owned(),
            "Monday" => day_name.to_owned(),
            "Mon" => day_name[..3].to_owned(),
            "MST" => match abbreviation {
                Some(name) => name.to_owned(),
                None if time.offset == 0 => "UTC".to_owned(),
                None => zone(time.offset, "-07"),
            },
            "2006" => format!("{year:04}"),
            "06" => format!("{:02}", year.rem_euclid(100)),
            "01" => format!("{month:02}"),
            "1" => month.to_string(),
            "002" => format!("{:03}", local.div_euclid(86_400) - days(year, 1, 1) + 1),
            "02" => format!("{day:02}"),
            "_2" => format!("{day:2}"),
            "2" => day.to_string(),
            "15" => format!("{hour:02}"),
            "03" => format!("{twelve:02}"),
            "3" => twelve.to_string(),
            "04" => format!("{minute:02}"),
            "4" => minute.to_string(),
            "05" => format!("{second:02}"),
            "5" => second.to_string(),
            "PM" => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            "pm" => if hour < 12 { "am" } else { "pm" }.to_owned(),
            "Z07:00" | "Z0700" if time.offset == 0 => "Z".to_owned(),
            fraction if fraction.starts_with(['.', ',']) => fraction_text(fraction, time.nanos),
            mark => zone(time.offset, mark.trim_start_matches(['Z', '-'])),
        });
    }
    out.push_str(rest);
    out
}

fn fraction_text(mark: &str, nanos: u32) -> String {
    let digits = format!("{nanos:09}");
    let cut = &digits[..(mark.len() - 1).min(9)];
    if mark.ends_with('0') {
        return format!("{}{cut}", &mark[..1]);
    }
    let cut = cut.trim_end_matches('0');
    if cut.is_empty() { String::new() } else { format!("{}{cut}", &mark[..1]) }
}

fn zone(offset: i32, shape: &str) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.unsigned_abs() / 60;
    match shape.trim_start_matches('-') {
        "07" => format!("{sign}{:02}", minutes / 60),
        "0700" => format!("{sign}{:02}{:02}", minutes / 60, minutes % 60),
        _ => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
    }
}

/// Reads a time by a layout.
pub(crate) fn parse(layout: &str, source: &str) -> Result<Time, CallError> {
    let bad = || CallError::argument(format!("parsing time {source:?} as {layout:?}: cannot parse"));
    let (mut year, mut month, mut day, mut hour, mut minute, mut second) = (0, 1, 1, 0, 0, 0);
    let (mut nanos, mut offset, mut shown, mut afternoon) = (0, 0, 0, None);
    let (mut rest, mut text) = (layout, source);
    let take = |text: &mut &str, least: usize, most: usize| -> Option<i64> {
        let len = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let number = text[..len].parse().ok().filter(|_| len >= least)?;
        *text = &text[len..];
        Some(number)
    };
    while let Some((before, mark, after)) = piece(rest) {
        text = text.strip_prefix(before).ok_or_else(bad)?;
        rest = after;
        match mark {
            "2006" => year = take(&mut text, 4, 4).ok_or_else(bad)?,
            "06" => year = take(&mut text, 2, 2).map(|y| if y >= 69 { y + 1900 } else { y + 2000 }).ok_or_else(bad)?,
            "01" => month = take(&mut text, 2, 2).ok_or_else(bad)?,
            "1" => month = take(&mut text, 1, 2).ok_or_else(bad)?,
            "02" => day = take(&mut text, 2, 2).ok_or_else(bad)?,
            "2" | "_2" => {
                text = text.strip_prefix(' ').unwrap_or(text);
                day = take(&mut text, 1, 2).ok_or_else(bad)?;
            }
            "15" => hour = take(&mut text, 1, 2).ok_or_else(bad)?,
            "03" => hour = take(&mut text, 2, 2).ok_or_else(bad)?,
            "3" => hour = take(&mut text, 1, 2).ok_or_else(bad)?,
            "04" => minute = take(&mut text, 2, 2).ok_or_else(bad)?,
            "4" => minute = take(&mut text, 1, 2).ok_or_else(bad)?,
            "05" | "5" => {
                second = take(&mut text, mark.len(), 2).ok_or_else(bad)?;
                if text.starts_with('.') && !rest.starts_with('.') {
                    nanos = fraction(&mut text).ok_or_else(bad)?;
                }
            }
            "January" | "Jan" => {
                let cut = |name: &str| if mark == "Jan" { name[..3].to_owned() } else { name.to_owned() };
                let found = MONTHS.iter().position(|m| text.starts_with(&cut(m))).ok_or_else(bad)?;
                text = &text[cut(MONTHS[found]).len()..];
                month = found as i64 + 1;
            }
            "Monday" | "Mon" => {
                let cut = |name: &str| if mark == "Mon" { name[..3].to_owned() } else { name.to_owned() };
                let found = DAYS.iter().find(|d| text.starts_with(&cut(d))).ok_or_else(bad)?;
                text = &text[cut(found).len()..];
            }
            "PM" | "pm" => {
                let word = text.get(..2).ok_or_else(bad)?;
                afternoon = Some(word.eq_ignore_ascii_case("pm"));
                text = &text[2..];
            }
            "MST" => {
                let (name, after) = text.split_at(zones::abbreviation(text).ok_or_else(bad)?);
                // The zone is only shown: the moment is read as if it were UTC.
                shown = zones::fabricated_offset(name);
                text = after;
            }
            "Z07:00" | "Z0700" if text.starts_with('Z') => text = &text[1..],
            "Z07:00" | "-07:00" | "Z0700" | "-0700" | "-07" => {
                let sign = if text.starts_with('-') { -1 } else { 1 };
                text = text.strip_prefix(['+', '-']).ok_or_else(bad)?;
                let hours = take(&mut text, 2, 2).ok_or_else(bad)?;
                if mark.contains(':') {
                    text = text.strip_prefix(':').ok_or_else(bad)?;
                }
                let minutes = if mark == "-07" { 0 } else { take(&mut text, 2, 2).ok_or_else(bad)? };
                offset = sign * (hours * 3600 + minutes * 60);
            }
            mark if mark.starts_with(['.', ',']) => {
                if text.starts_with(['.', ',']) {
                    nanos = fraction(&mut text).ok_or_else(bad)?;
                } else if mark.ends_with('0') {
                    return Err(bad());
                }
            }
            _ => return Err(bad()),
        }
    }
    if text != rest {
        return Err(bad());
    }
    match afternoon {
        Some(true) if hour < 12 => hour += 12,
        Some(false) if hour == 12 => hour = 0,
        _ => {}
    }
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    if !(1..=12).contains(&month)
        || day < 1
        || day > next - days(year, month, 1)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return Err(bad());
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Ok(Time { seconds, nanos, offset: i32::try_from(offset + shown).unwrap_or(0) })
}

fn fraction(text: &mut &str) -> Option<u32> {
    let len = text[1..].bytes().take_while(u8::is_ascii_digit).count();
    let digits: String = text[1..=len].chars().chain("000000000".chars()).take(9).collect();
    *text = &text[len + 1..];
    digits.parse().ok().filter(|_| len > 0)
}

/// `time.ParseDuration`, in nanoseconds.
fn duration(source: &str) -> Result<i64, CallError> {
    let bad = || CallError::argument(format!("time: invalid duration {source:?}"));
    let (negative, mut rest) = match source.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, source.strip_prefix('+').unwrap_or(source)),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0.0f64;
    let mut whole = 0i64;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, after) = rest.split_at(len);
        let units = [
            ("ns", 1),
            ("us", 1000),
            ("µs", 1000),
            ("ms", 1_000_000),
            ("s", SECOND),
            ("m", 60 * SECOND),
            ("h", 3600 * SECOND),
        ];
        let (name, unit) = units.into_iter().find(|(n, _)| after.starts_with(n)).ok_or_else(bad)?;
        rest = &after[name.len()..];
        match number.parse::<i64>() {
            Ok(n) => whole = n.checked_mul(unit).and_then(|n| whole.checked_add(n)).ok_or_else(bad)?,
            Err(_fraction) => total += number.parse::<f64>().map_err(|_number| bad())? * unit as f64,
        }
    }
    let nanos = whole.checked_add(total.round() as i64).ok_or_else(bad)?;
    Ok(if negative { -nanos } else { nanos })
}

/// `time.Duration.String` for whole seconds and finer.
fn duration_text(nanos: i64) -> String {
    if nanos == 0 {
        return "0s".to_owned();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let second = SECOND.unsigned_abs();
    let (hours, minutes, seconds) = (nanos / second / 3600, nanos / second / 60 % 60, nanos / second % 60);
    let fraction = format!("{:09}", nanos % second);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}{dot}{fraction}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}{dot}{fraction}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}{dot}{fraction}s"),
    }
}

fn rounded(nanos: u64) -> String {
    let hour = 3600 * SECOND.unsigned_abs();
    let units = [
        (hour * 24 * 365, "y"),
        (hour * 24 * 30, "mo"),
        (hour * 24, "d"),
        (hour, "h"),
        (hour / 60, "m"),
        (SECOND.unsigned_abs(), "s"),
    ];
    units
        .iter()
        .find(|(unit, _)| nanos > *unit)
        .map_or("0s".to_owned(), |(unit, name)| format!("{}{name}", nanos / unit))
}
