//! Compresses a stream on several threads, by blocks of a fixed size that are put together in order.
//!
//! gzip in the way of pigz: each block has the end of the one before it as its dictionary, and all are one member. zstd
//! as a sequence of frames, which every reader takes (RFC 8878, section 3). libzstd's own threads are not used: they
//! take the next job only when the oldest one is done, which leaves a processor of two idle for a sixth of the time.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::block::{Block, Returns};
use super::deflate::{self, Position, Squeezed};
use super::diff::stopped;
use super::frame::Frames;
use crate::{ContentError, Ingest};

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// RFC 1952, at a level of 0 to 9.
    Gzip(u32),
    /// RFC 8878, at a level of 1 to 19.
    Zstd(i32),
}

/// A block on its way to a thread.
struct Job {
    block: Arc<Block>,
    before: Option<Arc<Block>>,
    position: Position,
    spare: Vec<u8>,
    answer: SyncSender<io::Result<Squeezed>>,
}

/// The threads that compress. They end before this is gone.
struct Workers {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(count: usize, codec: Codec, returns: &Returns) -> Result<Self, ContentError> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut workers = Self { jobs: Some(jobs), threads: Vec::new() };
        for _ in 0..count {
            let (queue, returns) = (Arc::clone(&queue), returns.clone());
            let thread = thread::Builder::new().name("layer-compress".to_owned());
            let thread = thread.spawn(move || work(&queue, codec, &returns));
            workers.threads.push(thread.map_err(ContentError::io("start a thread that compresses a layer"))?);
        }
        Ok(workers)
    }

    fn give(&self, job: Job) -> Result<(), ContentError> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent { Ok(()) } else { Err(stopped("compress")) }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that failed has not answered, which is noticed where the answer is awaited.
            drop(thread.join());
        }
    }
}

/// Compresses blocks until there are no more.
fn work(queue: &Mutex<Receiver<Job>>, codec: Codec, returns: &Returns) {
    let mut frames = Frames::default();
    loop {
        // One waits for a job, the others wait for the lock: it comes to the same.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, before, position, spare, answer }) = job else { return };
        let dictionary = before.as_ref().map_or(&[][..], |before| before.bytes());
        let squeezed = match codec {
            Codec::Gzip(level) => deflate::deflate(block.bytes(), dictionary, position, level, spare),
            Codec::Zstd(level) => frames.compress(block.bytes(), level, spare),
        };
        returns.give(block);
        if let Some(before) = before {
            returns.give(before);
        }
        // Nobody waits for it when the layer is given up.
        drop(answer.send(squeezed));
    }
}

/// A compressed stream being written.
pub(super) struct Parallel<'a> {
    codec: Codec,
    output: Ingest<'a>,
    workers: Workers,
    /// Answers to come, in the order of the blocks.
    pending: VecDeque<Receiver<io::Result<Squeezed>>>,
    before: Option<Arc<Block>>,
    spares: Vec<Vec<u8>>,
    checksum: crc32fast::Hasher,
    size: u64,
}

impl<'a> Parallel<'a> {
    pub(super) fn start(
        mut output: Ingest<'a>,
        codec: Codec,
        count: usize,
        returns: &Returns,
    ) -> Result<Self, ContentError> {
        if let Codec::Gzip(_) = codec {
            deflate::header(&mut output).map_err(ContentError::io("write a layer"))?;
        }
        Ok(Self {
            codec,
            output,
            workers: Workers::start(count, codec, returns)?,
            pending: VecDeque::new(),
            before: None,
            spares: Vec::new(),
            checksum: crc32fast::Hasher::new(),
            size: 0,
        })
    }

    /// Takes the next block and writes what is ready.
    pub(super) fn take(&mut self, block: Arc<Block>, position: Position) -> Result<(), ContentError> {
        self.size += block.bytes().len() as u64;
        // Two for each thread keep them busy while this one reads files.
        while self.pending.len() >= 2 * self.workers.threads.len() {
            self.write_next()?;
        }
        let (answer, pending) = mpsc::sync_channel(1);
        let before = match self.codec {
            Codec::Gzip(_) => self.before.replace(Arc::clone(&block)),
            Codec::Zstd(_) => None,
        };
        let spare = self.spares.pop().unwrap_or_default();
        self.workers.give(Job { block, before, position, spare, answer })?;
        self.pending.push_back(pending);
        Ok(())
    }

    /// Writes the rest; the last block has been given.
    pub(super) fn finish(mut self) -> Result<Ingest<'a>, ContentError> {
        while !self.pending.is_empty() {
            self.write_next()?;
        }
        if let Codec::Gzip(_) = self.codec {
            let checksum = self.checksum.finalize();
            deflate::trailer(&mut self.output, checksum, self.size).map_err(ContentError::io("write a layer"))?;
        }
        Ok(self.output)
    }

    fn write_next(&mut self) -> Result<(), ContentError> {
        let Some(next) = self.pending.pop_front() else { return Ok(()) };
        let squeezed = next.recv().map_err(|_gone| stopped("compress"))?;
        let squeezed = squeezed.map_err(ContentError::io("compress a layer"))?;
        self.output.take(&squeezed.bytes)?;
        self.checksum.combine(&squeezed.checksum);
        self.spares.push(squeezed.bytes);
        Ok(())
    }
}
