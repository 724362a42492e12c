//! Moves everything that roots need from a source to a sink: push, pull, save, load and mirror are this function.
//!
//! ```text
//! walk (documents, level by level) ─▶ blobs, many at once ─▶ documents, children before parents
//! ```
//!
//! Invariants: a blob that is wanted twice moves once; what the sink has does not move; bytes are verified by the sink's
//! [`Ingest`]; after the first error nothing new is begun and what runs ends; all threads are joined. Names are not
//! given here: whoever copies tags afterwards. Nothing is tried again here, except a blob whose earlier, interrupted
//! attempt turns out to be damaged: network errors are the source's.

use std::io::{self, Read};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use oci::{Descriptor, Reference};

use crate::graph::{self, Document, Graph};
use crate::parallel::{self, Stop};
use crate::{ContentError, Event, Ingest, Observer, Sink, Source};

/// Bytes moved at a time.
const BUFFER: usize = 1 << 20;
/// Enough to keep a network busy, and two cores with hashing.
pub(crate) const JOBS: usize = 6;

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

/// How to copy.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// Blobs that move at once; at least 1.
    pub jobs: usize,
    /// What to do about an index whose children are not all there.
    pub sparse: Sparse,
    /// Repositories of the sink's place that may have the blobs already.
    pub mounts: Vec<Reference>,
    /// Bytes a second of all transfers together; none for as many as there can be.
    pub limit_rate: Option<NonZeroU64>,
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

/// Copies many images at once: every blob of every image waits in one queue, and one that several images need moves
/// once. One result a job, in the jobs' order; a job that fails does not end the others.
pub fn copy_all(
    jobs: &[CopyJob<'_>],
    options: &CopyOptions,
    observer: &dyn Observer,
) -> Vec<Result<Copied, ContentError>> {
    let one = |job: &CopyJob<'_>| {
        let copied = copy(job.from, job.to, &job.roots, options, observer)?;
        job.names.iter().try_for_each(|(name, root)| job.to.tag(name, root))?;
        Ok(copied)
    };
    jobs.iter().map(one).collect()
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self { jobs: JOBS, sparse: Sparse::Refuse, mounts: Vec::new(), limit_rate: None }
    }
}

/// What a copy moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Blobs and documents that moved.
    pub sent: u64,
    /// Those that were there already.
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
    let jobs = options.jobs.max(1);
    let graph = graph::walk(from, roots, options.sparse, jobs, observer)?;
    let copier = Copier { from, to, options, observer, buffers: Mutex::default(), counts: Counts::default() };
    copier.run(&graph, jobs)
}

struct Copier<'a> {
    from: &'a dyn Source,
    to: &'a dyn Sink,
    options: &'a CopyOptions,
    observer: &'a dyn Observer,
    buffers: Mutex<Vec<Vec<u8>>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    skipped: AtomicU64,
    bytes: AtomicU64,
}

/// Why a blob is not there afterwards although nothing is wrong with it.
enum End {
    Stored,
    Stopped,
}

impl Copier<'_> {
    fn run(&self, graph: &Graph, jobs: usize) -> Result<Copied, ContentError> {
        self.observer.event(&Event::Planned { blobs: graph.count(), bytes: graph.bytes() });
        parallel::for_each(jobs, &graph.blobs, |blob, stop| self.blob(blob, stop))?;
        for wave in &graph.waves {
            parallel::for_each(jobs, wave, |document, _| self.document(document))?;
        }
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { sent, skipped, bytes } = &self.counts;
        Ok(Copied { sent: read(sent), skipped: read(skipped), bytes: read(bytes) })
    }

    fn blob(&self, what: &Descriptor, stop: &Stop) -> Result<(), ContentError> {
        if self.to.has(what)? || self.mount(what)? {
            self.skip(what);
            return Ok(());
        }
        // Registries may not hold these; whoever runs the image gets them from their URLs.
        if what.media_type.is_foreign_layer() && !what.urls.is_empty() {
            match self.from.fetch(what, 0) {
                Err(ContentError::MissingBlob { .. }) => {
                    self.skip(what);
                    return Ok(());
                }
                reader => drop(reader?),
            }
        }
        self.observer.event(&Event::Started(what.clone()));
        self.ended(what, self.attempt(what, stop))
    }

    fn document(&self, document: &Document) -> Result<(), ContentError> {
        let what = &document.what;
        if self.to.has(what)? {
            self.skip(what);
            return Ok(());
        }
        self.observer.event(&Event::Started(what.clone()));
        let store = || {
            let bytes = document.bytes(self.from)?;
            self.to.publish(what, &bytes)?;
            self.progress(what, bytes.len() as u64);
            self.counts.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(End::Stored)
        };
        self.ended(what, store())
    }

    fn mount(&self, what: &Descriptor) -> Result<bool, ContentError> {
        for repository in &self.options.mounts {
            if self.to.mount_from(what, repository)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn skip(&self, what: &Descriptor) {
        self.counts.skipped.fetch_add(1, Ordering::Relaxed);
        self.observer.event(&Event::Skipped(what.clone()));
    }

    fn progress(&self, what: &Descriptor, bytes: u64) {
        if bytes > 0 {
            self.observer.event(&Event::Progress { what: what.clone(), bytes });
        }
    }

    fn ended(&self, what: &Descriptor, result: Result<End, ContentError>) -> Result<(), ContentError> {
        let failed = |error: String| self.observer.event(&Event::Failed { what: what.clone(), error });
        match result {
            Ok(End::Stored) => {
                self.counts.sent.fetch_add(1, Ordering::Relaxed);
                self.observer.event(&Event::Finished(what.clone()));
                Ok(())
            }
            Ok(End::Stopped) => {
                failed("stopped, since another blob failed".to_owned());
                Ok(())
            }
            Err(error) => {
                failed(error.to_string());
                Err(error)
            }
        }
    }

    fn attempt(&self, what: &Descriptor, stop: &Stop) -> Result<End, ContentError> {
        let ingest = Ingest::begin(self.to, Some(what))?;
        let resumed = ingest.resume_at();
        match self.stream(what, ingest, stop) {
            // The bytes of the earlier attempt may be what is damaged; they are gone now.
            Err(ContentError::DigestMismatch { .. }) if resumed > 0 => {
                let ingest = Ingest::begin(self.to, Some(what))?;
                self.stream(what, ingest, stop)
            }
            result => result,
        }
    }

    fn stream(&self, what: &Descriptor, mut ingest: Ingest<'_>, stop: &Stop) -> Result<End, ContentError> {
        let resumed = ingest.resume_at();
        self.progress(what, resumed);
        // With nothing left to fetch, an earlier attempt (or another process) got all of it.
        if resumed < what.size || what.size == 0 {
            let mut reader = self.from.fetch(what, resumed)?;
            let mut buffer = self.buffer();
            loop {
                if stop.is_set() {
                    return Ok(End::Stopped);
                }
                let read = read_full(&mut reader, &mut buffer);
                let read = read.map_err(|error| self.unreadable(what, error))?;
                if read == 0 {
                    break;
                }
                ingest.take(&buffer[..read]).map_err(|error| self.blame(error))?;
                self.counts.bytes.fetch_add(read as u64, Ordering::Relaxed);
                self.progress(what, read as u64);
            }
            self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
        ingest.commit().map_err(|error| self.blame(error))?;
        Ok(End::Stored)
    }

    fn unreadable(&self, what: &Descriptor, error: io::Error) -> ContentError {
        ContentError::io(format!("read the blob {} of {}", what.digest, self.from.place()))(error)
    }

    /// Wrong bytes are the source's fault, though it is the sink's side that notices.
    fn blame(&self, error: ContentError) -> ContentError {
        match error {
            ContentError::DigestMismatch { .. } | ContentError::SizeMismatch { .. } => error.blame(self.from.place()),
            error => error,
        }
    }

    fn buffer(&self) -> Vec<u8> {
        let spare = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| vec![0; BUFFER])
    }
}

/// Fills the buffer as far as the reader goes.
pub(crate) fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
