//! Decompression on a thread of its own.
//!
//! Chunks of the blob go in, blocks of the tar come out, and for each chunk that is used up its buffer comes back, so
//! that the other side always knows whether to wait or to give more.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use flate2::bufread::GzDecoder;
use oci::Compression;

use super::block::{self, BLOCK, Block, Returns};
use crate::ContentError;

/// Blocks that may be ahead of the reader.
const AHEAD: usize = 4;
/// A zstd window of 128 MiB at most, as the `zstd` program decodes by default.
const WINDOW_LOG_MAX: u32 = 27;

/// What the thread has to say.
pub(super) enum Event {
    /// The next bytes of the tar.
    Block(Block),
    /// A chunk is used up; its buffer.
    Consumed(Block),
    /// All of the blob is decompressed.
    End,
    /// The blob is not what it should be.
    Failed(io::Error),
}

/// The thread, and the channels to and from it.
pub(super) struct Inflater {
    input: Option<Sender<Block>>,
    events: Option<Receiver<Event>>,
    returns: Option<Returns>,
    thread: Option<JoinHandle<()>>,
}

impl Inflater {
    pub(super) fn start(compression: Compression) -> Result<Self, ContentError> {
        let (input, chunks) = mpsc::channel();
        let (sender, events) = mpsc::channel();
        let (returns, stock) = block::cycle();
        let run = move || {
            let chunks = Chunks { input: chunks, current: None, position: 0, events: sender.clone() };
            let last = match decode(compression, chunks, &stock, &sender) {
                Ok(()) => Event::End,
                Err(error) => Event::Failed(error),
            };
            // Nobody listens when the reader is gone.
            drop(sender.send(last));
        };
        let thread = thread::Builder::new().name("layer-inflate".to_owned()).spawn(run);
        let thread = thread.map_err(ContentError::io("start a thread that decompresses a layer"))?;
        Ok(Self { input: Some(input), events: Some(events), returns: Some(returns), thread: Some(thread) })
    }

    /// Gives the next chunk.
    pub(super) fn give(&self, chunk: Block) {
        if let Some(input) = &self.input {
            // If the thread has ended, its last event says why.
            drop(input.send(chunk));
        }
    }

    /// Says that there are no more chunks.
    pub(super) fn end(&mut self) {
        self.input = None;
    }

    /// Waits for the next event; none if the thread is gone.
    pub(super) fn event(&self) -> Option<Event> {
        self.events.as_ref().and_then(|events| events.recv().ok())
    }

    /// Where blocks go when they have been read.
    pub(super) fn returns(&self) -> Option<&Returns> {
        self.returns.as_ref()
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // Whatever the thread waits for, or wants to say, fails now.
        (self.input, self.events, self.returns) = (None, None, None);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn decode(compression: Compression, chunks: Chunks, stock: &Receiver<Block>, to: &Sender<Event>) -> io::Result<()> {
    let mut blocks = Blocks { stock, to, made: 0 };
    match compression {
        Compression::Gzip => members(chunks, &mut blocks),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(chunks)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            blocks.fill_from(&mut decoder)
        }
        Compression::None => blocks.fill_from(&mut { chunks }),
    }
}

/// All members of a gzip stream; zeros may follow, as tapes and some tools pad, but nothing else.
fn members(mut chunks: Chunks, blocks: &mut Blocks<'_>) -> io::Result<()> {
    loop {
        let mut member = GzDecoder::new(&mut chunks);
        blocks.fill_from(&mut member)?;
        match chunks.fill_buf()?.first() {
            None => return Ok(()),
            Some(0) => return only_zeros(chunks),
            Some(_) => {}
        }
    }
}

fn only_zeros(mut chunks: Chunks) -> io::Result<()> {
    loop {
        let rest = chunks.fill_buf()?;
        if rest.is_empty() {
            return Ok(());
        }
        if rest.iter().any(|byte| *byte != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "something follows its end"));
        }
        let length = rest.len();
        chunks.consume(length);
    }
}

/// The blob as the decoder reads it.
struct Chunks {
    input: Receiver<Block>,
    current: Option<Block>,
    position: usize,
    events: Sender<Event>,
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        loop {
            let is_used_up = self.current.as_ref().is_some_and(|chunk| chunk.bytes().len() == self.position);
            if is_used_up && let Some(chunk) = self.current.take() {
                drop(self.events.send(Event::Consumed(chunk)));
            }
            if self.current.is_some() {
                break;
            }
            self.position = 0;
            match self.input.recv() {
                Ok(chunk) => self.current = Some(chunk),
                Err(_ended) => break,
            }
        }
        Ok(self.current.as_ref().map_or(&[], |chunk| &chunk.bytes()[self.position..]))
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// The tar as it goes to the reader.
struct Blocks<'a> {
    stock: &'a Receiver<Block>,
    to: &'a Sender<Event>,
    made: usize,
}

impl Blocks<'_> {
    /// Passes on everything that the decoder gives.
    fn fill_from(&mut self, decoder: &mut dyn Read) -> io::Result<()> {
        loop {
            let mut block = self.next()?;
            let mut is_end = false;
            while !block.is_full() && !is_end {
                match decoder.read(block.room()) {
                    Ok(0) => is_end = true,
                    Ok(count) => block.grow(count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.to.send(Event::Block(block)).map_err(|_gone| gave_up())?;
            if is_end {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> io::Result<Block> {
        if let Ok(block) = self.stock.try_recv() {
            return Ok(block);
        }
        if self.made < AHEAD {
            self.made += 1;
            return Ok(Block::new(BLOCK));
        }
        self.stock.recv().map_err(|_gone| gave_up())
    }
}

fn gave_up() -> io::Error {
    io::Error::other("nobody reads it any more")
}
