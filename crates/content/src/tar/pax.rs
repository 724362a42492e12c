//! PAX extended headers: `LENGTH KEYWORD=VALUE\n`, the length counting itself.

/// Appends one record.
pub(super) fn push(records: &mut Vec<u8>, keyword: &[u8], value: &[u8]) {
    let rest = keyword.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + digits(length) {
        length = rest + digits(length);
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(keyword);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn digits(mut number: usize) -> usize {
    let mut count = 1;
    while number >= 10 {
        number /= 10;
        count += 1;
    }
    count
}

/// Keyword and value.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// All records of a header's bytes, in order.
///
/// # Errors
/// The rule that is broken.
pub(super) fn records(mut bytes: &[u8]) -> Result<Vec<Record<'_>>, &'static str> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        // Some writers pad with NULs inside the declared size.
        if bytes.iter().all(|byte| *byte == 0) {
            break;
        }
        let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or("a record has no length")?;
        let length = decimal(&bytes[..space]).ok_or("a record's length is no number")?;
        let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len());
        let length = length.filter(|length| *length > space + 2).ok_or("a record's length is impossible")?;
        let (record, rest) = bytes.split_at(length);
        let Some((b'\n', body)) = record[space + 1..].split_last() else { return Err("a record has no end") };
        let equals = body.iter().position(|byte| *byte == b'=').ok_or("a record has no value")?;
        if equals == 0 {
            return Err("a record has no keyword");
        }
        found.push((&body[..equals], &body[equals + 1..]));
        bytes = rest;
    }
    Ok(found)
}

/// A plain decimal number; nothing else, not even a sign.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

/// A time in seconds with an optional fraction and sign, rounded towards the past to whole seconds.
pub(super) fn seconds(text: &[u8]) -> Option<i64> {
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[][..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (negative, number) = match whole.strip_prefix(b"-") {
        Some(number) => (true, number),
        None => (false, whole),
    };
    let value = i64::try_from(decimal(number)?).ok()?;
    let has_fraction = fraction.iter().any(|digit| *digit != b'0');
    Some(if negative { -value - i64::from(has_fraction) } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length_across_a_power_of_ten() {
        for length in 0..300 {
            let value = vec![b'v'; length];
            let mut bytes = Vec::new();
            push(&mut bytes, b"path", &value);
            assert_eq!(records(&bytes), Ok(vec![(&b"path"[..], &value[..])]), "{length}");
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bytes in [
            &b"path=x\n"[..],
            b"9 path=x\n9 ",
            b"99 path=x\n",
            b"18446744073709551616 path=x\n",
            b"99999999999999999999999 path=x\n",
            b"-9 path=x\n",
            b"+9 path=x\n",
            b"8 path=x\n",
            b"9 path=xy",
            b"7 path\n",
            b"5 =x\n",
            b"3 \n",
            b"0 ",
            b" 9 path=x\n",
        ] {
            assert!(records(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn times_are_rounded_towards_the_past() {
        for (text, want) in [
            ("0", Some(0)),
            ("12.9", Some(12)),
            ("-1", Some(-1)),
            ("-1.5", Some(-2)),
            ("-1.0", Some(-1)),
            ("12.", Some(12)),
            ("", None),
            ("-", None),
            ("1e3", None),
            ("1.-5", None),
            ("--1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), want, "{text}");
        }
    }
}
