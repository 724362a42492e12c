//! User names and passwords: where they are kept, and which one is for which repository.
//!
//! ```text
//! Logins ── lookup, list ──▶ auth files in order ──▶ entry, or the helper that the file names
//!       └── save, erase ───▶ the file that survives a reboot, or its helper
//! ```
//!
//! Invariants: the most specific key (`host/ns/repo`, `host/ns`, `host`) of the first file that has one wins; files are
//! written as a whole, for their owner only, under a lock, and what is in them that is not ours stays.

mod document;
mod files;
mod logins;
mod program;

use std::fmt;

pub use logins::{Login, Logins};

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be sent to the one who may have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a registry is told about who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// User name and password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// An OAuth2 refresh token (`identitytoken`).
    Identity(Secret),
}

/// The user that stands for an identity token, as credential helpers have it.
pub const TOKEN_USER: &str = "<token>";

impl Credentials {
    /// What a user and a secret stand for: `<token>` is nobody's name.
    pub fn of(user: &str, secret: Secret) -> Self {
        match user {
            TOKEN_USER => Self::Identity(secret),
            user => Self::Password { user: user.to_owned(), password: secret },
        }
    }

    /// The user, as far as one is known.
    pub(crate) fn user(&self) -> &str {
        match self {
            Self::Password { user, .. } => user,
            Self::Identity(_) => "",
        }
    }
}
