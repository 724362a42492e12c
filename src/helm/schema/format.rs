//! The formats that the older drafts check: a text fits, or the format is not known here.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::template::go_regex;

/// Whether a text has a format; an unknown format is no reason to refuse.
pub(super) fn fits(name: &str, text: &str) -> bool {
    match name {
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "hostname" => hostname(text),
        "email" => email(text),
        "uri" | "iri" => url(text) && has_scheme(text),
        "uri-reference" | "iri-reference" => url(text) && !text.contains('\\'),
        "uuid" => uuid(text),
        "date" => date(text),
        "time" => time(text),
        "date-time" => date_time(text),
        "duration" => duration(text),
        "period" => period(text),
        "json-pointer" => pointer(text),
        "relative-json-pointer" => relative_pointer(text),
        "regex" => go_regex(text).is_ok(),
        "semver" => semver(text),
        _ => true,
    }
}

fn hostname(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    let fine = match quoted {
        true => !local[1..local.len() - 1].contains(['\\', '"']),
        false => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(c);
            !local.starts_with('.') && !local.ends_with('.') && !local.contains("..") && local.chars().all(allowed)
        }
    };
    let address = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let domain_fits = match address {
        Some(address) => match address.strip_prefix("IPv6:") {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => address.parse::<Ipv4Addr>().is_ok(),
        },
        None => hostname(domain),
    };
    text.len() <= 254 && local.len() <= 64 && fine && domain_fits
}

/// What Go's `net/url` reads: no control characters, whole escapes, a port of digits.
fn url(text: &str) -> bool {
    let escapes = text
        .split('%')
        .skip(1)
        .all(|rest| rest.get(..2).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())));
    let authority = text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(""));
    let host = authority.rsplit('@').next().unwrap_or("");
    let port = host.rsplit_once(':').map_or("", |(_, port)| if port.ends_with(']') { "" } else { port });
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    !text.chars().any(|c| c.is_ascii_control())
        && escapes
        && !host.contains([' ', '<', '>', '"'])
        && port.bytes().all(|b| b.is_ascii_digit())
        && bracketed.is_none_or(|address| address.parse::<Ipv6Addr>().is_ok())
        && !text.starts_with(':')
}

fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == 5
        && groups
            .iter()
            .zip([8, 4, 4, 4, 12])
            .all(|(group, len)| group.len() == len && group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Numbers of fixed widths with given characters between them.
fn digits(text: &str, widths: &[usize], between: char) -> Option<Vec<u32>> {
    let parts: Vec<&str> = text.split(between).collect();
    if parts.len() != widths.len() {
        return None;
    }
    parts
        .iter()
        .zip(widths)
        .map(|(part, width)| {
            let plain = part.len() == *width && part.bytes().all(|b| b.is_ascii_digit());
            part.parse().ok().filter(|_| plain)
        })
        .collect()
}

fn date(text: &str) -> bool {
    let Some(parts) = digits(text, &[4, 2, 2], '-') else { return false };
    let (year, month, day) = (parts[0], parts[1], parts[2]);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

fn time(text: &str) -> bool {
    let Some((clock, mut rest)) = text.split_at_checked(8) else { return false };
    let Some(parts) = digits(clock, &[2, 2, 2], ':') else { return false };
    let (hour, minute, second) = (parts[0], parts[1], parts[2]);
    if hour > 23 || minute > 59 || second > 60 {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let len = fraction.len() - fraction.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if len == 0 {
            return false;
        }
        rest = &fraction[len..];
    }
    let offset = match rest {
        "z" | "Z" => 0,
        _ => {
            let sign = match rest.chars().next() {
                Some('+') => -1,
                Some('-') => 1,
                _ => return false,
            };
            let Some(parts) = digits(&rest[1..], &[2, 2], ':') else { return false };
            if parts[0] > 23 || parts[1] > 59 {
                return false;
            }
            sign * i64::from(parts[0] * 60 + parts[1])
        }
    };
    // A leap second is at midnight, UTC.
    let utc = (i64::from(hour * 60 + minute) + offset).rem_euclid(24 * 60);
    second < 60 || utc == 23 * 60 + 59
}

fn date_time(text: &str) -> bool {
    text.is_ascii() && text.len() >= 20 && matches!(&text[10..11], "t" | "T") && date(&text[..10]) && time(&text[11..])
}

fn duration(text: &str) -> bool {
    let Some(body) = text.strip_prefix('P').filter(|body| !body.is_empty()) else { return false };
    if let Some(weeks) = body.strip_suffix('W') {
        return !weeks.is_empty() && weeks.bytes().all(|b| b.is_ascii_digit());
    }
    let parts: Vec<&str> = body.split('T').collect();
    if parts.len() > 2 || parts.get(1).is_some_and(|part| part.is_empty()) {
        return false;
    }
    parts.iter().zip(["YMD", "HMS"]).all(|(part, mut units)| {
        let mut rest = *part;
        while !rest.is_empty() {
            let len = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let unit = rest[len..].chars().next();
            let Some(at) = unit.filter(|_| len > 0).and_then(|unit| units.find(unit)) else { return false };
            units = &units[at + 1..];
            rest = &rest[len + 1..];
        }
        true
    })
}

fn period(text: &str) -> bool {
    let Some((start, end)) = text.split_once('/') else { return false };
    match start.starts_with('P') {
        true => duration(start) && date_time(end),
        false => date_time(start) && (if end.starts_with('P') { duration(end) } else { date_time(end) }),
    }
}

fn pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.is_empty() || text.starts_with('/') && escapes
}

fn relative_pointer(text: &str) -> bool {
    let len = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    len > 0 && !(len > 1 && text.starts_with('0')) && (&text[len..] == "#" || pointer(&text[len..]))
}

fn semver(text: &str) -> bool {
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let zero = |text: &str| text.len() > 1 && text.starts_with('0');
    let core: Vec<&str> = core.split('.').collect();
    core.len() == 3
        && core.iter().all(|part| !part.is_empty() && number(part) && !zero(part))
        && build.is_none_or(|build| build.split('.').all(word))
        && pre.is_none_or(|pre| pre.split('.').all(|part| word(part) && !(number(part) && zero(part))))
}
