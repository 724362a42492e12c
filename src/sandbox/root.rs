//! The isolation that is built in: the operations that make a root directory such as container engines give.

use std::ffi::CString;

use super::layout::{Layout, Storage};
use super::oci::environment;
use super::script::{Credentials, Exec, Op, Ops, Reach, Script, path, text};
use super::{Access, Calls, Job, Network, SandboxError, overlay, seccomp};

const NODEV: u64 = libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID;
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];
/// Files of proc through which root could change the machine.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// Files of proc that tell of the machine's memory and keys.
const MASKED: [&str; 4] = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug"];

/// The script that runs a job.
pub(super) fn script(job: &Job<'_>, layout: &Layout) -> Result<Script, SandboxError> {
    let mut ops = Ops::default();
    ops.push("make mounts private", Op::MakePrivate);
    layout.mounts.write_secrets(&mut ops, &layout.memory())?;
    let root = stage_root(&mut ops, layout)?;
    // Everything of the host is taken by its path there, and attached by its path in the new root.
    let proc = ops.slot();
    ops.push("mount a proc of its own", Op::TakeProc { slot: proc });
    let mut attached = vec![(proc, b"proc".to_vec())];
    let sys = match job.network {
        // The host's would show the host's network devices.
        Network::None => {
            let slot = ops.slot();
            ops.push("mount a sysfs of its own", Op::TakeSys { slot });
            slot
        }
        Network::Default | Network::Host => take(&mut ops, "/sys", libc::MOUNT_ATTR_RDONLY | NODEV, Reach::All)?,
    };
    attached.push((sys, b"sys".to_vec()));
    let mut devices = Vec::new();
    for name in DEVICES {
        let source = format!("/dev/{name}");
        devices.push((take(&mut ops, &source, libc::MOUNT_ATTR_NOSUID, Reach::One)?, source));
    }
    let mut masks = Vec::new();
    for name in MASKED.iter().filter(|name| std::fs::exists(name).unwrap_or(false)) {
        masks.push((take(&mut ops, "/dev/null", 0, Reach::One)?, *name));
    }
    for bind in &layout.mounts.binds {
        let attributes = NODEV | if bind.access == Access::ReadOnly { libc::MOUNT_ATTR_RDONLY } else { 0 };
        let slot = ops.slot();
        let op = Op::Take { slot, source: path(&bind.source)?, attributes, reach: Reach::All };
        ops.push(format!("take {}", bind.source.display()), op);
        attached.push((slot, bind.target.clone()));
    }
    ops.push("enter the new root", Op::Enter(root));
    ops.push("make it the root", Op::Pivot);
    make_devices(&mut ops, &devices)?;
    for tmpfs in &layout.mounts.tmpfs {
        let size = tmpfs.size.map_or(String::new(), |size| format!(",size={size}"));
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        ops.mount("tmpfs", &absolute(&tmpfs.target)?, flags, &format!("mode=1777{size}"))?;
    }
    for (slot, target) in attached {
        attach(&mut ops, slot, absolute(&target)?);
    }
    for name in READ_ONLY {
        ops.push(format!("make {name} read-only"), Op::Protect(text(name)?));
    }
    for (slot, name) in masks {
        attach(&mut ops, slot, text(name)?);
    }
    ops.push("name the machine", Op::HostName(b"sealos"));
    if job.network == Network::None {
        ops.push("switch the loopback device on", Op::Loopback);
    }
    let cwd = absolute(&layout.cwd)?;
    make_cwd(&mut ops, &layout.cwd)?;
    let exec = exec(job, layout, cwd)?;
    let program = job.argv.first().cloned().unwrap_or_default();
    Ok(Script { ops: ops.list, slots: ops.slots, exec, program })
}

/// The merged view as a mount. Returns its path.
fn stage_root(ops: &mut Ops, layout: &Layout) -> Result<CString, SandboxError> {
    let root = path(&layout.root())?;
    match layout.storage {
        Storage::Overlay => overlay::mount(ops, &layout.lowers, &layout.scratch)?,
        Storage::Copy => {
            let slot = ops.slot();
            let op = Op::Take { slot, source: root.clone(), attributes: libc::MOUNT_ATTR_NODEV, reach: Reach::One };
            ops.push("take the copied root", op);
            attach(ops, slot, root.clone());
        }
    }
    Ok(root)
}

fn make_devices(ops: &mut Ops, devices: &[(usize, String)]) -> Result<(), SandboxError> {
    let flags = libc::MS_NOSUID | libc::MS_STRICTATIME;
    ops.mount("tmpfs", &text("/dev")?, flags, "mode=755,size=65536k")?;
    for (slot, name) in devices {
        let target = text(name.as_str())?;
        let op = Op::Write { path: target.clone(), mode: 0o666, owner: None, content: Vec::new() };
        ops.push(format!("make {name}"), op);
        attach(ops, *slot, target);
    }
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    ops.directory(&text("/dev/pts")?, 0o755);
    ops.mount("devpts", &text("/dev/pts")?, flags, "newinstance,ptmxmode=0666,mode=0620")?;
    ops.directory(&text("/dev/shm")?, 0o1777);
    ops.mount("tmpfs", &text("/dev/shm")?, flags | libc::MS_NODEV, "mode=1777,size=65536k")?;
    for (target, link) in LINKS {
        ops.push(format!("make {link}"), Op::Symlink { target: text(target)?, path: text(link)? });
    }
    Ok(())
}

fn make_cwd(ops: &mut Ops, cwd: &[u8]) -> Result<(), SandboxError> {
    let ends = cwd.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([cwd.len()]);
    for end in ends.filter(|end| *end > 0) {
        ops.directory(&absolute(&cwd[..end])?, 0o755);
    }
    Ok(())
}

fn exec(job: &Job<'_>, layout: &Layout, cwd: CString) -> Result<Exec, SandboxError> {
    let program = job.argv.first().filter(|program| !program.is_empty()).ok_or(SandboxError::NoCommand)?;
    let env = environment(job, layout)?;
    let search = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value.as_str());
    let candidates = match program.contains('/') {
        true => vec![text(program.as_str())?],
        false => search
            .split(':')
            .map(|directory| text(format!("{}/{program}", if directory.is_empty() { "." } else { directory })))
            .collect::<Result<_, _>>()?,
    };
    let may_set_groups = std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|it| it.trim() == "allow");
    let identity = Credentials {
        uid: layout.identity.uid,
        gid: layout.identity.gid,
        groups: may_set_groups.then(|| layout.identity.all_groups()),
    };
    let argv = job.argv.iter().map(|it| text(it.as_str())).collect::<Result<_, _>>()?;
    let env = env.iter().map(|(name, value)| text(format!("{name}={value}"))).collect::<Result<_, _>>()?;
    let filter = (job.calls == Calls::Filtered).then(seccomp::filter).flatten();
    Ok(Exec { candidates, argv, env, cwd, filter, identity: Some(identity) })
}

fn take(ops: &mut Ops, source: &str, attributes: u64, reach: Reach) -> Result<usize, SandboxError> {
    let slot = ops.slot();
    ops.push(format!("take {source}"), Op::Take { slot, source: text(source)?, attributes, reach });
    Ok(slot)
}

fn attach(ops: &mut Ops, slot: usize, target: CString) {
    ops.push(format!("mount on {}", target.to_string_lossy()), Op::Attach { slot, target });
}

/// A path of the image as the command sees it.
pub(super) fn absolute(target: &[u8]) -> Result<CString, SandboxError> {
    text([b"/", target].concat())
}
