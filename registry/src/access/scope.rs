//! Scopes of tokens: `repository:team/app:pull,push`, `registry:catalog:*`.
//!
//! Source: the distribution project's "Token scope documentation". Pure.

use std::fmt;

use crate::gate::Action;

/// A set of actions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Actions(u8);

impl Actions {
    /// No action.
    pub const NONE: Self = Self(0);
    /// Reading.
    pub const PULL: Self = Self(1);
    /// Writing.
    pub const PUSH: Self = Self(2);
    /// Removing.
    pub const DELETE: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of the other's are in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none in it.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// By their names in scopes; `*` is all, what is not known is none.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().fold(Self::NONE, |all, name| {
            all.or(match name {
                "pull" => Self::PULL,
                "push" => Self::PUSH,
                "delete" => Self::DELETE,
                "*" => Self::ALL,
                _ => Self::NONE,
            })
        })
    }

    /// The names in scopes.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [(Self::PULL, "pull"), (Self::PUSH, "push"), (Self::DELETE, "delete")];
        all.into_iter().filter(move |(action, _)| self.covers(*action)).map(|(_, name)| name)
    }
}

impl From<Action> for Actions {
    fn from(action: Action) -> Self {
        match action {
            Action::Pull => Self::PULL,
            Action::Push => Self::PUSH,
            Action::Delete => Self::DELETE,
        }
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actions({self})")
    }
}

/// What somebody asks a token for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Actions in a repository.
    Repository {
        /// Its name; not checked: there may be no such repository.
        name: String,
        /// What for.
        actions: Actions,
    },
    /// The list of repositories.
    Catalog,
}

impl Scope {
    /// Reads one scope; none when it is not of a kind that this registry knows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        // A name can hold a port: the actions are behind the last colon.
        let (name, actions) = rest.rsplit_once(':')?;
        let kind = kind.split_once('(').map_or(kind, |(kind, _class)| kind);
        match (kind, name) {
            ("repository", name) if !name.is_empty() => {
                Some(Self::Repository { name: name.to_owned(), actions: Actions::named(actions.split(',')) })
            }
            ("registry", "catalog") if actions.split(',').any(|action| action == "*") => Some(Self::Catalog),
            _ => None,
        }
    }

    /// Reads all scopes of a request: each value can hold several, with spaces between them. No more than `limit`.
    pub fn parse_all<'a>(values: impl IntoIterator<Item = &'a str>, limit: usize) -> Vec<Self> {
        values.into_iter().flat_map(str::split_whitespace).filter_map(Self::parse).take(limit).collect()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { name, actions } => write!(f, "repository:{name}:{actions}"),
            Self::Catalog => f.write_str("registry:catalog:*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scopes_are_read_as_clients_write_them() {
        let repository = |name: &str, actions| Some(Scope::Repository { name: name.to_owned(), actions });
        for (text, want) in [
            ("repository:team/app:pull", repository("team/app", Actions::PULL)),
            ("repository:a:pull,push", repository("a", Actions::PULL.or(Actions::PUSH))),
            ("repository:a:*", repository("a", Actions::ALL)),
            ("repository:a:delete,fly", repository("a", Actions::DELETE)),
            ("repository(plugin):a:pull", repository("a", Actions::PULL)),
            ("repository:hub:5000/a:push", repository("hub:5000/a", Actions::PUSH)),
            ("repository:a:", repository("a", Actions::NONE)),
            ("registry:catalog:*", Some(Scope::Catalog)),
            ("registry:catalog:pull", None),
            ("registry:other:*", None),
            ("repository::pull", None),
            ("repository:a", None),
            ("", None),
        ] {
            assert_eq!(Scope::parse(text), want, "{text}");
        }
        let all = Scope::parse_all(["repository:a:pull  registry:catalog:*", "x", "repository:b:push"], 9);
        assert_eq!(
            all.iter().map(Scope::to_string).collect::<Vec<_>>().join(" "),
            "repository:a:pull registry:catalog:* repository:b:push"
        );
        assert_eq!(Scope::parse_all(["repository:a:pull repository:b:pull"], 1).len(), 1);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(name in "[a-z0-9:/._-]{1,30}", bits in 1_u8..8) {
            let scope = Scope::Repository { name, actions: Actions(bits) };
            prop_assert_eq!(Scope::parse(&scope.to_string()), Some(scope));
        }
    }
}
