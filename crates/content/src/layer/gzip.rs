//! Compresses a gzip stream on several threads, in the way of pigz: blocks of a fixed size, each with the end of the
//! one before it as its dictionary, put together in order as one member.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::block::{Block, Returns};
use super::deflate::{self, Deflated, Position};
use super::diff::stopped;
use crate::{ContentError, Ingest};

/// A block on its way to a thread.
struct Job {
    block: Arc<Block>,
    before: Option<Arc<Block>>,
    position: Position,
    spare: Vec<u8>,
    answer: SyncSender<io::Result<Deflated>>,
}

/// The threads that compress. They end before this is gone.
struct Workers {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(count: usize, level: u32, returns: &Returns) -> Result<Self, ContentError> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut workers = Self { jobs: Some(jobs), threads: Vec::new() };
        for _ in 0..count {
            let (queue, returns) = (Arc::clone(&queue), returns.clone());
            let thread = thread::Builder::new().name("layer-gzip".to_owned());
            let thread = thread.spawn(move || work(&queue, level, &returns));
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
fn work(queue: &Mutex<Receiver<Job>>, level: u32, returns: &Returns) {
    loop {
        // One waits for a job, the others wait for the lock: it comes to the same.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, before, position, spare, answer }) = job else { return };
        let dictionary = before.as_ref().map_or(&[][..], |before| before.bytes());
        let deflated = deflate::deflate(block.bytes(), dictionary, position, level, spare);
        returns.give(block);
        if let Some(before) = before {
            returns.give(before);
        }
        // Nobody waits for it when the layer is given up.
        drop(answer.send(deflated));
    }
}

/// A gzip stream being written.
pub(super) struct Gzip<'a> {
    output: Ingest<'a>,
    workers: Workers,
    /// Answers to come, in the order of the blocks.
    pending: VecDeque<Receiver<io::Result<Deflated>>>,
    before: Option<Arc<Block>>,
    spares: Vec<Vec<u8>>,
    checksum: crc32fast::Hasher,
    size: u64,
}

impl<'a> Gzip<'a> {
    pub(super) fn start(
        mut output: Ingest<'a>,
        level: u32,
        count: usize,
        returns: &Returns,
    ) -> Result<Self, ContentError> {
        deflate::header(&mut output).map_err(ContentError::io("write a layer"))?;
        Ok(Self {
            output,
            workers: Workers::start(count, level, returns)?,
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
        let before = self.before.replace(Arc::clone(&block));
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
        let checksum = self.checksum.finalize();
        deflate::trailer(&mut self.output, checksum, self.size).map_err(ContentError::io("write a layer"))?;
        Ok(self.output)
    }

    fn write_next(&mut self) -> Result<(), ContentError> {
        let Some(next) = self.pending.pop_front() else { return Ok(()) };
        let deflated = next.recv().map_err(|_gone| stopped("compress"))?;
        let deflated = deflated.map_err(ContentError::io("compress a layer"))?;
        self.output.take(&deflated.bytes)?;
        self.checksum.combine(&deflated.checksum);
        self.spares.push(deflated.bytes);
        Ok(())
    }
}
