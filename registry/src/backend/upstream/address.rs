//! Registries behind this one, as they are named on the command line, and their repositories.

use std::sync::Arc;
use std::time::Duration;

use oci::Reference;
use registry_client::{Client, ClientOptions, Mirrors, RegistryError, Tls};

use crate::backend::BackendError;
use crate::names::{Name, Which};
use crate::protocol::component;

/// A registry that could not be reached is not tried again for so long: what is here is served at once.
const DOWN: Duration = Duration::from_secs(10);

/// A registry behind this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The host that stands in the names of its images.
    pub(super) host: String,
    /// Where it is really.
    address: String,
    /// What stands before the repositories there.
    prefix: String,
    tls: Tls,
}

/// A text that names no upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not HOST=URL, such as docker.io=https://registry-1.docker.io")]
pub struct UpstreamError(String);

impl std::str::FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        // Whoever writes credentials into it finds them nowhere.
        let shown = text.rsplit_once('@').map_or(text, |(_, behind)| behind);
        let wrong = || UpstreamError(shown.to_owned());
        let (host, url) = text.split_once('=').ok_or_else(wrong)?;
        let (tls, rest) = match url.split_once("://") {
            Some(("https", rest)) => (Tls::Verify, rest),
            Some(("http", rest)) => (Tls::Skip, rest),
            None => (Tls::Verify, url),
            Some(_) => return Err(wrong()),
        };
        let rest = rest.trim_end_matches('/');
        let (address, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_host = |text: &str| format!("{text}/a").parse::<Reference>().is_ok_and(|name| name.registry() == text);
        // Its credentials are filed under its name.
        let address = if component(address) == "docker.io" { "docker.io" } else { address };
        if !is_host(host) || !is_host(address) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), address: address.to_owned(), prefix: prefix.to_owned(), tls })
    }
}

/// An upstream, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Speaker {
    pub(super) upstream: Upstream,
    /// For what somebody waits for who could be given something else instead.
    asking: Arc<Client>,
    /// For blobs: what has begun to come is worth some patience.
    fetching: Arc<Client>,
}

impl Speaker {
    pub(super) fn new(upstream: Upstream, base: &ClientOptions) -> Self {
        let client = |retries| {
            // Mirrors are for whoever is not one: this registry may be among them.
            let (tls, mirrors, down_for) = (upstream.tls, Mirrors::Ignored, DOWN);
            Arc::new(Client::new(ClientOptions { tls, mirrors, down_for, retries, ..base.clone() }))
        };
        Self { asking: client(1), fetching: client(4), upstream }
    }

    /// Whether a repository's name begins with its host.
    pub(super) fn is_named(&self, host: &str) -> bool {
        component(&self.upstream.host) == host
    }
}

/// A repository of an upstream.
#[derive(Clone)]
pub(super) struct Remote {
    speaker: Speaker,
    /// The repository here: with the host.
    pub(super) own: Name,
    /// The repository there.
    path: String,
}

impl Remote {
    /// The repository of that path behind a name that begins with the upstream's host.
    pub(super) fn new(speaker: &Speaker, own: &Name, path: &str) -> Self {
        let prefix = &speaker.upstream.prefix;
        let path = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
        Self { speaker: speaker.clone(), own: own.clone(), path }
    }

    pub(super) fn host(&self) -> Arc<str> {
        self.speaker.upstream.host.as_str().into()
    }

    pub(super) fn asking(&self) -> &Client {
        &self.speaker.asking
    }

    pub(super) fn fetching(&self) -> &Client {
        &self.speaker.fetching
    }

    pub(super) fn reference(&self, which: &Which) -> Result<Reference, BackendError> {
        let joint = if matches!(which, Which::Tag(_)) { ':' } else { '@' };
        let text = format!("{}/{}{joint}{which}", self.speaker.upstream.address, self.path);
        text.parse().map_err(|error: oci::ReferenceError| self.wrong(error.to_string()))
    }

    pub(super) fn failed(&self, error: &RegistryError) -> BackendError {
        self.wrong(error.to_string())
    }

    pub(super) fn wrong(&self, reason: String) -> BackendError {
        BackendError::Upstream { upstream: self.speaker.upstream.host.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_where_it_is() {
        let upstream = |text: &str| text.parse::<Upstream>().ok().map(|u| (u.host, u.address, u.prefix, u.tls));
        let of = |host: &str, address: &str, prefix: &str, tls| {
            Some((host.to_owned(), address.to_owned(), prefix.to_owned(), tls))
        };
        for (text, want) in [
            ("docker.io=https://mirror.example", of("docker.io", "mirror.example", "", Tls::Verify)),
            ("docker.io=https://registry-1.docker.io/", of("docker.io", "docker.io", "", Tls::Verify)),
            ("docker.io=mirror.example:5000", of("docker.io", "mirror.example:5000", "", Tls::Verify)),
            ("quay.io=http://127.0.0.1:5000/cache/quay/", of("quay.io", "127.0.0.1:5000", "cache/quay", Tls::Skip)),
            ("docker.io", None),
            ("=https://a.example", None),
            ("docker.io=", None),
            ("docker.io=ftp://a.example", None),
        ] {
            assert_eq!(upstream(text), want, "{text}");
        }
        let refused = "docker.io=https://me:hunter2@hub.example".parse::<Upstream>().unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}
