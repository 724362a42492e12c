//! The store's lock, and files that show by their lock that their owner lives.
//!
//! ```text
//! shared      look whether a blob is there and lease it · make a blob visible · make a scratch directory
//! exclusive   change index.json · prune
//! ```
//!
//! Each acquisition opens the file anew, so that threads of one process exclude each other as processes do. The system
//! releases the locks of a process that dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// The store's lock, held until dropped. Empty in a store where no lock file can be made: nobody writes there.
#[derive(Debug)]
pub(super) struct Guard {
    _file: Option<File>,
}

/// How the lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Shared,
    Exclusive,
}

pub(super) fn acquire(path: &Path, hold: Hold) -> io::Result<Guard> {
    let file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) {
        Err(error) if hold == Hold::Shared && is_read_only(&error) => match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_read_only(&error) => {
                return Ok(Guard { _file: None });
            }
            file => file?,
        },
        file => file?,
    };
    wait(&file, hold)?;
    Ok(Guard { _file: Some(file) })
}

/// Waits for the lock of a file.
pub(super) fn wait(file: &File, hold: Hold) -> io::Result<()> {
    loop {
        let result = match hold {
            Hold::Shared => file.lock_shared(),
            Hold::Exclusive => file.lock(),
        };
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether the process that keeps a file or directory locked is alive.
pub(super) fn is_owned(path: &Path) -> io::Result<bool> {
    // Shared, so that two who ask at once do not take each other for the owner.
    match File::open(path)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether an error means that this user may only read.
pub(super) fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
