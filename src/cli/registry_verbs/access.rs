//! Who may do what in a registry that is served, as arguments.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use registry::access::scope::Actions;
use registry::access::{AccessOptions, Certificates, ExternalTokens, OwnTokens};
use registry::exposure::{self, Authentication, Protection};
use registry::tls::{Clients, TlsOptions};

use crate::kubefile::duration;

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

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ClientCertificate {
    /// Who has none does not get in
    Required,
    /// Who has none can log in in another way
    Optional,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// Users and their bcrypt or argon2 hashes; read again when it changes
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,
    /// Rules for who may pull, push and delete what; read again when it changes
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What may be done without credentials where there are no rules: none, pull, push or all [default: pull, or none
    /// where anybody can log in]
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true, conflicts_with = "policy")]
    anonymous: Option<Anonymous>,
    /// Issue bearer tokens to the users
    #[arg(long, requires = "htpasswd")]
    tokens: bool,
    /// The key that they are signed with; made where there is none [default: one that is forgotten at the end]
    #[arg(long, value_name = "FILE", requires = "tokens")]
    token_key: Option<PathBuf>,
    /// How long they are valid [default: 5m]
    #[arg(long, value_name = "TIME", requires = "tokens", value_parser = lifetime)]
    token_lifetime: Option<Duration>,
    /// Take the tokens that somebody else signs: their keys, as JWKS, PEM keys or certificates; read again on change
    #[arg(long, value_name = "FILE", requires = "issuer")]
    issuer_keys: Option<PathBuf>,
    /// The issuer that these tokens must name
    #[arg(long, value_name = "NAME", requires = "issuer_keys")]
    issuer: Option<String>,
    /// The service (audience) that tokens are for
    #[arg(long, value_name = "NAME", default_value = "sealos-registry")]
    token_service: String,
    /// Where clients get the tokens of the issuer
    #[arg(long, value_name = "URL", requires = "issuer_keys")]
    issuer_realm: Option<String>,
    /// How far the clock of the issuer may differ [default: 60s]
    #[arg(long, value_name = "TIME", requires = "issuer_keys", value_parser = duration_of)]
    clock_leeway: Option<Duration>,
    /// The certificate to serve with and those above it, in PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let clients in that show a certificate of this authority; its common name is their user name
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Whether clients have to show one: required or optional [default: required, or optional where there is another way]
    #[arg(long, value_name = "HOW", value_enum, requires = "tls_client_ca", hide_possible_values = true)]
    tls_client: Option<ClientCertificate>,
    /// The URL that clients reach the registry by, where it is not what they say
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl AccessArgs {
    pub(super) fn options(&self) -> AccessOptions {
        let defaults = OwnTokens::default().options;
        let mut options = AccessOptions {
            htpasswd: self.htpasswd.clone(),
            policy: self.policy.clone(),
            tokens: self.tokens.then(|| OwnTokens { key: self.token_key.clone(), ..OwnTokens::default() }),
            external: self.external(),
            certificates: match self.tls_client_ca {
                Some(_) => Certificates::Accepted,
                None => Certificates::Ignored,
            },
            url: self.url.clone(),
            ..AccessOptions::default()
        };
        if let Some(tokens) = &mut options.tokens {
            tokens.options.service.clone_from(&self.token_service);
            let seconds = self.token_lifetime.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
            tokens.options.lifetime = seconds.unwrap_or(defaults.lifetime);
        }
        let default = if options.is_authenticating() { Anonymous::None } else { Anonymous::Pull };
        options.anonymous = match self.anonymous.unwrap_or(default) {
            Anonymous::None => Actions::NONE,
            Anonymous::Pull => Actions::PULL,
            Anonymous::Push => Actions::PULL.or(Actions::PUSH),
            Anonymous::All => Actions::ALL,
        };
        options
    }

    fn external(&self) -> Option<ExternalTokens> {
        Some(ExternalTokens {
            keys: self.issuer_keys.clone()?,
            issuer: self.issuer.clone()?,
            service: self.token_service.clone(),
            realm: self.issuer_realm.clone(),
            leeway: self.clock_leeway.map_or(60, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX)),
        })
    }

    pub(super) fn tls(&self) -> Option<TlsOptions> {
        let is_only_way = self.htpasswd.is_none() && self.issuer_keys.is_none();
        let default = if is_only_way { ClientCertificate::Required } else { ClientCertificate::Optional };
        let clients = match (&self.tls_client_ca, self.tls_client.unwrap_or(default)) {
            (None, _) => Clients::NotAsked,
            (Some(authority), ClientCertificate::Optional) => Clients::Asked(authority.clone()),
            (Some(authority), ClientCertificate::Required) => Clients::Required(authority.clone()),
        };
        let (certificate, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(TlsOptions { certificate, key, clients })
    }

    /// What keeps others out.
    pub(super) fn protection(&self) -> Protection {
        Protection {
            tls: if self.tls_cert.is_some() { exposure::Tls::On } else { exposure::Tls::Off },
            authentication: match self.options().is_authenticating() {
                true => Authentication::On,
                false => Authentication::Off,
            },
        }
    }

    /// The files that are read; the key of tokens, which may have to be made, is another thing.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let all = [&self.htpasswd, &self.policy, &self.issuer_keys, &self.tls_cert, &self.tls_key, &self.tls_client_ca];
        all.into_iter().flatten().map(PathBuf::as_path)
    }

    /// The key of tokens.
    pub(super) fn token_key(&self) -> Option<&Path> {
        self.token_key.as_deref()
    }
}

/// A duration as Go writes it.
fn duration_of(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| format!("{error}; expected such as 30s or 5m"))
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let time = duration_of(text)?;
    match (30..=24 * 3600).contains(&time.as_secs()) {
        true => Ok(time),
        false => Err("expected 30s to 24h".to_owned()),
    }
}
