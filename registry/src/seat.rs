//! The seats of the engine: few threads wait for requests, and a thread that is busy for longer gives up its seat.

use std::cell::{Cell, RefCell};

/// What giving up a seat means for the engine.
type Leave = Box<dyn Fn()>;

thread_local! {
    static IS_SEATED: Cell<bool> = const { Cell::new(false) };
    static LEAVE: RefCell<Option<Leave>> = const { RefCell::new(None) };
}

/// Says that the current request will take longer than a millisecond: another thread takes over the waiting. Costs
/// nothing when it was said already, or on a thread that is none of the engine's.
pub fn leave() {
    if IS_SEATED.replace(false) {
        LEAVE.with_borrow(|leave| leave.iter().for_each(|leave| leave()));
    }
}

/// Makes the current thread one of an engine's; `leave` is called whenever it gives up its seat.
pub(crate) fn join(leave: impl Fn() + 'static) {
    LEAVE.set(Some(Box::new(leave)));
}

/// The current thread has a seat.
pub(crate) fn take() {
    IS_SEATED.set(true);
}

/// Whether the current thread has a seat.
pub(crate) fn is_taken() -> bool {
    IS_SEATED.get()
}
