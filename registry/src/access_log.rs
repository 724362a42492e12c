//! The access log: one line an answered request, as JSON or in the form of web servers' logs.
//!
//! ```text
//! Record ─▶ line (on the thread that answered) ─▶ queue ─▶ one thread ─▶ stderr, stdout or a file
//! ```
//!
//! Invariants: answering never waits for the log: when its writer cannot keep up, lines are left out and counted, and
//! the log itself says how many. No line holds a password or a token: header fields are not logged, nor is the query of
//! anything beside `/v2/`. What a client sends cannot break a line.

mod form;
mod output;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use crate::record::{Log, Record};

use output::Output;

/// Lines that wait to be written.
const QUEUE: usize = 32_768;
/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// Rounds without a line after which the writer sleeps until there is one.
const QUIET: u32 = 20;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// The combined form of web servers, and the seconds that the answer took.
    Combined,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// The end of a file; it is opened anew after [`AccessLog::reopen`].
    File(PathBuf),
}

/// The log.
pub struct AccessLog {
    format: Format,
    queue: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    thread: Thread,
    /// Makes the ids of lines those of this process.
    run: u32,
    next: AtomicU64,
}

#[derive(Default)]
struct Shared {
    sleeps: AtomicBool,
    ends: AtomicBool,
    reopens: AtomicBool,
    dropped: AtomicU64,
}

impl AccessLog {
    /// Begins to log.
    ///
    /// # Errors
    /// When the file cannot be opened or there is no thread left.
    pub fn start(format: Format, destination: &Destination) -> io::Result<Self> {
        let output = Output::open(destination)?;
        let (queue, lines) = sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let writer = Writer { lines, output, shared: Arc::clone(&shared), format, told: 0 };
        let writer = thread::Builder::new().name("access log".to_owned()).spawn(move || writer.run())?;
        let thread = writer.thread().clone();
        let mut run = [0; 4];
        SystemRandom::new()
            .fill(&mut run)
            .map_err(|_unspecified| io::Error::other("the system gives no random bytes"))?;
        let (run, writer) = (u32::from_ne_bytes(run), Mutex::new(Some(writer)));
        Ok(Self { format, queue, shared, writer, thread, run, next: AtomicU64::new(0) })
    }

    /// Opens the file anew: somebody has moved the old one away.
    pub fn reopen(&self) {
        self.shared.reopens.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// How many lines were left out because they could not be written in time.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Writes what waits and ends. Later lines are left out.
    pub fn end(&self) {
        self.shared.ends.store(true, Ordering::Release);
        self.thread.unpark();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A panic in there was printed; there is nothing to be saved.
            writer.join().ok();
        }
    }
}

impl Log for AccessLog {
    fn record(&self, record: &Record<'_>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let line = form::line(self.format, record, self.run, number);
        if self.queue.try_send(line).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // Either the writer sees the line or this sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.shared.sleeps.load(Ordering::Relaxed) && self.shared.sleeps.swap(false, Ordering::AcqRel) {
            self.thread.unpark();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessLog({:?})", self.format)
    }
}

struct Writer {
    lines: Receiver<Vec<u8>>,
    output: Output,
    shared: Arc<Shared>,
    format: Format,
    /// The lines that were left out, as far as the log says so.
    told: u64,
}

impl Writer {
    fn run(mut self) {
        let mut quiet = 0;
        loop {
            // Read before the queue: what was sent before the end was asked for is then seen.
            let ends = self.shared.ends.load(Ordering::Acquire);
            if self.shared.reopens.swap(false, Ordering::AcqRel) {
                self.output.reopen();
            }
            quiet = if self.write() { 0 } else { quiet + 1 };
            if ends {
                return;
            }
            if quiet < QUIET {
                thread::park_timeout(GATHER);
                continue;
            }
            self.shared.sleeps.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            // A line that came before the flag was seen would wait for the next one.
            if !self.write()
                && !self.shared.ends.load(Ordering::Acquire)
                && !self.shared.reopens.load(Ordering::Acquire)
            {
                thread::park_timeout(Duration::from_secs(3600));
            }
            self.shared.sleeps.store(false, Ordering::SeqCst);
            quiet = 0;
        }
    }

    /// Writes all lines that wait. Returns whether there were any.
    fn write(&mut self) -> bool {
        let mut any = false;
        while let Ok(line) = self.lines.try_recv() {
            any = true;
            self.output.add(&line, 1);
        }
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped > self.told {
            let line = form::dropped(self.format, dropped - self.told);
            self.output.add(&line, 0);
        }
        match self.output.flush() {
            Ok(()) => self.told = dropped,
            Err(lost) => drop(self.shared.dropped.fetch_add(lost, Ordering::Relaxed)),
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::http::{Method, Peer, Status};
    use crate::record::Kind;

    fn record(log: &AccessLog, target: &str) {
        log.record(&Record {
            begun: std::time::SystemTime::now(),
            took: Duration::from_millis(1),
            peer: Peer::Local,
            identity: None,
            method: Method::Get,
            target,
            kind: Kind::Base,
            repository: None,
            agent: None,
            status: Status::OK,
            code: None,
            reason: None,
            received: 0,
            sent: 0,
            is_complete: true,
        });
    }

    fn paths(file: &Path) -> Vec<String> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| line["path"].as_str().unwrap_or("none").to_owned()).collect()
    }

    #[test]
    fn every_line_is_written_and_a_moved_file_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (file, old) = (dir.path().join("log"), dir.path().join("log.1"));
        let log = AccessLog::start(Format::Json, &Destination::File(file.clone())).unwrap();
        thread::scope(|scope| {
            for thread in 0..4 {
                let log = &log;
                scope.spawn(move || (0..2000).for_each(|at| record(log, &format!("/v2/{thread}/{at}"))));
            }
        });
        // Long enough that the writer sleeps until there is something.
        while !log.shared.sleeps.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        assert_eq!(paths(&file).len(), 8000);
        fs::rename(&file, &old).unwrap();
        log.reopen();
        while !file.exists() {
            thread::yield_now();
        }
        record(&log, "/v2/last");
        log.end();
        record(&log, "/v2/late");
        assert_eq!((paths(&old).len(), paths(&file)), (8000, vec!["/v2/last".to_owned()]));
        assert_eq!(log.dropped(), 1, "the late one");
    }

    #[test]
    fn a_full_disk_loses_lines_but_nothing_else_and_says_how_many() {
        let log = AccessLog::start(Format::Json, &Destination::File("/dev/full".into())).unwrap();
        for at in 0..100 {
            record(&log, &format!("/v2/{at}"));
        }
        log.end();
        assert_eq!(log.dropped(), 100);
        assert!(AccessLog::start(Format::Json, &Destination::File("/nonexistent/log".into())).is_err());
    }
}
