//! Answers from a script and keeps a transcript: makes what acts on hosts a unit test.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::transport::{
    Command, Connection, Conversation, End, ErrorLines, Output, Status, Stream, Transport, TransportError,
};

/// What one command says and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Pieces of output, in order.
    pub output: Vec<(Stream, Vec<u8>)>,
    /// How it ends.
    pub status: Status,
}

impl Answer {
    /// Prints `stdout` and ends with `code`.
    pub fn new(stdout: &str, code: u8) -> Self {
        let lines = stdout.split_inclusive('\n').map(|line| (Stream::Stdout, line.as_bytes().to_vec()));
        Self { output: lines.collect(), status: Status::Exited(code) }
    }
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    transcript: Vec<Command>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// A host that exists in a script only. A command beyond the script's end is an error.
#[derive(Default)]
pub struct Scripted(Mutex<State>);

impl Scripted {
    /// A host that gives these answers, one a command.
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(Mutex::new(State { answers: answers.into_iter().collect(), ..State::default() }))
    }

    /// The commands that were run.
    pub fn transcript(&self) -> Vec<Command> {
        self.state().transcript.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Scripted {
    fn run(&self, command: &Command, output: &mut Output<'_>) -> Result<Status, TransportError> {
        let answer = {
            let mut state = self.state();
            state.transcript.push(command.clone());
            state.answers.pop_front()
        };
        let answer = answer.ok_or_else(|| TransportError::Start {
            host: self.host(),
            program: command.argv.join(" "),
            cwd: command.cwd.clone(),
            source: io::Error::other("the script has no answer for it"),
        })?;
        for (stream, bytes) in &answer.output {
            output(*stream, bytes);
        }
        Ok(answer.status)
    }

    fn upload(&self, from: &mut dyn Read, to: &Path, _mode: u32) -> Result<u64, TransportError> {
        let mut bytes = Vec::new();
        let failed = |source| TransportError::Upload { host: self.host(), path: to.to_owned(), source };
        from.read_to_end(&mut bytes).map_err(failed)?;
        let size = bytes.len() as u64;
        self.state().files.insert(to.to_owned(), bytes);
        Ok(size)
    }

    fn download(&self, from: &Path, to: &mut dyn Write) -> Result<u64, TransportError> {
        let failed = |source| TransportError::Download { host: self.host(), path: from.to_owned(), source };
        let bytes = self.state().files.get(from).cloned();
        let bytes = bytes.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        to.write_all(&bytes).map_err(failed)?;
        Ok(bytes.len() as u64)
    }

    fn forward(&self, address: &str) -> Result<Box<dyn Connection>, TransportError> {
        let source = io::ErrorKind::ConnectionRefused.into();
        Err(TransportError::Forward { host: self.host(), address: address.to_owned(), source })
    }

    fn converse(&self, command: &Command, mut errors: ErrorLines) -> Result<Conversation, TransportError> {
        let mut said = Vec::new();
        let status = self.run(command, &mut |stream, line| match stream {
            Stream::Stdout => said.extend_from_slice(line),
            Stream::Stderr => errors(line),
        })?;
        Ok(Conversation {
            input: Box::new(io::sink()),
            output: Box::new(io::Cursor::new(said)),
            end: Box::new(Told(status)),
        })
    }

    fn host(&self) -> String {
        "the scripted host".to_owned()
    }
}

/// An end that is known beforehand.
struct Told(Status);

impl End for Told {
    fn wait(self: Box<Self>) -> Result<Status, TransportError> {
        Ok(self.0)
    }

    fn give_up(&self) {}
}
