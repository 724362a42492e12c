//! `--filter KEY=VALUE[,KEY=VALUE…]` of `images` and `prune`: which images are meant.
//!
//! Filters of different keys must all hold; of several with one key, one must, except `label`, where all must. `!=`
//! turns a filter round, and all of those must hold.

use oci::Reference;
use regex::Regex;

use super::error::CommandError;
use super::row::Listed;
use crate::report::time::{Moment, parse_span};

/// The keys there are.
pub(crate) const KEYS: [&str; 13] = [
    "after",
    "before",
    "containers",
    "dangling",
    "digest",
    "id",
    "intermediate",
    "label",
    "manifest",
    "readonly",
    "reference",
    "since",
    "until",
];

/// Those that say which of the images that are in the way are removed.
pub(crate) const PRUNE_KEYS: [&str; 8] = ["after", "before", "digest", "id", "label", "reference", "since", "until"];

/// One `KEY=VALUE`.
pub(crate) struct Filter {
    key: &'static str,
    negated: bool,
    test: Test,
}

enum Test {
    After(Moment),
    Before(Moment),
    /// Whether something installed here came from it: what a container is to other tools.
    Used(bool),
    /// Of a property that no image of this store has (read-only, intermediate).
    Never(bool),
    Dangling(bool),
    Manifest(bool),
    Digest(String),
    Id(String),
    Label(String, Option<String>),
    Reference(Regex),
}

/// The filters of one argument: a comma ends one where another one begins, so that values may hold commas.
pub(crate) fn split<'t>(text: &'t str, keys: &[&'static str]) -> Vec<&'t str> {
    let begins = |rest: &str| {
        let key = rest.split_once('=').map(|(key, _)| key.strip_suffix('!').unwrap_or(key));
        key.is_some_and(|key| keys.contains(&key))
    };
    let ends: Vec<usize> = text.match_indices(',').map(|(at, _)| at).filter(|at| begins(&text[at + 1..])).collect();
    let starts = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
    starts.zip(ends.iter().copied().chain([text.len()])).map(|(start, end)| &text[start..end]).collect()
}

/// Reads a filter with one of these keys. `moment_of` tells when an image was made.
pub(crate) fn parse(
    text: &str,
    keys: &[&'static str],
    now: Moment,
    moment_of: &dyn Fn(&str) -> Result<Moment, CommandError>,
) -> Result<Filter, CommandError> {
    let wrong = |expected| CommandError::FilterValue { text: text.to_owned(), expected };
    let (key, value) = text.split_once('=').ok_or_else(|| wrong("KEY=VALUE"))?;
    let (key, negated) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
    let known = keys.iter().copied().find(|known| *known == key);
    let unknown =
        || CommandError::UnknownFilter { key: key.to_owned(), similar: similar(key, keys), keys: keys.join(", ") };
    let key = known.ok_or_else(unknown)?;
    let truth = || match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" => Ok(true),
        "false" | "0" | "f" => Ok(false),
        _ => Err(wrong("true or false")),
    };
    let test = match key {
        "after" | "since" => Test::After(moment_of(value)?),
        "before" => Test::Before(moment_of(value)?),
        "until" => Test::Before(until(value, now).ok_or_else(|| wrong("a span such as 24h, a date or a time"))?),
        "containers" => Test::Used(truth()?),
        "dangling" => Test::Dangling(truth()?),
        "manifest" => Test::Manifest(truth()?),
        "digest" => Test::Digest(value.to_owned()),
        "id" => Test::Id(value.strip_prefix("sha256:").unwrap_or(value).to_owned()),
        "label" => match value.split_once('=') {
            Some((name, value)) => Test::Label(name.to_owned(), Some(value.to_owned())),
            None => Test::Label(value.to_owned(), None),
        },
        "reference" => Test::Reference(glob(value).ok_or_else(|| wrong("a pattern such as team/*:v1"))?),
        _ => Test::Never(truth()?),
    };
    Ok(Filter { key, negated, test })
}

/// Whether an image is listed.
pub(crate) fn keeps(filters: &[Filter], image: &Listed) -> bool {
    let all_must = |filter: &Filter| filter.negated || filter.key == "label";
    filters.iter().all(|filter| match all_must(filter) {
        true => filter.test.holds(image) != filter.negated,
        false => filters.iter().any(|other| other.key == filter.key && !other.negated && other.test.holds(image)),
    })
}

impl Test {
    fn holds(&self, image: &Listed) -> bool {
        match self {
            Self::After(moment) => image.created > *moment,
            Self::Before(moment) => image.created < *moment,
            Self::Used(wanted) => image.is_used == *wanted,
            Self::Never(wanted) => !wanted,
            Self::Dangling(wanted) => image.names.is_empty() == *wanted,
            Self::Manifest(wanted) => image.summary.index.is_some() == *wanted,
            Self::Digest(text) => {
                let digest = image.summary.root.digest;
                !text.is_empty() && (digest.to_string().starts_with(text) || digest.hex().starts_with(text))
            }
            Self::Id(text) => !text.is_empty() && image.summary.id().hex().starts_with(text),
            Self::Label(name, value) => {
                let label = image.summary.config().and_then(|config| config.config.labels.get(name));
                label.is_some_and(|label| value.as_ref().is_none_or(|value| value == label))
            }
            Self::Reference(pattern) => image.names.iter().any(|name| matches_name(pattern, name)),
        }
    }
}

/// Whether a pattern fits a name: as written or in full, with or without the tag, from any slash on.
pub(crate) fn matches_name(pattern: &Regex, name: &Reference) -> bool {
    let bare = [name.familiar_name().to_owned(), format!("{}/{}", name.registry(), name.repository())];
    let forms = [name.familiar(), name.normal()].into_iter().chain(bare);
    forms.into_iter().any(|form| {
        let starts = std::iter::once(0).chain(form.match_indices('/').map(|(at, _)| at + 1));
        starts.into_iter().any(|at| pattern.is_match(&form[at..]))
    })
}

/// A shell pattern: `*` and `?` stop at slashes, `**` does not, `[a-z]` and `[!a-z]` are sets.
pub(crate) fn glob(text: &str) -> Option<Regex> {
    let mut out = String::from(r"\A");
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => out.push_str(&set(&mut rest)?),
            '\\' => out.push_str(&regex::escape(&rest.next()?.to_string())),
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push_str(r"\z");
    Regex::new(&out).ok()
}

/// The rest of a set up to `]`, as a regular expression.
fn set(rest: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut out = String::from("[");
    for (at, c) in rest.enumerate() {
        match c {
            ']' if at > 0 => return Some(out + "]"),
            '!' | '^' if at == 0 => out.push('^'),
            '-' => out.push('-'),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    None
}

fn until(text: &str, now: Moment) -> Option<Moment> {
    let seconds = || text.parse().ok().map(Moment::at);
    let ago = || parse_span(text).map(|span| now.minus(span));
    Moment::parse(text).or_else(|| Moment::parse_day(text)).or_else(seconds).or_else(ago)
}

/// The key that shares most of its beginning with what was typed, or contains it.
fn similar(typed: &str, keys: &[&'static str]) -> Option<&'static str> {
    let shared = |key: &str| key.bytes().zip(typed.bytes()).take_while(|(a, b)| a == b).count();
    keys.iter().copied().filter(|key| shared(key) >= 2).max_by_key(|key| shared(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_as_users_write_them() {
        for (pattern, name, want) in [
            ("nginx", "nginx:1.27", true),
            ("nginx:1.27", "docker.io/library/nginx:1.27", true),
            ("nginx:*", "nginx:1.27", true),
            ("ngin?", "nginx", true),
            ("*", "a/b/c:v1", true),
            ("labring/*", "quay.io/labring/helm:v3", true),
            ("quay.io/*", "quay.io/labring/helm:v3", false),
            ("quay.io/**", "quay.io/labring/helm:v3", true),
            ("docker.io/library/nginx", "nginx", true),
            ("[a-m]ginx", "nginx", false),
            ("[!a-m]ginx", "nginx", true),
            ("ngin", "nginx", false),
            ("n.inx", "nginx", false),
        ] {
            let fits = matches_name(&glob(pattern).unwrap(), &name.parse().unwrap());
            assert_eq!(fits, want, "{pattern} {name}");
        }
        for bad in ["[", "[a", "a\\", "[z-a]"] {
            assert!(glob(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn several_filters_may_stand_in_one_argument() {
        for (text, want) in [
            ("dangling=true", &["dangling=true"][..]),
            ("until=1h,label=a=b", &["until=1h", "label=a=b"]),
            ("label!=a,b,id=1,label=c", &["label!=a,b", "id=1", "label=c"]),
            ("label=a=x,until=1h", &["label=a=x", "until=1h"]),
            ("label=a=x,refrence=1", &["label=a=x,refrence=1"]),
            ("", &[""]),
        ] {
            assert_eq!(split(text, &KEYS), want, "{text}");
        }
    }

    #[test]
    fn wrong_filters_are_refused_with_the_way_out() {
        let parse = |text| parse(text, &KEYS, Moment::at(0), &|_| Ok(Moment::at(0))).map(|filter| filter.negated);
        for (text, want) in [
            ("dangling", "error: the filter `dangling` is wrong: expected KEY=VALUE\n"),
            ("dangling=perhaps", "error: the filter `dangling=perhaps` is wrong: expected true or false\n"),
            ("refrence=x", "error: there is no filter `refrence`\nhelp: did you mean `reference`?\n"),
            ("until=soon", "error: the filter `until=soon` is wrong: expected a span such as 24h, a date or a time\n"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_text(), want, "{text}");
        }
        assert!(parse("label!=a=b").unwrap());
        assert!(!parse("until=2024-01-01").unwrap());
    }
}
