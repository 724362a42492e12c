//! Puts the files of an image into its work directory.
//!
//! They are written beside it and moved in when they are whole. A work directory that is replaced is so at once: every
//! name in it is the old image's or the new image's.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oci::Digest;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::execute::{ExecuteError, Files};
use crate::plan::UnpackMode;
use crate::rootfs::Warning;

/// Unpacks `image` to `directory`. What an unpacking that was killed left behind is removed first: the caller holds the
/// cluster's lock, so nobody uses it.
pub(super) fn unpack(
    (image, digest): (&str, &Digest),
    directory: &Path,
    mode: UnpackMode,
    files: &dyn Files,
) -> Result<Vec<Warning>, ExecuteError> {
    let (fresh, old) = (beside(directory, "unpacking"), beside(directory, "replaced"));
    let clean = || remove_tree(&fresh).and_then(|()| remove_tree(&old)).map_err(ExecuteError::io("remove", &fresh));
    clean()?;
    make(&fresh).map_err(ExecuteError::io("make the directory", &fresh))?;
    let failed = |source| ExecuteError::Unpack { image: image.to_owned(), directory: directory.to_owned(), source };
    let written = files.unpack(digest, &fresh).map_err(failed).and_then(|warnings| {
        settle(&fresh, directory, &old, mode).map_err(ExecuteError::io("put the files into", directory))?;
        Ok(warnings)
    });
    // After success `fresh` holds what was replaced; after a failure, what is of no use.
    let cleaned = clean();
    let warnings = written?;
    cleaned?;
    Ok(warnings)
}

fn make(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o755))
}

/// `NAME` becomes `.NAME.PURPOSE` in the same directory, so that it can be renamed.
fn beside(directory: &Path, purpose: &str) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(format!(".{name}.{purpose}"))
}

fn settle(fresh: &Path, directory: &Path, old: &Path, mode: UnpackMode) -> io::Result<()> {
    make_runnable(fresh)?;
    rustix::fs::syncfs(fs::File::open(fresh)?)?;
    match mode {
        UnpackMode::Replace => replace(fresh, directory, old)?,
        UnpackMode::Overlay => overlay(fresh, directory)?,
    }
    fs::File::open(directory.parent().unwrap_or(directory))?.sync_all()
}

/// Lets everybody who may read a file also execute it. The Go sealos gives all files mode 0755 on unpacking, and
/// images have scripts and programs that rely on it.
fn make_runnable(top: &Path) -> io::Result<()> {
    let mut todo = vec![top.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let found = entry.metadata()?;
            let mode = found.permissions().mode() & 0o7777;
            let wanted = mode | (mode & 0o444) >> 2;
            if found.is_dir() {
                todo.push(entry.path());
            } else if found.is_file() && wanted != mode {
                fs::set_permissions(entry.path(), Permissions::from_mode(wanted))?;
            }
        }
    }
    Ok(())
}

fn replace(fresh: &Path, directory: &Path, old: &Path) -> io::Result<()> {
    match renameat_with(CWD, fresh, CWD, directory, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => fs::rename(fresh, directory),
        // Not every file system can exchange. Killed in between, the work directory is missing, and the next run sees
        // that.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::rename(directory, old)?;
            fs::rename(fresh, directory)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Moves all of `from` into `to`, file by file. Links of `to` are replaced, never followed.
fn overlay(from: &Path, to: &Path) -> io::Result<()> {
    let mut todo = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = todo.pop() {
        let new = fs::symlink_metadata(&from)?;
        match fs::symlink_metadata(&to) {
            Ok(old) if old.is_dir() && new.is_dir() => {
                for entry in fs::read_dir(&from)? {
                    let entry = entry?;
                    todo.push((entry.path(), to.join(entry.file_name())));
                }
                continue;
            }
            Ok(old) if old.is_dir() || new.is_dir() => remove_tree(&to)?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::rename(&from, &to)?;
    }
    Ok(())
}

/// Removes whatever is at a path, if anything. Directories that their mode protects from their owner go, too.
fn remove_tree(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        removed => removed,
    }
}

fn open_up(top: &Path) -> io::Result<()> {
    let mut todo = vec![top.to_owned()];
    while let Some(directory) = todo.pop() {
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    Ok(())
}
