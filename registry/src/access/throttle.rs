//! Guessing passwords is slow: after some failures a client waits, twice as long each time.
//!
//! Counted are failures of an address with a user, and of an address with anybody. Invariants: memory is bounded; who is
//! made to wait is not looked at, so guesses in the meantime tell nothing; an attempt counts as failed until it has
//! succeeded, so many at once gain nothing. Who is known already (see [`super::verified`]) does not pass through here:
//! nobody can lock out a client that works.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that cost nothing, of one address with one user.
const FREE_FOR_USER: u32 = 5;
/// Failures that cost nothing, of one address with anybody.
const FREE_FOR_ADDRESS: u32 = 30;
/// The longest time to wait.
const LONGEST: Duration = Duration::from_secs(120);
/// Failures are forgotten after this time without one.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// The most entries that are kept.
const ENTRIES: usize = 32_768;

#[derive(Clone, Copy)]
struct Entry {
    failures: u32,
    last: Instant,
    until: Instant,
}

/// Who has failed how often.
pub struct Throttle {
    entries: Mutex<HashMap<u64, Entry>>,
    hasher: RandomState,
}

/// An attempt that may be made.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    user: u64,
    address: u64,
}

impl Throttle {
    /// Nobody has failed.
    #[must_use]
    pub fn new() -> Self {
        Self { entries: Mutex::default(), hasher: RandomState::new() }
    }

    /// Whether an attempt may be made now. Without an address (a Unix socket) users are counted alone.
    ///
    /// # Errors
    /// How long to wait.
    pub fn begin(&self, address: Option<IpAddr>, user: &str, now: Instant) -> Result<Attempt, Duration> {
        let address = address.map(network);
        let attempt = Attempt { user: self.key(&(address, Some(user))), address: self.key(&(address, None::<&str>)) };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |key: u64| entries.get(&key).map(|entry| entry.until.saturating_duration_since(now));
        let longest = [attempt.user, attempt.address].into_iter().filter_map(wait).max().unwrap_or_default();
        if !longest.is_zero() {
            return Err(longest);
        }
        make_room(&mut entries, now);
        fail(&mut entries, attempt.user, FREE_FOR_USER, now);
        if address.is_some() {
            fail(&mut entries, attempt.address, FREE_FOR_ADDRESS, now);
        }
        Ok(attempt)
    }

    /// The attempt succeeded: it does not count, and the user's earlier ones are forgotten.
    pub fn succeeded(&self, attempt: Attempt) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&attempt.user);
        if let Some(entry) = entries.get_mut(&attempt.address) {
            entry.failures = entry.failures.saturating_sub(1);
            if entry.failures <= FREE_FOR_ADDRESS {
                entry.until = entry.last;
            }
        }
    }

    fn key(&self, of: &impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Throttle")
    }
}

fn fail(entries: &mut HashMap<u64, Entry>, key: u64, free: u32, now: Instant) {
    let entry = entries.entry(key).or_insert(Entry { failures: 0, last: now, until: now });
    if now.saturating_duration_since(entry.last) > FORGOTTEN {
        entry.failures = 0;
    }
    entry.failures = entry.failures.saturating_add(1);
    entry.last = now;
    if let Some(beyond) = entry.failures.checked_sub(free + 1) {
        entry.until = now + Duration::from_secs(1 << beyond.min(16)).min(LONGEST);
    }
}

/// Drops what is forgotten, and if that is not enough the half that failed longest ago.
fn make_room(entries: &mut HashMap<u64, Entry>, now: Instant) {
    if entries.len() + 2 <= ENTRIES {
        return;
    }
    entries.retain(|_, entry| now.saturating_duration_since(entry.last) <= FORGOTTEN);
    if entries.len() + 2 > ENTRIES {
        let mut times: Vec<Instant> = entries.values().map(|entry| entry.last).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        entries.retain(|_, entry| entry.last > median || entry.until > now);
    }
    if entries.len() + 2 > ENTRIES {
        // All of them wait. Somebody has that many addresses; remembering nobody is all that is left.
        entries.clear();
    }
}

/// Who has one address of IPv6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let mut octets = six.octets();
            octets[8..].fill(0);
            IpAddr::V6(octets.into())
        }
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_wait_doubles_and_ends_with_a_success_or_in_time() {
        let (throttle, mut now) = (Throttle::new(), Instant::now());
        let (me, user) = (ip("10.0.0.1"), "anna");
        for _ in 0..FREE_FOR_USER {
            throttle.begin(me, user, now).unwrap();
        }
        for wait in [1, 2, 4, 8, 16, 32, 64, 120, 120] {
            throttle.begin(me, user, now).unwrap();
            assert_eq!(throttle.begin(me, user, now).unwrap_err(), Duration::from_secs(wait));
            now += Duration::from_secs(wait) - Duration::from_millis(1);
            assert_eq!(throttle.begin(me, user, now).unwrap_err(), Duration::from_millis(1));
            now += Duration::from_millis(1);
        }
        assert!(throttle.begin(ip("10.0.0.2"), user, now).is_ok(), "another address");
        assert!(throttle.begin(me, "ben", now).is_ok(), "another user");
        let attempt = throttle.begin(me, user, now).unwrap();
        throttle.succeeded(attempt);
        for _ in 0..FREE_FOR_USER {
            throttle.begin(me, user, now).unwrap();
        }
        throttle.begin(me, user, now).unwrap();
        assert!(throttle.begin(me, user, now).is_err());
        now += FORGOTTEN + Duration::from_secs(1);
        for _ in 0..FREE_FOR_USER {
            throttle.begin(me, user, now).unwrap();
        }
    }

    #[test]
    fn many_users_from_one_address_are_slowed_too() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for at in 0..=FREE_FOR_ADDRESS {
            throttle.begin(ip("2001:db8::1"), &format!("user{at}"), now).unwrap();
        }
        assert!(throttle.begin(ip("2001:db8::ffff"), "somebody", now).is_err(), "the same network of IPv6");
        assert!(throttle.begin(ip("2001:db8:0:1::1"), "somebody", now).is_ok());
        assert!(throttle.begin(None, "somebody", now).is_ok());
    }

    #[test]
    fn successes_of_many_users_behind_one_address_are_no_failures() {
        let (throttle, now) = (Throttle::new(), Instant::now());
        for at in 0..FREE_FOR_ADDRESS * 10 {
            let attempt = throttle.begin(ip("10.0.0.1"), &format!("user{at}"), now).unwrap();
            throttle.succeeded(attempt);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (throttle, start) = (Throttle::new(), Instant::now());
        for at in 0..3 * u32::try_from(ENTRIES).unwrap() {
            let address = IpAddr::V4(at.to_be_bytes().into());
            throttle.begin(Some(address), "x", start + Duration::from_micros(u64::from(at))).unwrap();
            assert!(throttle.entries.lock().unwrap().len() <= ENTRIES);
        }
    }
}
