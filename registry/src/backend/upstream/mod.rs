//! A place with registries behind it: what it lacks is fetched from there, and kept.
//!
//! ```text
//! HOST/a/b asked ─▶ here? ─yes─▶ answer           one fetch for many askers; each gets the bytes as they come
//!                     └no─▶ upstream ─▶ store ─▶ answer
//! ```
//!
//! Only what is asked for is fetched: the manifest that was named, the blob that was named. A tag is compared with the
//! upstream's once in a while; when the upstream does not answer, what is here is served, and the answer says so. Nothing
//! is visible here before its bytes are verified; whoever reads a blob while it comes in does not get its last byte
//! before that. Only names with the host of an upstream are looked up there; who may pull such a name here gets what the
//! credentials of this registry get there.

mod address;
mod flight;
mod turns;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use content::fetch_document;
use oci::{Descriptor, Digest};
use registry_client::{ClientOptions, Repository};

use super::{Backend, BackendError, Blob, Origin, Put, Stored, Verified, Writer};
use crate::counters::Counters;
use crate::document::Document;
use crate::names::{Name, Tag, Which};
use crate::protocol::host_and_path;
use crate::seat;
use address::{Remote, Speaker};
use flight::Flights;
use turns::Turns;

pub use address::{Upstream, UpstreamError};

/// How long a tag is taken to be what the upstream said it is.
const FRESH: Duration = Duration::from_secs(30);
/// How long what is here is served without asking again, after the upstream did not answer.
const PAUSE: Duration = Duration::from_secs(10);
/// Sizes that are remembered: of blobs that manifests which were served name.
const SIZES: usize = 200_000;
/// Referrers of one manifest that are kept.
const REFERRERS: usize = 256;
/// Tags whose last question is remembered.
const TAGS: usize = 100_000;

/// A place with registries behind it.
pub struct PullThrough {
    local: Arc<dyn Backend>,
    upstreams: Vec<Speaker>,
    counters: Arc<Counters>,
    flights: Flights,
    /// How large the blobs of a repository are that it was not asked for yet.
    sizes: Mutex<HashMap<(Name, Digest), u64>>,
    asked: Mutex<HashMap<(Name, Tag), Asked>>,
    turns: Turns,
}

/// When an upstream was asked for a tag last, and what came of it.
#[derive(Clone, Copy)]
struct Asked {
    when: Instant,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    Unanswered,
    Withdrawn,
}

impl Asked {
    /// What it still says.
    fn fresh(self) -> Option<Outcome> {
        let limit = if self.outcome == Outcome::Answered { FRESH } else { PAUSE };
        (self.when.elapsed() < limit).then_some(self.outcome)
    }
}

impl PullThrough {
    /// Over a place that can be written. `options` say how the upstreams are spoken to: with which credentials and
    /// certificates.
    pub fn new(
        local: Arc<dyn Backend>,
        upstreams: Vec<Upstream>,
        options: &ClientOptions,
        counters: Arc<Counters>,
    ) -> Self {
        let upstreams = upstreams.into_iter().map(|upstream| Speaker::new(upstream, options)).collect();
        let (sizes, asked, turns) = Default::default();
        Self { local, upstreams, counters, flights: Flights::default(), sizes, asked, turns }
    }

    /// The upstream's repository of a name, if it has one.
    fn remote(&self, name: &Name) -> Option<Remote> {
        let (host, path) = host_and_path(name.as_str())?;
        let speaker = self.upstreams.iter().find(|speaker| speaker.is_named(host))?;
        Some(Remote::new(speaker, name, path))
    }

    /// Remembers how large the blobs of a manifest are.
    fn note_sizes(&self, own: &Name, stored: &Stored) {
        if let Ok(document) = Document::read(&stored.bytes) {
            self.keep_sizes(own, document.blobs.iter().map(|blob| (blob.digest, blob.size)));
        }
    }

    fn keep_sizes(&self, own: &Name, found: impl Iterator<Item = (Digest, u64)>) {
        let mut sizes = lock(&self.sizes);
        if sizes.len() > SIZES {
            sizes.clear();
        }
        sizes.extend(found.map(|(digest, size)| ((own.clone(), digest), size)));
    }

    /// What the last question about a tag still says; a digest never changes.
    fn fresh(&self, own: &Name, which: &Which) -> Option<Outcome> {
        match which {
            Which::Digest(_) => Some(Outcome::Answered),
            Which::Tag(tag) => lock(&self.asked).get(&(own.clone(), tag.clone()))?.fresh(),
        }
    }

    fn note_asked(&self, own: &Name, which: &Which, outcome: Outcome) {
        if let Which::Tag(tag) = which {
            let mut asked = lock(&self.asked);
            if asked.len() > TAGS {
                asked.clear();
            }
            asked.insert((own.clone(), tag.clone()), Asked { when: Instant::now(), outcome });
        }
    }

    fn find_manifest(&self, remote: &Remote, which: &Which) -> Result<Option<Stored>, BackendError> {
        if let Some(stored) = self.here(remote, which)? {
            return Ok(Some(stored));
        }
        seat::leave();
        self.turns.take((remote.own.clone(), which.to_string()), || self.ask(remote, which))
    }

    fn ask(&self, remote: &Remote, which: &Which) -> Result<Option<Stored>, BackendError> {
        // Whoever was first has asked.
        if let Some(stored) = self.here(remote, which)? {
            return Ok(Some(stored));
        }
        let local = self.local.manifest(&remote.own, which)?;
        match self.fetch_manifest(remote, which, local.as_ref()) {
            Ok(Some(stored)) => Ok(Some(stored)),
            Ok(None) => {
                self.note_asked(&remote.own, which, Outcome::Withdrawn);
                Ok(local.map(|stored| self.kept(remote, stored, Outcome::Withdrawn)))
            }
            Err(error) => {
                self.counters.upstream_failures.one();
                let stored = local.ok_or(error)?;
                self.note_asked(&remote.own, which, Outcome::Unanswered);
                Ok(Some(self.kept(remote, stored, Outcome::Unanswered)))
            }
        }
    }

    /// What is here, if the upstream need not be asked.
    fn here(&self, remote: &Remote, which: &Which) -> Result<Option<Stored>, BackendError> {
        let Some(outcome) = self.fresh(&remote.own, which) else { return Ok(None) };
        let stored = self.local.manifest(&remote.own, which)?;
        Ok(stored.map(|stored| self.kept(remote, stored, outcome)))
    }

    fn kept(&self, remote: &Remote, mut stored: Stored, outcome: Outcome) -> Stored {
        self.counters.upstream_hits.one();
        stored.origin = match outcome {
            Outcome::Answered => None,
            Outcome::Unanswered => {
                self.counters.upstream_stale.one();
                Some(Origin::Unanswered(remote.host()))
            }
            Outcome::Withdrawn => Some(Origin::Withdrawn(remote.host())),
        };
        stored
    }

    /// Asks the upstream for a manifest and keeps it, unless it is the one that is known. None when the upstream has none.
    fn fetch_manifest(
        &self,
        remote: &Remote,
        which: &Which,
        known: Option<&Stored>,
    ) -> Result<Option<Stored>, BackendError> {
        let reference = remote.reference(which)?;
        let repository = remote.asking().repository(&reference).map_err(|error| remote.failed(&error))?;
        let what = match repository.head(&reference) {
            Err(error) if error.is_not_found() => return Ok(None),
            what => what.map_err(|error| remote.failed(&error))?,
        };
        if let Some(stored) = known.filter(|stored| stored.digest == what.digest) {
            self.note_asked(&remote.own, which, Outcome::Answered);
            self.counters.upstream_hits.one();
            return Ok(Some(stored.clone()));
        }
        self.counters.upstream_misses.one();
        let bytes = match self.local.manifest(&remote.own, &Which::Digest(what.digest))? {
            // The tag has moved to one that is here.
            Some(stored) => stored.bytes,
            None => self.fetch_document(&repository, remote, &what)?,
        };
        let document = Document::read(&bytes).map_err(|error| remote.wrong(error.to_string()))?;
        let tags: Vec<Tag> = match which {
            Which::Tag(tag) => vec![tag.clone()],
            Which::Digest(_) => Vec::new(),
        };
        let verified = Verified { digest: what.digest, canonical: Digest::of(&bytes) };
        // Its blobs come when they are asked for.
        let put = Put { verified, media_type: &document.media_type, bytes: &bytes, tags: &tags, needs: &[] };
        match self.writing()?.put_manifest(&remote.own, &put) {
            Ok(()) => self.note_asked(&remote.own, which, Outcome::Answered),
            // It is given away all the same, and asked for again the next time.
            Err(_) => self.counters.upstream_unkept.one(),
        }
        let (media_type, origin) = (document.media_type.as_str().into(), Some(Origin::Fetched(remote.host())));
        Ok(Some(Stored { digest: what.digest, media_type, bytes, origin }))
    }

    fn fetch_document(
        &self,
        from: &Repository<'_>,
        remote: &Remote,
        what: &Descriptor,
    ) -> Result<Arc<[u8]>, BackendError> {
        let bytes = fetch_document(from, what).map_err(|error| remote.wrong(error.to_string()))?;
        self.counters.upstream_bytes.add(bytes.len() as u64);
        Ok(bytes.into())
    }

    /// How large a blob is that is not here; none when the upstream does not have it.
    fn size(&self, remote: &Remote, digest: &Digest) -> Result<Option<u64>, BackendError> {
        if let Some(size) = lock(&self.sizes).get(&(remote.own.clone(), *digest)) {
            return Ok(Some(*size));
        }
        seat::leave();
        let reference = remote.reference(&Which::Digest(*digest))?;
        let asked = remote.asking().repository(&reference).and_then(|repository| repository.blob_size(digest));
        let size = asked.map_err(|error| {
            self.counters.upstream_failures.one();
            remote.failed(&error)
        })?;
        self.keep_sizes(&remote.own, size.map(|size| (*digest, size)).into_iter());
        Ok(size)
    }

    /// Keeps the manifests of referrers, which make the list of them when the upstream is gone.
    fn keep_referrers(&self, remote: &Remote, list: &[Descriptor]) {
        for referrer in list.iter().take(REFERRERS) {
            // The list is here; that one of them cannot be had is counted, and is said to whoever asks for it.
            if self.find_manifest(remote, &Which::Digest(referrer.digest)).is_err() {
                return;
            }
        }
    }

    fn writing(&self) -> Result<&dyn Writer, BackendError> {
        self.local.writer().ok_or_else(|| BackendError::ReadOnly(self.local.place()))
    }
}

impl Backend for PullThrough {
    fn place(&self) -> String {
        let hosts: Vec<&str> = self.upstreams.iter().map(|speaker| speaker.upstream.host.as_str()).collect();
        format!("{}, and behind it {}", self.local.place(), hosts.join(", "))
    }

    fn manifest(&self, repository: &Name, which: &Which) -> Result<Option<Stored>, BackendError> {
        let Some(remote) = self.remote(repository) else { return self.local.manifest(repository, which) };
        let found = self.find_manifest(&remote, which)?;
        found.iter().for_each(|stored| self.note_sizes(&remote.own, stored));
        Ok(found)
    }

    fn blob(&self, repository: &Name, digest: &Digest) -> Result<Option<Blob<'_>>, BackendError> {
        let local = self.local.blob(repository, digest)?;
        let Some(remote) = self.remote(repository) else { return Ok(local) };
        if local.is_some() {
            self.counters.upstream_hits.one();
            return Ok(local);
        }
        let Some(size) = self.size(&remote, digest)? else { return Ok(None) };
        // Another repository has it; that this one has it too is known from its manifest or from the upstream.
        match self.writing()?.mount(repository, digest, None) {
            Ok(true) => {
                self.counters.upstream_hits.one();
                return self.local.blob(repository, digest);
            }
            Ok(false) => {}
            // It comes from there like what nobody here has.
            Err(_) => self.counters.upstream_unkept.one(),
        }
        let origin = Some(Origin::Fetched(remote.host()));
        let digest = *digest;
        let open = move |range| self.flights.open(&self.local, &remote, &digest, size, &self.counters, range);
        Ok(Some(Blob { size, origin, open: Box::new(open), elsewhere: Box::new(|| None) }))
    }

    fn tags(&self, repository: &Name) -> Result<Option<Arc<[Tag]>>, BackendError> {
        let local = self.local.tags(repository)?;
        let Some(remote) = self.remote(repository) else { return Ok(local) };
        seat::leave();
        let reference = remote.reference(&Which::Digest(Digest::of(b"")))?;
        let there = remote.asking().repository(&reference).and_then(|repository| repository.tags());
        let mut tags: Vec<Tag> = match there {
            Ok(tags) => tags.iter().filter_map(|tag| tag.parse().ok()).collect(),
            Err(error) if error.is_not_found() => return Ok(local),
            Err(error) => {
                self.counters.upstream_failures.one();
                return local.map(Some).ok_or_else(|| remote.failed(&error));
            }
        };
        tags.extend(local.iter().flat_map(|tags| tags.iter()).cloned());
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
        let there = remote.asking().repository(&reference).and_then(|repository| repository.referrers(subject, None));
        match there {
            Ok(mut list) => {
                list.sort_by_key(|referrer| referrer.digest.to_string());
                self.keep_referrers(&remote, &list);
                Ok(list.into())
            }
            Err(error) => {
                if !error.is_not_found() {
                    self.counters.upstream_failures.one();
                }
                self.local.referrers(repository, subject)
            }
        }
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.local.writer()
    }
}

/// What these mutexes hold is usable after a panic as well.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
