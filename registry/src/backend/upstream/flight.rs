//! Blobs that are coming in: fetched once, read by many while they come.
//!
//! The bytes go where an upload of the blob would have them; what a fetch that was interrupted has left there is gone on
//! with. A reader that goes away takes nothing with it: the fetch goes on for the others, and for the next one. What cannot
//! be kept here (the disk is full) goes to each reader straight from the upstream.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use content::{ContentError, Source};
use oci::{Algorithm, Descriptor, Digest, Hasher, MediaType};

use super::{Remote, lock};
use crate::backend::{Backend, BackendError, Upload, Verified};
use crate::counters::Counters;
use crate::http::Body;
use crate::names::Which;
use crate::seat;

/// Bytes moved at a time.
const PIECE: usize = 256 << 10;
/// How long a reader waits for the next bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The blobs that are coming in.
#[derive(Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Digest, Arc<Flight>>>>);

/// One of them.
struct Flight {
    size: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where its bytes are read while they come.
    file: Option<Arc<File>>,
    have: u64,
    end: Option<Result<(), Lost>>,
}

/// Why a blob did not come.
#[derive(Clone, Debug)]
enum Lost {
    /// The upstream does not have it.
    Absent,
    /// The upstream failed.
    There(String),
    /// It cannot be kept here.
    Here(io::ErrorKind, String),
}

impl Lost {
    fn here(error: BackendError) -> Self {
        match error {
            BackendError::Io { doing, source } => Self::Here(source.kind(), format!("{doing}: {source}")),
            error => Self::Here(io::ErrorKind::Other, error.to_string()),
        }
    }

    fn explain(self, remote: &Remote, digest: &Digest) -> BackendError {
        match self {
            Self::Absent => BackendError::Absent { upstream: remote.host().to_string(), digest: *digest },
            Self::There(reason) => remote.wrong(reason),
            Self::Here(kind, doing) => BackendError::Io { doing, source: kind.into() },
        }
    }
}

impl Flights {
    /// Opens a range of a blob that is not here; the fetch is begun if it is not under way.
    pub(super) fn open(
        &self,
        local: &Arc<dyn Backend>,
        remote: &Remote,
        digest: &Digest,
        size: u64,
        counters: &Arc<Counters>,
        range: Range<u64>,
    ) -> Result<Body, BackendError> {
        seat::leave();
        let flight = {
            let mut all = lock(&self.0);
            match all.get(digest) {
                Some(flight) => Arc::clone(flight),
                None => {
                    // It may have come while this was decided.
                    if let Some(blob) = local.blob(&remote.own, digest)? {
                        return (blob.open)(range);
                    }
                    let flight = Arc::new(Flight { size, state: Mutex::default(), changed: Condvar::new() });
                    self.begin(&flight, local, remote, digest, counters)?;
                    all.insert(*digest, Arc::clone(&flight));
                    flight
                }
            }
        };
        let direct = Direct { remote: remote.clone(), digest: *digest, size, counters: Arc::clone(counters) };
        let mut tail = Tail { flight, direct, straight: None, at: range.start, end: range.end };
        // The first byte tells whether there will be any.
        match tail.flight.wait(range.start) {
            Err(Lost::Here(..)) => tail.leave().map_err(BackendError::io("fetch a blob"))?,
            waited => drop(waited.map_err(|lost| lost.explain(remote, digest))?),
        }
        Ok(Body::Stream { reader: Box::new(tail), length: Some(range.end - range.start) })
    }

    fn begin(
        &self,
        flight: &Arc<Flight>,
        local: &Arc<dyn Backend>,
        remote: &Remote,
        digest: &Digest,
        counters: &Arc<Counters>,
    ) -> Result<(), BackendError> {
        counters.upstream_misses.one();
        let fetch = Fetch {
            flights: Arc::clone(&self.0),
            flight: Arc::clone(flight),
            local: Arc::clone(local),
            remote: remote.clone(),
            digest: *digest,
            counters: Arc::clone(counters),
        };
        // Nobody joins it: it ends by itself, at the end of the blob or when the upstream makes no progress. At the end of
        // the process it is cut off and what it has is gone on with the next time.
        let started = thread::Builder::new().name("upstream".to_owned()).spawn(move || fetch.run());
        started.map(drop).map_err(BackendError::io("start a thread"))
    }
}

impl Flight {
    /// Waits until a byte can be read, or all are there. Returns the file and how many bytes of it can be read.
    fn wait(&self, at: u64) -> Result<(Arc<File>, u64), Lost> {
        let mut state = lock(&self.state);
        loop {
            if let Some(Err(lost)) = &state.end {
                return Err(lost.clone());
            }
            let readable = self.readable(&state);
            if let Some(file) = &state.file
                && (readable > at || state.end.is_some())
            {
                return Ok((Arc::clone(file), readable));
            }
            let (next, waited) = self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if waited.timed_out() {
                return Err(Lost::There("it made no progress".to_owned()));
            }
        }
    }

    /// The last byte is not given away before all are verified.
    fn readable(&self, state: &State) -> u64 {
        match state.end {
            Some(Ok(())) => self.size,
            _ => state.have.min(self.size.saturating_sub(1)),
        }
    }

    fn tell(&self, change: impl FnOnce(&mut MutexGuard<'_, State>)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }
}

/// What fetches a blob.
struct Fetch {
    flights: Arc<Mutex<HashMap<Digest, Arc<Flight>>>>,
    flight: Arc<Flight>,
    local: Arc<dyn Backend>,
    remote: Remote,
    digest: Digest,
    counters: Arc<Counters>,
}

impl Fetch {
    fn run(self) {
        // Whatever happens, those who wait are told.
        let mut landing = Landing { fetch: &self, end: Err(Lost::There("the fetch broke off".to_owned())) };
        landing.end = self.fetch();
    }

    fn fetch(&self) -> Result<(), Lost> {
        let size = self.flight.size;
        let writer = self.local.writer();
        let writer = writer.ok_or_else(|| Lost::here(BackendError::ReadOnly(self.local.place())))?;
        let begin = || writer.begin_fetch(&self.remote.own, &self.digest).map_err(Lost::here);
        let mut upload = begin()?;
        if upload.offset() > size {
            upload.cancel().map_err(Lost::here)?;
            upload = begin()?;
        }
        let mut hashing = Hashing::new(self.digest.algorithm());
        // Memory has no file that could be read meanwhile.
        let (file, mut spool) = match upload.file().map_err(Lost::here)? {
            Some(file) => (file, None),
            None => {
                let spool = tempfile::tempfile().map_err(BackendError::io("make a temporary file"));
                let spool = spool.map_err(Lost::here)?;
                (spool.try_clone().map_err(BackendError::io("use a temporary file")).map_err(Lost::here)?, Some(spool))
            }
        };
        let begun = if spool.is_none() { upload.offset() } else { 0 };
        self.flight.tell(|state| (state.file, state.have) = (Some(Arc::new(file)), begun));
        let received = self
            .replay(&mut *upload, &mut hashing, spool.as_mut())
            .and_then(|()| self.receive(&mut *upload, &mut hashing, spool.as_mut()));
        if let Err(Lost::Here(..)) = received {
            // On a full disk a part of a blob takes the space of whole ones. The first error counts.
            upload.cancel().ok();
            return received;
        }
        received?;
        let verified = hashing.finish();
        if verified.digest != self.digest {
            upload.cancel().map_err(Lost::here)?;
            self.counters.corrupt.one();
            return Err(Lost::There(format!("what came for {} has the digest {}", self.digest, verified.digest)));
        }
        upload.commit(&verified).map_err(Lost::here)
    }

    /// Takes up what an interrupted fetch has left.
    fn replay(&self, upload: &mut dyn Upload, hashing: &mut Hashing, spool: Option<&mut File>) -> Result<(), Lost> {
        let mut copied = Ok(());
        let mut spool = spool;
        let mut take = |piece: &[u8]| {
            hashing.take(piece);
            if let (Some(spool), Ok(())) = (&mut spool, &copied) {
                copied = spool.write_all(piece);
            }
        };
        if upload.offset() > 0 {
            upload.replay(&mut take).map_err(Lost::here)?;
        }
        copied.map_err(BackendError::io("write a temporary file")).map_err(Lost::here)?;
        self.flight.tell(|state| state.have = upload.offset());
        Ok(())
    }

    fn receive(&self, upload: &mut dyn Upload, hashing: &mut Hashing, spool: Option<&mut File>) -> Result<(), Lost> {
        let there = |error: &dyn std::fmt::Display| Lost::There(error.to_string());
        let mut have = upload.offset();
        let left = self.flight.size - have;
        if left == 0 && have > 0 {
            return Ok(());
        }
        let reference = self.remote.reference(&Which::Digest(self.digest)).map_err(|error| there(&error))?;
        let repository = self.remote.fetching().repository(&reference).map_err(|error| there(&error))?;
        let what = Descriptor::new(MediaType::OCI_LAYER, self.digest, self.flight.size);
        let mut reader = repository.fetch(&what, have).map_err(|error| match error {
            ContentError::MissingBlob { .. } => Lost::Absent,
            error => there(&error),
        })?;
        upload.reserve(left).map_err(Lost::here)?;
        let mut spool = spool;
        let mut buffer = vec![0; PIECE];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count.map_err(|error| there(&error))?,
            };
            let piece = &buffer[..count];
            if have + count as u64 > self.flight.size {
                return Err(Lost::There(format!("it sent more than the {} bytes of the blob", self.flight.size)));
            }
            upload.append(piece).map_err(Lost::here)?;
            if let Some(spool) = &mut spool {
                spool.write_all(piece).map_err(BackendError::io("write a temporary file")).map_err(Lost::here)?;
            }
            have += count as u64;
            self.counters.upstream_bytes.add(count as u64);
            self.flight.tell(|state| state.have = have);
            hashing.take(piece);
        }
        match have == self.flight.size {
            true => Ok(()),
            // What came is kept and gone on with.
            false => Err(Lost::There(format!("it sent {have} of {} bytes", self.flight.size))),
        }
    }
}

/// Ends a flight when it is dropped.
struct Landing<'a> {
    fetch: &'a Fetch,
    end: Result<(), Lost>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        match &self.end {
            Ok(()) => {}
            Err(Lost::Here(..)) => self.fetch.counters.upstream_unkept.one(),
            Err(_) => self.fetch.counters.upstream_failures.one(),
        }
        // The next asker finds it here, or tries again.
        lock(&self.fetch.flights).remove(&self.fetch.digest);
        let end = std::mem::replace(&mut self.end, Ok(()));
        self.fetch.flight.tell(|state| {
            if end.is_err() {
                state.file = None;
            }
            state.end = Some(end);
        });
    }
}

/// The digests of what goes by: the one that it should have and the one that it is kept by.
struct Hashing {
    asked: Hasher,
    canonical: Option<Hasher>,
}

impl Hashing {
    fn new(algorithm: Algorithm) -> Self {
        let canonical = (algorithm != Algorithm::Sha256).then(|| Hasher::new(Algorithm::Sha256));
        Self { asked: Hasher::new(algorithm), canonical }
    }

    fn take(&mut self, piece: &[u8]) {
        self.asked.update(piece);
        self.canonical.iter_mut().for_each(|hasher| hasher.update(piece));
    }

    fn finish(self) -> Verified {
        let digest = self.asked.finish();
        Verified { digest, canonical: self.canonical.map_or(digest, Hasher::finish) }
    }
}

/// A blob as the upstream has it.
struct Direct {
    remote: Remote,
    digest: Digest,
    size: u64,
    counters: Arc<Counters>,
}

impl Direct {
    /// A part of its bytes, kept nowhere. Whoever reads them sees an early end where the upstream fails.
    fn open(&self, range: Range<u64>) -> io::Result<PipeReader> {
        let (reader, writer) = io::pipe()?;
        let Self { remote, digest, size, counters } = self;
        let own = Self { remote: remote.clone(), digest: *digest, size: *size, counters: Arc::clone(counters) };
        // It ends with the bytes, or when nobody reads them any more.
        thread::Builder::new().name("upstream".to_owned()).spawn(move || {
            if own.carry(range, writer).is_err() {
                own.counters.upstream_failures.one();
            }
        })?;
        Ok(reader)
    }

    fn carry(&self, range: Range<u64>, mut into: PipeWriter) -> Result<(), BackendError> {
        let wrong = |error: &dyn std::fmt::Display| self.remote.wrong(error.to_string());
        let reference = self.remote.reference(&Which::Digest(self.digest))?;
        let repository = self.remote.fetching().repository(&reference).map_err(|error| wrong(&error))?;
        let what = Descriptor::new(MediaType::OCI_LAYER, self.digest, self.size);
        let reader = repository.fetch(&what, range.start).map_err(|error| wrong(&error))?;
        let mut reader = reader.take(range.end - range.start);
        let mut buffer = vec![0; PIECE];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count.map_err(|error| wrong(&error))?,
            };
            self.counters.upstream_bytes.add(count as u64);
            if into.write_all(&buffer[..count]).is_err() {
                // The client has gone away.
                return Ok(());
            }
        }
    }
}

/// Reads a blob that is coming in.
struct Tail {
    flight: Arc<Flight>,
    direct: Direct,
    /// What is left, straight from the upstream.
    straight: Option<PipeReader>,
    at: u64,
    end: u64,
}

impl Tail {
    /// Reads on without the others.
    fn leave(&mut self) -> io::Result<()> {
        self.straight = Some(self.direct.open(self.at..self.end)?);
        Ok(())
    }

    /// There is more to come.
    fn went(&mut self, count: usize) -> io::Result<usize> {
        self.at += count as u64;
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
    }
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.end || buffer.is_empty() {
            return Ok(0);
        }
        if self.straight.is_none() {
            match self.flight.wait(self.at) {
                Ok((file, readable)) => {
                    let left = readable.min(self.end).saturating_sub(self.at);
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    return self.went(file.read_at(&mut buffer[..most], self.at)?);
                }
                Err(Lost::Here(..)) => self.leave()?,
                Err(lost) => return Err(io::Error::other(format!("the blob did not come: {lost:?}"))),
            }
        }
        let count = self.straight.as_mut().map_or(Ok(0), |straight| straight.read(buffer))?;
        self.went(count)
    }
}
