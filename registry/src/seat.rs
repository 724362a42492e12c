//! The seats of the engine: few threads wait for requests, and a thread that is busy for longer gives up its seat.

use std::cell::RefCell;

/// What giving up a seat means for the engine.
type Leave = Box<dyn FnMut()>;

thread_local! {
    static LEAVE: RefCell<Option<Leave>> = const { RefCell::new(None) };
}

/// Says that the current request will take longer than a millisecond: another thread takes over the waiting. Costs
/// nothing when it was said already, or on a thread that is none of the engine's.
pub fn leave() {
    if let Some(mut leave) = LEAVE.take() {
        leave();
    }
}

/// Prepares a thread of an engine for a request.
pub fn sit(leave: impl FnMut() + 'static) {
    LEAVE.set(Some(Box::new(leave)));
}
