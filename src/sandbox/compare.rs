//! What a command changed in a copied root: the files' metadata before and after.
//!
//! A file whose content or metadata changed has another change time, which no program can set. Directories are compared
//! without times: those change with what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::discriminant;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use content::tar::EntryKind;

use super::overlay::imitate;
use super::{SandboxError, SandboxError as Error};
use crate::rootfs::{DirWalk, Walked, join, split};

/// The metadata of all files below a directory.
#[derive(Debug)]
pub(super) struct Snapshot {
    files: BTreeMap<Vec<u8>, Walked>,
}

impl Snapshot {
    pub(super) fn take(root: &Path) -> Result<Self, SandboxError> {
        let mut files = BTreeMap::new();
        for walked in DirWalk::new(root)? {
            let walked = walked?;
            files.insert(walked.entry.path.clone(), walked);
        }
        Ok(Self { files })
    }

    /// Moves what changed since from `root` to `upper`, an empty directory. What is gone becomes a file `.wh.NAME`
    /// there: overlayfs's own notation cannot be made on overlayfs, which may be what made us copy.
    pub(super) fn move_changes(&self, root: &Path, upper: &Path) -> Result<(), SandboxError> {
        let now = Self::take(root)?;
        let mut directories = BTreeSet::new();
        for (path, walked) in &now.files {
            if self.files.get(path).is_some_and(|before| is_same(before, walked)) {
                continue;
            }
            if is_directory(walked) {
                make_directories(upper, path, &mut directories)?;
            } else {
                make_directories(upper, split(path).0, &mut directories)?;
                let (from, to) = (below(root, path), below(upper, path));
                fs::rename(&from, &to).map_err(Error::prepare(format!("move the changed file {}", from.display())))?;
            }
        }
        for path in self.files.keys().filter(|path| !now.files.contains_key(*path)) {
            let (parent, name) = split(path);
            if parent.is_empty() || now.files.get(parent).is_some_and(is_directory) {
                make_directories(upper, parent, &mut directories)?;
                let marker = below(upper, &join(parent, &[b".wh.".as_slice(), name].concat()));
                fs::File::create(&marker).map_err(Error::prepare(format!("make {}", marker.display())))?;
            }
        }
        for path in directories.iter().rev() {
            imitate(&below(root, path), &below(upper, path))?;
        }
        imitate(root, upper)
    }
}

fn below(root: &Path, path: &[u8]) -> std::path::PathBuf {
    root.join(OsStr::from_bytes(path))
}

fn is_directory(walked: &Walked) -> bool {
    walked.entry.kind == EntryKind::Directory
}

fn is_same(before: &Walked, now: &Walked) -> bool {
    let (old, new) = (&before.entry, &now.entry);
    if is_directory(before) && is_directory(now) {
        return (old.mode, old.uid, old.gid, &old.xattrs) == (new.mode, new.uid, new.gid, &new.xattrs);
    }
    discriminant(&old.kind) == discriminant(&new.kind)
        && (before.id, before.ctime, before.size) == (now.id, now.ctime, now.size)
        && (old.mtime, before.mtime_nanos) == (new.mtime, now.mtime_nanos)
}

fn make_directories(upper: &Path, path: &[u8], made: &mut BTreeSet<Vec<u8>>) -> Result<(), SandboxError> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]);
    for prefix in ends.map(|end| &path[..end]).filter(|prefix| !prefix.is_empty()) {
        if made.insert(prefix.to_vec()) {
            let place = below(upper, prefix);
            match fs::create_dir(&place) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::prepare(format!("make the directory {}", place.display()))(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
