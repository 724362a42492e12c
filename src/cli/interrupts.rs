//! Ctrl-C while images move: what is on its way is left so that the same command can go on with it, which takes a moment;
//! whoever does not want to wait for that interrupts once more.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use super::note;

/// Whoever is busy with something else after so long is ended all the same, and loses nothing that a `kill` would not.
const GRACE: Duration = Duration::from_secs(10);
/// The exit code of what an interrupt ended.
pub(crate) const EXIT: u8 = 130;

static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The flag that the first interrupt sets, for those who end by themselves.
pub(crate) fn stop() -> Arc<AtomicBool> {
    Arc::clone(STOP.get_or_init(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        // Where interrupts cannot be listened for, they end the program as they always did.
        drop(ctrlc::set_handler(move || interrupt(&flag)));
        stop
    }))
}

/// Whether there was an interrupt.
pub(crate) fn was_asked() -> bool {
    STOP.get().is_some_and(|stop| stop.load(Ordering::Relaxed))
}

fn interrupt(flag: &AtomicBool) {
    if flag.swap(true, Ordering::Relaxed) {
        process::exit(EXIT.into());
    }
    note(format_args!("interrupted; once more ends it at once"));
    let waiting = thread::Builder::new().spawn(|| {
        thread::sleep(GRACE);
        process::exit(EXIT.into());
    });
    if waiting.is_err() {
        process::exit(EXIT.into());
    }
}
