//! Connections that wait for their next request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::{Connection, Key};

/// Kept for one host; more are closed.
const KEPT: usize = 32;
/// Servers close what is idle for longer, and one that is being closed looks alive.
const IDLE_LIFE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<Key, Vec<Connection>>>,
}

impl Pool {
    /// A connection that waits, the one used last first.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        loop {
            let mut connection = self.idle().get_mut(key)?.pop()?;
            // A server that has something to say to no request has hung up.
            if connection.since.elapsed() < IDLE_LIFE && !connection.has_answer() {
                return Some(connection);
            }
        }
    }

    pub(super) fn keep(&self, mut connection: Connection) {
        connection.since = Instant::now();
        let mut idle = self.idle();
        let waiting = idle.entry(connection.key.clone()).or_default();
        waiting.retain(|other| other.since.elapsed() < IDLE_LIFE);
        if waiting.len() < KEPT {
            waiting.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<Key, Vec<Connection>>> {
        // A list of connections is whole whatever its holder panicked over.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
