//! Nothing in these tests waits for ever: programs, conditions and the whole run have an end.

use std::io::{self, Write};
use std::process::Child;
use std::sync::{Once, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

pub(crate) use bounded::Bounded;

#[path = "../../../tests/sandbox/bounded.rs"]
mod bounded;

/// What a program or a condition may take. Far more than it needs on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(240);
/// What all tests together may take.
const RUN: Duration = Duration::from_secs(20 * 60);

/// How long the test takes that races for as long as it is told.
pub(crate) fn race() -> Duration {
    let told = std::env::var("SEALOS_RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(told.unwrap_or(5))
}

/// Ends this process, and so all of its tests, when they take far too long. For what has no deadline of its own: a lock
/// in this process that is never let go of.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        thread::spawn(|| {
            thread::sleep(RUN + race());
            // Not by a macro, which would keep it for the report of a test.
            drop(io::stderr().write_all(b"the tests take far too long: something hangs\n"));
            std::process::exit(101);
        });
    });
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "this never came: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A process that is killed when this is dropped, or when it takes too long: then its pipes end too.
pub(crate) struct Killed(Option<Child>, #[expect(dead_code, reason = "it is there to be dropped")] mpsc::Sender<()>);

impl Killed {
    pub(crate) fn new(child: Child) -> Self {
        let (here, gone) = mpsc::channel::<()>();
        let process = Pid::from_child(&child);
        thread::spawn(move || {
            if gone.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
                rustix::process::kill_process(process, Signal::KILL).ok();
            }
        });
        Self(Some(child), here)
    }

    /// Waits for its end, however it comes.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.0.as_mut().unwrap().wait().unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.0.as_mut().unwrap().kill().unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
