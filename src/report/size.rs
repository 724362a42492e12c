//! Numbers of bytes for people: three significant digits, units of 1000.

const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];

/// `1.23 GB`.
pub fn human(bytes: u64) -> String {
    let mut unit = 0;
    let mut value = bytes as f64;
    // 999.5 would be written as 1000: it belongs to the next unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_significant_digits() {
        for (bytes, want) in [
            (0, "0 B"),
            (1, "1 B"),
            (999, "999 B"),
            (1000, "1 KB"),
            (1234, "1.23 KB"),
            (1500, "1.5 KB"),
            (9_994, "9.99 KB"),
            (9_996, "10 KB"),
            (12_345, "12.3 KB"),
            (123_456, "123 KB"),
            (999_499, "999 KB"),
            (999_500, "1 MB"),
            (2_000_000_000, "2 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(human(bytes), want, "{bytes}");
        }
    }
}
