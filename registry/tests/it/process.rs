//! A registry in a process of its own: this test program, told by a variable to be one.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;

use registry::backend::Backend;
use registry::options::ServeOptions;
use registry::service::Registry;

use crate::deadline::Killed;
use crate::server::Server;

/// Serves if the variable is there, with what it says, until nobody holds the process any more. Returns whether it did.
pub(crate) fn serves(variable: &str, place: impl FnOnce(&str) -> Arc<dyn Backend>) -> bool {
    let Ok(told) = std::env::var(variable) else { return false };
    let server = Server::with(Registry::new(place(&told), ServeOptions::default()));
    let said = format!("address {}\n", server.address);
    io::stdout().write_all(said.as_bytes()).and_then(|()| io::stdout().flush()).unwrap();
    io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
    true
}

/// Such a process. It ends when this is dropped.
pub(crate) struct Process {
    pub(crate) address: String,
    killed: Killed,
    held: Option<ChildStdin>,
}

impl Process {
    /// Runs the test of that name, which calls [`serves`], with words before it that run a program.
    pub(crate) fn start(before: &[&OsStr], test: &str, variable: &str, told: &OsStr) -> Self {
        let own = std::env::current_exe().unwrap();
        let mut words = before.iter().copied().chain([own.as_os_str()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["--exact", "--nocapture", test]).env(variable, told);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} (tests/run installs it): {error}"));
        let (held, said) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let killed = Killed::new(child);
        let mut lines = said.lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.split_once("address ").map(|(_, address)| address.to_owned()));
        Self { address: address.expect("the registry serves"), killed, held }
    }

    /// Kills it at once.
    pub(crate) fn kill(&mut self) -> std::process::ExitStatus {
        self.killed.kill();
        self.killed.wait()
    }

    /// Lets it end by itself, and waits for that.
    pub(crate) fn end(mut self) {
        drop(self.held.take());
        self.killed.wait();
    }
}
