//! Which files are below a directory, looked at without following symbolic links and without reading contents.
//!
//! Names are sorted at every level, so that the result does not depend on the order in which the file system hands them
//! out. Everything is opened beneath the base directory: neither `..` nor a symbolic link leads out of it.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};

/// A moment of a file: seconds since 1970 and nanoseconds.
pub(crate) type Moment = (i64, u32);

/// What the file system says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What it is.
    pub(crate) kind: FileType,
    /// Permission bits, `0o7777` at most.
    pub(crate) mode: u32,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Owner and group.
    pub(crate) owner: (u32, u32),
    /// When the content changed.
    pub(crate) modified: Moment,
    /// When anything changed.
    pub(crate) changed: Moment,
    /// Device and inode: the file's identity.
    pub(crate) inode: (u64, u64),
    /// Number of names.
    pub(crate) links: u64,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
}

impl Facts {
    fn of(stat: &Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            owner: (stat.st_uid, stat.st_gid),
            modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            changed: (stat.st_ctime, u32::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            inode: (stat.st_dev, stat.st_ino),
            links: stat.st_nlink,
            device: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        }
    }

    /// The facts of an open file.
    pub(crate) fn of_open(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }
}

/// A file that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its path below the base, without leading slash.
    pub(crate) path: Vec<u8>,
    /// What is known about it.
    pub(crate) facts: Facts,
    /// What a symbolic link points at; empty for all else.
    pub(crate) target: Vec<u8>,
}

/// What is to be done with a file on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is taken, and so are those below it that are.
    Take,
    /// It is not taken, but files below it may be.
    Enter,
    /// Neither it nor anything below it is taken.
    Skip,
}

/// Why a file could not be looked at.
#[derive(Debug)]
pub(crate) struct WalkError {
    /// The file, for messages.
    pub(crate) path: PathBuf,
    /// What was being done.
    pub(crate) doing: &'static str,
    /// What the system said.
    pub(crate) source: io::Error,
}

/// A directory that files are opened beneath.
#[derive(Debug)]
pub(crate) struct Base {
    directory: OwnedFd,
    /// How it is called in messages.
    name: PathBuf,
}

impl Base {
    /// Opens the directory.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { directory: rustix::fs::open(path, flags, Mode::empty())?, name: path.to_owned() })
    }

    /// The name of a path below, for messages.
    pub(crate) fn name(&self, path: &[u8]) -> PathBuf {
        match path.is_empty() {
            true => self.name.clone(),
            false => self.name.join(OsStr::from_bytes(path)),
        }
    }

    /// The facts of a path below; symbolic links on the way are followed as long as they stay below, the last one too.
    pub(crate) fn look(&self, path: &[u8]) -> io::Result<Facts> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        Facts::of_open(self.open_at(path, OFlags::PATH, beneath)?)
    }

    /// The path that `path` leads to when the symbolic links on the way are followed: relative to the base, and without
    /// symbolic links.
    pub(crate) fn resolve(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = self.open_at(path, OFlags::PATH, beneath)?;
        let place = |fd: BorrowedFd<'_>| {
            use std::os::fd::AsRawFd;
            std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        };
        let (base, found) = (place(self.directory.as_fd())?, place(file.as_fd())?);
        let inside = found.strip_prefix(&base).map_err(|_outside| io::Error::from(rustix::io::Errno::XDEV))?;
        Ok(inside.as_os_str().as_bytes().to_vec())
    }

    /// Opens a directory below, without following any symbolic link.
    pub(crate) fn directory(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, beneath)
    }

    fn open_at(&self, path: &[u8], flags: OFlags, resolve: ResolveFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        Ok(rustix::fs::openat2(&self.directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
    }

    /// Everything below `path` (which is no symbolic link), `path` itself first, parents before children, names sorted;
    /// `judge` gets every path and whether it is a directory.
    pub(crate) fn walk(
        &self,
        path: &[u8],
        judge: &mut dyn FnMut(&[u8], FileType) -> Verdict,
        found: &mut Vec<Found>,
    ) -> Result<(), WalkError> {
        self.visit(self.find(path)?, judge, found)
    }

    /// The file at `path`, whose directories are no symbolic links.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Found, WalkError> {
        let problem = |doing| move |source: io::Error| WalkError { path: self.name(path), doing, source };
        let facts = match path {
            b"" => Facts::of_open(&self.directory).map_err(problem("look at"))?,
            path => {
                let (parent, name) = split(path);
                let parent = self.directory(parent).map_err(problem("look at"))?;
                Facts::of(
                    &rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
                        .map_err(io::Error::from)
                        .map_err(problem("look at"))?,
                )
            }
        };
        Ok(Found { path: path.to_vec(), facts, target: Vec::new() })
    }

    fn visit(
        &self,
        mut file: Found,
        judge: &mut dyn FnMut(&[u8], FileType) -> Verdict,
        found: &mut Vec<Found>,
    ) -> Result<(), WalkError> {
        let verdict = judge(&file.path, file.facts.kind);
        let path = match file.facts.kind {
            _ if verdict == Verdict::Skip => return Ok(()),
            FileType::Directory => file.path.clone(),
            kind => {
                if kind == FileType::Symlink {
                    file.target = self.target(&file.path)?;
                }
                if verdict == Verdict::Take {
                    found.push(file);
                }
                return Ok(());
            }
        };
        if verdict == Verdict::Take {
            found.push(file);
        }
        for child in self.children(&path)? {
            self.visit(child, judge, found)?;
        }
        Ok(())
    }

    /// The files of one directory, sorted by name. The directory is closed before its children are entered, so that deep
    /// trees do not run out of descriptors.
    pub(crate) fn children(&self, path: &[u8]) -> Result<Vec<Found>, WalkError> {
        let problem = |doing| move |source: io::Error| WalkError { path: self.name(path), doing, source };
        let directory = self.directory(path).map_err(problem("list"))?;
        let mut children = Vec::new();
        let entries = Dir::read_from(&directory).map_err(io::Error::from).map_err(problem("list"))?;
        for entry in entries {
            let entry = entry.map_err(io::Error::from).map_err(problem("list"))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let full = join(path, name);
            match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => children.push(Found { path: full, facts: Facts::of(&stat), target: Vec::new() }),
                Err(source) => {
                    return Err(WalkError { path: self.name(&full), doing: "look at", source: source.into() });
                }
            }
        }
        children.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(children)
    }

    fn target(&self, path: &[u8]) -> Result<Vec<u8>, WalkError> {
        let problem = |source: io::Error| WalkError { path: self.name(path), doing: "read the link", source };
        let (parent, name) = split(path);
        let parent = self.directory(parent).map_err(problem)?;
        let target = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(io::Error::from).map_err(problem)?;
        Ok(target.into_bytes())
    }
}

fn join(parent: &[u8], name: &CStr) -> Vec<u8> {
    let name = name.to_bytes();
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    if !parent.is_empty() {
        path.extend_from_slice(parent);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// A path's directory and its last part.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(base: &Base, path: &str) -> Vec<String> {
        let mut found = Vec::new();
        base.walk(path.as_bytes(), &mut |_, _| Verdict::Take, &mut found).unwrap();
        found.iter().map(|file| String::from_utf8(file.path.clone()).unwrap()).collect()
    }

    #[test]
    fn parents_come_first_and_names_are_sorted() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("b/x")).unwrap();
        for name in ["b/x/2", "b/x/1", "a", "b.c", "b/y"] {
            fs::write(place.path().join(name), name).unwrap();
        }
        let base = Base::open(place.path()).unwrap();
        assert_eq!(names(&base, ""), ["", "a", "b", "b/x", "b/x/1", "b/x/2", "b/y", "b.c"]);
        assert_eq!(names(&base, "b/x"), ["b/x", "b/x/1", "b/x/2"]);
    }

    #[test]
    fn nothing_leads_out_of_the_base() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("in")).unwrap();
        fs::write(place.path().join("secret"), "x").unwrap();
        fs::write(place.path().join("in/file"), "x").unwrap();
        for (name, target) in [("up", "../secret"), ("absolute", "/etc/passwd"), ("inside", "file")] {
            std::os::unix::fs::symlink(target, place.path().join("in").join(name)).unwrap();
        }
        let base = Base::open(&place.path().join("in")).unwrap();
        for bad in ["../secret", "up", "absolute", "inside/../../secret"] {
            assert!(base.look(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(base.resolve(b"inside").unwrap(), b"file");
    }
}
