//! Which servers a repository is asked of: mirrors in their order, then its own.
//!
//! ```text
//! Reference ─▶ registries.conf ([[registry]]: blocked, rewritten, mirrors) ─▶ Endpoint, Endpoint, …
//!          └─▶ certs.d/HOST/hosts.toml, where registries.conf says nothing of mirrors
//! ```
//!
//! Invariants: the last endpoint is where the repository really is; what is written goes there (or to a host that
//! `hosts.toml` says `push` of); credentials belong to the host of their endpoint. Files are read, nothing is connected.

mod conf;
mod conf_files;
mod hosts;
mod short_names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::Reference;

pub(crate) use conf::{Conf, PullFrom};
pub(crate) use short_names::candidates;

use crate::RegistryError;
use crate::http::{CONNECT, is_loopback};
use crate::options::ClientOptions;
use crate::tls::{Tls, Trust, read_directory, unusable};

/// What a URL of an endpoint begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Https,
    Http,
    /// TLS where it is spoken, plain HTTP otherwise.
    Either,
}

/// What an endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    /// Blobs, and manifests by digest.
    pub(crate) pull: bool,
    /// Manifests by tag, and lists.
    pub(crate) resolve: bool,
    /// Uploads.
    pub(crate) push: bool,
}

/// A server, and what a repository is called there.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Host and port as URLs have them.
    pub(crate) host: String,
    pub(crate) scheme: Scheme,
    /// `/v2/`, unless `hosts.toml` says something else.
    pub(crate) path: String,
    pub(crate) repository: String,
    /// What credentials for it are filed under.
    pub(crate) login: String,
    /// The registry that is meant, told to a mirror of several.
    pub(crate) namespace: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) trust: Trust,
    pub(crate) connect: Duration,
    pub(crate) roles: Roles,
    /// Whether it is where the repository really is: what that does not have nobody has.
    pub(crate) own: bool,
}

/// Servers of one repository.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    /// In the order in which they are asked; never empty.
    pub(crate) read: Vec<Endpoint>,
    pub(crate) write: Endpoint,
}

/// Finds the servers of a repository.
///
/// # Errors
/// When a file cannot be understood, or the repository is blocked.
pub(crate) fn find(conf: &Conf, options: &ClientOptions, name: &Reference) -> Result<Routes, RegistryError> {
    let whole = format!("{}/{}", name.registry(), name.repository());
    let Some(rule) = conf.rule(name) else {
        return hosts::routes(options, name.registry(), name.repository());
    };
    if rule.blocked {
        return Err(RegistryError::Blocked { name: whole, prefix: rule.prefix.clone() });
    }
    let is_by_digest = name.digest().is_some();
    let mut read = Vec::new();
    for mirror in &rule.mirrors {
        let serves = match mirror.pull_from {
            PullFrom::All => is_by_digest || !rule.mirror_by_digest_only,
            PullFrom::Digest => is_by_digest,
            PullFrom::Tag => !is_by_digest,
        };
        if serves {
            let place = rule.rewrite(&whole, &mirror.location);
            read.push(Endpoint { roles: Roles::MIRROR, own: false, ..plain(options, &place, mirror.insecure)? });
        }
    }
    let place = rule.location.as_ref().map_or_else(|| whole.clone(), |location| rule.rewrite(&whole, location));
    if read.is_empty() && place == whole && rule.mirrors.is_empty() {
        let mut routes = hosts::routes(options, name.registry(), name.repository())?;
        if rule.insecure {
            let own = address(name.registry());
            let ends = routes.read.iter_mut().chain([&mut routes.write]);
            for end in ends.filter(|end| end.host == own && end.scheme == Scheme::Https) {
                (end.scheme, end.trust.tls) = (Scheme::Either, Tls::Skip);
            }
        }
        return Ok(routes);
    }
    let own = plain(options, &place, rule.insecure)?;
    read.push(own.clone());
    Ok(Routes { read, write: own })
}

/// The server of a repository itself, whatever the files say.
///
/// # Errors
/// When the certificates for it cannot be read.
pub(crate) fn direct(options: &ClientOptions, name: &Reference) -> Result<Routes, RegistryError> {
    let own = endpoint(options, name.registry(), name.repository(), false)?;
    Ok(Routes { read: vec![own.clone()], write: own })
}

/// The server of a registry itself, without mirrors; for a repository of it, or for the registry as a whole.
pub(crate) fn own(
    conf: &Conf,
    options: &ClientOptions,
    registry: &str,
    repository: &str,
) -> Result<Endpoint, RegistryError> {
    let insecure = conf.rule_of(&format!("{registry}/{repository}")).is_some_and(|rule| rule.insecure);
    endpoint(options, registry, repository, insecure)
}

impl Roles {
    const ALL: Self = Self { pull: true, resolve: true, push: true };
    const MIRROR: Self = Self { pull: true, resolve: true, push: false };
}

/// An endpoint of `host/path`.
fn plain(options: &ClientOptions, place: &str, insecure: bool) -> Result<Endpoint, RegistryError> {
    let (host, repository) = place.split_once('/').unwrap_or((place, ""));
    endpoint(options, host, repository, insecure)
}

fn endpoint(
    options: &ClientOptions,
    registry: &str,
    repository: &str,
    insecure: bool,
) -> Result<Endpoint, RegistryError> {
    let host = address(registry).to_owned();
    let mut trust = trust(options, &host, registry)?;
    if insecure {
        trust.tls = Tls::Skip;
    }
    let is_lax = trust.tls == Tls::Skip || is_loopback(host_of(&host));
    Ok(Endpoint {
        scheme: if is_lax { Scheme::Either } else { Scheme::Https },
        host,
        path: "/v2/".to_owned(),
        repository: repository.to_owned(),
        login: registry.to_owned(),
        namespace: None,
        headers: BTreeMap::new(),
        trust,
        connect: CONNECT,
        roles: Roles::ALL,
        own: true,
    })
}

/// Docker Hub's name is not its address.
pub(crate) fn address(registry: &str) -> &str {
    if registry == "docker.io" { "registry-1.docker.io" } else { registry }
}

/// A host without port and brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whom we believe at a host: what the options say, else what docker's and podman's directories hold.
pub(crate) fn trust(options: &ClientOptions, host: &str, registry: &str) -> Result<Trust, RegistryError> {
    if let Some(directory) = &options.cert_dir {
        // The usual places may be missing; one that the user named may not.
        std::fs::read_dir(directory).map_err(|error| unusable(directory, &error))?;
        let found = read_directory(directory)?;
        return Ok(Trust { tls: options.tls, authorities: found.authorities, client: found.client });
    }
    let mut trust = Trust { tls: options.tls, ..Trust::default() };
    for base in certificate_bases(options) {
        for name in if host == registry { vec![host] } else { vec![host, registry] } {
            let found = read_directory(&base.join(name))?;
            trust.authorities.extend(found.authorities);
            trust.client = trust.client.or(found.client);
        }
    }
    Ok(trust)
}

fn certificate_bases(options: &ClientOptions) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".config/containers/certs.d"));
    home.into_iter().chain(options.certificate_dirs.iter().cloned()).collect()
}

#[cfg(test)]
mod tests;
