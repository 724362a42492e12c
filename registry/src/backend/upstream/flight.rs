//! Blobs that are coming in: fetched once, read by many while they come.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use content::Source;
use oci::{Algorithm, Descriptor, Digest, Hasher, MediaType};

use super::Remote;
use crate::backend::{Backend, BackendError, Verified};
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
    /// Where its bytes are read while they come; it has no name.
    spool: File,
    size: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    have: u64,
    end: Option<End>,
}

#[derive(Clone)]
enum End {
    /// Verified and kept.
    Kept,
    Failed(String),
    /// The upstream does not have it.
    Absent,
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
        let flight = self.join(local, remote, digest, size, counters)?;
        // The first byte tells whether there will be any.
        match flight.wait(range.start.min(size.saturating_sub(1))) {
            Some(End::Absent) => return Err(remote.wrong(format!("it does not have {digest}"))),
            Some(End::Failed(reason)) => return Err(remote.wrong(reason)),
            Some(End::Kept) | None => {}
        }
        let length = range.end - range.start;
        Ok(Body::Stream { reader: Box::new(Tail { flight, at: range.start, end: range.end }), length: Some(length) })
    }

    fn join(
        &self,
        local: &Arc<dyn Backend>,
        remote: &Remote,
        digest: &Digest,
        size: u64,
        counters: &Arc<Counters>,
    ) -> Result<Arc<Flight>, BackendError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = all.get(digest) {
            return Ok(Arc::clone(flight));
        }
        let spool = tempfile::tempfile().map_err(BackendError::io("make a temporary file"))?;
        let flight = Arc::new(Flight { spool, size, state: Mutex::default(), changed: Condvar::new() });
        all.insert(*digest, Arc::clone(&flight));
        counters.upstream_misses.one();
        let fetch = Fetch {
            flights: Arc::clone(&self.0),
            flight: Arc::clone(&flight),
            local: Arc::clone(local),
            remote: remote.clone(),
            digest: *digest,
            counters: Arc::clone(counters),
        };
        // It ends by itself: at the end of the blob, or when the upstream makes no progress.
        let started = thread::Builder::new().name("upstream".to_owned()).spawn(move || fetch.run());
        match started {
            Ok(_) => Ok(flight),
            Err(error) => {
                all.remove(digest);
                Err(BackendError::io("start a thread")(error))
            }
        }
    }
}

impl Flight {
    /// Waits until a byte can be read or there will be no more. Returns how it ended, if it has.
    fn wait(&self, at: u64) -> Option<End> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.end.is_some() || at < self.readable(&state) {
                return state.end.clone();
            }
            let (next, waited) = self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if waited.timed_out() {
                return Some(End::Failed("it made no progress".to_owned()));
            }
        }
    }

    /// The last byte is not given away before all are verified.
    fn readable(&self, state: &State) -> u64 {
        match state.end {
            Some(End::Kept) => self.size,
            _ => state.have.min(self.size.saturating_sub(1)),
        }
    }

    fn got(&self, have: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).have = have;
        self.changed.notify_all();
    }

    fn end(&self, end: End) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).end = Some(end);
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

/// Why a blob did not come.
enum Lost {
    Absent,
    Failed(String),
}

impl Fetch {
    fn run(self) {
        let end = match self.fetch() {
            Ok(()) => End::Kept,
            Err(Lost::Absent) => End::Absent,
            Err(Lost::Failed(reason)) => End::Failed(reason),
        };
        if !matches!(end, End::Kept) {
            self.counters.upstream_failures.one();
        }
        // The next asker finds it here, or tries again.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.digest);
        self.flight.end(end);
    }

    fn fetch(&self) -> Result<(), Lost> {
        let failed = |error: &dyn std::fmt::Display| Lost::Failed(error.to_string());
        let reference = self.remote.reference(&Which::Digest(self.digest)).map_err(|error| failed(&error))?;
        let repository = self.remote.client.repository(&reference).map_err(|error| failed(&error))?;
        let what = Descriptor::new(MediaType::OCI_LAYER, self.digest, self.flight.size);
        let mut reader = repository.fetch(&what, 0).map_err(|error| match Remote::is_absent(&error) {
            true => Lost::Absent,
            false => failed(&error),
        })?;
        let writer = self.local.writer().ok_or_else(|| Lost::Failed("nothing can be kept here".to_owned()))?;
        let mut upload = writer.begin(&self.remote.own).map_err(|error| failed(&error))?;
        upload.reserve(self.flight.size).map_err(|error| failed(&error))?;
        let mut hasher = Hasher::new(self.digest.algorithm());
        let mut canonical = (self.digest.algorithm() != Algorithm::Sha256).then(|| Hasher::new(Algorithm::Sha256));
        let mut buffer = vec![0; PIECE];
        let mut have = 0;
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count.map_err(|error| failed(&error))?,
            };
            let piece = &buffer[..count];
            (&self.flight.spool).write_all(piece).map_err(|error| failed(&error))?;
            have += count as u64;
            self.counters.upstream_bytes.add(count as u64);
            self.flight.got(have);
            upload.append(piece).map_err(|error| failed(&error))?;
            hasher.update(piece);
            canonical.iter_mut().for_each(|hasher| hasher.update(piece));
        }
        let actual = hasher.finish();
        if actual != self.digest {
            upload.cancel().map_err(|error| failed(&error))?;
            return Err(Lost::Failed(format!("what it sent for {} is {actual}", self.digest)));
        }
        let canonical = canonical.map_or(actual, Hasher::finish);
        upload.commit(&Verified { digest: actual, canonical }).map_err(|error| failed(&error))
    }
}

/// Reads a blob that is coming in.
struct Tail {
    flight: Arc<Flight>,
    at: u64,
    end: u64,
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.end || buffer.is_empty() {
            return Ok(0);
        }
        let ended = self.flight.wait(self.at);
        let readable = {
            let state = self.flight.state.lock().unwrap_or_else(PoisonError::into_inner);
            self.flight.readable(&state).min(self.end)
        };
        if readable <= self.at {
            let reason = match ended {
                Some(End::Failed(reason)) => reason,
                _ => "it ended early".to_owned(),
            };
            return Err(io::Error::other(reason));
        }
        let most = usize::try_from(readable - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.flight.spool.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        match count {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}
