//! Removes what lower layers brought.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::RootfsError;
use super::path::join;

/// A directory's identity and a name in it.
pub(super) type Spot = ((u64, u64), Vec<u8>);

/// Names in a directory, without `.` and `..`, in the order the file system gives.
pub(super) fn names(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<(Vec<u8>, FileType)>, RootfsError> {
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(RootfsError::io("list", path))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((name.to_vec(), entry.file_type()));
        }
    }
    Ok(names)
}

/// Removes `name` from a directory, with all that is in it, but not what is in `keep` (nor the directories above that).
/// What is not there is not an error.
pub(super) fn remove(
    directory: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
    keep: &HashSet<Spot>,
) -> Result<(), RootfsError> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(RootfsError::io("remove", path)(error)),
    }
    clear(directory, name, path, keep)?;
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::NOTEMPTY) if !keep.is_empty() => Ok(()),
        Err(error) => Err(RootfsError::io("remove", path)(error)),
    }
}

/// Removes all that is in the directory `name`, but not what is in `keep`.
pub(super) fn clear(parent: BorrowedFd<'_>, name: &[u8], path: &[u8], keep: &HashSet<Spot>) -> Result<(), RootfsError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(RootfsError::io("open", path))?;
    let stat = rustix::fs::fstat(&fd).map_err(RootfsError::io("look at", path))?;
    let id = (stat.st_dev, stat.st_ino);
    for (child, kind) in names(fd.as_fd(), path)? {
        let below = join(path, &child);
        let spot = (id, child);
        match keep.contains(&spot) {
            false => remove(fd.as_fd(), &spot.1, &below, keep)?,
            true if kind == FileType::Directory => clear(fd.as_fd(), &spot.1, &below, keep)?,
            true => {}
        }
    }
    Ok(())
}
