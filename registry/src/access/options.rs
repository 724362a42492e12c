//! How a registry finds out who asks.

use std::path::PathBuf;

use super::issuer::TokenOptions;
use super::scope::Actions;

/// Everything that can be chosen about access.
#[derive(Clone, Debug)]
pub struct AccessOptions {
    /// What browsers and clients show when they ask for a password.
    pub realm: String,
    /// The users and their password hashes.
    pub htpasswd: Option<PathBuf>,
    /// The tokens that the registry issues itself, to the users of the htpasswd file.
    pub tokens: Option<OwnTokens>,
    /// Tokens of somebody else.
    pub external: Option<ExternalTokens>,
    /// Whether the names in verified client certificates are taken.
    pub certificates: Certificates,
    /// The rules.
    pub policy: Option<PathBuf>,
    /// What may be done without credentials where there are no rules.
    pub anonymous: Actions,
    /// How clients reach the registry (`https://hub.example`), when it is not as they say in the `Host` field.
    pub url: Option<String>,
}

/// What is taken from client certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificates {
    /// Nothing.
    #[default]
    Ignored,
    /// Who their holder is.
    Accepted,
}

/// Tokens that the registry issues.
#[derive(Clone, Debug, Default)]
pub struct OwnTokens {
    /// The private key; made when it is not there. Without one the key lives as long as the process.
    pub key: Option<PathBuf>,
    /// What tokens say.
    pub options: TokenOptions,
}

/// Tokens that somebody else issues.
#[derive(Clone, Debug)]
pub struct ExternalTokens {
    /// Public keys: a JWKS document, PEM public keys or certificates.
    pub keys: PathBuf,
    /// The issuer that tokens must name.
    pub issuer: String,
    /// The service that tokens must be for.
    pub service: String,
    /// Where clients get tokens: told to them with 401.
    pub realm: Option<String>,
    /// How far clocks may differ, in seconds.
    pub leeway: i64,
}

impl Default for AccessOptions {
    /// Everybody may read.
    fn default() -> Self {
        Self {
            realm: "sealos registry".to_owned(),
            htpasswd: None,
            tokens: None,
            external: None,
            certificates: Certificates::Ignored,
            policy: None,
            anonymous: Actions::PULL,
            url: None,
        }
    }
}

impl AccessOptions {
    /// Whether anybody can show who they are.
    #[must_use]
    pub fn is_authenticating(&self) -> bool {
        self.htpasswd.is_some() || self.external.is_some() || self.certificates == Certificates::Accepted
    }
}
