//! What the command sees beside the image: the job's mounts, the resolver's configuration, secrets.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::lowers::Lowers;
use super::script::{Op, Ops, path};
use super::{Access, Job, MountKind, Network, SandboxError, Secret, Sharing, overlay};
use crate::rootfs::join;

/// What a mount point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stub {
    Directory,
    File,
}

/// Something of the host (or of memory) at a path of the image.
#[derive(Debug)]
pub(super) struct Bind {
    pub(super) source: PathBuf,
    /// Resolved, relative to the image's root.
    pub(super) target: Vec<u8>,
    pub(super) access: Access,
}

/// Memory at a path of the image.
#[derive(Debug)]
pub(super) struct Tmpfs {
    pub(super) target: Vec<u8>,
    pub(super) size: Option<u64>,
}

/// A file in memory that is bound from there.
#[derive(Debug)]
pub(super) struct SecretFile {
    pub(super) place: PathBuf,
    content: Secret,
    mode: u32,
    owner: (u32, u32),
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) binds: Vec<Bind>,
    pub(super) tmpfs: Vec<Tmpfs>,
    pub(super) secrets: Vec<SecretFile>,
    /// Mount points that have to exist.
    pub(super) stubs: Vec<(Vec<u8>, Stub)>,
    /// Held as long as the job runs.
    locks: Vec<File>,
}

impl Mounts {
    /// Prepares all mounts of a job.
    pub(super) fn collect(job: &Job<'_>, lowers: &Lowers, cwd: &[u8], scratch: &Path) -> Result<Self, SandboxError> {
        let mut mounts = Self::default();
        for system in ["proc", "sys", "dev"] {
            mounts.stubs.push((lowers.resolve(system.as_bytes())?, Stub::Directory));
        }
        mounts.add_network_files(job, lowers, scratch)?;
        for (index, mount) in job.mounts.iter().enumerate() {
            let target = match mount.target.starts_with('/') {
                true => lowers.resolve(mount.target.as_bytes())?,
                false => lowers.resolve(&join(cwd, mount.target.as_bytes()))?,
            };
            mounts.add(&mount.kind, target, index, scratch)?;
        }
        Ok(mounts)
    }

    fn add(&mut self, kind: &MountKind, target: Vec<u8>, index: usize, scratch: &Path) -> Result<(), SandboxError> {
        match kind {
            MountKind::Bind { source, inside, access: Access::ReadOnly } => {
                let source = existing(source)?;
                self.bind(source, target.clone(), Access::ReadOnly);
                for (path, source) in inside {
                    let (source, target) = (existing(source)?, join(&target, path));
                    self.binds.push(Bind { source, target, access: Access::ReadOnly });
                }
            }
            MountKind::Bind { source, inside, access: Access::ReadWrite } => {
                let copy = scratch.join("files").join(format!("bind-{index}"));
                overlay::copy_tree(&existing(source)?, &copy)?;
                for (path, source) in inside {
                    let place = copy.join(OsStr::from_bytes(path));
                    fs::remove_dir(&place).map_err(SandboxError::prepare("copy what is to be mounted"))?;
                    overlay::copy_tree(&existing(source)?, &place)?;
                }
                self.bind(copy, target, Access::ReadWrite);
            }
            MountKind::Cache { caches, id, base, sharing, access, mode, uid, gid } => {
                let cache = self.cache(caches, id, *sharing)?;
                let doing = format!("prepare the cache {}", cache.display());
                if let Some(base) = base.as_ref().filter(|_| !cache.exists()) {
                    // Whoever is killed while copying leaves no half of a cache under its name.
                    let unfinished = scratch.join("files").join(format!("cache-{index}"));
                    overlay::copy_tree(&existing(base)?, &unfinished)?;
                    match fs::rename(&unfinished, &cache) {
                        // Another one was faster.
                        Err(_) if cache.exists() => {}
                        other => other.map_err(SandboxError::prepare(doing.clone()))?,
                    }
                }
                let made = fs::create_dir(&cache).and_then(|()| {
                    chown(&cache, Some(*uid), Some(*gid))?;
                    fs::set_permissions(&cache, fs::Permissions::from_mode(*mode))
                });
                match made {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    other => other.map_err(SandboxError::prepare(doing))?,
                }
                self.bind(cache, target, *access);
            }
            MountKind::Tmpfs { size } => {
                self.stubs.push((target.clone(), Stub::Directory));
                self.tmpfs.push(Tmpfs { target, size: *size });
            }
            MountKind::Secret { content, mode, uid, gid } => {
                let place = scratch.join("memory").join(format!("secret-{index}"));
                self.secrets.push(SecretFile {
                    place: place.clone(),
                    content: content.clone(),
                    mode: *mode,
                    owner: (*uid, *gid),
                });
                self.stubs.push((target.clone(), Stub::File));
                self.binds.push(Bind { source: place, target, access: Access::ReadOnly });
            }
        }
        Ok(())
    }

    fn bind(&mut self, source: PathBuf, target: Vec<u8>, access: Access) {
        let stub = if source.is_dir() { Stub::Directory } else { Stub::File };
        self.stubs.push((target.clone(), stub));
        self.binds.push(Bind { source, target, access });
    }

    /// The directory of a cache that this job may use now. Names are hashed: an id may be any text.
    fn cache(&mut self, caches: &Path, id: &str, sharing: Sharing) -> Result<PathBuf, SandboxError> {
        let doing = || format!("use the cache `{id}`");
        fs::create_dir_all(caches).map_err(SandboxError::prepare(doing()))?;
        let mut hasher = oci::Hasher::new(oci::Algorithm::Sha256);
        hasher.update(id.as_bytes());
        let name = hasher.finish().hex();
        for number in 0.. {
            let name = if number == 0 { name.clone() } else { format!("{name}.{number}") };
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(caches.join(format!("{name}.lock")))
                .map_err(SandboxError::prepare(doing()))?;
            let held = match sharing {
                Sharing::Shared => lock.lock_shared().map(|()| true),
                Sharing::Locked => lock.lock().map(|()| true),
                Sharing::Private => match lock.try_lock() {
                    Ok(()) => Ok(true),
                    Err(TryLockError::WouldBlock) => Ok(false),
                    Err(TryLockError::Error(error)) => Err(error),
                },
            };
            if held.map_err(SandboxError::prepare(doing()))? {
                self.locks.push(lock);
                return Ok(caches.join(name));
            }
        }
        Err(SandboxError::prepare(doing())(io::Error::from(io::ErrorKind::ResourceBusy)))
    }

    /// Name resolution as the command's network needs it; what the command writes to these files is thrown away.
    fn add_network_files(&mut self, job: &Job<'_>, lowers: &Lowers, scratch: &Path) -> Result<(), SandboxError> {
        let hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
        for (name, fallback) in [("resolv.conf", ""), ("hosts", hosts)] {
            let text = match (job.network, fs::read(Path::new("/etc").join(name))) {
                (Network::None, _) => fallback.as_bytes().to_vec(),
                (_, Ok(text)) => text,
                (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => fallback.as_bytes().to_vec(),
                (_, Err(error)) => return Err(SandboxError::prepare(format!("read the host's /etc/{name}"))(error)),
            };
            let copy = scratch.join("files").join(name);
            let doing = format!("prepare /etc/{name}");
            fs::write(&copy, text)
                .and_then(|()| fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)))
                .map_err(SandboxError::prepare(doing))?;
            let target = lowers.resolve(&join(b"etc", name.as_bytes()))?;
            self.bind(copy, target, Access::ReadWrite);
        }
        Ok(())
    }

    /// The operations that put the secrets into memory.
    pub(super) fn write_secrets(&self, ops: &mut Ops, memory: &Path) -> Result<(), SandboxError> {
        ops.mount("tmpfs", &path(memory)?, libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC, "mode=700")?;
        for secret in &self.secrets {
            let op = Op::Write {
                path: path(&secret.place)?,
                mode: secret.mode,
                owner: Some(secret.owner),
                content: secret.content.0.clone(),
            };
            ops.push("put a secret into memory", op);
        }
        Ok(())
    }
}

fn existing(source: &Path) -> Result<PathBuf, SandboxError> {
    source.canonicalize().map_err(SandboxError::prepare(format!("find {}, which is to be mounted", source.display())))
}
