//! One file of a layer, without its bytes.

use std::collections::BTreeMap;

/// What kind of file an entry is. Link targets are bytes, as file systems have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file of so many bytes.
    File {
        /// Size in bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// What it points at, unchecked.
        target: Vec<u8>,
    },
    /// Another name of a file that came before it in the same tar.
    HardLink {
        /// The path of that file, relative to the root and without a leading slash.
        target: Vec<u8>,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// One file of a layer, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the file is, relative to the root: no leading slash, no `.` or `..` component, no trailing slash; empty
    /// for the root directory itself. Any bytes but NUL.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Extended attributes (`security.capability`, `user.…`), sorted by name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}
