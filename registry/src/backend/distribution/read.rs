//! Reading manifests and blobs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use oci::{Algorithm, Digest};

use super::cache::Content;
use super::{Inner, MANIFEST_LIMIT, TOUCH, paths};
use crate::backend::tree::Facts;
use crate::backend::{BackendError, Blob, Stored};
use crate::document::Document;
use crate::names::{Name, Which};

impl Inner {
    pub(super) fn read_manifest(&self, repository: &Name, which: &Which) -> Result<Option<Stored>, BackendError> {
        let (asked, target) = match which {
            Which::Digest(digest) => (*digest, self.link(&paths::revision(repository, digest))?),
            Which::Tag(tag) => {
                let Some(digest) = self.link(&paths::current(repository, tag))? else { return Ok(None) };
                let revision = self.link(&paths::revision(repository, &digest))?;
                // Registries before 2.1 linked manifests among the layers only.
                let old = || self.link(&paths::layer(repository, &digest));
                (digest, revision.map_or_else(old, |digest| Ok(Some(digest)))?)
            }
        };
        let Some(target) = target else { return Ok(None) };
        let Some(content) = self.content(&target)? else { return Ok(None) };
        // Who asks by digest may do so to learn whether it has to be pushed, and rely on it.
        if matches!(which, Which::Digest(_)) {
            self.use_manifest(&target, &content)?;
        }
        let Content { media_type, bytes, .. } = content;
        Ok(Some(Stored { digest: asked, media_type, bytes, origin: None }))
    }

    /// Tells garbage collection that a manifest is used, unless that was done lately.
    fn use_manifest(&self, target: &Digest, content: &Content) -> Result<(), BackendError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if now.saturating_sub(content.told.load(Ordering::Relaxed)) <= TOUCH.as_secs() {
            return Ok(());
        }
        content.told.store(now, Ordering::Relaxed);
        let path = paths::blob(target);
        let facts = self.tree.facts(&path).map_err(|error| self.failed("look for", &path, error))?;
        if let Some(facts) = facts {
            self.note_use(&path, &facts);
        }
        Ok(())
    }

    /// The bytes of a manifest, verified when they are read from the disk.
    pub(super) fn content(&self, digest: &Digest) -> Result<Option<Content>, BackendError> {
        if let Some(content) = self.cache.get(digest) {
            return Ok(Some(content));
        }
        let path = paths::blob(digest);
        let read = self.tree.read(&path, MANIFEST_LIMIT);
        let Some(bytes) = read.map_err(|error| self.failed("read", &path, error))? else { return Ok(None) };
        let damaged = |reason: String| BackendError::Damaged { place: self.tree.place(), reason };
        let actual = digest_of(digest.algorithm(), &bytes);
        if actual != *digest {
            return Err(damaged(format!("the manifest {digest} has the digest {actual}")));
        }
        let media_type = match Document::read(&bytes) {
            Ok(document) => document.media_type,
            // Of a schema that nobody has pushed for years.
            Err(_) => "application/octet-stream".to_owned(),
        };
        let content = Content { media_type: media_type.into(), bytes: bytes.into(), told: Arc::default() };
        self.cache.put(*digest, &content);
        Ok(Some(content))
    }

    pub(super) fn read_blob(&self, repository: &Name, digest: &Digest) -> Result<Option<Blob<'_>>, BackendError> {
        let Some(target) = self.link(&paths::layer(repository, digest))? else { return Ok(None) };
        let path = paths::blob(&target);
        let facts = self.tree.facts(&path).map_err(|error| self.failed("look for", &path, error))?;
        let Some(facts) = facts else { return Ok(None) };
        // Whoever is told that it is there may rely on it and not push it.
        self.note_use(&path, &facts);
        let at = path.clone();
        let elsewhere = Box::new(move || self.tree.link(&at));
        let open = move |range| self.tree.open(&path, range).map_err(|error| self.failed("read", &path, error));
        Ok(Some(Blob { size: facts.size, origin: None, open: Box::new(open), elsewhere }))
    }

    /// Touches a blob that somebody may rely on from now on, unless that was done lately.
    fn note_use(&self, path: &str, facts: &Facts) {
        if facts.changed.elapsed().is_ok_and(|age| age > TOUCH) {
            self.touch(path);
        }
    }

    /// Tells garbage collection that a blob is used. Where that is not possible nothing is collected either, or the
    /// blob is gone, which whoever relies on it is told later.
    pub(super) fn touch(&self, path: &str) {
        if let Some(writing) = self.tree.writing() {
            writing.touch(path).ok();
        }
    }

    /// The same where something is promised that depends on it.
    pub(super) fn hold(&self, path: &str) -> Result<(), BackendError> {
        self.writing()?.touch(path).map_err(|error| self.failed("set the time of", path, error))
    }

    /// The same for what may be gone at this very moment. Returns whether it is still there.
    pub(super) fn grasp(&self, path: &str) -> Result<bool, BackendError> {
        match self.writing()?.touch(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            touched => touched.map(|()| true).map_err(|error| self.failed("set the time of", path, error)),
        }
    }

    /// Whether a blob is in a repository, whole.
    pub(super) fn has_blob(&self, repository: &Name, digest: &Digest) -> Result<Option<Digest>, BackendError> {
        let Some(target) = self.link(&paths::layer(repository, digest))? else { return Ok(None) };
        self.has_bytes(&target).map(|is_there| is_there.then_some(target))
    }

    /// Whether the bytes of a digest are there.
    pub(super) fn has_bytes(&self, digest: &Digest) -> Result<bool, BackendError> {
        let path = paths::blob(digest);
        let facts = self.tree.facts(&path).map_err(|error| self.failed("look for", &path, error))?;
        Ok(facts.is_some())
    }

    /// The digest that a blob's bytes lie under.
    pub(super) fn canonical(&self, digest: &Digest) -> Result<Option<Digest>, BackendError> {
        if digest.algorithm() == Algorithm::Sha256 {
            return Ok(Some(*digest));
        }
        let path = paths::alias(digest);
        let read = self.own.read(&path, super::LINK_LIMIT).map_err(|error| self.failed("read", &path, error))?;
        Ok(read.and_then(|bytes| str::from_utf8(&bytes).ok()?.parse().ok()))
    }
}

pub(super) fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = oci::Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// How a manifest among others is described to whoever asks for what refers to its subject.
pub(super) fn described(digest: Digest, content: &Content) -> Option<(Digest, oci::Descriptor)> {
    let document = Document::read(&content.bytes).ok()?;
    let subject = document.subject.as_ref()?.digest;
    Some((subject, document.describe(digest, Arc::as_ref(&content.bytes).len() as u64)))
}
