//! Which tags of a repository, and which repositories, are meant.

use regex::Regex;

use super::super::error::TransferError;
use crate::template::{version_is_valid, version_satisfies};

/// Which images of a repository.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// All tags.
    All,
    /// These tags and digests.
    These(Vec<String>),
    /// The tags that match.
    Matching(Regex),
    /// The tags that are versions in a range; tags that are no versions are not meant.
    Semver(String),
}

impl Which {
    /// Whether the registry has to be asked for its tags.
    pub(crate) fn needs_tags(&self) -> bool {
        !matches!(self, Self::These(_))
    }

    /// Those of the tags that are meant; those asked for by name, whatever there is.
    ///
    /// # Errors
    /// When the range is none.
    pub(crate) fn pick(&self, tags: Vec<String>) -> Result<Vec<String>, TransferError> {
        match self {
            Self::All => Ok(tags),
            Self::These(these) => Ok(these.clone()),
            Self::Matching(regex) => Ok(tags.into_iter().filter(|tag| regex.is_match(tag)).collect()),
            Self::Semver(range) => in_range(range, tags),
        }
    }
}

fn in_range(range: &str, tags: Vec<String>) -> Result<Vec<String>, TransferError> {
    let mut found = Vec::new();
    for tag in tags {
        // A tag that is no version is not in any range.
        if version_is_valid(&tag) && in_version_range(range, &tag)? {
            found.push(tag);
        }
    }
    Ok(found)
}

fn in_version_range(range: &str, version: &str) -> Result<bool, TransferError> {
    version_satisfies(version, range).map_err(|_reason| TransferError::Range { text: range.to_owned() })
}

/// What is left out of everything that was named.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    key: Key,
    value: Value,
    is_negated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Tag,
    Repository,
}

#[derive(Clone, Debug)]
enum Value {
    Regex(Regex),
    Range(String),
}

impl Filter {
    /// Reads `tag=REGEX`, `repository=REGEX` or `semver=RANGE`; with `!=` what does not match is kept.
    ///
    /// # Errors
    /// When it is none of these, or the expression is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, TransferError> {
        let wrong = |reason: String| TransferError::Filter { text: text.to_owned(), reason };
        let expected = || wrong("expected tag=REGEX, repository=REGEX or semver=RANGE".to_owned());
        let (key, value) = text.split_once('=').ok_or_else(expected)?;
        let (key, is_negated) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
        let regex = || Regex::new(value).map(Value::Regex).map_err(|error| wrong(last_line(&error.to_string())));
        let (key, value) = match key {
            "tag" => (Key::Tag, regex()?),
            "repository" => (Key::Repository, regex()?),
            "semver" => {
                in_range(value, vec!["1.0.0".to_owned()])?;
                (Key::Tag, Value::Range(value.to_owned()))
            }
            _ => return Err(expected()),
        };
        Ok(Self { key, value, is_negated })
    }

    /// Whether an image stays. One without a tag stays whatever is said about tags.
    pub(crate) fn keeps(&self, repository: &str, tag: Option<&str>) -> bool {
        let text = match self.key {
            Key::Repository => Some(repository),
            Key::Tag => tag,
        };
        let Some(text) = text else { return true };
        let is_match = match &self.value {
            Value::Regex(regex) => regex.is_match(text),
            Value::Range(range) => version_satisfies(text, range).unwrap_or(false),
        };
        is_match != self.is_negated
    }
}

/// The parser's picture of the place does not fit into one line; its last line says what is wrong.
pub(super) fn last_line(text: &str) -> String {
    text.lines().next_back().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(all: &[&str]) -> Vec<String> {
        all.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn tags_are_picked_by_name_expression_and_range() {
        let all = || tags(&["v1.9.0", "v1.10.2", "2.0.0-rc.1", "latest", "1.10"]);
        for (which, want) in [
            (Which::All, &["v1.9.0", "v1.10.2", "2.0.0-rc.1", "latest", "1.10"][..]),
            (Which::These(tags(&["absent", "latest"])), &["absent", "latest"]),
            (Which::Matching(Regex::new(r"^v1\.\d+\.").unwrap()), &["v1.9.0", "v1.10.2"]),
            (Which::Semver(">= 1.10".to_owned()), &["v1.10.2", "1.10"]),
            (Which::Semver(">= 1.10-0".to_owned()), &["v1.10.2", "2.0.0-rc.1", "1.10"]),
        ] {
            assert_eq!(which.pick(all()).unwrap(), want, "{which:?}");
        }
        assert!(Which::Semver("nonsense".to_owned()).pick(all()).is_err());
    }

    #[test]
    fn filters_keep_what_matches_or_what_does_not() {
        for (filter, repository, tag, want) in [
            ("tag=^v1", "a", Some("v1.2"), true),
            ("tag=^v1", "a", Some("v2"), false),
            ("tag!=-rc", "a", Some("v1-rc1"), false),
            ("tag=^v1", "a", None, true),
            ("repository=^team/", "team/app", Some("x"), true),
            ("repository!=^team/", "team/app", Some("x"), false),
            ("semver=~1.2", "a", Some("v1.2.9"), true),
            ("semver=~1.2", "a", Some("latest"), false),
        ] {
            assert_eq!(Filter::parse(filter).unwrap().keeps(repository, tag), want, "{filter} {repository} {tag:?}");
        }
        for wrong in ["", "tag", "tags=x", "tag=(", "semver=x y z"] {
            assert!(Filter::parse(wrong).is_err(), "{wrong}");
        }
    }
}
