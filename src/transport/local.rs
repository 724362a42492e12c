//! Acts on this machine.
//!
//! A command runs in a session of its own: it can be stopped with everything it started, and a program that wants to
//! ask for a password fails at once instead of waiting for a terminal it cannot read. What it leaves running in the
//! background when it ends by itself is left alone. If we are killed outright, the kernel kills the program we started;
//! what that one had started can then still come to its end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal};

use crate::transport::lines::Lines;
use crate::transport::{
    Command, Connection, Conversation, End, ErrorLines, Interrupt, Output, Status, Stream, Transport, TransportError,
};

/// How often we look whether the command ended or an interruption is wished.
const LOOK: Duration = Duration::from_millis(50);
/// How long output is waited for after the command ended while something it started keeps the pipe open.
const LINGER: Duration = Duration::from_millis(200);
/// How long an interrupted command may clean up before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How this machine is called in messages.
const THIS: &str = "this machine";

/// What of the caller's environment a command gets, besides `*_proxy`, `LC_*` and `XDG_*`.
const INHERITED: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TERM",
    "TZ",
    "TMPDIR",
    "KUBECONFIG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// This machine.
#[derive(Clone, Debug)]
pub struct Local {
    base: BTreeMap<OsString, OsString>,
    interrupt: Interrupt,
}

impl Local {
    /// This machine, with what commands may have of `environment` (as from `std::env::vars_os`): the search path, the
    /// home, language, proxies, `KUBECONFIG`; so that a run depends on little of the terminal it is started from.
    pub fn new(environment: impl IntoIterator<Item = (OsString, OsString)>, interrupt: Interrupt) -> Self {
        let wanted = |name: &OsString| {
            let Some(name) = name.to_str() else { return false };
            INHERITED.contains(&name)
                || name.to_ascii_lowercase().ends_with("_proxy")
                || name.starts_with("LC_")
                || name.starts_with("XDG_")
        };
        Self { base: environment.into_iter().filter(|(name, _)| wanted(name)).collect(), interrupt }
    }

    fn start(&self, command: &Command) -> Result<Running, TransportError> {
        let child = self.spawn(command, if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() })?;
        Running::new(child, command.stdin.clone().unwrap_or_default())
            .map_err(|source| self.not_started(command, source))
    }

    fn not_started(&self, command: &Command, source: io::Error) -> TransportError {
        let program = command.argv.first().cloned().unwrap_or_default();
        TransportError::Start { host: self.host(), program, cwd: command.cwd.clone(), source }
    }

    /// Starts a program in a session of its own, with pipes for its outputs.
    fn spawn(&self, command: &Command, stdin: Stdio) -> Result<Child, TransportError> {
        let (program, arguments) =
            command.argv.split_first().ok_or_else(|| TransportError::NoProgram { host: self.host() })?;
        let mut process = std::process::Command::new(program);
        process.args(arguments).env_clear().envs(&self.base).envs(&command.env);
        if let Some(cwd) = &command.cwd {
            process.current_dir(cwd);
        }
        process.stdin(stdin);
        process.stdout(Stdio::piped()).stderr(Stdio::piped());
        let parent = rustix::process::getpid();
        // SAFETY: the closure runs between fork and exec and makes system calls only; it allocates nothing.
        unsafe {
            process.pre_exec(move || {
                rustix::process::setsid()?;
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
            });
        }
        process.spawn().map_err(|source| self.not_started(command, source))
    }
}

impl Transport for Local {
    fn run(&self, command: &Command, output: &mut Output<'_>) -> Result<Status, TransportError> {
        if self.interrupt.is_wished() {
            return Err(TransportError::Interrupted);
        }
        let mut running = self.start(command)?;
        let program = || command.argv.join(" ");
        let lost = |source| TransportError::Watch { host: self.host(), program: program(), source };
        let status = running.watch(&self.interrupt, command.timeout, output).map_err(lost)?;
        match (running.stopping, command.timeout) {
            (None, _) => Ok(status),
            (Some(_), Some(after)) if running.late => {
                Err(TransportError::Timeout { host: self.host(), program: program(), after })
            }
            (Some(_), _) => Err(TransportError::Interrupted),
        }
    }

    fn upload(&self, from: &mut dyn Read, to: &Path, mode: u32) -> Result<u64, TransportError> {
        write_whole(from, to, mode).map_err(|source| TransportError::Upload {
            host: self.host(),
            path: to.to_owned(),
            source,
        })
    }

    fn download(&self, from: &Path, to: &mut dyn Write) -> Result<u64, TransportError> {
        let failed = |source| TransportError::Download { host: self.host(), path: from.to_owned(), source };
        let mut file = std::fs::File::open(from).map_err(failed)?;
        io::copy(&mut file, to).map_err(failed)
    }

    fn converse(&self, command: &Command, mut errors: ErrorLines) -> Result<Conversation, TransportError> {
        let mut child = self.spawn(command, Stdio::piped())?;
        let failed = |source| self.not_started(command, source);
        let (Some(input), Some(output), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed(io::Error::other("it has no pipes")));
        };
        let reader = move || {
            let (mut lines, mut buffer) = (Lines::default(), [0; 16 << 10]);
            loop {
                match stderr.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => lines.take(&buffer[..count], &mut *errors),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            lines.finish(&mut *errors);
        };
        let reader = std::thread::Builder::new().name("stderr".to_owned()).spawn(reader).map_err(failed)?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let program = command.argv.join(" ");
        let end = Talked { child: Some(child), group, reader: Some(reader), program };
        Ok(Conversation { input: Box::new(input), output: Box::new(output), end: Box::new(end) })
    }

    fn forward(&self, address: &str) -> Result<Box<dyn Connection>, TransportError> {
        let failed = |source| TransportError::Forward { host: self.host(), address: address.to_owned(), source };
        Ok(Box::new(TcpStream::connect(address).map_err(failed)?))
    }

    fn host(&self) -> String {
        THIS.to_owned()
    }
}

fn write_whole(from: &mut dyn Read, to: &Path, mode: u32) -> io::Result<u64> {
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    let bytes = io::copy(from, &mut file)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode & 0o7777))?;
    file.as_file().sync_all()?;
    file.persist(to).map_err(|failed| failed.error)?;
    Ok(bytes)
}

/// A command that runs. Dropped before its end, it is killed with all it started.
struct Running {
    child: Child,
    group: Option<Pid>,
    stdin: Option<(ChildStdin, Vec<u8>, usize)>,
    begun: Instant,
    /// When it was asked to end.
    stopping: Option<Instant>,
    /// Whether it was because it took too long.
    late: bool,
    ended: bool,
}

impl Running {
    fn new(mut child: Child, input: Vec<u8>) -> io::Result<Self> {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let stdin = child.stdin.take().map(|pipe| (pipe, input, 0));
        let running = Self { child, group, stdin, begun: Instant::now(), stopping: None, late: false, ended: false };
        if let Some((pipe, ..)) = &running.stdin {
            rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        if let Some(pipe) = &running.child.stdout {
            rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        if let Some(pipe) = &running.child.stderr {
            rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        Ok(running)
    }

    fn watch(&mut self, interrupt: &Interrupt, limit: Option<Duration>, output: &mut Output<'_>) -> io::Result<Status> {
        let (mut out, mut err) = (Lines::default(), Lines::default());
        let mut ended = None;
        loop {
            self.wait_for_bytes()?;
            self.feed();
            let more_out = drain(&mut self.child.stdout, &mut out, &mut |line| output(Stream::Stdout, line))?;
            let more_err = drain(&mut self.child.stderr, &mut err, &mut |line| output(Stream::Stderr, line))?;
            if ended.is_none() {
                ended = self.child.try_wait()?.map(|status| (status, Instant::now()));
                self.ended = ended.is_some();
            }
            let patience = if self.stopping.is_some() { GRACE } else { LINGER };
            if let Some((status, since)) = ended
                && (!(more_out || more_err) || since.elapsed() > patience)
            {
                out.finish(&mut |line| output(Stream::Stdout, line));
                err.finish(&mut |line| output(Stream::Stderr, line));
                if self.stopping.is_some() {
                    self.signal(Signal::KILL);
                }
                return Ok(told(status));
            }
            self.stop_if_wished(interrupt, limit);
        }
    }

    /// Waits until a pipe is ready, but not longer than [`LOOK`].
    fn wait_for_bytes(&self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(3);
        ready.extend(self.child.stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        ready.extend(self.child.stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        ready.extend(self.stdin.as_ref().map(|(pipe, ..)| PollFd::new(pipe, PollFlags::OUT)));
        let look = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK.subsec_nanos()) };
        match poll(&mut ready, Some(&look)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes what the command takes. A command that does not want its input is not our failure.
    fn feed(&mut self) {
        let Some((pipe, bytes, written)) = &mut self.stdin else { return };
        while *written < bytes.len() {
            match pipe.write(&bytes[*written..]) {
                Ok(count) => *written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.stdin = None;
    }

    fn stop_if_wished(&mut self, interrupt: &Interrupt, limit: Option<Duration>) {
        let late = limit.is_some_and(|limit| self.begun.elapsed() > limit);
        match self.stopping {
            None if (interrupt.is_wished() || late) && !self.ended => {
                self.late = late;
                self.stopping = Some(Instant::now());
                self.signal(Signal::TERM);
            }
            Some(since) if since.elapsed() > GRACE => self.signal(Signal::KILL),
            _ => {}
        }
    }

    /// Signals all of the command's session. Its processes may have ended already, which is what is wanted.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            rustix::process::kill_process_group(group, signal).ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.signal(Signal::KILL);
            self.child.wait().ok();
        }
    }
}

/// A program that is talked with. Dropped before its end, it is killed with all it started.
struct Talked {
    child: Option<Child>,
    group: Option<Pid>,
    reader: Option<JoinHandle<()>>,
    program: String,
}

impl End for Talked {
    fn wait(mut self: Box<Self>) -> Result<Status, TransportError> {
        let lost = |source| TransportError::Watch { host: THIS.to_owned(), program: self.program.clone(), source };
        let Some(mut child) = self.child.take() else { return Err(lost(io::Error::other("it was given up"))) };
        let status = child.wait().map_err(lost)?;
        if let Some(reader) = self.reader.take() {
            // It ends with the program's stderr; that it panicked would be the callee's defect.
            reader.join().ok();
        }
        Ok(told(status))
    }

    fn give_up(&self) {
        if let Some(group) = self.group {
            rustix::process::kill_process_group(group, Signal::TERM).ok();
        }
    }
}

impl Drop for Talked {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if let Some(group) = self.group {
                rustix::process::kill_process_group(group, Signal::KILL).ok();
            }
            child.wait().ok();
        }
    }
}

/// Reads what is there; returns whether more can come.
fn drain(pipe: &mut Option<impl Read>, lines: &mut Lines, line: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    // A command that writes without pause must not keep us from looking at the rest.
    for _ in 0..64 {
        let Some(open) = pipe else { return Ok(false) };
        match open.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => lines.take(&buffer[..count], line),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(pipe.is_some())
}

fn told(status: std::process::ExitStatus) -> Status {
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => Status::Exited(byte(code)),
        (None, signal) => Status::Signalled(byte(signal.unwrap_or(i32::MAX))),
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
