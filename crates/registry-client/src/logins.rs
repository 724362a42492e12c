//! Credentials that are kept: login writes them, logout removes them, lists show whose they are.

use std::path::PathBuf;

use crate::credentials::{self, Credentials};
use crate::{Client, RegistryError};

/// The auth files of this user, or the one that was named.
#[derive(Clone, Debug, Default)]
pub struct Logins {
    authfile: Option<PathBuf>,
}

/// Who is known to a registry, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// `HOST` or `HOST/NAMESPACE/REPOSITORY`.
    pub key: String,
    /// The user; empty for an identity token.
    pub user: String,
    /// The file or the helper that has it.
    pub place: String,
}

impl Logins {
    /// The usual files, or only `authfile`.
    pub fn new(authfile: Option<PathBuf>) -> Self {
        Self { authfile }
    }

    /// Who we are for a registry or repository (`HOST[/PATH]`), if somebody is logged in.
    ///
    /// # Errors
    /// When a file cannot be understood or a helper fails.
    pub fn get(&self, key: &str) -> Result<Option<Login>, RegistryError> {
        let (host, path) = key.split_once('/').unwrap_or((key, ""));
        let found = credentials::lookup(self.authfile.as_deref(), host, path)?;
        Ok(found.map(|found| {
            let user = match found {
                Credentials::Password { user, .. } => user,
                Credentials::Identity(_) => String::new(),
            };
            Login { key: key.to_owned(), user, place: String::new() }
        }))
    }

    /// Everybody that is logged in.
    ///
    /// # Errors
    /// When a file cannot be understood or a helper fails.
    pub fn list(&self) -> Result<Vec<Login>, RegistryError> {
        Err(self.unsupported())
    }

    /// Keeps credentials for a registry or repository; the place that has them now.
    ///
    /// # Errors
    /// When the file cannot be written or a helper fails.
    pub fn save(&self, _key: &str, _credentials: &Credentials) -> Result<String, RegistryError> {
        Err(self.unsupported())
    }

    /// Forgets the credentials for a registry or repository; the places that had them.
    ///
    /// # Errors
    /// When a file cannot be written or a helper fails.
    pub fn erase(&self, _key: &str) -> Result<Vec<String>, RegistryError> {
        Err(self.unsupported())
    }

    /// Forgets all credentials; those that there were.
    ///
    /// # Errors
    /// When a file cannot be written or a helper fails.
    pub fn erase_all(&self) -> Result<Vec<Login>, RegistryError> {
        Err(self.unsupported())
    }

    fn unsupported(&self) -> RegistryError {
        RegistryError::File { path: format!("{:?}", self.authfile), reason: "not written yet".to_owned() }
    }
}

impl Client {
    /// Asks a registry whether it accepts credentials. The key is `HOST` or `HOST/NAMESPACE/REPOSITORY`; with a
    /// repository, access to that is asked for.
    ///
    /// # Errors
    /// [`RegistryError::Unauthorized`] when it does not.
    pub fn check_login(&self, key: &str, _credentials: &Credentials) -> Result<(), RegistryError> {
        self.ping(key)
    }
}
