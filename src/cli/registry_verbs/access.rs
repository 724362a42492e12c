//! Who may do what in a registry that is served, as arguments.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use registry::access::options::{AccessOptions, Certificates, OwnTokens};
use registry::access::scope::Actions;
use registry::tls::{Clients, TlsOptions};

/// What may be done without credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Anonymous {
    /// Nothing
    None,
    /// Read
    Pull,
    /// Read and write
    Push,
    /// Everything
    All,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// Users and their bcrypt or argon2 hashes; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub(super) htpasswd: Option<PathBuf>,
    /// Rules for who may pull and push what; read again when it changes
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What may be done without credentials: none, pull, push or all [default: pull, or none with users]
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true)]
    anonymous: Option<Anonymous>,
    /// Issue bearer tokens to the users
    #[arg(long, requires = "htpasswd")]
    tokens: bool,
    /// The key that tokens are signed with; made where there is none
    #[arg(long, value_name = "FILE", requires = "tokens")]
    token_key: Option<PathBuf>,
    /// The certificate to serve with, in PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let clients in that show a certificate of this authority
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// The URL that clients reach the registry by, if it is not what they say
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl AccessArgs {
    pub(super) fn options(&self) -> AccessOptions {
        let anonymous = self.anonymous.unwrap_or(match self.htpasswd.is_some() || self.tls_client_ca.is_some() {
            true => Anonymous::None,
            false => Anonymous::Pull,
        });
        AccessOptions {
            htpasswd: self.htpasswd.clone(),
            policy: self.policy.clone(),
            tokens: self.tokens.then(|| OwnTokens { key: self.token_key.clone(), ..OwnTokens::default() }),
            certificates: match self.tls_client_ca {
                Some(_) => Certificates::Accepted,
                None => Certificates::Ignored,
            },
            anonymous: match anonymous {
                Anonymous::None => Actions::NONE,
                Anonymous::Pull => Actions::PULL,
                Anonymous::Push => Actions::PULL.or(Actions::PUSH),
                Anonymous::All => Actions::ALL,
            },
            url: self.url.clone(),
            ..AccessOptions::default()
        }
    }

    pub(super) fn tls(&self) -> Option<TlsOptions> {
        let clients = match (&self.tls_client_ca, &self.htpasswd) {
            (None, _) => Clients::NotAsked,
            // Who has no certificate may have a password.
            (Some(authority), Some(_)) => Clients::Asked(authority.clone()),
            (Some(authority), None) => Clients::Required(authority.clone()),
        };
        let (certificate, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(TlsOptions { certificate, key, clients })
    }
}
