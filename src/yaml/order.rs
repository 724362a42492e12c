//! The order of keys in Go's encoders: runs of digits compare as numbers, and what is a letter comes after what is not.

use std::cmp::Ordering;

use super::write::Dialect;

/// Compares two keys.
pub(super) fn compare(a: &str, b: &str, dialect: Dialect) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for i in 0..left.len().min(right.len()) {
        let (x, y) = (left[i], right[i]);
        if x == y {
            digits = x.is_numeric();
            continue;
        }
        let (alpha_x, alpha_y) = (x.is_alphabetic(), y.is_alphabetic());
        if alpha_x && alpha_y {
            return x.cmp(&y);
        }
        if alpha_x || alpha_y {
            // After digits, `go-yaml` 3 puts the letter first.
            let first = if digits && dialect == Dialect::Indented { alpha_x } else { alpha_y };
            return if first { Ordering::Less } else { Ordering::Greater };
        }
        let start = if x == '0' || y == '0' { zeros_count(&left[..i]) } else { 0 };
        let ((nx, lx), (ny, ly)) = (number(&left[i..], start), number(&right[i..], start));
        return nx.cmp(&ny).then(lx.cmp(&ly)).then(x.cmp(&y));
    }
    left.len().cmp(&right.len())
}

/// Whether digits other than zero stand directly before, so that zeros are digits of a number and not in front of one.
fn zeros_count(before: &[char]) -> i64 {
    i64::from(before.iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0'))
}

/// The number at the start of a text, after some digits already, and how many digits it has.
fn number(text: &[char], start: i64) -> (i64, usize) {
    let run = text.iter().take_while(|c| c.is_ascii_digit());
    run.fold((start, 0), |(value, count), c| {
        let digit = i64::from(c.to_digit(10).unwrap_or(0));
        (value.wrapping_mul(10).wrapping_add(digit), count + 1)
    })
}
