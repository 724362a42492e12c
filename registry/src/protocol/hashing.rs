//! The hash of an upload: computed beside the writing, on a thread of its own where the body is large.
//!
//! ```text
//! socket ─▶ buffer ─▶ append (this thread)
//!               └───▶ hash (the other thread) ─▶ buffer is free again
//! ```

use std::io::{self, Read};
use std::sync::mpsc;
use std::thread;

use oci::{Algorithm, Digest, Hasher};

use crate::backend::{BackendError, Upload, Verified};
use crate::seat;

/// Bytes of a body that are read at a time.
const PIECE: usize = 256 << 10;
/// Pieces in flight between reading and hashing.
const PIECES: usize = 4;

/// The hashes of an upload so far.
pub(super) struct Hashing {
    sha256: Hasher,
    sha512: Option<Hasher>,
}

/// Why a body did not get into an upload.
pub(super) enum Stuck {
    /// The client's side: what was read before is in the upload.
    Body(io::Error),
    /// Ours: what is in the upload is not known.
    Place(Box<BackendError>),
    /// The body is longer than was said.
    Long,
}

impl Stuck {
    fn place(error: BackendError) -> Self {
        Self::Place(Box::new(error))
    }
}

impl Hashing {
    /// A hash of no bytes yet; of the other algorithm as well, if the client says that it will name it.
    pub(super) fn new(hint: Option<Algorithm>) -> Self {
        let sha512 = (hint == Some(Algorithm::Sha512)).then(|| Hasher::new(Algorithm::Sha512));
        Self { sha256: Hasher::new(Algorithm::Sha256), sha512 }
    }

    /// Of what an upload holds already.
    pub(super) fn replay(upload: &mut dyn Upload, hint: Option<Algorithm>) -> Result<Self, BackendError> {
        let mut hashing = Self::new(hint);
        upload.replay(&mut |bytes| hashing.take(bytes))?;
        Ok(hashing)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.iter_mut().for_each(|hasher| hasher.update(bytes));
    }

    /// What the bytes are, compared with what the client says they are.
    pub(super) fn verify(self, wanted: &Digest, upload: &mut dyn Upload) -> Result<Verified, BackendError> {
        let canonical = self.sha256.finish();
        let actual = match (wanted.algorithm(), self.sha512) {
            (Algorithm::Sha256, _) => canonical,
            (Algorithm::Sha512, Some(hasher)) => hasher.finish(),
            // It was not said beforehand.
            (algorithm @ Algorithm::Sha512, None) => {
                seat::leave();
                let mut hasher = Hasher::new(algorithm);
                upload.replay(&mut |bytes| hasher.update(bytes))?;
                hasher.finish()
            }
        };
        match actual == *wanted {
            true => Ok(Verified { digest: *wanted, canonical }),
            false => Err(BackendError::Mismatch { expected: *wanted, actual }),
        }
    }

    /// Moves a body into an upload; `told` hears of every piece. `length` is what the client said the body has.
    pub(super) fn pump(
        &mut self,
        body: &mut (dyn Read + Send),
        length: Option<u64>,
        upload: &mut dyn Upload,
        told: &dyn Fn(u64),
    ) -> Result<(), Stuck> {
        let most = length.map_or(PIECE, |length| usize::try_from(length).unwrap_or(PIECE).clamp(1, PIECE));
        let mut first = vec![0; most];
        let count = fill(body, &mut first).map_err(Stuck::Body)?;
        if count < most || length.is_some_and(|length| length <= most as u64) {
            // All of it is here.
            first.truncate(count);
            upload.append(&first).map_err(Stuck::place)?;
            self.take(&first);
            told(upload.offset());
            return end(body);
        }
        seat::leave();
        if let Some(length) = length {
            upload.reserve(length).map_err(Stuck::place)?;
        }
        self.pump_on(first, body, upload, told)
    }

    fn pump_on(
        &mut self,
        first: Vec<u8>,
        body: &mut (dyn Read + Send),
        upload: &mut dyn Upload,
        told: &dyn Fn(u64),
    ) -> Result<(), Stuck> {
        let (full, to_hash) = mpsc::sync_channel::<(Vec<u8>, usize)>(PIECES);
        let (done, free) = mpsc::sync_channel::<Vec<u8>>(PIECES);
        thread::scope(|scope| {
            // Closed when this is left: the other thread ends then, and is waited for.
            let (full, free) = (full, free);
            scope.spawn(move || {
                for (piece, count) in to_hash {
                    self.take(&piece[..count]);
                    // Nobody needs it any more when the body has ended.
                    done.send(piece).ok();
                }
            });
            let mut made = 1;
            let (mut piece, mut count) = (first, PIECE);
            loop {
                upload.append(&piece[..count]).map_err(Stuck::place)?;
                told(upload.offset());
                // The other thread lives until the channel is closed.
                full.send((piece, count)).ok();
                piece = match free.try_recv() {
                    Ok(piece) => piece,
                    Err(_) if made < PIECES => {
                        made += 1;
                        vec![0; PIECE]
                    }
                    Err(_) => free.recv().unwrap_or_else(|_| vec![0; PIECE]),
                };
                count = fill(body, &mut piece).map_err(Stuck::Body)?;
                if count == 0 {
                    return Ok(());
                }
            }
        })
    }
}

/// Fills the buffer as far as the body goes. What was read before an error is not lost: the error comes again.
fn fill(body: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match body.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The rest of the piece is kept; reading on fails again.
            Err(_) if filled > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The body has to end here.
fn end(body: &mut dyn Read) -> Result<(), Stuck> {
    match fill(body, &mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Stuck::Long),
        Err(error) => Err(Stuck::Body(error)),
    }
}
