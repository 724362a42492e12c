//! One blob from a source into a sink: read, hashed and written side by side, taken up again where it broke.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oci::{Descriptor, Hasher};

use super::fill::read_some;
use super::rate::Rate;
use crate::ingest::{Hash, Writing};
use crate::{ContentError, Event, Ingest, Observer, Sink, Source};

/// Bytes moved at a time: what is in flight fits into a core's cache, and is copied from there.
const BUFFER: usize = 128 << 10;
/// Buffers of one blob on their way.
const IN_FLIGHT: usize = 4;
/// A blob with less to come is not worth a thread of its own for its hash.
const SIDE_BY_SIDE_FROM: u64 = 4 << 20;
/// A pause does not double for ever.
const LONGEST: Duration = Duration::from_secs(30);

/// What all transfers of a copy share.
pub(super) struct Transfers<'a> {
    pub(super) observer: &'a dyn Observer,
    pub(super) rate: Option<Rate>,
    pub(super) retries: u32,
    /// The whole copy ends early.
    stop: &'a AtomicBool,
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// How a transfer ended without an error.
pub(super) enum End {
    Stored,
    /// Nobody wants it any more.
    Stopped,
}

/// One blob on its way.
struct Transfer<'a> {
    shared: &'a Transfers<'a>,
    what: &'a Descriptor,
    from: &'a dyn Source,
    stop: &'a AtomicBool,
    /// Bytes of the blob that were reported.
    reported: AtomicU64,
    /// Bytes that were read.
    moved: AtomicU64,
}

impl<'a> Transfers<'a> {
    pub(super) fn new(observer: &'a dyn Observer, rate: Option<Rate>, retries: u32, stop: &'a AtomicBool) -> Self {
        Self { observer, rate, retries, stop, buffers: Mutex::default() }
    }

    /// Moves a blob; also says how many bytes were read for it.
    pub(super) fn blob(
        &self,
        what: &Descriptor,
        from: &dyn Source,
        to: &dyn Sink,
        stop: &AtomicBool,
    ) -> (Result<End, ContentError>, u64) {
        let (reported, moved) = (AtomicU64::new(0), AtomicU64::new(0));
        let transfer = Transfer { shared: self, what, from, stop, reported, moved };
        let result = transfer.run(to);
        (result, transfer.moved.into_inner())
    }

    fn buffer(&self) -> Vec<u8> {
        let spare = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| vec![0; BUFFER])
    }

    fn give_back(&self, buffer: Vec<u8>) {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

impl Transfer<'_> {
    fn run(&self, to: &dyn Sink) -> Result<End, ContentError> {
        let mut known: Option<Hash> = None;
        let (mut failures, mut pause) = (0, Duration::ZERO);
        let mut can_restart = true;
        loop {
            let begun = match known.take() {
                Some(hash) => Ingest::again(to, self.what, hash),
                None => Ingest::begin(to, Some(self.what)),
            };
            let before = self.reported.load(Ordering::Relaxed);
            let (error, hash) = match begun {
                Err(error) => (error, None),
                Ok(ingest) => {
                    let resumed = ingest.resume_at();
                    match self.attempt(ingest) {
                        Ok(end) => return Ok(end),
                        Err((error, _)) if is_wrong(&error) && resumed > 0 && can_restart => {
                            // The bytes of the earlier attempt may be what is damaged; they are gone now.
                            can_restart = false;
                            continue;
                        }
                        Err((error @ ContentError::DigestMismatch { .. }, _)) => match self.from.reject(self.what) {
                            true => continue,
                            false => return Err(error.blame(self.from.place())),
                        },
                        Err((error @ ContentError::Refused { .. }, _)) => return Err(self.whose_fault(error)),
                        Err((error @ ContentError::SizeMismatch { .. }, _)) => {
                            return Err(error.blame(self.from.place()));
                        }
                        Err(other) => other,
                    }
                }
            };
            let ContentError::Interrupted { wait, .. } = &error else { return Err(error) };
            if self.reported.load(Ordering::Relaxed) > before {
                (failures, pause) = (0, Duration::ZERO);
            }
            failures += 1;
            if failures > self.shared.retries || self.is_stopped() {
                return Err(error);
            }
            pause = (*wait).max(pause * 2).min(LONGEST.max(*wait));
            self.shared.observer.event(&Event::Warning(format!("{error}; taking the upload up again")));
            thread::sleep(pause);
            known = hash;
        }
    }

    /// Whether nobody wants the blob any more, or the whole copy ends.
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.shared.stop.load(Ordering::Relaxed)
    }

    /// Reads what is missing and finishes the blob. With an error comes what is known of the bytes.
    fn attempt(&self, mut ingest: Ingest<'_>) -> Result<End, (ContentError, Option<Hash>)> {
        let resumed = ingest.resume_at();
        self.report(resumed);
        // With nothing left to fetch, an earlier attempt (or another process) got all of it.
        if resumed < self.what.size || self.what.size == 0 {
            let (hash, mut writing) = ingest.sides();
            let is_large = self.what.size - resumed >= SIDE_BY_SIDE_FROM;
            let flowed = match is_large {
                true => self.side_by_side(hash, &mut writing),
                false => self.in_turn(hash, &mut writing),
            };
            match flowed {
                Ok(true) => {}
                Ok(false) => return Ok(End::Stopped),
                Err(error) => return Err((error, Some(ingest.into_hash()))),
            }
        }
        ingest.try_commit().map(|_sealed| End::Stored)
    }

    /// Bytes are hashed and then written. Returns whether all of them were.
    fn in_turn(&self, hash: &mut Hash, writing: &mut Writing<'_, '_>) -> Result<bool, ContentError> {
        let mut reader = self.from.fetch(self.what, writing.at())?;
        let mut buffer = self.shared.buffer();
        let whole = loop {
            if self.is_stopped() {
                break false;
            }
            let count = self.read(&mut reader, &mut buffer)?;
            if count == 0 {
                break true;
            }
            self.check(writing.at(), count)?;
            hash.take(writing.at(), &buffer[..count]);
            writing.take(&buffer[..count])?;
            self.report(writing.at());
        };
        self.shared.give_back(buffer);
        Ok(whole)
    }

    /// Bytes are hashed on another thread while they are written on this one.
    fn side_by_side(&self, hash: &mut Hash, writing: &mut Writing<'_, '_>) -> Result<bool, ContentError> {
        thread::scope(|scope| {
            let (send, receive) = mpsc::sync_channel::<Filled>(IN_FLIGHT);
            let (done, finished) = mpsc::sync_channel::<()>(IN_FLIGHT);
            let hashing = move || {
                for Filled { buffer, at, count } in receive {
                    hash.take(at, &buffer[..count]);
                    drop(buffer);
                    // Nobody waits any more when all was read; what is left is hashed all the same.
                    done.send(()).unwrap_or_default();
                }
            };
            let spawned = thread::Builder::new().name("hash".to_owned()).spawn_scoped(scope, hashing);
            spawned.map_err(ContentError::io("start a thread that hashes"))?;
            self.pump(writing, &send, &finished)
        })
    }

    fn pump(
        &self,
        writing: &mut Writing<'_, '_>,
        hasher: &SyncSender<Filled>,
        finished: &Receiver<()>,
    ) -> Result<bool, ContentError> {
        let mut reader = self.from.fetch(self.what, writing.at())?;
        let mut flying = std::collections::VecDeque::new();
        let mut spare: Vec<Vec<u8>> = Vec::new();
        let ended = || ContentError::io("hash")(io::ErrorKind::BrokenPipe.into());
        let whole = loop {
            if self.is_stopped() {
                break false;
            }
            while flying.len() >= IN_FLIGHT || (!flying.is_empty() && finished.try_recv().is_ok()) {
                if flying.len() >= IN_FLIGHT {
                    finished.recv().map_err(|_gone| ended())?;
                }
                spare.extend(flying.pop_front().and_then(|buffer: Arc<Vec<u8>>| Arc::try_unwrap(buffer).ok()));
            }
            let mut buffer = spare.pop().unwrap_or_else(|| self.shared.buffer());
            let count = self.read(&mut reader, &mut buffer)?;
            if count == 0 {
                spare.push(buffer);
                break true;
            }
            let at = writing.at();
            self.check(at, count)?;
            let buffer = Arc::new(buffer);
            hasher.send(Filled { buffer: Arc::clone(&buffer), at, count }).map_err(|_gone| ended())?;
            writing.take(&buffer[..count])?;
            flying.push_back(buffer);
            self.report(writing.at());
        };
        spare.into_iter().for_each(|buffer| self.shared.give_back(buffer));
        Ok(whole)
    }

    fn read(&self, reader: &mut dyn io::Read, buffer: &mut [u8]) -> Result<usize, ContentError> {
        let room = self.shared.rate.as_ref().map_or(buffer.len(), |rate| rate.piece().min(buffer.len()));
        let count = read_some(reader, &mut buffer[..room]).map_err(|error| {
            ContentError::io(format!("read the blob {} of {}", self.what.digest, self.from.place()))(error)
        })?;
        if let Some(rate) = &self.shared.rate {
            rate.take(count);
        }
        self.moved.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    /// Bytes beyond the promised size are not even hashed.
    fn check(&self, at: u64, count: usize) -> Result<(), ContentError> {
        let actual = at + count as u64;
        if actual <= self.what.size {
            return Ok(());
        }
        let (place, digest, expected) = (self.from.place(), self.what.digest, self.what.size);
        Err(ContentError::SizeMismatch { place, digest, expected, actual })
    }

    /// Says how far the blob is, if it is further than before.
    fn report(&self, at: u64) {
        let before = self.reported.fetch_max(at, Ordering::Relaxed);
        if at > before {
            self.shared.observer.event(&Event::Progress { what: self.what.clone(), bytes: at - before });
        }
    }

    /// A place that hashes by itself did not get what the digest names: either the source is damaged, or the way is.
    fn whose_fault(&self, error: ContentError) -> ContentError {
        let mut hasher = Hasher::new(self.what.digest.algorithm());
        let mut hash = || -> Result<(), ContentError> {
            let mut reader = self.from.fetch(self.what, 0)?;
            let mut buffer = self.shared.buffer();
            loop {
                match read_some(&mut reader, &mut buffer).map_err(ContentError::io("read it again"))? {
                    0 => return Ok(()),
                    count => hasher.update(&buffer[..count]),
                }
            }
        };
        if hash().is_err() {
            return error;
        }
        let actual = hasher.finish();
        match actual == self.what.digest {
            true => error,
            false => ContentError::DigestMismatch { place: self.from.place(), expected: self.what.digest, actual },
        }
    }
}

/// A buffer to be hashed.
struct Filled {
    buffer: Arc<Vec<u8>>,
    at: u64,
    count: usize,
}

fn is_wrong(error: &ContentError) -> bool {
    matches!(error, ContentError::DigestMismatch { .. } | ContentError::Refused { .. })
}
