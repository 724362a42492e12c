//! Begins the sandbox's first process, watches it, and tells how it ended.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use rustix::fs::MemfdFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use super::process::{self, ENDED, Memory, OP_FAILED, Report, STAGES, START_FAILED, Wires};
use super::pump::pump;
use super::script::{Op, Script};
use super::{Job, Network, SandboxError, Status, Stream};

/// The first process; killed and waited for when dropped.
struct First(libc::pid_t);

impl First {
    fn wait(self) {
        drop(self);
    }
}

impl Drop for First {
    fn drop(&mut self) {
        // The status is told through the pipe. If the process has not ended, it is not to live on.
        // SAFETY: the pid is that of our child, which nobody else waits for, so it cannot mean another process.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, ptr::null_mut(), libc::__WALL);
        }
    }
}

/// Runs a script to its end.
pub(super) fn launch(
    script: &Script,
    job: &Job<'_>,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Status, SandboxError> {
    let stdin = stdin(job)?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(SandboxError::prepare("make a pipe"));
    let (stdout, stdout_end) = pipe()?;
    let (stderr, stderr_end) = pipe()?;
    let (report, report_end) = pipe()?;
    let (ready_end, ready) = pipe()?;
    let wires = Wires {
        stdin: stdin.as_raw_fd(),
        stdout: stdout_end.as_raw_fd(),
        stderr: stderr_end.as_raw_fd(),
        report: report_end.as_raw_fd(),
        ready: ready_end.as_raw_fd(),
    };
    let first = begin(script, job, wires)?;
    drop((stdin, stdout_end, stderr_end, report_end, ready_end));
    File::from(ready).write_all(b"!").map_err(SandboxError::prepare("begin the sandbox"))?;
    pump(stdout, stderr, output)?;
    let reports = read_reports(report)?;
    first.wait();
    conclude(script, &reports)
}

fn begin(script: &Script, job: &Job<'_>, wires: Wires) -> Result<First, SandboxError> {
    let network = if job.network == Network::None { libc::CLONE_NEWNET } else { 0 };
    let flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | network;
    let mut memory = Memory::new(script);
    // SAFETY: an all-zero set is valid; it is filled by the next call.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    // A signal between clone and the reset of its handlers would run them in the new process, and they would act on the
    // pipes that it shares with us.
    // SAFETY: both sets live through the calls.
    unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
    }
    // SAFETY: the child calls `process::first` only, which does system calls until it executes a program or ends.
    let pid = unsafe { process::clone(flags) };
    if pid == 0 {
        process::first(script, &mut memory, wires);
    }
    let error = io::Error::last_os_error();
    // SAFETY: the set was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    match pid {
        pid if pid < 0 => Err(SandboxError::NoNamespaces { source: error }),
        pid => Ok(First(pid as libc::pid_t)),
    }
}

/// The bytes in memory rather than in a pipe: nobody has to write while the command runs.
fn stdin(job: &Job<'_>) -> Result<OwnedFd, SandboxError> {
    let doing = "prepare the command's standard input";
    let Some(bytes) = &job.stdin else {
        return File::open("/dev/null").map(OwnedFd::from).map_err(SandboxError::prepare(doing));
    };
    let memory = rustix::fs::memfd_create("stdin", MemfdFlags::CLOEXEC).map_err(SandboxError::prepare(doing))?;
    let mut file = File::from(memory);
    file.write_all(bytes).and_then(|()| file.rewind()).map_err(SandboxError::prepare(doing))?;
    Ok(file.into())
}

fn read_reports(pipe: OwnedFd) -> Result<Vec<Report>, SandboxError> {
    let mut bytes = Vec::new();
    File::from(pipe).read_to_end(&mut bytes).map_err(SandboxError::prepare("hear from the sandbox"))?;
    let number = |bytes: &[u8]| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let (reports, _) = bytes.as_chunks::<{ size_of::<Report>() }>();
    Ok(reports.iter().map(|it| [number(&it[..4]), number(&it[4..8]), number(&it[8..])]).collect())
}

fn conclude(script: &Script, reports: &[Report]) -> Result<Status, SandboxError> {
    let Some([kind, detail, value]) = reports.first() else { return Err(SandboxError::Killed) };
    let index = usize::try_from(*detail).ok();
    let source = || io::Error::from_raw_os_error(*value);
    match *kind {
        OP_FAILED => Err(match index.and_then(|index| script.ops.get(index)) {
            Some((_, Op::Overlay { .. })) => SandboxError::Overlay { source: source() },
            Some((doing, _)) => SandboxError::Prepare { doing: doing.clone(), source: source() },
            None => SandboxError::Prepare { doing: "settle the first process".to_owned(), source: source() },
        }),
        START_FAILED => {
            let doing = index.and_then(|index| STAGES.get(index)).unwrap_or(&STAGES[0]);
            Err(SandboxError::Start { program: script.program.clone(), doing, source: source() })
        }
        ENDED if libc::WIFSIGNALED(*value) => Ok(Status::Signaled(libc::WTERMSIG(*value))),
        ENDED => Ok(Status::Exited(libc::WEXITSTATUS(*value))),
        _ => Err(SandboxError::Killed),
    }
}
