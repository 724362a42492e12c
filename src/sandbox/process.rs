//! The processes between `clone` and `exec`.
//!
//! They are made by a program that may have threads, so until `exec` they may only do system calls: no allocation, no
//! lock, no panic. Everything they need is in the [`Script`] already. What fails is written to a pipe as a [`Report`].

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::RawFd;
use std::ptr;

use super::script::{Exec, Op, Reach, Script};
use super::{SandboxError, capabilities, loopback, seccomp, userns};

/// What the first process has to say: kind, detail, value.
pub(super) type Report = [i32; 3];

/// An operation failed: its index, the error.
pub(super) const OP_FAILED: i32 = 1;
/// The command could not be started: the stage, the error.
pub(super) const START_FAILED: i32 = 2;
/// The command ended: 0, its status as `waitpid` has it.
pub(super) const ENDED: i32 = 3;

/// Stages of a start, in their order.
pub(super) const STAGES: [&str; 9] = [
    "make its process",
    "start a session",
    "enter its working directory",
    "reduce its capabilities",
    "set its groups",
    "set its group",
    "set its user",
    "execute it",
    "filter its system calls",
];

/// The descriptors that the first process uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wires {
    pub(super) stdin: RawFd,
    pub(super) stdout: RawFd,
    pub(super) stderr: RawFd,
    pub(super) report: RawFd,
    /// Has a byte once the parent is ready, and ends with it.
    pub(super) ready: RawFd,
}

/// Where the descriptors are put; all others are closed.
const REPORT: RawFd = 3;
const READY: RawFd = 4;
const FIRST_FREE: u32 = 5;

/// The error of the last system call.
pub(super) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Begins a process like `fork`, in new namespaces. Returns 0 in it.
///
/// # Safety
/// The new process may only do what is safe in a signal handler until it executes a program or ends.
pub(super) unsafe fn clone(flags: i32) -> i64 {
    // SAFETY: without a stack of its own and without CLONE_VM this is fork(2) with namespaces; the caller keeps the rule
    // above. The raw call runs no fork handlers, which is right: they would take locks.
    unsafe { libc::syscall(libc::SYS_clone, i64::from(flags | libc::SIGCHLD), 0_i64, 0_i64, 0_i64, 0_i64) }
}

/// Whether the system gives this process the namespaces that commands are run in.
pub(super) fn probe() -> Result<(), SandboxError> {
    // SAFETY: the child ends at once.
    let pid = unsafe { clone(libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) };
    match pid {
        // SAFETY: ends the process without running any handler.
        0 => unsafe { libc::_exit(0) },
        pid if pid < 0 => {
            let source = io::Error::last_os_error();
            // Others than root have no such namespaces because they have no user namespace.
            Err(match rustix::process::geteuid().is_root() {
                true => SandboxError::NoNamespaces { source },
                false => userns::forbidden(source),
            })
        }
        pid => {
            // SAFETY: the pid is that of our child; no status is asked for.
            unsafe { libc::waitpid(pid as libc::pid_t, ptr::null_mut(), libc::__WALL) };
            Ok(())
        }
    }
}

/// Memory that the first process writes to, allocated beforehand.
#[derive(Debug)]
pub(super) struct Memory {
    slots: Vec<RawFd>,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
}

impl Memory {
    /// Pointers into the script, which must not move or go away as long as they are used.
    pub(super) fn new(script: &Script) -> Self {
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect();
        Self { slots: vec![-1; script.slots], argv: pointers(&script.exec.argv), env: pointers(&script.exec.env) }
    }
}

/// The first process: prepares, begins the command, waits for all there are, and tells.
pub(super) fn first(script: &Script, memory: &mut Memory, wires: Wires) -> ! {
    if let Err(error) = settle(wires) {
        end(&[OP_FAILED, -1, error]);
    }
    for (index, (_, op)) in script.ops.iter().enumerate() {
        if let Err(error) = perform(op, &mut memory.slots) {
            end(&[OP_FAILED, index as i32, error]);
        }
    }
    // SAFETY: the child only does system calls until it executes the program.
    let command = unsafe { clone(0) };
    match command {
        0 => {
            let (stage, error) = become_command(&script.exec, memory);
            tell(&[START_FAILED, stage, error]);
            // SAFETY: ends the process without running any handler.
            unsafe { libc::_exit(127) }
        }
        pid if pid < 0 => end(&[START_FAILED, 0, errno()]),
        pid => reap(pid as libc::pid_t),
    }
}

/// Waits for all processes of the namespace until the command ends; its end is told, and with ours the kernel kills the
/// others.
fn reap(command: libc::pid_t) -> ! {
    for descriptor in 0..REPORT {
        // SAFETY: standard streams, which this process does not use: the command's pipes are to end with it.
        unsafe { libc::close(descriptor) };
    }
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for an integer.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        if pid == command {
            end(&[ENDED, 0, status]);
        }
        if pid < 0 && errno() != libc::EINTR {
            end(&[START_FAILED, 0, errno()]);
        }
    }
}

fn tell(report: &Report) {
    // SAFETY: the array is valid for its size. Smaller than a pipe's atomic writes; without a reader nobody is left who
    // could be told.
    unsafe { libc::write(REPORT, report.as_ptr().cast(), size_of::<Report>()) };
}

fn end(report: &Report) -> ! {
    tell(report);
    // SAFETY: ends the process without running any handler.
    unsafe { libc::_exit(0) }
}

/// Descriptors, signals, and the tie to the parent.
fn settle(wires: Wires) -> Result<(), i32> {
    let wanted = [wires.stdin, wires.stdout, wires.stderr, wires.report, wires.ready];
    let mut high = [0; 5];
    for (copy, descriptor) in high.iter_mut().zip(wanted) {
        // SAFETY: integers only. Above all of the final places, so that none overwrites another.
        *copy = check(unsafe { libc::fcntl(descriptor, libc::F_DUPFD, FIRST_FREE) })?;
    }
    for (place, descriptor) in high.iter().enumerate() {
        // SAFETY: integers only.
        check(unsafe { libc::dup2(*descriptor, place as RawFd) })?;
    }
    // SAFETY: integers only; nothing in this process uses a descriptor from here on.
    check(unsafe { libc::syscall(libc::SYS_close_range, FIRST_FREE, u32::MAX, 0) } as i32)?;
    for descriptor in [REPORT, READY] {
        // SAFETY: integers only.
        check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    }
    for signal in 1..=64 {
        // SAFETY: default handling, no function of ours. Refused for a few signals, whose handling is always default.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero set is valid and is the empty one.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set lives through the call.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) })?;
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    let mut byte = 0_u8;
    // SAFETY: room for one byte. If the parent died before the line above, the pipe has ended.
    match unsafe { libc::read(READY, (&raw mut byte).cast(), 1) } {
        1 => {}
        // SAFETY: ends the process without running any handler.
        _ => unsafe { libc::_exit(1) },
    }
    // SAFETY: integers only.
    unsafe { libc::umask(0o022) };
    Ok(())
}

/// The second process on its way to the program. Returns the stage that failed and why.
fn become_command(exec: &Exec, memory: &Memory) -> (i32, i32) {
    // SAFETY: no arguments.
    if unsafe { libc::setsid() } < 0 {
        return (1, errno());
    }
    if let Some(filter) = &exec.filter
        && let Err(error) = seccomp::enter(filter)
    {
        return (8, error);
    }
    if let Some(credentials) = &exec.identity {
        if let Err(error) = capabilities::reduce() {
            return (3, error);
        }
        if let Some(groups) = &credentials.groups {
            // SAFETY: the list is valid for its length. The raw call: libc's would tell other threads, which do not exist
            // in this process.
            let outcome = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
            if outcome != 0 {
                return (4, errno());
            }
        }
        let (uid, gid) = (credentials.uid, credentials.gid);
        // SAFETY: integers only; raw for the same reason.
        if unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) } != 0 {
            return (5, errno());
        }
        // SAFETY: integers only; raw for the same reason.
        if unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) } != 0 {
            return (6, errno());
        }
    }
    // SAFETY: a valid string.
    if unsafe { libc::chdir(exec.cwd.as_ptr()) } != 0 {
        return (2, errno());
    }
    let mut error = libc::ENOENT;
    for candidate in &exec.candidates {
        // SAFETY: valid strings; both arrays end with a null pointer and point into the script, which lives on.
        unsafe { libc::execve(candidate.as_ptr(), memory.argv.as_ptr(), memory.env.as_ptr()) };
        match errno() {
            libc::ENOENT | libc::ENOTDIR => {}
            // Remembered: another directory may have one that can be executed.
            libc::EACCES => error = libc::EACCES,
            other => return (7, other),
        }
    }
    (7, error)
}

fn check(outcome: i32) -> Result<i32, i32> {
    if outcome < 0 { Err(errno()) } else { Ok(outcome) }
}

fn done(outcome: i32) -> Result<(), i32> {
    check(outcome).map(|_| ())
}

fn unless_there(outcome: i32) -> Result<(), i32> {
    match done(outcome) {
        Err(libc::EEXIST) => Ok(()),
        other => other,
    }
}

fn perform(op: &Op, slots: &mut [RawFd]) -> Result<(), i32> {
    let nothing = ptr::null();
    match op {
        Op::MakePrivate => {
            // SAFETY: valid strings, no data.
            done(unsafe { libc::mount(nothing, c"/".as_ptr(), nothing, libc::MS_REC | libc::MS_PRIVATE, ptr::null()) })
        }
        Op::Mount { source, target, kind, flags, data } => {
            // SAFETY: valid strings that live through the call.
            done(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), *flags, data.as_ptr().cast()) })
        }
        Op::Overlay { target, data } => {
            let (name, flags) = (c"overlay".as_ptr(), libc::MS_NODEV);
            // SAFETY: valid strings that live through the call.
            done(unsafe { libc::mount(name, target.as_ptr(), name, flags, data.as_ptr().cast()) })
        }
        Op::Take { slot, source, attributes, reach } => {
            slots[*slot] = take(source, *attributes, *reach)?;
            Ok(())
        }
        Op::TakeProc { slot } => {
            slots[*slot] = take_fresh(c"proc", 0, c"/proc", 0)?;
            Ok(())
        }
        Op::TakeSys { slot } => {
            let attributes = libc::MOUNT_ATTR_RDONLY;
            slots[*slot] = take_fresh(c"sysfs", attributes, c"/sys", attributes | libc::MOUNT_ATTR_NOSUID)?;
            Ok(())
        }
        Op::Attach { slot, target } => attach(slots[*slot], target),
        Op::Protect(path) => protect(path),
        // SAFETY: a valid string.
        Op::Enter(path) => done(unsafe { libc::chdir(path.as_ptr()) }),
        Op::Pivot => pivot(),
        // SAFETY: a valid string.
        Op::Directory { path, mode } => unless_there(unsafe { libc::mkdir(path.as_ptr(), *mode) }),
        Op::Write { path, mode, owner, content } => write(path, *mode, *owner, content),
        // SAFETY: valid strings.
        Op::Symlink { target, path } => unless_there(unsafe { libc::symlink(target.as_ptr(), path.as_ptr()) }),
        // SAFETY: the name is valid for its length.
        Op::HostName(name) => done(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }),
        Op::Loopback => loopback::up(),
    }
}

fn take(source: &CStr, attributes: u64, reach: Reach) -> Result<RawFd, i32> {
    let recursive = if reach == Reach::All { libc::AT_RECURSIVE as u32 } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | recursive;
    // SAFETY: a valid string; integers.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, source.as_ptr(), flags) };
    let tree = check(tree as i32)?;
    if attributes != 0 {
        let change = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
        let flags = libc::AT_EMPTY_PATH as u32 | recursive;
        let size = size_of::<libc::mount_attr>();
        // SAFETY: the structure is valid for the size told and lives through the call.
        let set = unsafe { libc::syscall(libc::SYS_mount_setattr, tree, c"".as_ptr(), flags, &raw const change, size) };
        check(set as i32)?;
    }
    Ok(tree)
}

/// A new file system of a kind, or else a copy of what is mounted at `place`.
fn take_fresh(kind: &CStr, attributes: u64, place: &CStr, of_copy: u64) -> Result<RawFd, i32> {
    const FSCONFIG_CMD_CREATE: u32 = 6;
    // SAFETY: a valid string; integers.
    let context = check(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1_u32) } as i32)?;
    // SAFETY: the command takes no key and no value.
    let created = unsafe {
        libc::syscall(libc::SYS_fsconfig, context, FSCONFIG_CMD_CREATE, ptr::null::<u8>(), ptr::null::<u8>(), 0)
    };
    let attributes = attributes | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    let made = match check(created as i32) {
        // SAFETY: integers only.
        Ok(_) => check(unsafe { libc::syscall(libc::SYS_fsmount, context, 1_u32, attributes as u32) } as i32),
        Err(error) => Err(error),
    };
    match made {
        Err(libc::EPERM) => take(place, of_copy, Reach::All),
        other => other,
    }
}

fn attach(tree: RawFd, target: &CStr) -> Result<(), i32> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: valid strings; integers.
    let moved =
        unsafe { libc::syscall(libc::SYS_move_mount, tree, c"".as_ptr(), libc::AT_FDCWD, target.as_ptr(), flags) };
    // SAFETY: the descriptor is ours and is not used again.
    unsafe { libc::close(tree) };
    done(moved as i32)
}

fn protect(path: &CStr) -> Result<(), i32> {
    match take(path, libc::MOUNT_ATTR_RDONLY, Reach::One) {
        Ok(tree) => attach(tree, path),
        Err(libc::ENOENT) => Ok(()),
        // A copy of the host's mounts that this user may not take apart; there root's files are not ours to write.
        Err(libc::EINVAL) => Ok(()),
        Err(error) => Err(error),
    }
}

fn pivot() -> Result<(), i32> {
    let here = c".".as_ptr();
    // SAFETY: valid strings. The old root is put over the new one and taken off, which needs no directory for it.
    done(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) } as i32)?;
    // SAFETY: a valid string.
    done(unsafe { libc::umount2(here, libc::MNT_DETACH) })?;
    // SAFETY: a valid string.
    done(unsafe { libc::chdir(c"/".as_ptr()) })
}

fn write(path: &CStr, mode: u32, owner: Option<(u32, u32)>, content: &[u8]) -> Result<(), i32> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: a valid string; integers.
    let file = check(unsafe { libc::open(path.as_ptr(), flags, 0o600) })?;
    let mut written = 0;
    while written < content.len() {
        let rest = &content[written..];
        // SAFETY: the slice is valid for its length.
        let count = unsafe { libc::write(file, rest.as_ptr().cast(), rest.len()) };
        match count {
            count if count > 0 => written += count.cast_unsigned(),
            _ if errno() == libc::EINTR => {}
            _ => return Err(errno()),
        }
    }
    if let Some((uid, gid)) = owner {
        // SAFETY: integers only.
        done(unsafe { libc::fchown(file, uid, gid) })?;
    }
    // SAFETY: integers only.
    done(unsafe { libc::fchmod(file, mode) })?;
    // SAFETY: the descriptor is ours and is not used again.
    done(unsafe { libc::close(file) })
}
