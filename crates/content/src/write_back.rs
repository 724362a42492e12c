//! Bytes on their way to the disk while more are written, so that there is little left to do when they are synced.
//!
//! A thread of its own tells the system to begin: the call waits when the disk's queue is full, and whoever hashes or
//! compresses should not. Nothing depends on it: the sync at the end does what was not done, and tells about errors.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};

/// Bytes after which the system is told to begin.
const STRIDE: u64 = 8 << 20;
/// Strides that may wait for the thread; more are left to the sync at the end.
const WAITING: usize = 8;

/// The write-back of one file.
#[derive(Debug, Default)]
pub(crate) struct WriteBack {
    begun: u64,
    written: u64,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    /// Beginning and length of a stride.
    strides: Option<SyncSender<(i64, i64)>>,
    handle: Option<JoinHandle<()>>,
}

impl WriteBack {
    /// For a file of which so many bytes are written already.
    pub(crate) fn from(written: u64) -> Self {
        Self { begun: written, written, thread: None }
    }

    /// Counts bytes that were written behind the others.
    pub(crate) fn wrote(&mut self, file: &File, count: usize) {
        self.written += count as u64;
        let length = self.written - self.begun;
        if length < STRIDE {
            return;
        }
        if self.thread.is_none() {
            self.thread = Thread::start(file);
        }
        let (Ok(from), Ok(length)) = (i64::try_from(self.begun), i64::try_from(length)) else { return };
        let strides = self.thread.as_ref().and_then(|thread| thread.strides.as_ref());
        // Where the thread is behind, the stride becomes longer.
        if strides.is_some_and(|strides| strides.try_send((from, length)).is_ok()) {
            self.begun = self.written;
        }
    }
}

impl Thread {
    /// None where there cannot be one more thread or descriptor.
    fn start(file: &File) -> Option<Self> {
        let file = file.try_clone().ok()?;
        let (strides, queue) = mpsc::sync_channel::<(i64, i64)>(WAITING);
        let work = move || {
            for (from, length) in queue {
                // SAFETY: the descriptor is `file`'s, which lives until the thread ends; no memory of ours is touched.
                let result =
                    unsafe { libc::sync_file_range(file.as_raw_fd(), from, length, libc::SYNC_FILE_RANGE_WRITE) };
                if result != 0 {
                    return;
                }
            }
        };
        let handle = thread::Builder::new().name("write-back".to_owned()).spawn(work).ok()?;
        Some(Self { strides: Some(strides), handle: Some(handle) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.strides = None;
        if let Some(handle) = self.handle.take() {
            // It has no result.
            drop(handle.join());
        }
    }
}
