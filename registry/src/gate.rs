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
    /// The list of repositories. What it shows is filtered with [`Access::may`] and [`Need::Listed`] afterwards.
    Catalog,
    /// To see a repository in that list.
    Listed {
        /// Its name, as the list has it.
        name: &'a str,
    },
    /// To read a repository that was asked for under another of its names.
    Alias {
        /// The name that it has.
        name: &'a str,
    },
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

/// Everything that a bearer token grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// In repositories.
    pub repositories: Vec<Grant>,
    /// Whether the list of repositories is granted.
    pub catalog: bool,
    /// Whether this registry issued the token: then its own rules are known to be behind it, and they say what may be
    /// read under other names.
    pub is_own: bool,
}

/// How somebody has shown who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Not at all.
    None,
    /// With a password.
    Password,
    /// With a token, which restricts them to what it grants.
    Token(Arc<Grants>),
    /// With a certificate: all names in it.
    Certificate(Arc<[String]>),
}

/// Somebody whom [`Access::authorize`] has let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What logs call them; `anonymous` without credentials.
    pub name: Arc<str>,
    /// How they have shown who they are.
    pub proof: Proof,
}

impl Identity {
    /// Somebody without credentials.
    pub fn anonymous() -> Self {
        Self { name: Arc::from("anonymous"), proof: Proof::None }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow(Identity),
    /// Credentials are missing, wrong or not enough: 401 `UNAUTHORIZED`.
    Challenge {
        /// The values of `WWW-Authenticate`.
        offers: Vec<String>,
        /// What the client is told.
        text: String,
    },
    /// Known, but not allowed: 403 `DENIED`.
    Deny {
        /// Who it is.
        who: Identity,
        /// What the client is told.
        text: String,
    },
    /// Too many attempts: 429 `TOOMANYREQUESTS` with `Retry-After`.
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

    /// Values of `WWW-Authenticate` for a successful answer to `GET /v2/`: somebody without credentials may read, but
    /// clients that look here only once have to learn how to log in.
    fn offers(&self, _head: &Head<'_>, _who: &Identity) -> Vec<String> {
        Vec::new()
    }
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
