//! What the new process does before it becomes the command: prepared in full beforehand, because between `clone` and
//! `exec` of a program with threads nothing may allocate or take a lock.

use std::ffi::CString;
use std::path::Path;

use super::SandboxError;

/// One system call, or a few that belong together.
#[derive(Debug)]
pub(super) enum Op {
    /// No mount made here is seen outside.
    MakePrivate,
    /// `mount(2)`.
    Mount { source: CString, target: CString, kind: CString, flags: u64, data: CString },
    /// The overlay of the layers; what fails here may be done in another way.
    Overlay { target: CString, data: CString },
    /// Takes a copy of a mounted tree into a slot.
    Take { slot: usize, source: CString, attributes: u64, reach: Reach },
    /// A fresh proc into a slot; a copy of the host's where a fresh one is refused (user namespaces in containers).
    TakeProc { slot: usize },
    /// A fresh sysfs, of this process's network, into a slot; a copy of the host's where it is refused.
    TakeSys { slot: usize },
    /// Mounts a slot's tree.
    Attach { slot: usize, target: CString },
    /// The same file over itself, read-only. What does not exist is passed over.
    Protect(CString),
    /// The working directory.
    Enter(CString),
    /// The working directory becomes the root; the old one goes away.
    Pivot,
    /// A directory, unless it is there.
    Directory { path: CString, mode: u32 },
    /// A file with a content, replacing none.
    Write { path: CString, mode: u32, owner: Option<(u32, u32)>, content: Vec<u8> },
    /// A symbolic link.
    Symlink { target: CString, path: CString },
    /// The machine's name.
    HostName(&'static [u8]),
    /// Switches the loopback device on.
    Loopback,
}

/// How much of a tree is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// This mount.
    One,
    /// And those below it.
    All,
}

/// The process that comes after all operations.
#[derive(Debug)]
pub(super) struct Exec {
    /// Paths of the program, tried in order.
    pub(super) candidates: Vec<CString>,
    pub(super) argv: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) cwd: CString,
    /// What the kernel says to its system calls.
    pub(super) filter: Option<Vec<libc::sock_filter>>,
    /// Whom to become; none to stay (a runtime does it itself).
    pub(super) identity: Option<Credentials>,
}

/// Whom a process becomes.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Further groups; none where the user namespace forbids to set them.
    pub(super) groups: Option<Vec<u32>>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Script {
    /// Operations, each with what it does, for messages.
    pub(super) ops: Vec<(String, Op)>,
    pub(super) slots: usize,
    pub(super) exec: Exec,
    /// The command, for messages.
    pub(super) program: String,
}

/// Operations being collected.
#[derive(Debug, Default)]
pub(super) struct Ops {
    pub(super) list: Vec<(String, Op)>,
    pub(super) slots: usize,
}

impl Ops {
    pub(super) fn push(&mut self, doing: impl Into<String>, op: Op) {
        self.list.push((doing.into(), op));
    }

    /// A slot that nobody uses yet.
    pub(super) fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    pub(super) fn mount(&mut self, kind: &str, target: &CString, flags: u64, data: &str) -> Result<(), SandboxError> {
        let op = Op::Mount { source: text(kind)?, target: target.clone(), kind: text(kind)?, flags, data: text(data)? };
        self.push(format!("mount {kind} on {}", target.to_string_lossy()), op);
        Ok(())
    }

    pub(super) fn directory(&mut self, path: &CString, mode: u32) {
        let doing = format!("make the directory {}", path.to_string_lossy());
        self.push(doing, Op::Directory { path: path.clone(), mode });
    }
}

/// A text as the system takes it.
pub(super) fn text(text: impl Into<Vec<u8>>) -> Result<CString, SandboxError> {
    CString::new(text).map_err(|error| {
        let shown = error.clone().into_vec();
        SandboxError::Nul { what: format!("`{}`", shown.escape_ascii()) }
    })
}

/// A path as the system takes it.
pub(super) fn path(path: &Path) -> Result<CString, SandboxError> {
    text(path.as_os_str().as_encoded_bytes())
}
