//! Blobs one after the other, read and hashed on one thread while another one writes them.

use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

use oci::{Descriptor, Hasher};

use crate::{ContentError, Source, copy};

/// Bytes of a chunk.
const CHUNK: usize = 1 << 20;
/// Chunks that may wait to be written.
const WAITING: usize = 4;

/// A piece of a blob; an empty one is its verified end.
type Piece = Result<Chunk, ContentError>;

struct Chunk {
    bytes: Vec<u8>,
    length: usize,
}

/// The blobs, in the order that was asked for.
pub(super) struct Ahead {
    pieces: Receiver<Piece>,
    spares: Sender<Vec<u8>>,
    current: Option<Chunk>,
    position: usize,
}

/// Calls `write` with the blobs of a source. Of each, the last read fails if the bytes were not those promised.
pub(super) fn with<T>(
    source: &dyn Source,
    blobs: &[Descriptor],
    write: impl FnOnce(&mut Ahead) -> Result<T, ContentError>,
) -> Result<T, ContentError> {
    thread::scope(|scope| {
        let (pieces, receiver) = mpsc::sync_channel(WAITING);
        let (spares, returned) = mpsc::channel();
        let read = move || {
            for blob in blobs {
                if let Err(error) = send(source, blob, &pieces, &returned) {
                    // Nobody listens any more if the writer failed first.
                    drop(pieces.send(Err(error)));
                    return;
                }
            }
        };
        let spawned = thread::Builder::new().name("archive-read".to_owned()).spawn_scoped(scope, read);
        spawned.map_err(ContentError::io("start a thread that reads blobs"))?;
        // Dropped before the scope ends, so that a reader that waits for room ends too.
        let mut ahead = Ahead { pieces: receiver, spares, current: None, position: 0 };
        write(&mut ahead)
    })
}

fn send(
    source: &dyn Source,
    what: &Descriptor,
    pieces: &SyncSender<Piece>,
    returned: &Receiver<Vec<u8>>,
) -> Result<(), ContentError> {
    let stopped = || ContentError::io("write an archive")(io::ErrorKind::BrokenPipe.into());
    let doing = || format!("read the blob {} of {}", what.digest, source.place());
    let mut reader = source.fetch(what, 0)?;
    let (mut hasher, mut count) = (Hasher::new(what.digest.algorithm()), 0);
    loop {
        let mut bytes = returned.try_recv().unwrap_or_else(|_none| vec![0; CHUNK]);
        let length = copy::read_full(&mut reader, &mut bytes).map_err(ContentError::io(doing()))?;
        count += length as u64;
        if count > what.size || length == 0 && count < what.size {
            let (place, digest) = (source.place(), what.digest);
            return Err(ContentError::SizeMismatch { place, digest, expected: what.size, actual: count });
        }
        hasher.update(&bytes[..length]);
        if length == 0 {
            let actual = hasher.finish();
            if actual != what.digest {
                return Err(ContentError::DigestMismatch { place: source.place(), expected: what.digest, actual });
            }
            return pieces.send(Ok(Chunk { bytes, length })).map_err(|_gone| stopped());
        }
        pieces.send(Ok(Chunk { bytes, length })).map_err(|_gone| stopped())?;
    }
}

impl Ahead {
    /// The next blob, to be read to its end.
    pub(super) fn next(&mut self) -> Blob<'_> {
        Blob { ahead: self, is_over: false }
    }
}

/// One blob.
pub(super) struct Blob<'a> {
    ahead: &'a mut Ahead,
    is_over: bool,
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over || buffer.is_empty() {
            return Ok(0);
        }
        let ahead = &mut *self.ahead;
        let chunk = match &mut ahead.current {
            Some(chunk) => chunk,
            none => {
                let piece = ahead.pieces.recv().map_err(|_gone| io::Error::from(io::ErrorKind::BrokenPipe))?;
                ahead.position = 0;
                none.insert(piece?)
            }
        };
        let rest = &chunk.bytes[ahead.position..chunk.length];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        ahead.position += count;
        if ahead.position == chunk.length {
            self.is_over = chunk.length == 0;
            if let Some(chunk) = ahead.current.take() {
                // Nobody takes it back after the last blob.
                drop(ahead.spares.send(chunk.bytes));
            }
        }
        Ok(count)
    }
}
