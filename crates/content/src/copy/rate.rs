//! A limit on bytes a second, shared by all that move.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So many pieces of a second are what one read takes at most.
const PIECES: u64 = 8;
/// A smaller read costs more than it evens out.
const SMALLEST: u64 = 4 << 10;

/// Bytes a second.
#[derive(Debug)]
pub(super) struct Rate {
    bytes: NonZeroU64,
    /// When what was taken so far has had its time.
    paid: Mutex<Instant>,
}

impl Rate {
    /// So many bytes a second.
    pub(super) fn new(bytes: NonZeroU64) -> Self {
        Self { bytes, paid: Mutex::new(Instant::now()) }
    }

    /// How many bytes are to be read at once, at most.
    pub(super) fn piece(&self) -> usize {
        usize::try_from((self.bytes.get() / PIECES).max(SMALLEST)).unwrap_or(usize::MAX)
    }

    /// Waits until so many bytes had their time.
    pub(super) fn take(&self, count: usize) {
        let time = Duration::from_secs_f64(count as f64 / self.bytes.get() as f64);
        let now = Instant::now();
        let until = {
            let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
            // Time in which nothing moved is not saved up.
            *paid = (*paid).max(now) + time;
            *paid
        };
        thread::sleep(until.saturating_duration_since(now));
    }
}
