//! How we act on one host.
//!
//! Arguments are a list, never a shell line; nobody above this room quotes. [`Local`] acts on this machine,
//! [`Ssh`] on another host, [`Scripted`] answers from a script for tests.
//!
//! Invariants: output is handed on in the order in which each stream was written, in whole lines as far as they are
//! shorter than [`LINE_LIMIT`]; a command that was given up does not go on behind the caller's back.
//!
//! What it does not do: decide what to run, prefix or colour output, keep a record.

#[cfg(test)]
pub(crate) mod conformance;
mod error;
mod lines;
mod local;
mod scripted;
mod ssh;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use error::TransportError;
pub use lines::LINE_LIMIT;
pub use local::Local;
pub use scripted::{Answer, Scripted};
pub use ssh::{Ask, HostKeys, KnownHosts, Question, Ssh, SshConfig, SshNetwork, SshOptions};

/// One of a command's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A program to run on a host.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables on top of those that the host gives every command. Values can be secrets.
    pub env: BTreeMap<String, String>,
    /// The directory to run in; none is the host's choice.
    pub cwd: Option<PathBuf>,
    /// What the program reads; none is nothing.
    pub stdin: Option<Vec<u8>>,
    /// How long it may take; it is stopped then. None is as long as it wants.
    pub timeout: Option<Duration>,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.keys().collect();
        f.debug_struct("Command").field("argv", &self.argv).field("env", &names).field("cwd", &self.cwd).finish()
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// By itself, with this exit code.
    Exited(u8),
    /// By this signal.
    Signalled(u8),
}

impl Status {
    /// Whether it did what it should.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }

    /// The exit code as a shell tells it: 128 + n for signal n.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => signal.saturating_add(128),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Takes output: whole lines with their newline, the last one perhaps without.
pub type Output<'a> = dyn FnMut(Stream, &[u8]) + 'a;

/// Bytes both ways.
pub trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// Takes the lines that a program writes to stderr while it is talked with.
pub type ErrorLines = Box<dyn FnMut(&[u8]) + Send>;

/// A program that runs and is talked with.
pub struct Conversation {
    /// What it reads; at its end when this is dropped.
    pub input: Box<dyn Write + Send>,
    /// What it writes to stdout.
    pub output: Box<dyn Read + Send>,
    /// How it ends.
    pub end: Box<dyn End>,
}

/// The end of a program.
pub trait End: Send + Sync {
    /// Waits for it. The program's input has to be at its end, or nobody may ever come to it.
    ///
    /// # Errors
    /// When the program never ran, or was lost.
    fn wait(self: Box<Self>) -> Result<Status, TransportError>;

    /// Wants it no more: its input and output come to their ends, and the program is left to notice.
    fn give_up(&self);
}

/// How we act on one host.
pub trait Transport: Send + Sync {
    /// Runs a program to its end. A program that fails is no error here: its status says so.
    ///
    /// # Errors
    /// When it cannot be started or watched, or [`TransportError::Interrupted`].
    fn run(&self, command: &Command, output: &mut Output<'_>) -> Result<Status, TransportError>;

    /// Writes a file on the host, making its directory; it is whole or not there. Returns its size in bytes.
    ///
    /// # Errors
    /// When reading or writing fails; an older file of that name is then as it was.
    fn upload(&self, from: &mut dyn Read, to: &Path, mode: u32) -> Result<u64, TransportError>;

    /// Reads a file of the host. Returns its size in bytes.
    ///
    /// # Errors
    /// When reading or writing fails.
    fn download(&self, from: &Path, to: &mut dyn Write) -> Result<u64, TransportError>;

    /// Connects to `HOST:PORT` as the host sees it.
    ///
    /// # Errors
    /// When nobody answers there.
    fn forward(&self, address: &str) -> Result<Box<dyn Connection>, TransportError>;

    /// Starts a program that is talked with while it runs. Its stdin and time limit are the caller's business.
    ///
    /// # Errors
    /// When it cannot be started; where that shows only later, when its end is waited for.
    fn converse(&self, command: &Command, errors: ErrorLines) -> Result<Conversation, TransportError>;

    /// How the host is called in messages: `this machine`, `10.0.0.1`.
    fn host(&self) -> String;
}

/// A wish to stop, seen by every command that runs. Clones are the same wish.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Wishes it; safe in a signal handler's thread, and more than once.
    pub fn wish(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it is wished.
    pub fn is_wished(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
