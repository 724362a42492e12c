//! Finds the word a writer probably meant. Says nothing when no candidate is near.

/// The candidate nearest to `word`, when it is near enough to be a slip of the fingers.
///
/// Distance counts insertions, deletions, replacements and swaps of neighbours; at most two, and at most half the word.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = word.to_lowercase().chars().take(64).collect();
    let limit = (typed.len() / 2).min(2);
    candidates
        .into_iter()
        .map(|candidate| (distance(&typed, &candidate.to_lowercase().chars().collect::<Vec<_>>()), candidate))
        .filter(|(far, _)| (1..=limit).contains(far))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b {
                best = best.min(before_last[column - 1] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_finds_none() {
        let known = ["COPY", "CMD", "ADD", "FROM", "ENTRYPOINT"];
        for (word, found) in [
            ("COYP", Some("COPY")),
            ("copz", Some("COPY")),
            ("FORM", Some("FROM")),
            ("ENTRYPONT", Some("ENTRYPOINT")),
            ("COPY", None),
            ("X", None),
            ("", None),
            ("apt-get", None),
        ] {
            assert_eq!(nearest(word, known), found, "{word:?}");
        }
    }
}
