//! From tar bytes to a stored layer, in one pass.
//!
//! Whoever writes the tar also writes the blob: the compressed bytes come back to this thread, so that the sink is
//! only ever used from here and its errors come out of the very next call.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use oci::{Algorithm, Compression, Descriptor, DiffId, MediaType};

use super::block::{self, BLOCK, Block, Returns};
use super::deflate::Position;
use super::diff::{DiffHasher, stopped};
use super::frame::FRAME;
use super::parallel::{Codec, Parallel};
use super::{Layer, LayerOptions};
use crate::{ContentError, Ingest, Sink};

/// A layer being written: takes the bytes of a tar. Dropped without [`LayerWriter::finish`], nothing becomes visible.
pub struct LayerWriter<'a> {
    /// None after an error: what was written cannot become a layer any more.
    stage: Option<Stage<'a>>,
    compression: Compression,
    /// None when the blob is the tar: then its digest is the DiffId.
    hasher: Option<DiffHasher>,
    block: Block,
    block_size: usize,
    stock: Receiver<Block>,
    returns: Returns,
    size: u64,
}

enum Stage<'a> {
    Plain(Ingest<'a>),
    Compressed(Parallel<'a>),
}

impl<'a> LayerWriter<'a> {
    /// Begins a layer in `sink`.
    ///
    /// # Errors
    /// When the level does not exist or the sink does not take a blob.
    pub fn begin(sink: &'a dyn Sink, options: &LayerOptions) -> Result<Self, ContentError> {
        let (level, threads) = (options.level()?, options.threads());
        let (returns, stock) = block::cycle();
        let start =
            |codec| Parallel::start(Ingest::begin(sink, None)?, codec, threads, &returns).map(Stage::Compressed);
        let (stage, block_size) = match options.compression {
            Compression::None => (Stage::Plain(Ingest::begin(sink, None)?), BLOCK),
            Compression::Gzip => (start(Codec::Gzip(level.unsigned_abs()))?, BLOCK),
            Compression::Zstd => (start(Codec::Zstd(level))?, FRAME),
        };
        let hasher = match stage {
            Stage::Plain(_) => None,
            _ => Some(DiffHasher::start(returns.clone(), Algorithm::Sha256)?),
        };
        let (compression, block) = (options.compression, Block::new(block_size));
        Ok(Self { stage: Some(stage), compression, hasher, block, block_size, stock, returns, size: 0 })
    }

    /// Waits for the last bytes and makes the layer visible in the sink.
    ///
    /// # Errors
    /// When compressing or storing fails, or a write failed before.
    pub fn finish(mut self) -> Result<Layer, ContentError> {
        self.pass(Position::Last)?;
        let ingest = match self.stage.take().ok_or_else(|| stopped("write"))? {
            Stage::Plain(ingest) => ingest,
            Stage::Compressed(parallel) => parallel.finish()?,
        };
        let diff_id = self.hasher.take().map(DiffHasher::finish).transpose()?;
        let sealed = ingest.commit()?;
        let media_type = MediaType::oci_layer(self.compression);
        Ok(Layer {
            descriptor: Descriptor::new(media_type, sealed.digest(), sealed.size()),
            diff_id: diff_id.unwrap_or(DiffId(sealed.digest())),
            uncompressed_size: self.size,
        })
    }

    /// Passes the current block on, if there is no error from before.
    fn pass(&mut self, position: Position) -> Result<(), ContentError> {
        let mut stage = self.stage.take().ok_or_else(|| stopped("write"))?;
        let next = self.stock.try_recv().unwrap_or_else(|_empty| Block::new(self.block_size));
        let block = Arc::new(std::mem::replace(&mut self.block, next));
        self.size += block.bytes().len() as u64;
        if let Some(hasher) = &self.hasher {
            hasher.take(Arc::clone(&block))?;
        }
        match &mut stage {
            Stage::Plain(ingest) => ingest.take(block.bytes())?,
            Stage::Compressed(parallel) => parallel.take(Arc::clone(&block), position)?,
        }
        self.returns.give(block);
        self.stage = Some(stage);
        Ok(())
    }
}

impl Write for LayerWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.is_full() {
            self.pass(Position::Inner)?;
        }
        Ok(self.block.take(bytes))
    }

    /// Does nothing: when bytes are passed on must not depend on who writes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
