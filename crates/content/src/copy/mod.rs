//! Moves everything that roots need from sources to sinks: push, pull, save, load and mirror are this function.
//!
//! ```text
//! job ── walk (documents) ──▶ blobs of all jobs, one queue ──▶ documents, children before parents ──▶ names
//! ```
//!
//! Invariants: a blob that is wanted twice in one place moves once; one that several repositories of a registry want
//! moves once and is mounted into the others; what the sink has does not move; bytes are verified by the sink's
//! [`Ingest`](crate::Ingest); a job that failed begins nothing new, and what only it needed ends; all threads are joined.
//! An upload that broke off is taken up again here; other network errors are the source's.

mod fill;
mod queue;
mod rate;
mod transfer;
mod work;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use oci::{Descriptor, Reference};

use crate::{ContentError, Observer, Sink, Source};

pub(crate) use fill::read_full;
pub(crate) use work::left_out;

/// Enough to keep a network busy, and two cores with hashing.
pub(crate) const JOBS: usize = 6;
/// How often an upload that gets nowhere is begun again.
const RETRIES: u32 = 3;

/// What to do about an index whose children are not all there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sparse {
    /// It is an error.
    #[default]
    Refuse,
    /// The index is copied with those children that are there; a warning names the others. Registries refuse such an
    /// index.
    Allow,
}

/// What to do about layers that registries are not to hold and that have URLs of their own (foreign, non-distributable).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignLayers {
    /// They are not sent to registries, and a warning names them: whoever runs the image fetches them from their URLs.
    #[default]
    Leave,
    /// They are sent where the source has them.
    Send,
}

/// How to copy.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// Blobs that move at once; at least 1.
    pub jobs: usize,
    /// What to do about an index whose children are not all there.
    pub sparse: Sparse,
    /// What to do about layers that registries are not to hold.
    pub foreign: ForeignLayers,
    /// Repositories of the sinks' places that may have the blobs already.
    pub mounts: Vec<Reference>,
    /// Bytes a second of all transfers together; none for as many as there can be.
    pub limit_rate: Option<NonZeroU64>,
    /// How often an upload is begun again that broke off without any progress.
    pub retries: u32,
    /// Set it, from any thread, to end the copy early: uploads are left so that they can be taken up, and every job that
    /// is not done fails with [`ContentError::Stopped`].
    pub stop: Arc<AtomicBool>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            jobs: JOBS,
            sparse: Sparse::Refuse,
            foreign: ForeignLayers::Leave,
            mounts: Vec::new(),
            limit_rate: None,
            retries: RETRIES,
            stop: Arc::default(),
        }
    }
}

/// An image to be copied.
#[derive(Clone)]
pub struct CopyJob<'a> {
    /// Where it is.
    pub from: &'a dyn Source,
    /// Where it shall be.
    pub to: &'a dyn Sink,
    /// Its roots; mostly one.
    pub roots: Vec<Descriptor>,
    /// Names that roots get when everything they need is there.
    pub names: Vec<(Reference, Descriptor)>,
}

/// What a copy moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Blobs and documents that moved.
    pub sent: u64,
    /// Those that were there already. A root that was there with everything under it counts as one.
    pub skipped: u64,
    /// Bytes that moved, without those of an interrupted attempt that was taken up.
    pub bytes: u64,
}

/// Copies everything that the roots need, and the roots.
///
/// # Errors
/// The first error; it names the side that failed. What is in the sink by then stays there and is not copied again by
/// the next attempt.
pub fn copy(
    from: &dyn Source,
    to: &dyn Sink,
    roots: &[Descriptor],
    options: &CopyOptions,
    observer: &dyn Observer,
) -> Result<Copied, ContentError> {
    let job = CopyJob { from, to, roots: roots.to_vec(), names: Vec::new() };
    copy_all(&[job], options, observer).pop().unwrap_or(Ok(Copied::default()))
}

/// Copies many images at once: every blob of every image waits in one queue, and one that several images need moves
/// once. One result a job, in the jobs' order; a job that fails does not end the others.
pub fn copy_all(
    jobs: &[CopyJob<'_>],
    options: &CopyOptions,
    observer: &dyn Observer,
) -> Vec<Result<Copied, ContentError>> {
    let results = work::run(jobs, options, observer);
    let owned = |error: Arc<ContentError>| Arc::try_unwrap(error).unwrap_or_else(ContentError::Shared);
    results.into_iter().map(|result| result.map_err(owned)).collect()
}
