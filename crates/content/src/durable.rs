//! Small files that change as a whole or not at all, also when the power fails.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// Files of this size and more get their space before they are written.
const RESERVE_FROM: u64 = 1 << 20;
/// Takes the space for a file, so that it lies in one piece and a full disk shows before anything is written. The
/// file's length stays that of what was written.
pub(crate) fn reserve(file: &File, size: u64) -> io::Result<()> {
    if size < RESERVE_FROM {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, size) {
        // Not every file system can.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        result => Ok(result?),
    }
}

/// Replaces a file: temporary file beside it, fsync, rename, fsync of the directory. The caller holds a lock that keeps
/// other writers of the same file away.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"));
    };
    let fresh = directory.join(format!(".{}.new", name.to_string_lossy()));
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&fresh, path)?;
    sync_directory(directory)
}

/// Makes renames and removals in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some network file systems cannot; there the server decides.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

/// Removes a file; that it is gone already is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
