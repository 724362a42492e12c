//! Directories for work in progress, on the same file system as the blobs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::lock::{self, Hold};
use super::{Disk, lease};
use crate::{ContentError, Source};

/// A directory that is removed when this is dropped. If the process dies, garbage collection removes it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Locked as long as the directory is in use.
    _owner: File,
}

impl Disk {
    /// A new, empty directory. `purpose` becomes part of its name, for whoever looks into the store meanwhile.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self, purpose: &str) -> Result<Scratch, ContentError> {
        let doing = || ContentError::io(format!("make a scratch directory in {}", Source::place(self)));
        // Under the lock: garbage collection must not see it before it is owned.
        let guard = self.locked(Hold::Shared)?;
        let path = self.root().join("work").join(format!("{purpose}-{}", lease::unique()));
        match fs::create_dir(&path) {
            // Of a dead process with our number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                drop(guard);
                return self.scratch(purpose);
            }
            result => result.map_err(doing())?,
        }
        let owner = File::open(&path).map_err(doing())?;
        lock::wait(&owner, Hold::Exclusive).map_err(doing())?;
        Ok(Scratch { path, _owner: owner })
    }
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by garbage collection.
        drop(remove_tree(&self.path));
    }
}

/// Removes a directory with everything in it, also where its owner has no permission (as file systems of images and
/// overlays have it).
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        result => result,
    }
}

/// Gives the owner all permissions on all directories.
fn open_up(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
