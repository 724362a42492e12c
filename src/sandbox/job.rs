//! What is to be run.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Changes;

/// How commands are kept apart from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Built in: namespaces and a new root.
    Chroot,
    /// By `crun` or `runc`.
    Oci,
}

/// Which network a command sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// The host's: there is no network of our own to attach to.
    #[default]
    Default,
    /// The host's.
    Host,
    /// None but a loopback device of its own.
    None,
}

/// Which system calls a command may make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calls {
    /// Those that container engines allow by default.
    #[default]
    Filtered,
    /// All.
    All,
}

/// Where output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a command may do with a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Read.
    #[default]
    ReadOnly,
    /// Read and write. What is written to a bind mount is thrown away afterwards; to a cache, it stays.
    ReadWrite,
}

/// Who uses a cache at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// All.
    #[default]
    Shared,
    /// Nobody: a second user gets a cache of its own.
    Private,
    /// Nobody: a second user waits.
    Locked,
}

/// Bytes that are never shown and never written to disk.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Something that the command sees though it is not in the image.
#[derive(Clone, Debug)]
pub struct JobMount {
    /// Where: absolute, or relative to the working directory.
    pub target: String,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind {
        /// Which; it must not lead through links that others control.
        source: PathBuf,
        /// What is mounted into it, by paths of its own: at each there is an empty directory.
        inside: Vec<(Vec<u8>, PathBuf)>,
        /// What the command may do with it.
        access: Access,
    },
    /// A directory that outlives the build.
    Cache {
        /// The directory that all caches are in.
        caches: PathBuf,
        /// Which of them.
        id: String,
        /// What a new cache has in it; nothing if none.
        base: Option<PathBuf>,
        /// Who uses it at the same time.
        sharing: Sharing,
        /// What the command may do with it.
        access: Access,
        /// Mode of a new cache's directory.
        mode: u32,
        /// Owner of a new cache's directory.
        uid: u32,
        /// Group of a new cache's directory.
        gid: u32,
    },
    /// Memory.
    Tmpfs {
        /// Bytes at most; none for half of the machine's memory.
        size: Option<u64>,
    },
    /// A file with a secret.
    Secret {
        /// Its bytes.
        content: Secret,
        /// Mode, usually 0400.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// A command and all it needs.
#[derive(Debug)]
pub struct Job<'a> {
    /// The image's files so far, bottom first: an unpacked image, directories of earlier [`Changes`].
    pub lowers: Vec<PathBuf>,
    /// An empty directory, of the same file system if possible. Its content is the job's, and the changes'; it has to
    /// stay as long as those are used.
    pub scratch: &'a Path,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The environment; PATH and HOME get values if they have none.
    pub env: Vec<(String, String)>,
    /// Variables whose values are secret.
    pub secret_env: Vec<(String, Secret)>,
    /// Working directory, made if it does not exist. Empty for the root.
    pub cwd: String,
    /// `USER[:GROUP]` by name or number; empty for root.
    pub user: String,
    /// What is seen though it is not in the image.
    pub mounts: Vec<JobMount>,
    /// Which network is seen.
    pub network: Network,
    /// Which system calls may be made.
    pub calls: Calls,
    /// Standard input; without, it is empty.
    pub stdin: Option<Vec<u8>>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

impl Status {
    /// Whether it is what success looks like.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Signaled(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// What came of a job.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub status: Status,
    /// What it changed, also when it failed.
    pub upper: Changes,
}
