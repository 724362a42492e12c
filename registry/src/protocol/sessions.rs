//! Uploads in progress.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::hashing::Hashing;
use crate::backend::Upload;
use crate::names::Name;

/// All uploads in progress.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

/// An upload in progress.
pub(super) struct Session {
    pub(super) repository: Name,
    /// How many bytes it has.
    pub(super) offset: AtomicU64,
    used: Mutex<Instant>,
    open: Mutex<Option<Open>>,
}

/// What one request at a time works with.
pub(super) struct Open {
    pub(super) upload: Box<dyn Upload>,
    pub(super) hashing: Hashing,
}

impl Session {
    /// The upload, if no other request has it. `Ok(None)`: it is over.
    pub(super) fn open(&self) -> Result<MutexGuard<'_, Option<Open>>, Busy> {
        let guard = match self.open.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Busy),
        };
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(guard)
    }

    pub(super) fn at(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }
}

/// Another request writes to the upload.
pub(super) struct Busy;

impl Sessions {
    pub(super) fn get(&self, repository: &Name, id: &str) -> Option<Arc<Session>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(id).filter(|session| session.repository == *repository).cloned()
    }

    /// Adds an upload; none when there are too many.
    pub(super) fn add(&self, repository: &Name, open: Open, limit: usize) -> Option<Arc<Session>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= limit {
            return None;
        }
        let id = open.upload.id().to_owned();
        let session = Arc::new(Session {
            repository: repository.clone(),
            offset: AtomicU64::new(open.upload.offset()),
            used: Mutex::new(Instant::now()),
            open: Mutex::new(Some(open)),
        });
        all.insert(id, Arc::clone(&session));
        Some(session)
    }

    pub(super) fn remove(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Cancels those that nobody has used for so long. Returns how many are left.
    pub(crate) fn expire(&self, age: Duration) -> usize {
        let is_old = |session: &Session| session.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > age;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old: Vec<String> = all.iter().filter(|(_, s)| is_old(s)).map(|(id, _)| id.clone()).collect();
        for id in old {
            // One that a request works with is in use, however long it takes.
            let Some(Ok(mut open)) = all.get(&id).map(|session| session.open.try_lock()) else { continue };
            // What cannot be removed now is removed by garbage collection.
            drop(open.take().map(|open| open.upload.cancel()));
            drop(open);
            all.remove(&id);
        }
        all.len()
    }
}
