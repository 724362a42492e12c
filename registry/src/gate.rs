//! Who may do what: the question that is asked before anything is looked up, and its answers.

use std::sync::Arc;
use std::time::Duration;

use crate::http::Head;

/// What somebody wants to do in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Read.
    Pull,
    /// Write.
    Push,
    /// Remove.
    Delete,
}

/// What a request needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    /// Nothing but to be known: `GET /v2/`.
    Base,
    /// The list of repositories. What it shows is filtered with [`Access::may`] afterwards.
    Catalog,
    /// The figures and pages of the operator.
    Operate,
    /// Something in a repository. Mounting a blob needs two of these.
    Repository {
        /// Its name, as it was asked for.
        name: &'a str,
        /// What for.
        action: Action,
    },
}

/// What a bearer token grants in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The repository.
    pub repository: String,
    /// What for.
    pub actions: Vec<Action>,
}

/// Somebody whom [`Access::authorize`] knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What logs call them; `anonymous` without credentials.
    pub name: Arc<str>,
    /// What their token is restricted to; none when there is no token.
    pub grants: Option<Arc<[Grant]>>,
}

impl Identity {
    /// Somebody without credentials.
    pub fn anonymous() -> Self {
        Self { name: Arc::from("anonymous"), grants: None }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow(Identity),
    /// Credentials are missing or wrong: 401 with these values of `WWW-Authenticate`.
    Challenge(Vec<String>),
    /// Known, but not allowed: 403 with this text.
    Deny(String),
    /// Too many attempts: 429 with `Retry-After`.
    Later(Duration),
}

/// Who may do what. One for a registry; asked by many threads at once.
pub trait Access: Send + Sync {
    /// Finds out who asks, and whether they may do all of `needs`. An answer that takes longer than a millisecond (a
    /// password hash) is to be found after [`crate::seat::leave`].
    fn authorize(&self, head: &Head<'_>, needs: &[Need<'_>]) -> Verdict;

    /// Whether somebody who is known may do something else as well: see a repository in the catalog, or get to an image
    /// under another of its names.
    fn may(&self, who: &Identity, need: Need<'_>) -> bool;
}

/// Everybody may do everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Access for Open {
    fn authorize(&self, _head: &Head<'_>, _needs: &[Need<'_>]) -> Verdict {
        Verdict::Allow(Identity::anonymous())
    }

    fn may(&self, _who: &Identity, _need: Need<'_>) -> bool {
        true
    }
}
