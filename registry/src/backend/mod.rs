//! Where a registry keeps its content: what reading and writing it means for every kind of place.
//!
//! Invariants that every implementation keeps: a blob or manifest is visible in a repository only whole and verified;
//! what was acknowledged survives a crash; a tag never points at what is not there; names are data, never paths
//! ([`Name`] and [`Tag`] are well formed).

mod distribution;
mod error;
mod images;
mod layered;
mod tree;
mod upstream;

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use oci::{Descriptor, Digest};

use crate::http::Body;
use crate::names::{Name, Tag, Which};

pub use distribution::{Collected, Distribution, GcOptions, Leftovers, Pruning, Repair, Scrubbed, Step, Untagged};
pub use error::BackendError;
pub use images::Images;
pub use layered::Layered;
pub use upstream::{PullThrough, Upstream, UpstreamError};

/// A manifest, with the bytes that were pushed.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The digest that it was asked for by, or the one that the tag points at.
    pub digest: Digest,
    /// The media type that it was pushed with, or that its content says.
    pub media_type: Arc<str>,
    /// The bytes, exactly as pushed.
    pub bytes: Arc<[u8]>,
    /// What a registry behind this one had to do with it.
    pub origin: Option<Origin>,
}

/// What a registry behind this one had to do with an answer; with the host that images of it are named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was asked for it just now.
    Fetched(Arc<str>),
    /// It did not answer; this is what was here.
    Unanswered(Arc<str>),
    /// It does not have it any more; this is what was here.
    Withdrawn(Arc<str>),
}

/// A blob that is there; its bytes are opened when they are wanted.
pub struct Blob<'a> {
    /// Its size in bytes.
    pub size: u64,
    /// What a registry behind this one had to do with it.
    pub origin: Option<Origin>,
    /// Opens a range of its bytes; the range lies inside the blob.
    pub open: Box<dyn FnOnce(Range<u64>) -> Result<Body, BackendError> + 'a>,
    /// A URL by which anybody who is told it can have the bytes for a while, if there is one.
    pub elsewhere: Box<dyn FnOnce() -> Option<String> + 'a>,
}

/// A place that a registry reads. What is not there is `None`; errors are for what could not be found out.
pub trait Backend: Send + Sync {
    /// How the place is called in messages.
    fn place(&self) -> String;

    /// A manifest of a repository.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn manifest(&self, repository: &Name, which: &Which) -> Result<Option<Stored>, BackendError>;

    /// A blob of a repository: one that was pushed or mounted there, not any blob of the place.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn blob(&self, repository: &Name, digest: &Digest) -> Result<Option<Blob<'_>>, BackendError>;

    /// The tags of a repository in bytewise order; none when there is no such repository.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn tags(&self, repository: &Name) -> Result<Option<Arc<[Tag]>>, BackendError>;

    /// The repositories in bytewise order.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn repositories(&self) -> Result<Arc<[Name]>, BackendError>;

    /// The manifests of a repository whose subject is `subject`, as the referrers endpoint describes them, in bytewise
    /// order of their digests.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn referrers(&self, repository: &Name, subject: &Digest) -> Result<Arc<[Descriptor]>, BackendError>;

    /// The writing side; none when the place is read only.
    fn writer(&self) -> Option<&dyn Writer>;
}

/// A place that a registry writes.
pub trait Writer: Send + Sync {
    /// Begins an upload. Uploads are named by opaque ids.
    ///
    /// # Errors
    /// When the place does not take it.
    fn begin(&self, repository: &Name) -> Result<Box<dyn Upload>, BackendError>;

    /// Begins an upload of a blob that comes from another registry, or goes on with one that was interrupted: what is
    /// there already can be read back. Nobody else can take it up by its id.
    ///
    /// # Errors
    /// When the place does not take it.
    fn begin_fetch(&self, repository: &Name, _digest: &Digest) -> Result<Box<dyn Upload>, BackendError> {
        self.begin(repository)
    }

    /// An upload of that id that was begun earlier and is not open: a process before this one began it.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn resume(&self, repository: &Name, id: &str) -> Result<Option<Box<dyn Upload>>, BackendError>;

    /// Makes a blob of the place visible in a repository. `from` names the repository that has it; without it, any that
    /// has. Returns whether it is visible now.
    ///
    /// # Errors
    /// When the place cannot be written.
    fn mount(&self, into: &Name, digest: &Digest, from: Option<&Name>) -> Result<bool, BackendError>;

    /// Stores a manifest and points tags at it.
    ///
    /// # Errors
    /// [`BackendError::Missing`] when a blob that it needs is not in the repository, else when the place does not take
    /// it.
    fn put_manifest(&self, repository: &Name, manifest: &Put<'_>) -> Result<(), BackendError>;

    /// Removes something from a repository. Its bytes stay until they are collected. Returns whether it was there.
    ///
    /// # Errors
    /// When the place cannot be written.
    fn delete(&self, repository: &Name, what: &Target) -> Result<bool, BackendError>;
}

/// A manifest to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// What it is called.
    pub verified: Verified,
    /// What it was pushed as.
    pub media_type: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The tags that are to point at it; there may be none.
    pub tags: &'a [Tag],
    /// The blobs that must be in the repository.
    pub needs: &'a [Digest],
}

/// What is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A tag; its manifest stays.
    Tag(Tag),
    /// A manifest and all tags that point at it.
    Manifest(Digest),
    /// A blob.
    Blob(Digest),
}

/// What the bytes of an upload were found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The digest that the client names, which the bytes have.
    pub digest: Digest,
    /// Their SHA-256 digest; the same one if that is what the client names.
    pub canonical: Digest,
}

/// An upload in progress: bytes that have no name yet. Whoever appends them hashes them. Dropped, it can be taken up
/// again where the place keeps it.
pub trait Upload: Send {
    /// The opaque id, safe in paths.
    fn id(&self) -> &str;

    /// How many bytes there are.
    fn offset(&self) -> u64;

    /// Says that so many bytes will be appended, so that space is taken and a full disk shows early.
    ///
    /// # Errors
    /// When there is no space for them.
    fn reserve(&mut self, bytes: u64) -> Result<(), BackendError>;

    /// Appends bytes.
    ///
    /// # Errors
    /// When they cannot be kept. What was appended before stays.
    fn append(&mut self, bytes: &[u8]) -> Result<(), BackendError>;

    /// Reads back what there is, from the beginning.
    ///
    /// # Errors
    /// When it cannot be read.
    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), BackendError>;

    /// The file that the bytes lie in while they come and after, if there is one.
    ///
    /// # Errors
    /// When the system refuses.
    fn file(&self) -> Result<Option<File>, BackendError> {
        Ok(None)
    }

    /// Ends the upload: makes the blob visible in the repository, durably.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn commit(self: Box<Self>, verified: &Verified) -> Result<(), BackendError>;

    /// Throws the bytes away.
    ///
    /// # Errors
    /// When they cannot be removed.
    fn cancel(self: Box<Self>) -> Result<(), BackendError>;
}
