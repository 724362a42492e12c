//! The hash of a tar, on a thread of its own.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};

use oci::{Algorithm, DiffId, Hasher};

use super::block::{BLOCK, Block, Returns};
use crate::ContentError;

/// Blocks that may wait for the hash: it is the fastest stage, so few do.
const WAITING: usize = 4;

/// Hashes blocks in the order they are given.
pub(super) struct DiffHasher {
    blocks: Option<SyncSender<Arc<Block>>>,
    thread: Option<JoinHandle<DiffId>>,
}

impl DiffHasher {
    /// Starts the thread; blocks go to `returns` when they are hashed.
    pub(super) fn start(returns: Returns, algorithm: Algorithm) -> Result<Self, ContentError> {
        let (blocks, queue) = mpsc::sync_channel::<Arc<Block>>(WAITING);
        let hash = move || {
            let mut hasher = Hasher::new(algorithm);
            for block in queue {
                hasher.update(block.bytes());
                returns.give(block);
            }
            DiffId(hasher.finish())
        };
        let thread = thread::Builder::new().name("layer-hash".to_owned()).spawn(hash);
        let thread = thread.map_err(ContentError::io("start a thread that hashes a layer"))?;
        Ok(Self { blocks: Some(blocks), thread: Some(thread) })
    }

    pub(super) fn take(&self, block: Arc<Block>) -> Result<(), ContentError> {
        let sent = self.blocks.as_ref().is_some_and(|blocks| blocks.send(block).is_ok());
        if sent { Ok(()) } else { Err(stopped("hash")) }
    }

    pub(super) fn finish(mut self) -> Result<DiffId, ContentError> {
        self.blocks = None;
        self.thread.take().and_then(|thread| thread.join().ok()).ok_or_else(|| stopped("hash"))
    }
}

impl Drop for DiffHasher {
    fn drop(&mut self) {
        self.blocks = None;
        if let Some(thread) = self.thread.take() {
            // What it found out is not wanted any more.
            drop(thread.join());
        }
    }
}

/// The error for a thread that is gone without having said why.
pub(super) fn stopped(verb: &str) -> ContentError {
    let source = std::io::Error::other("its thread stopped");
    ContentError::Io { doing: format!("{verb} a layer"), source }
}

/// The DiffId of a tar: the SHA-256 digest of its bytes.
///
/// # Errors
/// When it cannot be read.
pub fn diff_id(mut tar: impl Read) -> Result<DiffId, ContentError> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; BLOCK];
    loop {
        match tar.read(&mut buffer) {
            Ok(0) => return Ok(DiffId(hasher.finish())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ContentError::io("hash a tar")(error)),
        }
    }
}
