//! Blocks of bytes that go around between threads instead of being allocated anew.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

/// Size of a block of tar bytes. Part of what gzip layers look like: each block is compressed on its own.
pub(super) const BLOCK: usize = 1 << 20;

/// A buffer and how much of it is in use.
pub(super) struct Block {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Block {
    pub(super) fn new(size: usize) -> Self {
        Self { bytes: vec![0; size].into_boxed_slice(), filled: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.bytes.len()
    }

    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Takes as many bytes as fit and says how many.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let room = &mut self.bytes[self.filled..];
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        count
    }

    /// Bytes that may be written to, before [`Block::grow`].
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    pub(super) fn grow(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.bytes.len());
    }
}

/// Where used blocks go.
#[derive(Clone)]
pub(super) struct Returns(Sender<Block>);

impl Returns {
    /// Gives a block back if nobody else holds it.
    pub(super) fn give(&self, block: Arc<Block>) {
        if let Some(mut block) = Arc::into_inner(block) {
            block.clear();
            // Nobody is left who needs it: then it is freed.
            drop(self.0.send(block));
        }
    }
}

/// A cycle of blocks: what is given to the one end comes out of the other.
pub(super) fn cycle() -> (Returns, Receiver<Block>) {
    let (sender, receiver) = mpsc::channel();
    (Returns(sender), receiver)
}
