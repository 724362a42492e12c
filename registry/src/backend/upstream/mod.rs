//! A place with registries behind it: what it lacks is fetched from there, and kept.
//!
//! ```text
//! asked ─▶ here? ─yes─▶ answer            one fetch for many askers; each gets the bytes as they come
//!            └no─▶ upstream ─▶ store ─▶ answer
//! ```
//!
//! Only what is asked for is fetched: the manifest that was named, the blob that was named. A tag is compared with the
//! upstream's once in a while; when the upstream does not answer, what is here is served, and the answer says so. Nothing
//! is visible here before its bytes are verified; whoever reads a blob while it comes in does not get its last byte
//! before that.

mod flight;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use content::{ContentError, fetch_document};
use oci::{Descriptor, Digest, Reference};
use registry_client::{Client, ClientOptions, RegistryError, Repository, Tls};

use super::{Backend, BackendError, Blob, Put, Stored, Verified, Writer};
use crate::counters::Counters;
use crate::document::Document;
use crate::names::{Name, Tag, Which};
use crate::seat;
use flight::Flights;

/// How long a tag is taken to be what the upstream said it is.
const FRESH: Duration = Duration::from_secs(30);
/// Sizes that are remembered: of blobs that manifests which were served name.
const SIZES: usize = 200_000;
/// The host whose images may be asked for without a host.
const DEFAULT_HOST: &str = "docker.io";

/// A registry behind this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The host that stands in the names of its images.
    host: String,
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
        let wrong = || UpstreamError(text.to_owned());
        let (host, url) = text.split_once('=').ok_or_else(wrong)?;
        let (tls, rest) = match url.split_once("://") {
            Some(("https", rest)) => (Tls::Verify, rest),
            Some(("http", rest)) => (Tls::Skip, rest),
            None => (Tls::Verify, url),
            Some(_) => return Err(wrong()),
        };
        let (address, prefix) = rest.trim_end_matches('/').split_once('/').unwrap_or((rest.trim_end_matches('/'), ""));
        let is_host = |text: &str| format!("{text}/a").parse::<Reference>().is_ok_and(|name| name.registry() == text);
        if !is_host(host) || !is_host(address) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), address: address.to_owned(), prefix: prefix.to_owned(), tls })
    }
}

/// A place with registries behind it.
pub struct PullThrough {
    local: Arc<dyn Backend>,
    upstreams: Vec<(Upstream, Arc<Client>)>,
    counters: Arc<Counters>,
    flights: Flights,
    sizes: Mutex<HashMap<Digest, u64>>,
    asked: Mutex<HashMap<(Name, Tag), Instant>>,
}

/// A repository of an upstream.
#[derive(Clone)]
struct Remote {
    upstream: Upstream,
    client: Arc<Client>,
    /// The repository here: with the host.
    own: Name,
    /// The repository there.
    path: String,
}

impl PullThrough {
    /// Over a place that can be written.
    pub fn new(local: Arc<dyn Backend>, upstreams: Vec<Upstream>, counters: Arc<Counters>) -> Self {
        let client = |upstream: Upstream| {
            let options = ClientOptions { tls: upstream.tls.clone(), retries: 1, ..ClientOptions::default() };
            (upstream, Arc::new(Client::new(options)))
        };
        let upstreams = upstreams.into_iter().map(client).collect();
        let (sizes, asked) = Default::default();
        Self { local, upstreams, counters, flights: Flights::default(), sizes, asked }
    }

    /// The upstream's repository of a name, if it has one; a name without host is one of the default host's.
    fn remote(&self, name: &Name) -> Option<Remote> {
        let of = |host: &str| self.upstreams.iter().find(|(upstream, _)| upstream.host.replace(':', "_") == host);
        let (host, path) = name.as_str().split_once('/').unwrap_or(("", name.as_str()));
        let ((upstream, client), path) = match of(host) {
            Some(found) => (found, path),
            None => (of(DEFAULT_HOST)?, name.as_str()),
        };
        let own = format!("{}/{path}", upstream.host.replace(':', "_")).parse().ok()?;
        let path = if upstream.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", upstream.prefix) };
        Some(Remote { upstream: upstream.clone(), client: Arc::clone(client), own, path })
    }

    /// Remembers how large the blobs of a manifest are.
    fn note_sizes(&self, stored: &Stored) {
        let Ok(document) = Document::read(&stored.bytes) else { return };
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if sizes.len() > SIZES {
            sizes.clear();
        }
        sizes.extend(document.blobs.iter().map(|blob| (blob.digest, blob.size)));
    }

    fn is_fresh(&self, own: &Name, which: &Which) -> bool {
        match which {
            Which::Digest(_) => true,
            Which::Tag(tag) => {
                let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.get(&(own.clone(), tag.clone())).is_some_and(|when| when.elapsed() < FRESH)
            }
        }
    }

    /// Asks the upstream for a manifest and keeps it. None when the upstream has none either.
    fn fetch_manifest(&self, remote: &Remote, which: &Which, known: Option<Digest>) -> Result<Option<Stored>, BackendError> {
        seat::leave();
        let origin: Arc<str> = format!("upstream {}", remote.upstream.host).into();
        let reference = remote.reference(which)?;
        let repository = remote.client.repository(&reference).map_err(|error| remote.failed(&error))?;
        let what = match repository.head(&reference) {
            Err(error) if error.is_not_found() => return Ok(None),
            what => what.map_err(|error| remote.failed(&error))?,
        };
        if let Which::Tag(tag) = which {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.insert((remote.own.clone(), tag.clone()), Instant::now());
        }
        if known == Some(what.digest) {
            self.counters.upstream_hits.one();
            return self.local.manifest(&remote.own, which);
        }
        self.counters.upstream_misses.one();
        let here = Which::Digest(what.digest);
        let bytes = match self.local.manifest(&remote.own, &here)? {
            // The tag has moved to one that is here.
            Some(stored) => stored.bytes,
            None => self.document(&repository, remote, &what)?.into(),
        };
        self.counters.upstream_bytes.add(bytes.len() as u64);
        let document = Document::read(&bytes).map_err(|error| remote.wrong(error.to_string()))?;
        let tags: Vec<Tag> = match which {
            Which::Tag(tag) => vec![tag.clone()],
            Which::Digest(_) => Vec::new(),
        };
        let verified = Verified { digest: what.digest, canonical: Digest::of(&bytes) };
        // Its blobs come when they are asked for.
        let put = Put { verified, media_type: &document.media_type, bytes: &bytes, tags: &tags, needs: &[] };
        self.writing()?.put_manifest(&remote.own, &put)?;
        let media_type = document.media_type.as_str().into();
        Ok(Some(Stored { digest: what.digest, media_type, bytes, origin: Some(origin) }))
    }

    fn document(&self, from: &Repository<'_>, remote: &Remote, what: &Descriptor) -> Result<Vec<u8>, BackendError> {
        fetch_document(from, what).map_err(|error| remote.wrong(error.to_string()))
    }

    fn writing(&self) -> Result<&dyn Writer, BackendError> {
        self.local.writer().ok_or_else(|| BackendError::ReadOnly(self.local.place()))
    }

    fn find_manifest(&self, name: &Name, which: &Which) -> Result<Option<Stored>, BackendError> {
        let Some(remote) = self.remote(name) else { return self.local.manifest(name, which) };
        let local = match self.local.manifest(&remote.own, which)? {
            None if remote.own != *name => self.local.manifest(name, which)?,
            local => local,
        };
        if local.is_some() && self.is_fresh(&remote.own, which) {
            self.counters.upstream_hits.one();
            return Ok(local);
        }
        match self.fetch_manifest(&remote, which, local.as_ref().map(|stored| stored.digest)) {
            // What the upstream does not have any more is here all the same.
            Ok(found) => Ok(found.or(local)),
            Err(error) => {
                self.counters.upstream_failures.one();
                let mut stored = local.ok_or(error)?;
                stored.origin = Some(format!("upstream {} does not answer, from here", remote.upstream.host).into());
                Ok(Some(stored))
            }
        }
    }
}

impl Remote {
    fn reference(&self, which: &Which) -> Result<Reference, BackendError> {
        let joint = if matches!(which, Which::Tag(_)) { ':' } else { '@' };
        let text = format!("{}/{}{joint}{which}", self.upstream.address, self.path);
        text.parse().map_err(|error: oci::ReferenceError| self.wrong(error.to_string()))
    }

    fn failed(&self, error: &RegistryError) -> BackendError {
        self.wrong(error.to_string())
    }

    fn wrong(&self, reason: String) -> BackendError {
        BackendError::Upstream { upstream: self.upstream.host.clone(), reason }
    }

    /// Whether an error says that the upstream does not have it.
    fn is_absent(error: &ContentError) -> bool {
        matches!(error, ContentError::MissingBlob { .. })
    }
}

impl Backend for PullThrough {
    fn place(&self) -> String {
        let hosts: Vec<&str> = self.upstreams.iter().map(|(upstream, _)| upstream.host.as_str()).collect();
        format!("{}, and behind it {}", self.local.place(), hosts.join(", "))
    }

    fn manifest(&self, repository: &Name, which: &Which) -> Result<Option<Stored>, BackendError> {
        let found = self.find_manifest(repository, which)?;
        found.iter().for_each(|stored| self.note_sizes(stored));
        Ok(found)
    }

    fn blob(&self, repository: &Name, digest: &Digest) -> Result<Option<Blob<'_>>, BackendError> {
        let Some(remote) = self.remote(repository) else { return self.local.blob(repository, digest) };
        for name in [&remote.own, repository] {
            if let Some(blob) = self.local.blob(name, digest)? {
                self.counters.upstream_hits.one();
                return Ok(Some(blob));
            }
        }
        let size = self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied();
        // No manifest that came through here names it.
        let Some(size) = size else { return Ok(None) };
        let origin = Some(format!("upstream {}", remote.upstream.host).into());
        let digest = *digest;
        let open = move |range| self.flights.open(&self.local, &remote, &digest, size, &self.counters, range);
        Ok(Some(Blob { size, origin, open: Box::new(open) }))
    }

    fn tags(&self, repository: &Name) -> Result<Option<Arc<[Tag]>>, BackendError> {
        let Some(remote) = self.remote(repository) else { return self.local.tags(repository) };
        seat::leave();
        let reference = remote.reference(&Which::Digest(Digest::of(b"")))?;
        let there = remote.client.repository(&reference).and_then(|repository| repository.tags());
        let mut tags: Vec<Tag> = match there {
            Ok(tags) => tags.iter().filter_map(|tag| tag.parse().ok()).collect(),
            Err(error) => {
                if !error.is_not_found() {
                    self.counters.upstream_failures.one();
                }
                match self.local.tags(&remote.own)? {
                    Some(tags) => return Ok(Some(tags)),
                    None => return self.local.tags(repository),
                }
            }
        };
        tags.extend(self.local.tags(&remote.own)?.iter().flat_map(|tags| tags.iter()).cloned());
        tags.sort();
        tags.dedup();
        Ok(Some(tags.into()))
    }

    fn repositories(&self) -> Result<Arc<[Name]>, BackendError> {
        self.local.repositories()
    }

    fn referrers(&self, repository: &Name, subject: &Digest) -> Result<Arc<[Descriptor]>, BackendError> {
        let Some(remote) = self.remote(repository) else { return self.local.referrers(repository, subject) };
        seat::leave();
        let reference = remote.reference(&Which::Digest(*subject))?;
        let there = remote.client.repository(&reference).and_then(|repository| repository.referrers(subject, None));
        match there {
            Ok(mut list) => {
                list.sort_by_key(|referrer| referrer.digest.to_string());
                Ok(list.into())
            }
            Err(_) => {
                self.counters.upstream_failures.one();
                self.local.referrers(&remote.own, subject)
            }
        }
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.local.writer()
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
            ("docker.io=mirror.example:5000", of("docker.io", "mirror.example:5000", "", Tls::Verify)),
            ("quay.io=http://127.0.0.1:5000/cache/quay/", of("quay.io", "127.0.0.1:5000", "cache/quay", Tls::Skip)),
            ("docker.io", None),
            ("=https://a.example", None),
            ("docker.io=", None),
            ("docker.io=ftp://a.example", None),
        ] {
            assert_eq!(upstream(text), want, "{text}");
        }
    }
}
