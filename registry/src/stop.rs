//! The end of a server: asked for once, seen by everything that waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// A flag that can be waited for. Clones are the same flag.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    event: OwnedFd,
    is_set: AtomicBool,
}

impl Stop {
    /// A flag that is not set.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Inner { event, is_set: AtomicBool::new(false) })))
    }

    /// Asks for the end: no new connections, answers being given are finished. Can be called from anywhere, also from
    /// a signal handler's thread, and more than once.
    pub fn set(&self) {
        self.0.is_set.store(true, Ordering::Release);
        // It can only fail when the counter is full, and then it can be read.
        rustix::io::write(&self.0.event, &1u64.to_ne_bytes()).ok();
    }

    /// Whether the end was asked for.
    pub fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Waits until the end is asked for.
    ///
    /// # Errors
    /// When waiting is not possible.
    pub fn wait(&self) -> io::Result<()> {
        while !self.is_set() {
            match poll(&mut [PollFd::new(&self.0.event, PollFlags::IN)], None) {
                Err(rustix::io::Errno::INTR) => {}
                result => drop(result?),
            }
        }
        Ok(())
    }
}

impl AsFd for Stop {
    /// Readable once the end was asked for.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}
