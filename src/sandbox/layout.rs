//! The directories of one job.
//!
//! ```text
//! scratch/
//! ├── l/0, l/1, …   links to the lower directories, top first: short names, so that any number fits into a mount's text
//! ├── stubs/        mount points that the image lacks; the topmost lower, so they are no change of the command's
//! ├── upper/        what the command changes
//! ├── work/         overlayfs's own
//! ├── root/         where the merged view is mounted, or (copied) lies
//! ├── memory/       where secrets and the runtime's files are mounted from memory
//! └── files/        resolv.conf, hosts, what is written to bind mounts
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::changes::Changes;
use super::compare::Snapshot;
use super::lowers::Lowers;
use super::mounts::Mounts;
use super::{Job, SandboxError, overlay};
use crate::rootfs::passwd::{Accounts, Identity};

/// No account file is larger, in bytes.
const ACCOUNTS: u64 = 8 << 20;

/// How the merged view is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// By the kernel.
    Overlay,
    /// By copying all files, and comparing them afterwards.
    Copy,
}

/// The directories and what was found out beforehand.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) scratch: PathBuf,
    pub(super) storage: Storage,
    /// With the stubs on top.
    pub(super) lowers: Lowers,
    pub(super) identity: Identity,
    /// Absolute, without links.
    pub(super) cwd: Vec<u8>,
    pub(super) mounts: Mounts,
    snapshot: Option<Snapshot>,
}

impl Layout {
    /// Makes the directories.
    pub(super) fn prepare(job: &Job<'_>, storage: Storage) -> Result<Self, SandboxError> {
        let scratch = job.scratch.canonicalize().map_err(SandboxError::prepare("find the scratch directory"))?;
        for name in ["l", "stubs", "upper", "work", "root", "memory", "files"] {
            make(&scratch.join(name))?;
        }
        let mut lowers = Lowers::new(&job.lowers);
        let accounts =
            Accounts { passwd: lowers.read(b"etc/passwd", ACCOUNTS)?, group: lowers.read(b"etc/group", ACCOUNTS)? };
        let identity = accounts.lookup(&job.user)?;
        let cwd = lowers.resolve(job.cwd.as_bytes())?;
        let mounts = Mounts::collect(job, &lowers, &cwd, &scratch)?;
        let stubs = scratch.join("stubs");
        overlay::make_stubs(&lowers, &stubs, &mounts.stubs)?;
        lowers.put_on_top(stubs);
        let mut layout = Self { scratch, storage, lowers, identity, cwd, mounts, snapshot: None };
        match storage {
            Storage::Overlay => overlay::prepare(&layout.lowers, &layout.scratch)?,
            Storage::Copy => {
                overlay::copy(&layout.lowers, &layout.root())?;
                layout.snapshot = Some(Snapshot::take(&layout.root())?);
            }
        }
        Ok(layout)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.scratch.join("root")
    }

    pub(super) fn memory(&self) -> PathBuf {
        self.scratch.join("memory")
    }

    /// What the command changed.
    pub(super) fn into_changes(self) -> Result<Changes, SandboxError> {
        let upper = self.scratch.join("upper");
        if let Some(snapshot) = &self.snapshot {
            snapshot.move_changes(&self.root(), &upper)?;
        }
        Ok(Changes::read(&upper, &self.lowers)?)
    }
}

/// Makes an empty directory; what an earlier attempt left there goes away.
fn make(path: &Path) -> Result<(), SandboxError> {
    let doing = || format!("make the directory {}", path.display());
    match fs::create_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fs::remove_dir_all(path).and_then(|()| fs::create_dir(path)).map_err(SandboxError::prepare(doing()))
        }
        other => other.map_err(SandboxError::prepare(doing())),
    }
}
