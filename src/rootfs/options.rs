//! How layers are unpacked, and what came of it.

use std::fmt;

use super::path::Shown;

/// Whom unpacked files belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// Whom the layer says; needs root, or a user namespace with enough ids.
    #[default]
    Preserve,
    /// The calling user. Device nodes are skipped.
    Caller,
}

/// What becomes of runs of zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holes {
    /// Runs of at least 64 KiB are not written: the file system keeps no blocks for them.
    #[default]
    Make,
    /// All bytes are written.
    Fill,
}

/// What an image may have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of file contents, holes included.
    pub bytes: u64,
    /// Files of any kind, those counted that later layers replace.
    pub files: u64,
}

impl Default for Limits {
    /// 4 TiB and 64 Mi files: beyond all real images, but not beyond what a bomb claims.
    fn default() -> Self {
        Self { bytes: 4 << 40, files: 64 << 20 }
    }
}

/// How layers are unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnpackOptions {
    /// Whom files belong to.
    pub ownership: Ownership,
    /// What becomes of runs of zeros.
    pub holes: Holes,
    /// What the image may have at most.
    pub limits: Limits,
}

/// Something that could not be kept though the files are there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A device node was not made: only root may.
    DeviceSkipped {
        /// Its path.
        path: Vec<u8>,
    },
    /// Extended attributes of this name are not supported here, or not for this user; the first file is named.
    XattrSkipped {
        /// The first file's path.
        path: Vec<u8>,
        /// The attribute.
        name: Vec<u8>,
    },
    /// A socket was not taken: it means nothing without its process.
    SocketSkipped {
        /// Its path.
        path: Vec<u8>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceSkipped { path } => {
                write!(f, "the device node `{}` was left out: only root can make it", Shown(path))
            }
            Self::XattrSkipped { path, name } => {
                let (path, name) = (Shown(path), Shown(name));
                write!(f, "the extended attribute `{name}` could not be set (first on `{path}`)")
            }
            Self::SocketSkipped { path } => write!(f, "the socket `{}` was left out", Shown(path)),
        }
    }
}

/// What was unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files of any kind that were written, those included that later layers replaced.
    pub files: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// What could not be kept.
    pub warnings: Vec<Warning>,
}
