//! Who may do what in which repositories: the rules of a policy file, checked.
//!
//! ```yaml
//! groups:
//!   ops: [anna, ben]
//! rules:
//!   - who: ["@ops"]                 # groups, users, `*` (everybody with a name), `anonymous` (everybody)
//!     may: [pull, push, delete]
//!     in: ["*"]
//!   - who: [anonymous]
//!     may: [pull]
//!     in: [library/, docker.io/library/]
//!     except: [library/secret]
//! ```
//!
//! Rules only allow; what none of them allows is refused, so their order does not matter. A pattern is the name of a
//! repository and of everything below it (`team/app` is `team/app` and `team/app/web`, not `team/apple`), a prefix of
//! names (`team/`, `team/app-*`), or everything (`*`). `{user}` in it is the name of who asks. Pure.

use std::collections::{BTreeMap, HashSet};

use super::scope::Actions;

/// Stands for all repositories together, which no repository is called.
pub const EVERYWHERE: &str = "*";

/// Who asks, as far as rules are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Somebody without credentials.
    Anonymous,
    /// Somebody with a name.
    User {
        /// Their name.
        name: &'a str,
        /// All names in their certificate: `cert:NAME` in rules.
        certificate: &'a [String],
    },
}

/// What a rule allows, and whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Everybody, also without credentials.
    pub(crate) anonymous: bool,
    /// Everybody with a name.
    pub(crate) everybody: bool,
    /// Users; groups are resolved.
    pub(crate) users: HashSet<String>,
    /// Names in certificates.
    pub(crate) certificates: HashSet<String>,
    /// What they may do.
    pub(crate) actions: Actions,
    /// Whether they may see the operator's figures.
    pub(crate) metrics: bool,
    /// Where.
    pub(crate) within: Vec<Pattern>,
    /// Where not.
    pub(crate) except: Vec<Pattern>,
}

impl Rule {
    fn is_about(&self, subject: Subject<'_>) -> bool {
        match subject {
            Subject::Anonymous => self.anonymous,
            Subject::User { name, certificate } => {
                // Nobody loses anything by logging in.
                self.anonymous
                    || self.everybody
                    || self.users.contains(name)
                    || certificate.iter().any(|name| self.certificates.contains(name))
            }
        }
    }

    fn holds_in(&self, repository: &str, subject: Subject<'_>) -> bool {
        if repository == EVERYWHERE {
            return self.except.is_empty() && self.within.iter().any(Pattern::is_everything);
        }
        let matches = |pattern: &Pattern| pattern.matches(repository, subject);
        self.within.iter().any(matches) && !self.except.iter().any(matches)
    }
}

/// All rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub(crate) rules: Vec<Rule>,
}

impl Policy {
    /// What is allowed in a repository, or in all of them ([`EVERYWHERE`]).
    #[must_use]
    pub fn actions(&self, subject: Subject<'_>, repository: &str) -> Actions {
        let rules = self.rules.iter().filter(|rule| rule.is_about(subject) && rule.holds_in(repository, subject));
        rules.fold(Actions::NONE, |all, rule| all.or(rule.actions))
    }

    /// Whether anything is allowed anywhere.
    #[must_use]
    pub fn knows(&self, subject: Subject<'_>) -> bool {
        self.rules.iter().any(|rule| rule.is_about(subject) && (rule.metrics || !rule.actions.is_none()))
    }

    /// Whether the operator's figures may be seen.
    #[must_use]
    pub fn metrics(&self, subject: Subject<'_>) -> bool {
        self.rules.iter().any(|rule| rule.metrics && rule.is_about(subject))
    }
}

/// Which repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The text before and after `{user}`; only the first without it.
    prefix: String,
    behind_user: Option<String>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// This repository and what is below it.
    Component,
    /// Everything that begins so.
    Open,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing.
    #[error("a pattern cannot be empty; `*` is every repository")]
    Empty,
    /// A star elsewhere than at the end.
    #[error("`*` can only stand at the end of `{0}`")]
    Star(String),
    /// Upper case, a space, a leading slash: no repository is called so.
    #[error("no repository has a name that begins with `{0}`")]
    NotAName(String),
    /// Braces around something else than `user`, or twice.
    #[error("`{{user}}` is the only thing in braces that is known, once, in `{0}`")]
    Braces(String),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When no repository could be meant.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let (body, end) = match text.strip_suffix('*') {
            Some(body) => (body, End::Open),
            None if text.ends_with('/') => (text, End::Open),
            None => (text, End::Component),
        };
        if body.contains('*') {
            return Err(PatternError::Star(text.to_owned()));
        }
        let (prefix, behind_user) = match body.split_once("{user}") {
            Some((before, behind)) => (before, Some(behind.to_owned())),
            None => (body, None),
        };
        let parts = [prefix, behind_user.as_deref().unwrap_or("")];
        if parts.iter().any(|part| part.contains(['{', '}'])) {
            return Err(PatternError::Braces(text.to_owned()));
        }
        let in_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
        if body.starts_with('/') || body.contains("//") || !parts.iter().all(|part| part.chars().all(in_a_name)) {
            return Err(PatternError::NotAName(text.to_owned()));
        }
        Ok(Self { prefix: prefix.to_owned(), behind_user, end })
    }

    fn is_everything(&self) -> bool {
        self.prefix.is_empty() && self.behind_user.is_none() && self.end == End::Open
    }

    fn matches(&self, repository: &str, subject: Subject<'_>) -> bool {
        let Some(mut rest) = repository.strip_prefix(self.prefix.as_str()) else { return false };
        if let Some(behind) = &self.behind_user {
            let Subject::User { name, .. } = subject else { return false };
            // A name that is no component of a path cannot have repositories of its own; `a/b` must not get into a's.
            if name.contains('/') {
                return false;
            }
            let Some(stripped) = rest.strip_prefix(name).and_then(|rest| rest.strip_prefix(behind.as_str())) else {
                return false;
            };
            rest = stripped;
        }
        match self.end {
            End::Open => true,
            End::Component => rest.is_empty() || rest.starts_with('/'),
        }
    }
}

/// Members of groups, by the group's name.
pub(crate) type Groups = BTreeMap<String, Vec<String>>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn user(name: &str) -> Subject<'_> {
        Subject::User { name, certificate: &[] }
    }

    #[test]
    fn patterns_are_prefixes_of_components() {
        for (pattern, matching, other) in [
            ("*", &["a", "a/b/c"][..], &[][..]),
            ("team/app", &["team/app", "team/app/web"], &["team/apple", "team", "x/team/app"]),
            ("team/", &["team/app", "team/a/b"], &["team", "teams/a"]),
            ("team/*", &["team/app"], &["team"]),
            ("team/app-*", &["team/app-a", "team/app-"], &["team/app"]),
            ("hub.example:5000/a", &["hub.example:5000/a"], &["hub.example:5000/ab"]),
            ("home/{user}", &["home/anna", "home/anna/x"], &["home/annabel", "home/ben", "home/"]),
            ("home/{user}/", &["home/anna/x"], &["home/anna", "home/ann/x"]),
            ("{user}-*", &["anna-x"], &["annax"]),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            for name in matching {
                assert!(parsed.matches(name, user("anna")), "{pattern} {name}");
            }
            for name in other {
                assert!(!parsed.matches(name, user("anna")), "{pattern} {name}");
            }
        }
        assert!(!Pattern::parse("home/{user}").unwrap().matches("home/anna", Subject::Anonymous));
        assert!(!Pattern::parse("home/{user}").unwrap().matches("home/anna/x", user("anna/x")));
    }

    #[test]
    fn what_no_repository_is_called_is_not_a_pattern() {
        for (text, want) in [
            ("", "a pattern cannot be empty; `*` is every repository"),
            ("a*b", "`*` can only stand at the end of `a*b`"),
            ("**", "`*` can only stand at the end of `**`"),
            ("Team/", "no repository has a name that begins with `Team/`"),
            ("/a", "no repository has a name that begins with `/a`"),
            ("a//b", "no repository has a name that begins with `a//b`"),
            ("a b", "no repository has a name that begins with `a b`"),
            ("{group}/", "`{user}` is the only thing in braces that is known, once, in `{group}/`"),
            ("{user}{user}", "`{user}` is the only thing in braces that is known, once, in `{user}{user}`"),
        ] {
            assert_eq!(Pattern::parse(text).unwrap_err().to_string(), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_never_reaches_outside_its_prefix(
            pattern in "[a-c/.{}*user]{0,12}", name in "[a-c/]{1,12}", who in "[a-c/]{0,4}",
        ) {
            if let Ok(parsed) = Pattern::parse(&pattern) {
                if parsed.matches(&name, user(&who)) {
                    prop_assert!(name.starts_with(&parsed.prefix));
                }
                prop_assert!(!parsed.matches(&name, Subject::Anonymous) || parsed.behind_user.is_none());
            }
        }
    }
}
