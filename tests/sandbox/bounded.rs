//! Programs that end: one that does not is killed, with everything that it started, and the test that waits for it
//! fails. For all test programs; those that need nothing else of the sandbox include this file alone.

#![allow(dead_code, reason = "each test program uses the part that it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// What a program may take that ends by itself. Far more than it needs on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(300);

/// What may take long because it downloads and compiles.
pub(crate) const BUILDING: Duration = Duration::from_secs(900);

/// Programs that end, or are ended.
pub(crate) trait Bounded {
    /// Runs it without stdin, and returns how it ended and what it said.
    ///
    /// # Errors
    /// When it cannot be started.
    ///
    /// # Panics
    /// When it does not end.
    fn bounded(&mut self) -> io::Result<Output>;

    /// The same with this stdin.
    ///
    /// # Errors
    /// As [`Bounded::bounded`].
    fn bounded_with(&mut self, stdin: impl Into<Stdio>) -> io::Result<Output>;
}

impl Bounded for Command {
    #[track_caller]
    fn bounded(&mut self) -> io::Result<Output> {
        self.bounded_with(Stdio::null())
    }

    #[track_caller]
    fn bounded_with(&mut self, stdin: impl Into<Stdio>) -> io::Result<Output> {
        // In a group of its own, which can be killed with what it started and what holds its pipes.
        let child = self.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
        Ok(within(LONG, child))
    }
}

/// Waits for the end of a program that was started before.
///
/// # Panics
/// When it does not end.
#[track_caller]
pub(crate) fn waited(child: Child) -> Output {
    within(LONG, child)
}

/// The same with another limit.
#[track_caller]
pub(crate) fn within(limit: Duration, child: Child) -> Output {
    let process = Pid::from_child(&child);
    let (said, hears) = mpsc::channel();
    thread::spawn(move || said.send(child.wait_with_output()));
    match hears.recv_timeout(limit) {
        Ok(output) => output.unwrap(),
        Err(_late) => {
            kill(process);
            panic!("a program does not end within {limit:?}")
        }
    }
}

/// Waits for the end of a program whose output nobody reads.
///
/// # Panics
/// When it does not end.
#[track_caller]
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + LONG;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > end {
            kill(Pid::from_child(child));
            panic!("a program does not end within {LONG:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Kills a program that was not waited for yet; as a group if it leads one, and not ours.
fn kill(process: Pid) {
    let leads = rustix::process::getpgid(Some(process)).is_ok_and(|group| group == process);
    let kill = if leads { rustix::process::kill_process_group } else { rustix::process::kill_process };
    // It may have ended at last.
    kill(process, Signal::KILL).ok();
}

/// A program that is killed when this is dropped.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The first line that a program says on a pipe.
///
/// # Panics
/// When there is none, or it does not come.
#[track_caller]
pub(crate) fn first_line(pipe: impl io::Read + Send + 'static) -> String {
    let (said, hears) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = io::BufRead::read_line(&mut io::BufReader::new(pipe), &mut line);
        said.send(read.map(|_count| line))
    });
    hears.recv_timeout(LONG).expect("a program says nothing").unwrap()
}
