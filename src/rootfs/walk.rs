//! A directory's files in order, as entries of a layer.
//!
//! Directories are opened one below the other and never through a link, so a walk cannot leave its root whatever is
//! swapped meanwhile. In each directory the names are sorted by their bytes; a directory comes before what is in it.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use content::tar::{Entry, EntryKind};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::metadata::read_xattrs;
use super::path::join;
use super::remove::names;
use super::{RootfsError, Warning};

/// One file that was found.
#[derive(Clone, Debug)]
pub struct Walked {
    /// What it is; the second and further names of a file are hard links to the first. All extended attributes.
    pub entry: Entry,
    /// Device and inode.
    pub id: (u64, u64),
    /// Modification time: nanoseconds of the second.
    pub mtime_nanos: u32,
    /// Time of the last change of content or metadata: seconds and nanoseconds.
    pub ctime: (i64, u32),
    /// Bytes, for a regular file; also for hard links to one.
    pub size: u64,
}

#[derive(Debug)]
struct Level {
    fd: OwnedFd,
    path: Vec<u8>,
    /// Names still to come, last first.
    names: Vec<Vec<u8>>,
}

/// Walks a directory. The root itself is not among what is found.
#[derive(Debug)]
pub struct DirWalk {
    root: OwnedFd,
    levels: Vec<Level>,
    /// The directory found last, which has not been opened yet.
    below: Option<(Vec<u8>, Vec<u8>)>,
    first_names: HashMap<(u64, u64), Vec<u8>>,
    warnings: Vec<Warning>,
}

impl DirWalk {
    /// Begins a walk.
    ///
    /// # Errors
    /// When the directory cannot be opened or listed.
    pub fn new(root: &Path) -> Result<Self, RootfsError> {
        let path = root.as_os_str().as_encoded_bytes();
        let open = || rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = open().map_err(RootfsError::io("open the directory", path))?;
        let first = open().map_err(RootfsError::io("open the directory", path))?;
        let level = Level { names: sorted(&first, b"")?, fd: first, path: Vec::new() };
        Ok(Self { root, levels: vec![level], below: None, first_names: HashMap::new(), warnings: Vec::new() })
    }

    /// What is in the directory that was found last is not walked.
    pub fn skip_children(&mut self) {
        self.below = None;
    }

    /// What was left out so far.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What the root itself is, with an empty path.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn root_entry(&self) -> Result<Walked, RootfsError> {
        let stat = rustix::fs::fstat(&self.root).map_err(RootfsError::io("look at", b"."))?;
        walked(Vec::new(), EntryKind::Directory, &stat, read_xattrs(self.root.as_fd(), b"", b".")?)
    }

    /// Opens the content of a regular file that was found.
    ///
    /// # Errors
    /// When it is not there any more, or no regular file any more, or may not be read.
    pub fn open(&self, path: &[u8]) -> Result<File, RootfsError> {
        open_beneath(&self.root, path)
    }

    /// A handle that opens contents when the walk is over.
    ///
    /// # Errors
    /// When there are too many open files.
    pub fn contents(&self) -> Result<Contents, RootfsError> {
        let root = self.root.try_clone().map_err(RootfsError::io("hold open", b"."))?;
        Ok(Contents { root })
    }

    fn step(&mut self) -> Result<Option<Walked>, RootfsError> {
        if let Some((path, name)) = self.below.take() {
            self.descend(path, &name)?;
        }
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let path = join(&level.path, &name);
            let stat = match rustix::fs::statat(&level.fd, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // Removed since its directory was listed.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(RootfsError::io("look at", &path)(error)),
            };
            let id = (stat.st_dev, stat.st_ino);
            let kind = match self.first_names.get(&id).filter(|_| stat.st_nlink > 1) {
                Some(target) => EntryKind::HardLink { target: target.clone() },
                None => match kind(&stat, &level.fd, &name, &path)? {
                    Some(kind) => kind,
                    None => {
                        self.warnings.push(Warning::SocketSkipped { path });
                        continue;
                    }
                },
            };
            let xattrs = match kind {
                EntryKind::HardLink { .. } => std::collections::BTreeMap::new(),
                _ => read_xattrs(level.fd.as_fd(), &name, &path)?,
            };
            match kind {
                EntryKind::Directory => self.below = Some((path.clone(), name)),
                EntryKind::HardLink { .. } => {}
                _ if stat.st_nlink > 1 => {
                    self.first_names.insert(id, path.clone());
                }
                _ => {}
            }
            return walked(path, kind, &stat, xattrs).map(Some);
        }
    }

    fn descend(&mut self, path: Vec<u8>, name: &[u8]) -> Result<(), RootfsError> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&level.fd, name, flags, Mode::empty())
            .map_err(RootfsError::io("open the directory", &path))?;
        let names = sorted(&fd, &path)?;
        self.levels.push(Level { fd, path, names });
        Ok(())
    }
}

impl Iterator for DirWalk {
    type Item = Result<Walked, RootfsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if matches!(step, Some(Err(_))) {
            self.levels.clear();
        }
        step
    }
}

/// Opens contents below a directory.
#[derive(Debug)]
pub struct Contents {
    root: OwnedFd,
}

impl Contents {
    /// Opens the content of a regular file.
    ///
    /// # Errors
    /// When it is not there, is no regular file, or may not be read.
    pub fn open(&self, path: &[u8]) -> Result<File, RootfsError> {
        open_beneath(&self.root, path)
    }
}

fn open_beneath(root: &OwnedFd, path: &[u8]) -> Result<File, RootfsError> {
    // Not to wait for a writer, should the file have become a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let fd = loop {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => break other.map_err(RootfsError::io("open", path))?,
        }
    };
    let stat = rustix::fs::fstat(&fd).map_err(RootfsError::io("look at", path))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(File::from(fd)),
        _ => Err(RootfsError::io("read the content of", path)(Errno::INVAL)),
    }
}

fn sorted(fd: &OwnedFd, path: &[u8]) -> Result<Vec<Vec<u8>>, RootfsError> {
    let mut names: Vec<Vec<u8>> = names(fd.as_fd(), path)?.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(names)
}

/// What a file is; none for a socket.
fn kind(stat: &Stat, parent: &OwnedFd, name: &[u8], path: &[u8]) -> Result<Option<EntryKind>, RootfsError> {
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File { size: stat.st_size.cast_unsigned() },
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(parent, name, Vec::new());
            let target = target.map_err(RootfsError::io("read the link", path))?;
            EntryKind::Symlink { target: target.into_bytes() }
        }
        FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
        FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
        FileType::Fifo => EntryKind::Fifo,
        FileType::Socket | FileType::Unknown => return Ok(None),
    }))
}

fn walked(
    path: Vec<u8>,
    kind: EntryKind,
    stat: &Stat,
    xattrs: std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<Walked, RootfsError> {
    let nanos = |nanos: u64| u32::try_from(nanos).unwrap_or(0);
    let entry = Entry {
        path,
        kind,
        mode: stat.st_mode & 0o7777,
        uid: u64::from(stat.st_uid),
        gid: u64::from(stat.st_gid),
        mtime: stat.st_mtime,
        xattrs,
    };
    let size = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => stat.st_size.cast_unsigned(),
        _ => 0,
    };
    Ok(Walked {
        entry,
        id: (stat.st_dev, stat.st_ino),
        mtime_nanos: nanos(stat.st_mtime_nsec),
        ctime: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        size,
    })
}
