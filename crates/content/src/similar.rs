//! Which names a user may have meant.

/// More suggestions do not help.
const MOST: usize = 3;

/// The names that are nearly `wanted`, best first.
pub(crate) fn rank(wanted: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let base = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let repository = |text: &str| base(text).split([':', '@']).next().unwrap_or_default().to_owned();
    let mut ranked: Vec<(usize, String)> = names
        .filter_map(|name| {
            let distance = distance(&base(wanted), &base(&name));
            let is_near = distance <= 2.max(base(wanted).len() / 4) || repository(wanted) == repository(&name);
            is_near.then_some((distance, name))
        })
        .collect();
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// Insertions, removals and replacements of bytes that lead from one text to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_first() {
        let names = ["myapp:v1", "myapp:v2", "nginx:1.27", "hub.example/team/myap:v1"].map(str::to_owned);
        assert_eq!(rank("myapp:v1x", names.clone().into_iter())[0], "myapp:v1");
        assert_eq!(rank("ngnix:1.27", names.clone().into_iter()), ["nginx:1.27"]);
        assert!(rank("redis", names.into_iter()).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
