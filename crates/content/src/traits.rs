//! Where content comes from, where it goes and where it stays.

use std::io::{Read, Write};

use oci::{Descriptor, Digest, Hasher, Reference};

use crate::{ContentError, Ingest, Sealed};

/// The bytes of a blob, read once from front to back.
pub type BlobReader<'a> = Box<dyn Read + Send + 'a>;

/// No manifest, index or configuration is larger: 32 MiB (registries refuse manifests above 4 MiB).
const DOCUMENT_LIMIT: u64 = 32 << 20;

/// A place that content is read from.
pub trait Source: Send + Sync {
    /// How the place is called in messages: `the store /var/lib/…`, `registry hub.example`, `archive x.tar`.
    fn place(&self) -> String;

    /// The root that a name stands for.
    ///
    /// # Errors
    /// [`ContentError::UnknownImage`] when there is none.
    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError>;

    /// The bytes of a blob, a manifest or a configuration, from byte `from` on. They are *not* verified here: whoever
    /// takes them in hashes them ([`Ingest`], [`fetch_document`]), once.
    ///
    /// # Errors
    /// [`ContentError::MissingBlob`] when it is not there.
    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError>;

    /// Says that what was fetched had wrong bytes. Returns whether the place has another copy, which the next fetch reads.
    fn reject(&self, _what: &Descriptor) -> bool {
        false
    }
}

/// A place that content is written to. Writing what is already there is not an error.
pub trait Sink: Send + Sync {
    /// How the place is called in messages.
    fn place(&self) -> String;

    /// Whether the bytes are there, whole. What was answered with true stays there at least until the sink is dropped:
    /// garbage collection beside it leaves it alone.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn has(&self, what: &Descriptor) -> Result<bool, ContentError>;

    /// Begins a blob. With a descriptor, an earlier attempt that was interrupted is taken up where it ended; without
    /// one the bytes are not known yet (a layer being built).
    ///
    /// # Errors
    /// When the place does not take it.
    fn begin(&self, what: Option<&Descriptor>) -> Result<Box<dyn Upload + '_>, ContentError>;

    /// Stores a manifest or an index whose successors are there.
    ///
    /// # Errors
    /// When the place does not take it.
    fn publish(&self, what: &Descriptor, bytes: &[u8]) -> Result<(), ContentError>;

    /// Gives a stored root a name; an older root of that name loses it (and stays, without a name if it has no other).
    ///
    /// # Errors
    /// When the root is not there or the place does not take names.
    fn tag(&self, name: &Reference, what: &Descriptor) -> Result<(), ContentError>;

    /// Tries to get a blob from another repository of the same place without moving bytes. Returns whether it did.
    ///
    /// # Errors
    /// When the place cannot be asked; a refusal is `Ok(false)`.
    fn mount_from(&self, _what: &Descriptor, _from: &Reference) -> Result<bool, ContentError> {
        Ok(false)
    }

    /// What tells this place's blobs from those of another: sinks of equal storage share every blob. By default each
    /// sink is a place of its own.
    fn storage(&self) -> Storage {
        Storage { realm: format!("{:p}", std::ptr::from_ref(self).cast::<()>()), repository: None }
    }

    /// Whether a manifest or an index is there together with everything that it needs. None from a place that does not
    /// know that: what is there then shows blob by blob.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn has_whole(&self, _root: &Descriptor) -> Result<Option<bool>, ContentError> {
        Ok(None)
    }

    /// Whether a name stands for that root already. False if it is not known.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn is_tagged(&self, _name: &Reference, _what: &Descriptor) -> Result<bool, ContentError> {
        Ok(false)
    }

    /// Stores a manifest or an index whose successors are there, under names.
    ///
    /// # Errors
    /// As [`Sink::publish`] and [`Sink::tag`].
    fn publish_as(&self, what: &Descriptor, bytes: &[u8], names: &[Reference]) -> Result<(), ContentError> {
        self.publish(what, bytes)?;
        names.iter().try_for_each(|name| self.tag(name, what))
    }
}

/// Where a sink keeps its blobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Storage {
    /// What blobs can be mounted inside of: a registry, or the whole place.
    pub realm: String,
    /// The part of it that a blob has to be in to be used: `REGISTRY/REPOSITORY`.
    pub repository: Option<String>,
}

/// Bytes on their way into a [`Sink`]. Dropped without commit they are kept for a later attempt where the sink can
/// (disk, registry), but are never visible.
pub trait Upload: Write + Send {
    /// Bytes that are there already, from an interrupted attempt.
    fn offset(&self) -> u64;

    /// Feeds the bytes before [`Upload::offset`] to the hasher, if they can be read back. With `false` the source is
    /// read from its beginning again and those bytes are hashed but not written.
    ///
    /// # Errors
    /// When reading them back fails.
    fn replay(&mut self, hasher: &mut Hasher) -> Result<bool, ContentError>;

    /// Whether the place hashes what it takes and refuses what is not of the promised digest. Of an interrupted upload to
    /// such a place only the rest is read from the source.
    fn verifies(&self) -> bool {
        false
    }

    /// Makes the bytes visible under their digest, durably. `sealed` is the proof that they were hashed.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn commit(self: Box<Self>, sealed: &Sealed) -> Result<(), ContentError>;

    /// Throws away what has been written, this attempt's and earlier ones'.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn discard(self: Box<Self>) -> Result<(), ContentError>;
}

/// A root in a store and the name it has, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name as its user wrote it; none for a root that was built without one or lost it.
    pub name: Option<Reference>,
    /// The root.
    pub root: Descriptor,
}

/// A place that content stays in.
pub trait Store: Source + Sink {
    /// All roots.
    ///
    /// # Errors
    /// When the list cannot be read.
    fn roots(&self) -> Result<Vec<Named>, ContentError>;

    /// Takes a name away; its root stays, without a name if it has no other. Returns the root, or none if there was no
    /// such name.
    ///
    /// # Errors
    /// When the list cannot be written.
    fn untag(&self, name: &Reference) -> Result<Option<Descriptor>, ContentError>;

    /// Removes a root and all its names from the list; its blobs stay until they are collected.
    ///
    /// # Errors
    /// When the list cannot be written.
    fn forget(&self, root: &Digest) -> Result<(), ContentError>;

    /// All blobs with their sizes in bytes.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn blobs(&self) -> Result<Vec<(Digest, u64)>, ContentError>;

    /// Removes one blob; nothing may need it any more.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn delete(&self, digest: &Digest) -> Result<(), ContentError>;
}

/// Reads a whole document (manifest, index, configuration) and verifies it.
///
/// # Errors
/// When it is missing, too large, or not what the descriptor says.
pub fn fetch_document(source: &dyn Source, what: &Descriptor) -> Result<Vec<u8>, ContentError> {
    let place = source.place();
    if what.size > DOCUMENT_LIMIT {
        return Err(ContentError::DocumentTooLarge {
            place,
            digest: what.digest,
            size: what.size,
            limit: DOCUMENT_LIMIT,
        });
    }
    let mut bytes = Vec::new();
    let reader = source.fetch(what, 0)?;
    let doing = || format!("read {} from {place}", what.digest);
    reader.take(what.size + 1).read_to_end(&mut bytes).map_err(ContentError::io(doing()))?;
    let actual = bytes.len() as u64;
    if actual != what.size {
        return Err(ContentError::SizeMismatch { place, digest: what.digest, expected: what.size, actual });
    }
    let mut hasher = Hasher::new(what.digest.algorithm());
    hasher.update(&bytes);
    let hashed = hasher.finish();
    if hashed != what.digest {
        return Err(ContentError::DigestMismatch { place, expected: what.digest, actual: hashed });
    }
    Ok(bytes)
}

/// Stores a small blob that is in memory (a configuration).
///
/// # Errors
/// When the sink does not take it.
pub fn store_bytes(sink: &dyn Sink, what: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
    if sink.has(what)? {
        return Ok(());
    }
    let mut ingest = Ingest::begin(sink, Some(what))?;
    ingest.take(&bytes[usize::try_from(ingest.resume_at()).unwrap_or(0).min(bytes.len())..])?;
    ingest.commit()?;
    Ok(())
}
