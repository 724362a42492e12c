//! Which thread waits for requests, and which is busy.
//!
//! ```text
//!            ┌── seated: waits in epoll, answers what is short ──┐
//!  spare ◀───┤                                                   ├──▶ away: a long body, a slow peer
//!  (parked)  └── comes back, if there is a seat; else is spare ◀──┘
//! ```
//!
//! There are always as many threads seated as there are seats, as long as the limit of threads is not reached. A spare
//! thread that is not needed for a while ends.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::seat;

/// A spare thread that was not needed for so long ends.
const PATIENCE: Duration = Duration::from_secs(10);
/// Enough for the deepest call; only what is touched takes memory.
const STACK: usize = 512 << 10;

/// The threads of an engine.
pub(super) struct Seats {
    state: Mutex<State>,
    changed: Condvar,
    seats: usize,
    limit: usize,
    /// What a seated thread does until it is told to end.
    work: Box<dyn Fn(&Turn<'_>) + Send + Sync>,
}

#[derive(Default)]
struct State {
    seated: usize,
    /// Threads that are parked.
    spare: usize,
    /// Parked threads that have been given a seat but have not woken up yet.
    called: usize,
    threads: usize,
    is_over: bool,
    handles: Vec<JoinHandle<()>>,
    /// Why a thread could not be had.
    failure: Option<std::io::Error>,
}

/// What a working thread asks after each request.
pub(super) struct Turn<'a>(&'a Seats);

impl Turn<'_> {
    /// Whether to go on waiting for requests. After a long request this may take until a seat is free.
    pub(super) fn goes_on(&self) -> bool {
        seat::is_taken() || self.0.sit_again()
    }
}

impl Seats {
    pub(super) fn new(seats: usize, limit: usize, work: impl Fn(&Turn<'_>) + Send + Sync + 'static) -> Arc<Self> {
        let limit = limit.max(seats + 1);
        Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), seats, limit, work: Box::new(work) })
    }

    /// Starts the first threads.
    pub(super) fn open(self: &Arc<Self>) -> std::io::Result<()> {
        let mut state = self.state();
        for _ in 0..self.seats {
            self.start(&mut state);
        }
        state.failure.take().map_or(Ok(()), Err)
    }

    /// Threads that are not over yet.
    pub(super) fn threads(&self) -> usize {
        self.state().threads
    }

    /// Lets spare threads end, and those that come back.
    pub(super) fn close(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }

    /// Waits for all threads.
    pub(super) fn join(&self) {
        loop {
            let handles = std::mem::take(&mut self.state().handles);
            if handles.is_empty() {
                return;
            }
            for handle in handles {
                // A thread that panicked has said so already.
                handle.join().ok();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current thread gets up; another one takes the seat.
    fn leave(self: &Arc<Self>) {
        let mut state = self.state();
        state.seated -= 1;
        if state.is_over {
            return;
        }
        if state.spare > state.called {
            state.called += 1;
            state.seated += 1;
            self.changed.notify_one();
        } else if state.threads < self.limit {
            self.start(&mut state);
        }
    }

    /// Starts a thread that has a seat.
    fn start(self: &Arc<Self>, state: &mut State) {
        state.handles.retain(|handle| !handle.is_finished());
        let seats = Arc::clone(self);
        let started = thread::Builder::new().name("registry".to_owned()).stack_size(STACK).spawn(move || seats.run());
        match started {
            Ok(handle) => {
                state.threads += 1;
                state.seated += 1;
                state.handles.push(handle);
            }
            // Those that are there go on; one of them takes the seat when it comes back.
            Err(error) => state.failure = Some(error),
        }
    }

    fn run(self: Arc<Self>) {
        let own = Arc::clone(&self);
        seat::join(move || own.leave());
        seat::take();
        (self.work)(&Turn(&self));
        let mut state = self.state();
        state.threads -= 1;
        state.seated -= usize::from(seat::is_taken());
        drop(state);
        self.changed.notify_all();
    }

    fn sit_again(&self) -> bool {
        let mut state = self.state();
        if state.is_over {
            return false;
        }
        if state.seated < self.seats {
            state.seated += 1;
            seat::take();
            return true;
        }
        state.spare += 1;
        loop {
            let (next, waited) = self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if state.called > 0 {
                state.called -= 1;
                state.spare -= 1;
                seat::take();
                return true;
            }
            if state.is_over || waited.timed_out() {
                state.spare -= 1;
                return false;
            }
        }
    }
}
