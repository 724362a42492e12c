//! A host of a cluster: where it is, what it does, how it is reached.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cluster::{Address, SSH_PORT};

/// What a host does in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Role {
    /// Has a part of the control plane. The first of them is where applications are installed from.
    Master,
    /// Runs work.
    Node,
    /// Serves the cluster's container images.
    Registry,
    /// A word of the user's own, or an architecture as the Go sealos writes it (`amd64`).
    Other(String),
}

impl Role {
    /// As text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Master => "master",
            Self::Node => "node",
            Self::Registry => "registry",
            Self::Other(text) => text,
        }
    }
}

impl FromStr for Role {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

impl From<String> for Role {
    fn from(text: String) -> Self {
        match text.as_str() {
            "master" => Self::Master,
            "node" => Self::Node,
            "registry" => Self::Registry,
            _ => Self::Other(text),
        }
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.as_str().to_owned()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that cannot be printed: a password, a private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for where it is needed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How a host is reached by SSH. What is not set is decided by settings of lower rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssh {
    /// The user; root unless something says otherwise.
    pub user: Option<String>,
    /// The user's password, also for sudo.
    pub password: Option<Secret>,
    /// The file of a private key.
    pub key: Option<PathBuf>,
    /// A private key itself.
    pub key_data: Option<Secret>,
    /// The name of a key, told for its owner's use only.
    pub key_name: Option<String>,
    /// What decrypts the key.
    pub passphrase: Option<Secret>,
    /// The port of hosts whose address has none.
    pub port: Option<u16>,
}

impl Ssh {
    /// These settings where they are set, else the other ones.
    #[must_use]
    pub fn over(&self, lower: &Self) -> Self {
        // A key of higher rank must not be tried with a passphrase that belongs to another one.
        let own_key = self.key.is_some() || self.key_data.is_some();
        let key_from = if own_key { self } else { lower };
        Self {
            user: self.user.clone().or_else(|| lower.user.clone()),
            password: self.password.clone().or_else(|| lower.password.clone()),
            key: key_from.key.clone(),
            key_data: key_from.key_data.clone(),
            key_name: self.key_name.clone().or_else(|| lower.key_name.clone()),
            passphrase: self.passphrase.clone().or_else(|| key_from.passphrase.clone()),
            port: self.port.or(lower.port),
        }
    }

    /// The port of hosts whose address has none.
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(SSH_PORT)
    }
}

/// A host of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where it is, with the port.
    pub address: Address,
    /// What it does.
    pub roles: BTreeSet<Role>,
    /// `NAME=VALUE`, over those of the cluster.
    pub env: Vec<String>,
    /// How it is reached where that differs from the cluster's settings.
    pub ssh: Ssh,
}

impl Host {
    /// Whether it has a role.
    pub fn is(&self, role: &Role) -> bool {
        self.roles.contains(role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_settings_go_over_those_of_the_cluster() {
        let secret = |text: &str| Some(Secret::new(text));
        let cluster = Ssh {
            user: Some("admin".into()),
            password: secret("p"),
            key: Some("/k".into()),
            passphrase: secret("k"),
            port: Some(2222),
            ..Ssh::default()
        };
        assert_eq!(Ssh::default().over(&cluster), cluster);
        let own = Ssh { user: Some("root".into()), ..Ssh::default() };
        assert_eq!(own.over(&cluster), Ssh { user: Some("root".into()), ..cluster.clone() });
        let own = Ssh { key_data: secret("data"), ..Ssh::default() };
        let both = own.over(&cluster);
        assert_eq!((both.key, both.passphrase), (None, None), "a key comes with its own passphrase or none");
        assert_eq!(both.password, secret("p"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let ssh = Ssh { password: Some(Secret::new("hush")), key_data: Some(Secret::new("hush")), ..Ssh::default() };
        assert!(!format!("{ssh:?}").contains("hush"));
    }

    #[test]
    fn roles_are_words() {
        for word in ["master", "node", "registry", "amd64", "gpu"] {
            assert_eq!(Role::from(word.to_owned()).to_string(), word);
        }
    }
}
