//! The syntax inside `--mount` and `--device`: CSV fields, truth values, sizes.

/// The fields of one CSV line; `None` when it is empty or its quotes do not fit.
pub(crate) fn fields(line: &str) -> Option<Vec<String>> {
    if line.is_empty() {
        return None;
    }
    let mut fields = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let Some(quoted) = text.strip_prefix('"') else {
            let (field, after) = text.split_once(',').map_or((text, None), |(field, after)| (field, Some(after)));
            if field.contains('"') {
                return None;
            }
            fields.push(field.to_owned());
            rest = after;
            continue;
        };
        let (field, after) = quoted_field(quoted)?;
        fields.push(field);
        rest = after;
    }
    Some(fields)
}

/// A field after its opening quote, and what follows its comma.
fn quoted_field(text: &str) -> Option<(String, Option<&str>)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.chars().next() {
            None => return Some((field, None)),
            Some(',') => return Some((field, Some(after.get(1..)?))),
            Some('"') => {
                field.push('"');
                rest = after.get(1..)?;
            }
            Some(_) => return None,
        }
    }
}

/// A truth value as Go reads it.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A size such as `64m`, `1.5GiB` or `100`; units count in 1024s.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let number = text.get(..=end)?;
    let suffix = text.get(end + 1..)?.to_ascii_lowercase();
    let number: f64 = number.strip_suffix(' ').unwrap_or(number).parse().ok()?;
    if !(number.is_finite() && number >= 0.0) {
        return None;
    }
    let (unit, tail) = suffix.split_at_checked(suffix.chars().next().map_or(0, char::len_utf8))?;
    let power = match unit {
        "" | "b" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let fits = if power == 0 { tail.is_empty() } else { matches!(tail, "" | "b" | "ib") };
    fits.then(|| (number * 1024_f64.powi(power)) as u64)
}

#[cfg(test)]
mod tests {
    use super::{bytes, fields};

    #[test]
    fn fields_are_split_as_csv() {
        for (line, expected) in [
            ("a=b,c", Some(vec!["a=b", "c"])),
            ("\"a,b\",c", Some(vec!["a,b", "c"])),
            ("\"a\"\"b\"", Some(vec!["a\"b"])),
            ("a,", Some(vec!["a", ""])),
            ("a\"b", None),
            ("\"a\"b", None),
            ("\"a", None),
            ("", None),
        ] {
            let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(fields(line), expected, "{line}");
        }
    }

    #[test]
    fn sizes_count_in_1024s() {
        for (text, expected) in [
            ("100", Some(100)),
            ("1k", Some(1024)),
            ("1.5 KiB", Some(1536)),
            ("64MB", Some(64 << 20)),
            ("2g", Some(2 << 30)),
            ("7b", Some(7)),
            ("7bb", None),
            ("1x", None),
            ("-1k", None),
            ("k", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
