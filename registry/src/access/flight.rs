//! Password hashes are worked out by few threads at a time, and one credential by one thread: who brings the same one
//! in the meantime waits for that answer.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::verified::Key;

/// The most that wait for a free thread; more are told to come back.
const WAITING: usize = 64;

/// The answers that are being worked out.
#[derive(Debug)]
pub struct Flights<R> {
    flying: Mutex<HashMap<Key, Arc<Flight<R>>>>,
    desk: Mutex<Desk>,
    free: Condvar,
    threads: usize,
}

#[derive(Debug, Default)]
struct Desk {
    busy: usize,
    waiting: usize,
}

#[derive(Debug)]
struct Flight<R> {
    answer: Mutex<State<R>>,
    landed: Condvar,
}

#[derive(Debug)]
enum State<R> {
    Flying,
    Landed(R),
    /// Whoever worked it out panicked.
    Lost,
}

/// Too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl<R: Clone> Flights<R> {
    /// With that many threads at once, at least one.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { flying: Mutex::default(), desk: Mutex::default(), free: Condvar::new(), threads: threads.max(1) }
    }

    /// Works an answer out, or waits for who does.
    ///
    /// # Errors
    /// When too many wait already.
    pub fn once(&self, key: Key, work: impl FnOnce() -> R) -> Result<R, Busy> {
        let mut flying = lock(&self.flying);
        if let Some(flight) = flying.get(&key).cloned() {
            drop(flying);
            return flight.wait();
        }
        let flight = Arc::new(Flight { answer: Mutex::new(State::Flying), landed: Condvar::new() });
        flying.insert(key, Arc::clone(&flight));
        drop(flying);
        let mut landing = Landing { flights: self, key, flight, answer: None };
        let seat = self.sit()?;
        let answer = work();
        drop(seat);
        landing.answer = Some(answer.clone());
        Ok(answer)
    }

    fn sit(&self) -> Result<Seat<'_, R>, Busy> {
        let mut desk = lock(&self.desk);
        if desk.busy >= self.threads {
            if desk.waiting >= WAITING {
                return Err(Busy);
            }
            desk.waiting += 1;
            desk = self.free.wait_while(desk, |desk| desk.busy >= self.threads).unwrap_or_else(PoisonError::into_inner);
            desk.waiting -= 1;
        }
        desk.busy += 1;
        Ok(Seat(self))
    }
}

impl<R: Clone> Flight<R> {
    fn wait(&self) -> Result<R, Busy> {
        let state = self.landed.wait_while(lock(&self.answer), |state| matches!(state, State::Flying));
        match &*state.unwrap_or_else(PoisonError::into_inner) {
            State::Landed(answer) => Ok(answer.clone()),
            State::Flying | State::Lost => Err(Busy),
        }
    }
}

/// Tells who waits, also when there is no answer.
struct Landing<'a, R> {
    flights: &'a Flights<R>,
    key: Key,
    flight: Arc<Flight<R>>,
    answer: Option<R>,
}

impl<R> Drop for Landing<'_, R> {
    fn drop(&mut self) {
        lock(&self.flights.flying).remove(&self.key);
        *lock(&self.flight.answer) = self.answer.take().map_or(State::Lost, State::Landed);
        self.flight.landed.notify_all();
    }
}

struct Seat<'a, R>(&'a Flights<R>);

impl<R> Drop for Seat<'_, R> {
    fn drop(&mut self) {
        lock(&self.0.desk).busy -= 1;
        self.0.free.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn one_credential_is_worked_out_once_for_all_who_bring_it() {
        let (flights, runs, together) = (Flights::new(4), AtomicUsize::new(0), Barrier::new(9));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    together.wait();
                    // The leader stays until all others are at the door.
                    let answer = flights.once([7; 32], || {
                        while Arc::strong_count(&lock(&flights.flying)[&[7; 32]]) < 9 {
                            thread::yield_now();
                        }
                        runs.fetch_add(1, Ordering::Relaxed)
                    });
                    assert_eq!(answer, Ok(0));
                });
            }
            together.wait();
        });
        assert_eq!(runs.into_inner(), 1);
        assert!(lock(&flights.flying).is_empty());
    }

    #[test]
    fn few_work_at_a_time_and_those_beyond_the_queue_are_sent_away() {
        let (flights, active, most) = (Flights::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        let (open, sent_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for at in 0_u8..u8::try_from(WAITING).unwrap() + 6 {
                let (flights, active, most, open, sent_away) = (&flights, &active, &most, &open, &sent_away);
                scope.spawn(move || {
                    let result = flights.once([at; 32], || {
                        most.fetch_max(active.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        while open.load(Ordering::SeqCst) == 0 {
                            thread::yield_now();
                        }
                        active.fetch_sub(1, Ordering::SeqCst);
                    });
                    sent_away.fetch_add(usize::from(result.is_err()), Ordering::SeqCst);
                });
            }
            while sent_away.load(Ordering::SeqCst) < 4 {
                thread::yield_now();
            }
            open.store(1, Ordering::SeqCst);
        });
        assert_eq!((most.into_inner(), sent_away.into_inner()), (2, 4));
    }

    #[test]
    fn a_panic_leaves_nobody_waiting() {
        let flights = Flights::<()>::new(1);
        let panicked = thread::scope(|scope| scope.spawn(|| flights.once([1; 32], || panic!("on purpose"))).join());
        assert!(panicked.is_err());
        assert_eq!(flights.once([1; 32], || ()), Ok(()));
    }
}
