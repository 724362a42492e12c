//! The connections that are open. One that waits for its client lies in its slot; a thread that answers it has taken it
//! out. The socket can be shut down from anywhere, which the owner sees as the end of the stream.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::net::Shutdown;

use super::connection::Connection;

/// The slots.
pub(super) struct Table {
    slots: Box<[Slot]>,
    free: Mutex<Vec<u32>>,
    origin: Instant,
}

#[derive(Default)]
struct Slot {
    waiting: Mutex<Option<Box<Connection>>>,
    socket: Mutex<Option<Arc<OwnedFd>>>,
    /// When waiting has taken too long, in milliseconds since the table's origin; 0 while a thread has it.
    deadline: AtomicU64,
}

/// The place of a connection.
pub(super) type Place = u32;

impl Table {
    pub(super) fn new(size: usize) -> Self {
        let size = u32::try_from(size).unwrap_or(u32::MAX >> 1).max(1);
        Self {
            slots: (0..size).map(|_| Slot::default()).collect(),
            free: Mutex::new((0..size).rev().collect()),
            origin: Instant::now(),
        }
    }

    /// A place for a new connection, if there is one.
    pub(super) fn enter(&self, socket: &Arc<OwnedFd>) -> Option<Place> {
        let place = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        *self.slot(place).socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(socket));
        Some(place)
    }

    /// Whether there is a place left.
    pub(super) fn has_room(&self) -> bool {
        !self.free.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Gives a place back. Returns whether the table was full before.
    pub(super) fn leave(&self, place: Place) -> bool {
        *self.slot(place).socket.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(place);
        free.len() == 1
    }

    /// Puts a connection down to wait until `deadline`.
    pub(super) fn put(&self, place: Place, connection: Box<Connection>, deadline: Instant) {
        let slot = self.slot(place);
        slot.deadline.store(self.since(deadline).max(1), Ordering::Relaxed);
        *slot.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    /// Takes a connection up.
    pub(super) fn take(&self, place: Place) -> Option<Box<Connection>> {
        let slot = self.slots.get(usize::try_from(place).ok()?)?;
        let taken = slot.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        slot.deadline.store(0, Ordering::Relaxed);
        taken
    }

    /// Cuts the connections that have waited too long. Returns how many.
    pub(super) fn cut_late(&self, now: Instant) -> u64 {
        let now = self.since(now);
        let is_late = |slot: &&Slot| {
            let deadline = slot.deadline.load(Ordering::Relaxed);
            deadline > 0 && deadline < now
        };
        self.slots.iter().filter(is_late).map(|slot| u64::from(slot.cut())).sum()
    }

    /// Makes room: cuts the waiting connection that is nearest to its deadline.
    pub(super) fn cut_one(&self) -> bool {
        let waiting = self.slots.iter().map(|slot| (slot.deadline.load(Ordering::Relaxed), slot));
        let first = waiting.filter(|(deadline, _)| *deadline > 0).min_by_key(|(deadline, _)| *deadline);
        first.is_some_and(|(_, slot)| slot.cut())
    }

    /// Cuts all connections.
    pub(super) fn cut_all(&self) {
        for slot in &self.slots {
            slot.cut();
        }
    }

    /// Drops the connections that wait.
    pub(super) fn clear(&self) {
        for slot in &self.slots {
            slot.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            slot.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }

    fn slot(&self, place: Place) -> &Slot {
        &self.slots[place as usize]
    }

    fn since(&self, when: Instant) -> u64 {
        u64::try_from(when.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Slot {
    fn cut(&self) -> bool {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.deadline.store(0, Ordering::Relaxed);
        // An error means that it is cut already.
        socket.is_some_and(|socket| rustix::net::shutdown(&socket, Shutdown::Both).is_ok())
    }
}
