//! A file that is there whole or not at all.
//!
//! It is written without a name (`O_TMPFILE`), so that a command that is killed leaves nothing behind, and gets its
//! name at the end; an older file of that name is replaced in one step. File systems without unnamed files get a
//! hidden one. What is no regular file (a pipe, a device) is written as it comes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tempfile::NamedTempFile;

use super::error::CommandError;

/// Writes a whole file.
pub(crate) fn write(target: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let mut file = WholeFile::begin(target)?;
    file.write_all(bytes).map_err(CommandError::io(format!("write {}", target.display())))?;
    file.commit()
}

/// Writes a whole file that only its owner can read.
pub(crate) fn write_private(target: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let doing = || CommandError::io(format!("write {}", target.display()));
    let state = unnamed(directory_of(target), PRIVATE).map_err(doing())?;
    let mut file = WholeFile { target: target.to_owned(), state };
    file.write_all(bytes).map_err(doing())?;
    file.commit()
}

/// Modes of new files, before the umask.
const COMMON: u32 = 0o666;
const PRIVATE: u32 = 0o600;

/// A file on its way to its name.
pub(crate) struct WholeFile {
    target: PathBuf,
    state: State,
}

enum State {
    Unnamed(File),
    Hidden(NamedTempFile),
    Direct(File),
}

impl WholeFile {
    /// Begins a file that will be called `target`.
    pub(crate) fn begin(target: &Path) -> Result<Self, CommandError> {
        let doing = || CommandError::io(format!("write {}", target.display()));
        let special = fs::metadata(target).is_ok_and(|existing| !existing.is_file());
        let state = if special {
            State::Direct(File::options().write(true).open(target).map_err(doing())?)
        } else {
            unnamed(directory_of(target), COMMON).map_err(doing())?
        };
        Ok(Self { target: target.to_owned(), state })
    }

    /// Gives the file its name, durably.
    pub(crate) fn commit(self) -> Result<(), CommandError> {
        let Self { target, state } = self;
        let named = match state {
            // A pipe cannot be synced, and what was written is on its way.
            State::Direct(_) => Ok(()),
            State::Hidden(file) => {
                file.as_file().sync_all().and_then(|()| file.persist(&target).map_err(|error| error.error)).map(drop)
            }
            State::Unnamed(file) => file.sync_all().and_then(|()| name(&file, &target)),
        };
        let synced = named.and_then(|()| match directory_of(&target) {
            directory if directory.is_dir() => File::open(directory)?.sync_all(),
            _ => Ok(()),
        });
        synced.map_err(CommandError::io(format!("write {}", target.display())))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Unnamed(file) | State::Direct(file) => file.write(bytes),
            State::Hidden(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn directory_of(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn unnamed(directory: &Path, mode: u32) -> io::Result<State> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, directory, flags, Mode::from_raw_mode(mode)) {
        Ok(file) => Ok(State::Unnamed(file.into())),
        // Kernels and file systems that do not know the flag take it for an attempt to write a directory.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            let hidden = tempfile::Builder::new().prefix(".sealos-").permissions(mode).tempfile_in(directory)?;
            Ok(State::Hidden(hidden))
        }
        Err(error) => Err(error.into()),
    }
}

/// A link cannot replace a file, a rename can: link under a name of our own, then rename.
fn name(file: &File, target: &Path) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |to: &Path| rustix::fs::linkat(CWD, &own, CWD, to, AtFlags::SYMLINK_FOLLOW);
    match link(target) {
        Err(rustix::io::Errno::EXIST) => {
            let mut between = target.file_name().unwrap_or_default().to_owned();
            between.push(format!(".{}.partial", std::process::id()));
            let between = target.with_file_name(between);
            link(&between)?;
            fs::rename(&between, target).inspect_err(|_| fs::remove_file(&between).unwrap_or_default())
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_complete_and_replaces_an_older_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        for text in ["first", "second"] {
            let before = fs::read(&target).ok();
            let mut file = WholeFile::begin(&target).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            assert_eq!(fs::read(&target).ok(), before, "{text}");
            file.commit().unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        }
    }

    #[test]
    fn a_file_that_is_dropped_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        fs::write(&target, "old").unwrap();
        WholeFile::begin(&target).unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = WholeFile::begin(Path::new("/nonexistent/out")).err().map(|error| error.to_text());
        assert_eq!(
            error.as_deref(),
            Some("error: cannot write /nonexistent/out: No such file or directory (os error 2)\n")
        );
    }
}
