//! The part of a test that runs in a process of its own: this test program again, told by variables what to do.
//!
//! It never outlives the test that started it.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a part may take that is not killed.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running part of a test.
pub(crate) struct Part(Child);

impl Part {
    /// Starts the test of that name with variables by which it knows that it is only a part.
    pub(crate) fn start(test: &str, variables: &[(&str, &OsStr)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).stdout(Stdio::null());
        Self(command.envs(variables.iter().copied()).spawn().unwrap())
    }

    /// Waits for its end; whether it succeeded.
    pub(crate) fn succeeds(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < deadline, "a part of the test does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it, if it still runs.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.kill();
    }
}
