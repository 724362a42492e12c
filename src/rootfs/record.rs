//! A file as indexes and manifests list it: everything about it but its bytes, which are named by their digest.

use std::collections::BTreeMap;

use content::tar::{Entry, EntryKind};
use oci::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path or a name: text where it is text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathBytes(pub Vec<u8>);

impl Serialize for PathBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_seq(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for PathBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Bytes(Vec<u8>),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Text(text) => text.into_bytes(),
            Either::Bytes(bytes) => bytes,
        }))
    }
}

/// What kind of file it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FileKind {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The digest of its bytes.
        digest: Digest,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// What it points at.
        target: PathBytes,
    },
    /// Another name of a file that is listed before.
    Link {
        /// That file's path.
        target: PathBytes,
    },
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// A file without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its path, relative to the root.
    pub path: PathBytes,
    /// What it is.
    #[serde(flatten)]
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u64,
    /// Group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u64,
    /// Modification time, seconds since 1970.
    #[serde(default, skip_serializing_if = "is_zero_time")]
    pub mtime: i64,
    /// Extended attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(PathBytes, PathBytes)>,
    /// The layer that has its bytes, counted from the bottom; none for bytes that no layer has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<u32>,
    /// The path of its bytes in that layer, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBytes>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero_time(number: &i64) -> bool {
    *number == 0
}

impl FileRecord {
    /// A layer's entry; `digest` is that of a regular file's bytes.
    pub(super) fn of(entry: &Entry, digest: Option<Digest>) -> Self {
        let kind = match &entry.kind {
            EntryKind::File { size } => {
                FileKind::File { size: *size, digest: digest.unwrap_or_else(|| Digest::of(b"")) }
            }
            EntryKind::Directory => FileKind::Directory,
            EntryKind::Symlink { target } => FileKind::Symlink { target: PathBytes(target.clone()) },
            EntryKind::HardLink { target } => FileKind::Link { target: PathBytes(target.clone()) },
            EntryKind::CharDevice { major, minor } => FileKind::Char { major: *major, minor: *minor },
            EntryKind::BlockDevice { major, minor } => FileKind::Block { major: *major, minor: *minor },
            EntryKind::Fifo => FileKind::Fifo,
        };
        let xattrs = entry.xattrs.iter().map(|(name, value)| (PathBytes(name.clone()), PathBytes(value.clone())));
        Self {
            path: PathBytes(entry.path.clone()),
            kind,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: xattrs.collect(),
            layer: None,
            from: None,
        }
    }

    /// The same as a layer has it.
    pub(super) fn entry(&self) -> Entry {
        let kind = match &self.kind {
            FileKind::File { size, .. } => EntryKind::File { size: *size },
            FileKind::Directory => EntryKind::Directory,
            FileKind::Symlink { target } => EntryKind::Symlink { target: target.0.clone() },
            FileKind::Link { target } => EntryKind::HardLink { target: target.0.clone() },
            FileKind::Char { major, minor } => EntryKind::CharDevice { major: *major, minor: *minor },
            FileKind::Block { major, minor } => EntryKind::BlockDevice { major: *major, minor: *minor },
            FileKind::Fifo => EntryKind::Fifo,
        };
        let xattrs: BTreeMap<_, _> =
            self.xattrs.iter().map(|(name, value)| (name.0.clone(), value.0.clone())).collect();
        Entry {
            path: self.path.0.clone(),
            kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            xattrs,
        }
    }

    /// Size and digest of a regular file's bytes.
    pub fn content(&self) -> Option<(u64, Digest)> {
        match self.kind {
            FileKind::File { size, digest } => Some((size, digest)),
            _ => None,
        }
    }

    /// The path that its bytes have in their layer.
    pub fn path_in_layer(&self) -> &[u8] {
        self.from.as_ref().map_or(&self.path.0, |from| &from.0)
    }
}
