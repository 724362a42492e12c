//! How slow a peer may be: it has to make progress, and on the whole it has to be faster than a trickle.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::seat;

/// The pace of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    begun: Instant,
    bytes: u64,
    stall: Duration,
    slowest: u64,
}

impl Pace {
    pub(super) fn new(stall: Duration, slowest: u64) -> Self {
        Self { begun: Instant::now(), bytes: 0, stall, slowest }
    }

    /// So many bytes went through.
    pub(super) fn went(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Waits until the socket is ready. The thread gives up its seat.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when the peer is too slow.
    pub(super) fn wait(&self, socket: impl AsFd, what: PollFlags) -> io::Result<()> {
        seat::leave();
        let elapsed = self.begun.elapsed();
        if elapsed > self.stall && (self.bytes as f64) < self.slowest as f64 * elapsed.as_secs_f64() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let timeout =
            Timespec { tv_sec: self.stall.as_secs().cast_signed(), tv_nsec: self.stall.subsec_nanos().into() };
        loop {
            match poll(&mut [PollFd::new(&socket, what)], Some(&timeout)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
