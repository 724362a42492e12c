//! From a stored layer to the bytes of its tar, verified.
//!
//! What is read before the end is not verified yet, as with every stream: the last call to `read` fails if the blob or
//! the tar was not what it should be. Who stops earlier calls [`LayerReader::finish`].

use std::io::{self, Read};
use std::sync::Arc;

use oci::{Compression, Descriptor, DiffId, Digest, Hasher};

use super::block::Block;
use super::diff::{DiffHasher, stopped};
use super::inflate::{Event, Inflater};
use super::limit::ExpandLimit;
use crate::{BlobReader, ContentError, Source};

/// Size of a chunk of the blob.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait for decompression.
const CHUNKS: usize = 4;

/// The tar of a layer, as a stream.
pub struct LayerReader<'a> {
    blob: Blob<'a>,
    compression: Compression,
    // In front of the inflater, so that it is dropped first: the inflater waits for blocks as long as somebody could
    // return one.
    diff: Option<Diff>,
    inflater: Inflater,
    /// Buffers for chunks that are not with the inflater.
    spares: Vec<Block>,
    current: Option<Arc<Block>>,
    position: usize,
    expanded: u64,
    limit: u64,
    state: State,
}

/// How the tar's digest is compared.
struct Diff {
    expected: DiffId,
    /// None for a plain tar: its DiffId is the blob's digest.
    hasher: Option<DiffHasher>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Verified,
    Failed,
}

impl<'a> LayerReader<'a> {
    /// Opens a layer. How it is compressed is seen from its first bytes: media types lie.
    ///
    /// # Errors
    /// When the blob is not there or cannot be read.
    pub fn open(source: &'a dyn Source, what: &Descriptor) -> Result<Self, ContentError> {
        let mut blob = Blob::open(source, what)?;
        let mut first = Block::new(CHUNK);
        blob.fill(&mut first)?;
        let compression = Compression::detect(first.bytes());
        let mut inflater = Inflater::start(compression)?;
        inflater.give(first);
        if blob.is_over() {
            inflater.end();
        }
        Ok(Self {
            blob,
            compression,
            diff: None,
            inflater,
            spares: (1..CHUNKS).map(|_| Block::new(CHUNK)).collect(),
            current: None,
            position: 0,
            expanded: 0,
            limit: ExpandLimit::default().bytes(what.size),
            state: State::Reading,
        })
    }

    /// The same with another limit on the size of the tar. To be called before anything is read.
    #[must_use]
    pub fn limit(mut self, limit: ExpandLimit) -> Self {
        self.limit = limit.bytes(self.blob.size);
        self
    }

    /// The same, compared with the digest that the image's configuration gives for the tar. To be called before
    /// anything is read.
    ///
    /// # Errors
    /// When the thread that hashes cannot be started.
    pub fn verify_diff_id(mut self, expected: DiffId) -> Result<Self, ContentError> {
        let algorithm = expected.0.algorithm();
        let is_tar = self.compression == Compression::None && self.blob.digest.algorithm() == algorithm;
        let returns = self.inflater.returns().filter(|_| !is_tar).cloned();
        let hasher = returns.map(|returns| DiffHasher::start(returns, algorithm)).transpose()?;
        self.diff = Some(Diff { expected, hasher });
        Ok(self)
    }

    /// How the blob is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Reads the rest and verifies the whole.
    ///
    /// # Errors
    /// When the blob or its tar is not what it should be.
    pub fn finish(mut self) -> Result<(), ContentError> {
        while self.next_block()? {}
        Ok(())
    }

    /// Makes the next block the current one; false at the verified end.
    fn next_block(&mut self) -> Result<bool, ContentError> {
        match self.state {
            State::Verified => return Ok(false),
            State::Failed => return Err(stopped("read")),
            State::Reading => {}
        }
        self.state = State::Failed;
        if let (Some(block), Some(returns)) = (self.current.take(), self.inflater.returns()) {
            returns.give(block);
        }
        self.position = 0;
        loop {
            self.feed()?;
            match self.inflater.event() {
                Some(Event::Consumed(chunk)) => self.spares.push(chunk),
                Some(Event::Block(block)) => {
                    self.accept(block)?;
                    self.state = State::Reading;
                    return Ok(true);
                }
                Some(Event::End) => {
                    self.compare_diff_id()?;
                    self.state = State::Verified;
                    return Ok(false);
                }
                Some(Event::Failed(error)) => return Err(self.why(error)),
                None => return Err(stopped("decompress")),
            }
        }
    }

    /// Gives the inflater all the chunks it may have.
    fn feed(&mut self) -> Result<(), ContentError> {
        while !self.blob.is_over() {
            let Some(mut chunk) = self.spares.pop() else { return Ok(()) };
            chunk.clear();
            self.blob.fill(&mut chunk)?;
            self.inflater.give(chunk);
            if self.blob.is_over() {
                self.inflater.end();
            }
        }
        Ok(())
    }

    fn accept(&mut self, block: Block) -> Result<(), ContentError> {
        self.expanded += block.bytes().len() as u64;
        if self.expanded > self.limit {
            let (place, digest, size) = (self.blob.place.clone(), self.blob.digest, self.blob.size);
            return Err(ContentError::LayerTooLarge { place, digest, size, limit: self.limit });
        }
        let block = Arc::new(block);
        if let Some(hasher) = self.diff.as_ref().and_then(|diff| diff.hasher.as_ref()) {
            hasher.take(Arc::clone(&block))?;
        }
        self.current = Some(block);
        Ok(())
    }

    fn compare_diff_id(&mut self) -> Result<(), ContentError> {
        let Some(Diff { expected, hasher }) = self.diff.take() else { return Ok(()) };
        let actual = hasher.map_or(Ok(DiffId(self.blob.digest)), DiffHasher::finish)?;
        let (place, digest) = (self.blob.place.clone(), self.blob.digest);
        match actual == expected {
            true => Ok(()),
            false => Err(ContentError::DiffIdMismatch { place, digest, expected, actual }),
        }
    }

    /// Why decompression failed: if the blob's bytes are not those promised, that is the reason.
    fn why(&mut self, source: io::Error) -> ContentError {
        let mut chunk = Block::new(CHUNK);
        while !self.blob.is_over() {
            chunk.clear();
            if let Err(error) = self.blob.fill(&mut chunk) {
                return error;
            }
        }
        let (place, digest, compression) = (self.blob.place.clone(), self.blob.digest, self.compression);
        ContentError::LayerEncoding { place, digest, compression, source }
    }
}

impl Read for LayerReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let rest = self.current.as_ref().map_or(&[][..], |block| &block.bytes()[self.position..]);
            if !rest.is_empty() {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.position += count;
                return Ok(count);
            }
            if !self.next_block()? {
                return Ok(0);
            }
        }
    }
}

/// The bytes of a blob, hashed and counted while they are read.
struct Blob<'a> {
    reader: BlobReader<'a>,
    place: String,
    digest: Digest,
    size: u64,
    count: u64,
    /// None when the end was reached and is what was promised.
    hasher: Option<Hasher>,
}

impl<'a> Blob<'a> {
    fn open(source: &'a dyn Source, what: &Descriptor) -> Result<Self, ContentError> {
        let algorithm = what.digest.algorithm();
        let reader = source.fetch(what, 0).map_err(|error| match error {
            ContentError::MissingBlob { place, digest } if what.is_elsewhere() => {
                ContentError::Elsewhere { place, digest, urls: what.urls.clone() }
            }
            error => error,
        })?;
        Ok(Self {
            reader,
            place: source.place(),
            digest: what.digest,
            size: what.size,
            count: 0,
            hasher: Some(Hasher::new(algorithm)),
        })
    }

    fn is_over(&self) -> bool {
        self.hasher.is_none()
    }

    /// Fills the chunk, or less at the end.
    fn fill(&mut self, chunk: &mut Block) -> Result<(), ContentError> {
        while !chunk.is_full() && !self.is_over() {
            let room = chunk.room();
            match self.reader.read(room) {
                Ok(0) => self.end()?,
                Ok(count) => {
                    self.count += count as u64;
                    if self.count > self.size {
                        return Err(self.wrong_size());
                    }
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&room[..count]);
                    }
                    chunk.grow(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let doing = format!("read the blob {} from {}", self.digest, self.place);
                    return Err(ContentError::io(doing)(error));
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ContentError> {
        if self.count < self.size {
            return Err(self.wrong_size());
        }
        let Some(actual) = self.hasher.take().map(Hasher::finish) else { return Ok(()) };
        match actual == self.digest {
            true => Ok(()),
            false => Err(ContentError::DigestMismatch { place: self.place.clone(), expected: self.digest, actual }),
        }
    }

    fn wrong_size(&self) -> ContentError {
        let (place, digest) = (self.place.clone(), self.digest);
        ContentError::SizeMismatch { place, digest, expected: self.size, actual: self.count }
    }
}
