//! What a request wants to do with which resource.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is done with a repository or registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Pull,
    Push,
    Delete,
}

impl Scope {
    fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Pull => &["pull"],
            Self::Push => &["pull", "push"],
            Self::Delete => &["delete", "pull"],
        }
    }
}

/// Resources (`repository:NAME`) and actions, sorted: equal wishes are equal texts.
///
/// Source: Docker's token scope documentation: `repository:NAME:pull,push`, several separated by spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    /// What is done with one repository.
    pub(crate) fn repository(name: &str, scope: Scope) -> Self {
        let actions = scope.actions().iter().map(|action| (*action).to_owned()).collect();
        Self(BTreeMap::from([(format!("repository:{name}"), actions)]))
    }

    /// The list of all repositories.
    pub(crate) fn catalog() -> Self {
        Self(BTreeMap::from([("registry:catalog".to_owned(), BTreeSet::from(["*".to_owned()]))]))
    }

    /// Reads what a challenge names; a resource may hold colons.
    pub(crate) fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for part in text.split_whitespace() {
            if let Some((resource, actions)) = part.rsplit_once(':') {
                let actions = actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned);
                scopes.0.entry(resource.to_owned()).or_default().extend(actions);
            }
        }
        scopes
    }

    /// Both wishes.
    #[must_use]
    pub(crate) fn and(mut self, other: &Self) -> Self {
        for (resource, actions) in &other.0 {
            self.0.entry(resource.clone()).or_default().extend(actions.iter().cloned());
        }
        self
    }

    /// One `resource:actions` a resource.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_sorted_and_merged() {
        let push = Scopes::repository("team/app", Scope::Push);
        let from = Scopes::repository("team/base", Scope::Pull);
        let both = push.clone().and(&from).and(&Scopes::parse("repository:team/app:delete,push"));
        assert_eq!(both.to_string(), "repository:team/app:delete,pull,push repository:team/base:pull");
        assert_eq!(Scopes::parse("repository:host:5000/a:pull").to_string(), "repository:host:5000/a:pull");
        assert_eq!(Scopes::parse("").to_string(), "");
        assert_eq!(Scopes::catalog().to_string(), "registry:catalog:*");
    }
}
