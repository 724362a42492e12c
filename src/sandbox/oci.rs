//! The isolation by a container runtime: the root is stacked by us, in a mount namespace of its own, and the runtime
//! does the rest. Its configuration lies in memory: it has the secret variables' values.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::capabilities::KEPT;
use super::layout::{Layout, Storage};
use super::root::absolute;
use super::script::{Exec, Op, Ops, Reach, Script, path, text};
use super::{Access, Calls, Job, Network, Sandbox, SandboxError, Stream, overlay, seccomp};

/// Where programs are looked for if neither the image nor the Kubefile says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where a sysfs of the command's own network is in the memory.
const SYS: &str = "sys";
/// No image has such a program.
const ABSENT: &str = "/.sealos-probe";

/// The first runtime that is installed and works.
pub(super) fn find() -> Result<PathBuf, SandboxError> {
    let mut outcome = Err(SandboxError::NoRuntime);
    for name in ["crun", "runc"] {
        let search = std::env::var_os("PATH").unwrap_or_default();
        let Some(runtime) = std::env::split_paths(&search).map(|it| it.join(name)).find(|it| it.is_file()) else {
            continue;
        };
        outcome = probe(&runtime).map(|()| runtime);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Has a container begun in an empty root: a runtime that works gets as far as not finding the program.
fn probe(runtime: &Path) -> Result<(), SandboxError> {
    let directory = tempfile::tempdir().map_err(SandboxError::prepare("make a temporary directory"))?;
    let (lower, scratch) = (directory.path().join("lower"), directory.path().join("scratch"));
    for path in [&lower, &scratch] {
        std::fs::create_dir(path).map_err(SandboxError::prepare("make a temporary directory"))?;
    }
    let job = Job {
        lowers: vec![lower],
        scratch: &scratch,
        argv: vec![ABSENT.to_owned()],
        env: Vec::new(),
        secret_env: Vec::new(),
        cwd: String::new(),
        user: String::new(),
        mounts: Vec::new(),
        network: Network::Default,
        calls: Calls::Filtered,
        stdin: None,
    };
    let mut said = Vec::new();
    let sandbox = Sandbox { runtime: Some(runtime.to_owned()) };
    let outcome = sandbox.run(&job, &mut |stream, bytes| {
        if stream == Stream::Stderr && said.len() < 4096 {
            said.extend_from_slice(bytes);
        }
    });
    let said = match outcome {
        Ok(_) => String::from_utf8_lossy(&said).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    // Named, and not the message that it cannot be stacked or mounted.
    match said.contains(ABSENT) && said.to_lowercase().contains("no such file") {
        true => Ok(()),
        false => Err(SandboxError::RuntimeBroken { runtime: runtime.to_owned(), said }),
    }
}

/// The script that has a runtime run a job.
pub(super) fn script(runtime: &Path, job: &Job<'_>, layout: &Layout) -> Result<Script, SandboxError> {
    let mut ops = Ops::default();
    let memory = layout.memory();
    ops.push("make mounts private", Op::MakePrivate);
    layout.mounts.write_secrets(&mut ops, &memory)?;
    let root = path(&layout.root())?;
    match layout.storage {
        Storage::Overlay => overlay::mount(&mut ops, &layout.lowers, &layout.scratch)?,
        Storage::Copy => {
            let slot = ops.slot();
            let op = Op::Take { slot, source: root.clone(), attributes: libc::MOUNT_ATTR_NODEV, reach: Reach::One };
            ops.push("take the copied root", op);
            ops.push("mount the copied root", Op::Attach { slot, target: root });
        }
    }
    let proc = ops.slot();
    ops.push("mount a proc of its own", Op::TakeProc { slot: proc });
    ops.push("mount /proc", Op::Attach { slot: proc, target: text("/proc")? });
    if is_crun(runtime) && Path::new("/sys/fs/cgroup/unified").exists() {
        // crun gives up where version 1 and 2 of cgroups are both mounted, even when told to leave them alone.
        ops.mount("tmpfs", &text("/sys/fs/cgroup")?, libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC, "mode=755")?;
    }
    if job.network == Network::None {
        let (slot, own) = (ops.slot(), path(&memory.join(SYS))?);
        ops.push("mount a sysfs of its own", Op::TakeSys { slot });
        ops.directory(&own, 0o555);
        ops.push("mount the sysfs", Op::Attach { slot, target: own });
        ops.push("switch the loopback device on", Op::Loopback);
    }
    let content = config(job, layout)?.to_string().into_bytes();
    let configuration = path(&memory.join("config.json"))?;
    ops.push("write the runtime's configuration", Op::Write { path: configuration, mode: 0o600, owner: None, content });
    let program = job.argv.first().filter(|it| !it.is_empty()).ok_or(SandboxError::NoCommand)?.clone();
    let mut argv = vec![path(runtime)?, text("--root")?, path(&memory.join("state"))?];
    if is_crun(runtime) {
        argv.push(text("--cgroup-manager=disabled")?);
    }
    for argument in ["run", "--no-new-keyring", "--bundle"] {
        argv.push(text(argument)?);
    }
    argv.push(path(&memory)?);
    argv.push(text(container_id())?);
    let search = std::env::var("PATH").unwrap_or_else(|_| PATH.to_owned());
    let env = vec![text(format!("PATH={search}"))?];
    let exec = Exec { candidates: vec![path(runtime)?], argv, env, cwd: text("/")?, filter: None, identity: None };
    Ok(Script { ops: ops.list, slots: ops.slots, exec, program })
}

/// A name that no other container of this machine has: runc makes a control group of it. The process alone is not
/// enough, since several threads may run something, and processes of other namespaces may have the same number.
fn container_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("sealos-run-{}-{}-{now}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn is_crun(runtime: &Path) -> bool {
    runtime.file_name().is_some_and(|name| name == "crun")
}

/// The command's environment, secrets included.
pub(super) fn environment(job: &Job<'_>, layout: &Layout) -> Result<Vec<(String, String)>, SandboxError> {
    let mut env = job.env.clone();
    for (name, secret) in &job.secret_env {
        let value = String::from_utf8(secret.0.clone());
        env.push((
            name.clone(),
            value.map_err(|error| SandboxError::SecretNotText { name: name.clone(), error: error.utf8_error() })?,
        ));
    }
    for (name, value) in [("PATH", PATH), ("HOME", layout.identity.home.as_str())] {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(env)
}

/// The runtime's configuration (OCI runtime specification 1.0).
fn config(job: &Job<'_>, layout: &Layout) -> Result<Value, SandboxError> {
    let environment: Vec<String> =
        environment(job, layout)?.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let capabilities: Vec<&str> = KEPT.iter().map(|(_, name)| *name).collect();
    let may_set_groups = std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|it| it.trim() == "allow");
    let groups = if may_set_groups { layout.identity.all_groups() } else { Vec::new() };
    let cwd = absolute(&layout.cwd)?;
    // The network namespace is the one that the script made, with its loopback device.
    let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": layout.identity.uid, "gid": layout.identity.gid, "additionalGids": groups, "umask": 0o022},
            "args": job.argv,
            "env": environment,
            "cwd": cwd.to_string_lossy(),
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "noNewPrivileges": false,
        },
        "root": {"path": layout.root(), "readonly": false},
        "hostname": "sealos",
        "mounts": mounts(job, layout)?,
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    if job.calls == Calls::Filtered {
        config["linux"]["seccomp"] = seccomp::for_runtime();
    }
    Ok(config)
}

fn mounts(job: &Job<'_>, layout: &Layout) -> Result<Vec<Value>, SandboxError> {
    let sys = if job.network == Network::None { layout.memory().join(SYS) } else { PathBuf::from("/sys") };
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}),
        json!({"destination": "/sys", "type": "bind", "source": sys,
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]}),
    ];
    for tmpfs in &layout.mounts.tmpfs {
        let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), "mode=1777".to_owned()];
        options.extend(tmpfs.size.map(|size| format!("size={size}")));
        let target = absolute(&tmpfs.target)?;
        mounts.push(
            json!({"destination": target.to_string_lossy(), "type": "tmpfs", "source": "tmpfs", "options": options}),
        );
    }
    for bind in &layout.mounts.binds {
        let access = if bind.access == Access::ReadOnly { "ro" } else { "rw" };
        let target = absolute(&bind.target)?;
        mounts.push(json!({"destination": target.to_string_lossy(), "type": "bind", "source": bind.source,
            "options": ["rbind", "rprivate", "nosuid", "nodev", access]}));
    }
    Ok(mounts)
}
