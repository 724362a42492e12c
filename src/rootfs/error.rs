//! What can go wrong with files of layers.

use std::io;
use std::path::PathBuf;

use content::ContentError;
use content::tar::TarError;
use oci::Digest;

use super::path::Shown;

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Bytes of file contents.
    #[error("{0} bytes")]
    Bytes(u64),
    /// Number of files of any kind.
    #[error("{0} files")]
    Files(u64),
}

/// Why layers could not be unpacked, merged or looked into, or a directory not be walked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootfsError {
    /// The layer's tar is broken or would leave the directory.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A layer could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The directory to unpack into has something in it.
    #[error("cannot unpack into `{}`: the directory is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// More than an image may have.
    #[error("the entry `{}` goes beyond the limit of {limit}", Shown(.path))]
    TooLarge {
        /// The entry's path.
        path: Vec<u8>,
        /// The limit.
        limit: Limit,
    },
    /// A hard link to something that is not there.
    #[error("the entry `{}` is a hard link to `{}`, which does not exist", Shown(.path), Shown(.target))]
    MissingLinkTarget {
        /// The entry's path.
        path: Vec<u8>,
        /// What it should be another name of.
        target: Vec<u8>,
    },
    /// A component of an entry's path is not a directory (or a symbolic link to nothing).
    #[error("cannot write the entry `{}`: `{}` is not a directory", Shown(.path), Shown(.parent))]
    ParentNotDirectory {
        /// The entry's path.
        path: Vec<u8>,
        /// The component.
        parent: Vec<u8>,
    },
    /// An owner that this process cannot give a file to.
    #[error("cannot give `{}` to {uid}:{gid}: {source}", Shown(.path))]
    Owner {
        /// The entry's path.
        path: Vec<u8>,
        /// Owner.
        uid: u64,
        /// Group.
        gid: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A path that leads in circles through symbolic links.
    #[error("`{}` leads through too many symbolic links", Shown(.0))]
    LinkLoop(Vec<u8>),
    /// A path that the image does not have.
    #[error("the image has no `{}`", Shown(.0))]
    NoSuchPath(Vec<u8>),
    /// A file of the image that is larger than it may be for what it is used for.
    #[error("`{}` of the image has {size} bytes, more than the limit of {limit}", Shown(.path))]
    FileTooLarge {
        /// The file.
        path: Vec<u8>,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Bytes that are not those of the file.
    #[error("the bytes that came for `{}` are {actual} and not {expected}", Shown(.path))]
    WrongContent {
        /// The file.
        path: Vec<u8>,
        /// What they should be.
        expected: Digest,
        /// What they are.
        actual: Digest,
    },
    /// A user or group name that the image does not know.
    #[error("the image has no {kind} `{name}`")]
    UnknownAccount {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The system refused something about one file.
    #[error("cannot {doing} `{}`: {source}", Shown(.path))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file's path (relative to the directory worked in where there is one).
        path: Vec<u8>,
        /// What the system said.
        source: io::Error,
    },
}

impl RootfsError {
    /// For `map_err`: wraps a system error with what was being done to which file.
    pub(crate) fn io<E: Into<io::Error>>(doing: &'static str, path: &[u8]) -> impl FnOnce(E) -> Self {
        let path = path.to_vec();
        move |source| Self::Io { doing, path, source: source.into() }
    }

    /// What the user can do about it, if it is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Tar(error) => error.help(),
            Self::Content(error) => error.help(),
            Self::NotEmpty(_) => Some("choose a directory that does not exist yet".to_owned()),
            Self::TooLarge { .. } => Some("the image may be a decompression bomb; do not use it".to_owned()),
            Self::Owner { .. } => {
                Some("run as root, or give the user ranges in /etc/subuid and /etc/subgid".to_owned())
            }
            Self::UnknownAccount { kind, .. } => {
                Some(format!("use a numeric id, or add the {kind} in an earlier RUN instruction"))
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free some space (`sealos prune`) and repeat the command".to_owned())
            }
            _ => None,
        }
    }
}
