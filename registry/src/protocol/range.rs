//! Ranges: of a blob that is read (RFC 9110, section 14), and of a chunk that is sent.

use std::ops::Range;

/// What a `Range` field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: there is no range, or one of a kind that may be ignored.
    All,
    /// One part.
    Part(Range<u64>),
    /// Nothing that there is: 416.
    Nothing,
}

/// Understands a `Range` field for something of `size` bytes. Several ranges at once are answered with everything, as
/// section 14.2 allows.
pub(crate) fn wanted(field: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = field.and_then(|field| field.trim().strip_prefix("bytes=")) else { return Wanted::All };
    if spec.contains(',') {
        return Wanted::All;
    }
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::All };
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Wanted::All,
        (true, false) => match number(last) {
            None => Wanted::All,
            Some(0) => Wanted::Nothing,
            Some(_) if size == 0 => Wanted::Nothing,
            Some(count) => Wanted::Part(size.saturating_sub(count)..size),
        },
        (false, _) => {
            let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match (number(first), last) {
                (Some(first), Some(last)) if first < size && first <= last => {
                    Wanted::Part(first..last.saturating_add(1).min(size))
                }
                (Some(_), Some(_)) => Wanted::Nothing,
                _ => Wanted::All,
            }
        }
    }
}

/// Understands the `Content-Range` of a chunk: `FIRST-LAST`, both inclusive, without a unit.
pub(crate) fn chunk(field: &str) -> Option<(u64, u64)> {
    let (first, last) = field.split_once('-')?;
    let number = |text: &str| {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u64>().ok())?
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_those_of_the_standard() {
        for (field, want) in [
            ("bytes=500-1499", Wanted::Part(500..1500)),
            ("bytes=500-", Wanted::Part(500..2048)),
            ("bytes=-500", Wanted::Part(1548..2048)),
            ("bytes=-5000", Wanted::Part(0..2048)),
            ("bytes=2000-5000", Wanted::Part(2000..2048)),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=500-0", Wanted::Nothing),
            ("bytes=2048-", Wanted::Nothing),
            ("bytes=5000-10000", Wanted::Nothing),
            ("bytes=99999999999999999999-", Wanted::Nothing),
            ("bytes=0-99999999999999999999", Wanted::Part(0..2048)),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=-", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=1-2,4-5", Wanted::All),
            ("lines=1-2", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(wanted(Some(field), 2048), want, "{field}");
        }
        assert_eq!(wanted(None, 2048), Wanted::All);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
        assert_eq!(wanted(Some("bytes=-1"), 0), Wanted::Nothing);
    }

    #[test]
    fn chunks_have_two_ends() {
        for (field, want) in [
            ("0-0", Some((0, 0))),
            ("10-19", Some((10, 19))),
            ("19-10", None),
            ("bytes 0-1", None),
            ("-1", None),
            ("1-", None),
            ("", None),
            ("0-99999999999999999999", None),
        ] {
            assert_eq!(chunk(field), want, "{field}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_inside(field in "(bytes=)?[0-9]{0,21}-?[0-9]{0,21}[,-]?[0-9]?", size in 0u64..5000) {
            if let Wanted::Part(part) = wanted(Some(&field), size) {
                prop_assert!(part.start < part.end && part.end <= size, "{} of {}: {:?}", field, size, part);
            }
        }
    }
}
