//! From tar bytes to a stored layer, in one pass.
//!
//! Whoever writes the tar also writes the blob: the compressed bytes come back to this thread, so that the sink is
//! only ever used from here and its errors come out of the very next call.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use oci::{Compression, Descriptor, DiffId, MediaType};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

use super::block::{self, BLOCK, Block, Returns};
use super::deflate::Position;
use super::diff::{DiffHasher, stopped};
use super::gzip::Gzip;
use super::{Layer, LayerOptions};
use crate::{ContentError, Ingest, Sink};

/// zstd's jobs in bytes: small ones keep memory and the last job's tail short.
const ZSTD_JOB: u32 = 4 << 20;

/// A layer being written: takes the bytes of a tar. Dropped without [`LayerWriter::finish`], nothing becomes visible.
pub struct LayerWriter<'a> {
    /// None after an error: what was written cannot become a layer any more.
    stage: Option<Stage<'a>>,
    compression: Compression,
    /// None when the blob is the tar: then its digest is the DiffId.
    hasher: Option<DiffHasher>,
    block: Block,
    stock: Receiver<Block>,
    returns: Returns,
    size: u64,
}

enum Stage<'a> {
    Plain(Ingest<'a>),
    Gzip(Gzip<'a>),
    Zstd(Encoder<'static, Ingest<'a>>),
}

impl<'a> LayerWriter<'a> {
    /// Begins a layer in `sink`.
    ///
    /// # Errors
    /// When the level does not exist or the sink does not take a blob.
    pub fn begin(sink: &'a dyn Sink, options: &LayerOptions) -> Result<Self, ContentError> {
        let (level, threads) = (options.level()?, options.threads());
        let (returns, stock) = block::cycle();
        let ingest = Ingest::begin(sink, None)?;
        let stage = match options.compression {
            Compression::None => Stage::Plain(ingest),
            Compression::Gzip => Stage::Gzip(Gzip::start(ingest, level.unsigned_abs(), threads, &returns)?),
            Compression::Zstd => Stage::Zstd(zstd_encoder(ingest, level, threads)?),
        };
        let hasher = match stage {
            Stage::Plain(_) => None,
            _ => Some(DiffHasher::start(returns.clone())?),
        };
        let (compression, block) = (options.compression, Block::new(BLOCK));
        Ok(Self { stage: Some(stage), compression, hasher, block, stock, returns, size: 0 })
    }

    /// Waits for the last bytes and makes the layer visible in the sink.
    ///
    /// # Errors
    /// When compressing or storing fails, or a write failed before.
    pub fn finish(mut self) -> Result<Layer, ContentError> {
        self.pass(Position::Last)?;
        let ingest = match self.stage.take().ok_or_else(|| stopped("write"))? {
            Stage::Plain(ingest) => ingest,
            Stage::Gzip(gzip) => gzip.finish()?,
            Stage::Zstd(encoder) => encoder.finish().map_err(ContentError::io("compress a layer"))?,
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
        let next = self.stock.try_recv().unwrap_or_else(|_empty| Block::new(BLOCK));
        let block = Arc::new(std::mem::replace(&mut self.block, next));
        self.size += block.bytes().len() as u64;
        if let Some(hasher) = &self.hasher {
            hasher.take(Arc::clone(&block))?;
        }
        match &mut stage {
            Stage::Plain(ingest) => ingest.take(block.bytes())?,
            Stage::Gzip(gzip) => gzip.take(Arc::clone(&block), position)?,
            Stage::Zstd(encoder) => {
                encoder.write_all(block.bytes()).map_err(ContentError::io("compress a layer"))?;
            }
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

/// Always with workers, be it one: libzstd makes other bytes without.
fn zstd_encoder(ingest: Ingest<'_>, level: i32, threads: usize) -> Result<Encoder<'static, Ingest<'_>>, ContentError> {
    let wrong = || ContentError::io("start a zstd stream");
    let mut encoder = Encoder::new(ingest, level).map_err(wrong())?;
    encoder.multithread(u32::try_from(threads.max(1)).unwrap_or(1)).map_err(wrong())?;
    encoder.set_parameter(CParameter::JobSize(ZSTD_JOB)).map_err(wrong())?;
    encoder.include_checksum(true).map_err(wrong())?;
    Ok(encoder)
}
