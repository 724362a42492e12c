//! A user namespace for callers that are not root: in it they are, over their own files.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;

use super::SandboxError;

/// Kernel settings that forbid user namespaces: the file, the value that forbids, what allows them.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
];

/// Whether this process's ids are mapped: root here is not root of the machine.
pub fn is_in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// Makes a caller that is not root the root of a user namespace: the program is executed again, with the same
/// arguments, and comes back to this call, which then returns at once. For root it does nothing. To be called before
/// there are threads, as the kernel wants it.
///
/// The caller's id becomes 0; further ids come from `/etc/subuid` and `/etc/subgid` through `newuidmap` and `newgidmap`
/// where these exist. Without, there is one id only, and files cannot belong to anybody else.
///
/// # Errors
/// When the system gives no user namespace.
pub fn enter_user_namespace() -> Result<(), SandboxError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    create()?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let source = command.args(arguments).exec();
    Err(SandboxError::Prepare { doing: "execute this program again".to_owned(), source })
}

/// What of the outer namespace becomes what inside.
#[derive(Debug)]
struct Maps {
    uid: u32,
    gid: u32,
    /// First id and number of ids: users, groups.
    ranges: Option<[(u32, u32); 2]>,
    /// `newuidmap` and `newgidmap`.
    programs: Option<[PathBuf; 2]>,
}

/// Moves this process into a user namespace where it is root.
pub(super) fn create() -> Result<(), SandboxError> {
    let maps = Maps::find();
    match (maps.ranges, &maps.programs) {
        (Some(ranges), Some(programs)) => create_with_ranges(&maps, ranges, programs),
        _ => {
            unshare()?;
            write_map("/proc/self/setgroups", "deny")?;
            write_map("/proc/self/uid_map", &format!("0 {} 1\n", maps.uid))?;
            write_map("/proc/self/gid_map", &format!("0 {} 1\n", maps.gid))
        }
    }
}

fn unshare() -> Result<(), SandboxError> {
    // SAFETY: integers only. With threads the kernel refuses.
    match unsafe { libc::unshare(libc::CLONE_NEWUSER) } {
        0 => Ok(()),
        _ => Err(forbidden(io::Error::last_os_error())),
    }
}

/// The error of a system that gives no user namespace, with the setting that forbids it.
pub(super) fn forbidden(source: io::Error) -> SandboxError {
    let forbids = |(file, value, _): &&(&str, &str, &str)| fs::read_to_string(file).is_ok_and(|it| it.trim() == *value);
    let setting = SETTINGS.iter().find(forbids).map(|(_, _, allows)| *allows);
    SandboxError::NoUserNamespace { setting, source }
}

fn write_map(file: &'static str, text: &str) -> Result<(), SandboxError> {
    // Where namespaces are given but nothing may be done in them, this is what fails.
    fs::write(file, text).map_err(forbidden)
}

/// The programs are set-uid and have to be run from outside of the new namespace: by a process that is begun before.
fn create_with_ranges(maps: &Maps, ranges: [(u32, u32); 2], programs: &[PathBuf; 2]) -> Result<(), SandboxError> {
    let doing = "begin the process that maps ids";
    let failed = |doing: &'static str| move |error: io::Error| SandboxError::IdMap { doing, reason: error.to_string() };
    let (mut ready_end, mut ready) = io::pipe().map_err(failed(doing))?;
    let (mut said, mut said_end) = io::pipe().map_err(failed(doing))?;
    let target = std::process::id();
    // SAFETY: this process has no threads (see `enter_user_namespace`), so the copy is whole and may do anything.
    let helper = unsafe { libc::fork() };
    if helper == 0 {
        drop((ready, said));
        let mut byte = [0];
        let outcome = match ready_end.read_exact(&mut byte) {
            Ok(()) => map_ids(target, maps, ranges, programs),
            Err(error) => Err(error.to_string()),
        };
        let is_told = match outcome {
            Ok(()) => true,
            Err(reason) => said_end.write_all(reason.as_bytes()).is_ok(),
        };
        // SAFETY: ends the process without running handlers of the parent.
        unsafe { libc::_exit(i32::from(!is_told)) }
    }
    if helper < 0 {
        return Err(failed(doing)(io::Error::last_os_error()));
    }
    drop((ready_end, said_end));
    let outcome = unshare();
    if outcome.is_ok() {
        ready.write_all(b"!").map_err(failed(doing))?;
    }
    drop(ready);
    let mut reason = String::new();
    said.read_to_string(&mut reason).map_err(failed("hear from the process that maps ids"))?;
    // SAFETY: the pid is that of our child; no status is asked for.
    unsafe { libc::waitpid(helper, ptr::null_mut(), 0) };
    outcome?;
    match reason.is_empty() {
        true => Ok(()),
        false => Err(SandboxError::IdMap { doing: "run newuidmap and newgidmap", reason }),
    }
}

fn map_ids(target: u32, maps: &Maps, ranges: [(u32, u32); 2], programs: &[PathBuf; 2]) -> Result<(), String> {
    for ((program, own), (first, count)) in programs.iter().zip([maps.uid, maps.gid]).zip(ranges) {
        let numbers = [target, 0, own, 1, 1, first, count].map(|number| number.to_string());
        let output = Command::new(program).args(numbers).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
    }
    Ok(())
}

impl Maps {
    fn find() -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let name = login_name(&fs::read_to_string("/etc/passwd").unwrap_or_default(), uid);
        let range = |file: &str| range(&fs::read_to_string(file).unwrap_or_default(), uid, name.as_deref());
        let ranges = range("/etc/subuid").zip(range("/etc/subgid")).map(|(users, groups)| [users, groups]);
        let search = std::env::var_os("PATH").unwrap_or_default();
        let program = |name: &str| {
            let places = std::env::split_paths(&search).chain([PathBuf::from("/usr/bin")]);
            places.map(|place| place.join(name)).find(|it: &PathBuf| Path::is_file(it))
        };
        let programs = program("newuidmap").zip(program("newgidmap")).map(|(users, groups)| [users, groups]);
        Self { uid, gid, ranges, programs }
    }
}

fn login_name(passwd: &str, uid: u32) -> Option<String> {
    let is_own = |fields: &Vec<&str>| fields.get(2).is_some_and(|it| it.parse() == Ok(uid));
    passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(is_own).map(|fields| fields[0].to_owned())
}

/// The first range of a user in a file like `/etc/subuid`.
fn range(file: &str, uid: u32, name: Option<&str>) -> Option<(u32, u32)> {
    file.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let is_own = Some(owner) == name || owner.parse() == Ok(uid);
        let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (is_own && range.1 > 0).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_range_is_found_by_name_or_number() {
        let file = "root:100000:65536\nana:200000:65536\n1001:300000:1000\nbad\nzero:1:0\n";
        for (uid, name, want) in [
            (1000, Some("ana"), Some((200_000, 65536))),
            (1001, Some("bob"), Some((300_000, 1000))),
            (1001, None, Some((300_000, 1000))),
            (1002, Some("eve"), None),
            (1003, Some("zero"), None),
        ] {
            assert_eq!(range(file, uid, name), want, "{uid} {name:?}");
        }
        assert_eq!(login_name("root:x:0:0::/:\nana:x:1000:1000::/:\n", 1000).as_deref(), Some("ana"));
    }
}
