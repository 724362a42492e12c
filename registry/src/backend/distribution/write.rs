//! Writing blobs, manifests and tags, and taking them away.

use oci::{Algorithm, Digest};

use super::upload::Pending;
use super::{Distribution, Inner, paths};
use crate::backend::tree::Growing;
use crate::backend::{BackendError, Put, Target, Upload, Verified, Writer};
use crate::document::Document;
use crate::names::{Name, Tag};

impl Inner {
    /// Puts a file that has grown in its place, and a link to it in the repository.
    pub(super) fn keep_blob(
        &self,
        repository: &Name,
        file: Box<dyn Growing>,
        verified: &Verified,
    ) -> Result<(), BackendError> {
        let path = paths::blob(&verified.canonical);
        let _lock = self.lock([&verified.canonical])?;
        let facts = self.tree.facts(&path).map_err(|error| self.failed("look for", &path, error))?;
        // Content that is there is the same content; the new file goes away with its upload.
        let is_there = facts.is_some_and(|facts| facts.size == file.length()) && self.grasp(&path)?;
        if !is_there {
            file.place(&path).map_err(|error| self.failed("store", &path, error))?;
            // It was written before it was synced, perhaps long before.
            self.hold(&path)?;
        }
        self.link_blob(repository, verified)
    }

    fn link_blob(&self, repository: &Name, verified: &Verified) -> Result<(), BackendError> {
        self.make_repository(repository)?;
        self.write_link(&paths::layer(repository, &verified.canonical), &verified.canonical)?;
        if verified.digest != verified.canonical {
            self.note_alias(verified)?;
            self.write_link(&paths::layer(repository, &verified.digest), &verified.canonical)?;
        }
        Ok(())
    }

    /// What a manifest names and need not be there, but is: the manifests of an index, and what an image that may be
    /// incomplete is made of. Whoever pushes it relies on that as well.
    fn extra(&self, repository: &Name, manifest: &Put<'_>) -> Result<Vec<Digest>, BackendError> {
        if !manifest.needs.is_empty() {
            return Ok(Vec::new());
        }
        let Ok(document) = Document::read(manifest.bytes) else { return Ok(Vec::new()) };
        let mut extra = Vec::new();
        for child in &document.children {
            extra.extend(self.link(&paths::revision(repository, &child.digest))?);
        }
        for blob in &document.blobs {
            extra.extend(self.link(&paths::layer(repository, &blob.digest))?);
        }
        Ok(extra)
    }

    /// Both directories, each of which one version of docker-distribution knows a repository by.
    fn make_repository(&self, repository: &Name) -> Result<(), BackendError> {
        let writing = self.writing()?;
        for path in [paths::layers(repository), paths::manifests(repository)] {
            writing.make_directory(&path).map_err(|error| self.failed("create", &path, error))?;
        }
        Ok(())
    }

    fn note_alias(&self, verified: &Verified) -> Result<(), BackendError> {
        let path = paths::alias(&verified.digest);
        let Some(writing) = self.own.writing() else { return Ok(()) };
        let written = writing.write(&path, verified.canonical.to_string().as_bytes());
        written.map_err(|error| self.failed("write", &path, error))
    }

    /// Points a tag at a manifest. Under its lock, so that nobody who takes the tag away takes what has been pushed since.
    fn point(&self, repository: &Name, tag: &Tag, digest: &Digest) -> Result<(), BackendError> {
        let _alone = self.alone(repository, tag.as_str())?;
        self.write_link(&paths::tag_index(repository, tag, digest), digest)?;
        let path = paths::current(repository, tag);
        self.write_link(&path, digest)?;
        // The newest tags are those that were pushed last, even with what they pointed at before.
        self.hold(&path)
    }

    fn write_link(&self, path: &str, digest: &Digest) -> Result<(), BackendError> {
        if self.link(path)? == Some(*digest) {
            return Ok(());
        }
        let written = self.writing()?.write(path, digest.to_string().as_bytes());
        written.map_err(|error| self.failed("write", path, error))
    }

    pub(super) fn lock<'a>(
        &self,
        digests: impl IntoIterator<Item = &'a Digest>,
    ) -> Result<Box<dyn crate::backend::tree::Held + '_>, BackendError> {
        let keys: Vec<u8> = digests.into_iter().map(lock_key).collect();
        self.writing()?.lock(&keys).map_err(|error| self.failed("lock", "blobs", error))
    }

    /// Runs alone among those who change a tag or take up an upload.
    pub(super) fn alone(
        &self,
        repository: &Name,
        what: &str,
    ) -> Result<Box<dyn crate::backend::tree::Held + '_>, BackendError> {
        let name = format!("{repository}:{what}");
        let key = lock_key(&Digest::of(name.as_bytes()));
        self.writing()?.alone(key).map_err(|error| self.failed("lock", &name, error))
    }

    /// Says that a file is about to be removed, under its lock.
    pub(super) fn doom(&self, path: &str) -> Result<Option<Box<dyn crate::backend::tree::Held + '_>>, BackendError> {
        self.writing()?.doom(path).map_err(|error| self.failed("mark", path, error))
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), BackendError> {
        self.writing()?.remove(path).map_err(|error| self.failed("remove", path, error))
    }

    /// Removes a tag if that holds of the digest that it points at. Returns whether it did.
    pub(super) fn delete_tag(
        &self,
        repository: &Name,
        tag: &Tag,
        condition: &mut dyn FnMut(&Digest) -> Result<bool, BackendError>,
    ) -> Result<bool, BackendError> {
        let _alone = self.alone(repository, tag.as_str())?;
        let current = self.link(&paths::current(repository, tag))?;
        let is_there = current.is_some();
        if let Some(digest) = current
            && !condition(&digest)?
        {
            return Ok(false);
        }
        // First what makes it a tag, so that an interruption leaves no half of one.
        self.remove(&paths::current(repository, tag))?;
        self.remove(&paths::tag(repository, tag))?;
        Ok(is_there)
    }

    fn delete_manifest(&self, repository: &Name, digest: &Digest) -> Result<bool, BackendError> {
        let Some(target) = self.link(&paths::revision(repository, digest))? else { return Ok(false) };
        let _lock = self.lock([&target])?;
        for tag in self.list_tags(repository)?.iter().flat_map(|tags| tags.iter()) {
            self.delete_tag(repository, tag, &mut |current| Ok(current == digest || *current == target))?;
        }
        for digest in [digest, &target] {
            self.remove(paths::parent(&paths::revision(repository, digest)))?;
        }
        Ok(true)
    }

    fn delete_blob(&self, repository: &Name, digest: &Digest) -> Result<bool, BackendError> {
        let Some(target) = self.link(&paths::layer(repository, digest))? else { return Ok(false) };
        let _lock = self.lock([&target])?;
        for digest in [digest, &target] {
            self.remove(paths::parent(&paths::layer(repository, digest)))?;
        }
        Ok(true)
    }
}

/// What a digest is locked by: its first byte.
pub(super) fn lock_key(digest: &Digest) -> u8 {
    u8::from_str_radix(&digest.hex()[..2], 16).unwrap_or_default()
}

impl Writer for Distribution {
    fn begin(&self, repository: &Name) -> Result<Box<dyn Upload>, BackendError> {
        self.0.writing()?;
        Ok(Box::new(Pending::begin(&self.0, repository)?))
    }

    fn begin_fetch(&self, repository: &Name, digest: &Digest) -> Result<Box<dyn Upload>, BackendError> {
        Ok(Box::new(Pending::fetch(&self.0, repository, digest)?))
    }

    fn resume(&self, repository: &Name, id: &str) -> Result<Option<Box<dyn Upload>>, BackendError> {
        Ok(Pending::resume(&self.0, repository, id)?.map(|pending| Box::new(pending) as Box<dyn Upload>))
    }

    fn mount(&self, into: &Name, digest: &Digest, from: Option<&Name>) -> Result<bool, BackendError> {
        let canonical = match from {
            Some(from) => self.0.has_blob(from, digest)?,
            None => self.0.canonical(digest)?,
        };
        let Some(canonical) = canonical else { return Ok(false) };
        let _lock = self.0.lock([&canonical])?;
        if !self.0.has_bytes(&canonical)? || !self.0.grasp(&paths::blob(&canonical))? {
            return Ok(false);
        }
        self.0.link_blob(into, &Verified { digest: *digest, canonical })?;
        Ok(true)
    }

    fn put_manifest(&self, repository: &Name, manifest: &Put<'_>) -> Result<(), BackendError> {
        let inner = &self.0;
        let Verified { digest, canonical } = manifest.verified;
        let mut needs = Vec::with_capacity(manifest.needs.len());
        let mut missing = Vec::new();
        for need in manifest.needs {
            match inner.link(&paths::layer(repository, need))? {
                Some(target) => needs.push(target),
                None => missing.push(*need),
            }
        }
        if !missing.is_empty() {
            return Err(BackendError::Missing(missing));
        }
        let extra = inner.extra(repository, manifest)?;
        // Under their locks the blobs are there or they are not: garbage collection takes the same locks.
        let _lock = inner.lock(needs.iter().chain(&extra).chain([&canonical]))?;
        for need in &needs {
            if !inner.has_bytes(need)? || !inner.grasp(&paths::blob(need))? {
                missing.push(*need);
            }
        }
        if !missing.is_empty() {
            return Err(BackendError::Missing(missing));
        }
        for extra in extra {
            if inner.has_bytes(&extra)? {
                inner.grasp(&paths::blob(&extra))?;
            }
        }
        inner.make_repository(repository)?;
        let path = paths::blob(&canonical);
        if !inner.has_bytes(&canonical)? || !inner.grasp(&path)? {
            let written = inner.writing()?.write(&path, manifest.bytes);
            written.map_err(|error| inner.failed("write", &path, error))?;
            inner.hold(&path)?;
        }
        inner.write_link(&paths::revision(repository, &canonical), &canonical)?;
        if digest != canonical {
            inner.write_link(&paths::revision(repository, &digest), &canonical)?;
        }
        for tag in manifest.tags {
            let shown = if digest.algorithm() == Algorithm::Sha256 { canonical } else { digest };
            inner.point(repository, tag, &shown)?;
        }
        Ok(())
    }

    fn delete(&self, repository: &Name, what: &Target) -> Result<bool, BackendError> {
        match what {
            Target::Tag(tag) => self.0.delete_tag(repository, tag, &mut |_| Ok(true)),
            Target::Manifest(digest) => self.0.delete_manifest(repository, digest),
            Target::Blob(digest) => self.0.delete_blob(repository, digest),
        }
    }
}
