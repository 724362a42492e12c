//! Directories of the target by path: opened once, inside the root, and kept open.
//!
//! A symbolic link on the way is followed as a process with this root would (`lib -> usr/lib` of a lower layer), so an
//! absolute or climbing one ends inside (`RESOLVE_IN_ROOT`). The kernel does it in one call: nothing can be swapped
//! between a check and a use.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::RootfsError;
use super::path::{prefixes, split};

/// Directories kept open at most.
const CAPACITY: usize = 256;

/// A directory that is open.
#[derive(Debug)]
pub(super) struct Dir {
    pub(super) fd: OwnedFd,
    /// Device and inode: the same directory reached through a link is the same.
    pub(super) id: (u64, u64),
}

impl Dir {
    fn new(fd: OwnedFd, path: &[u8]) -> Result<Self, RootfsError> {
        let stat = rustix::fs::fstat(&fd).map_err(RootfsError::io("look at", path))?;
        Ok(Self { fd, id: (stat.st_dev, stat.st_ino) })
    }
}

/// The open directories.
#[derive(Debug)]
pub(super) struct Dirs {
    root: Rc<Dir>,
    open: HashMap<Vec<u8>, Rc<Dir>>,
}

impl Dirs {
    pub(super) fn new(root: OwnedFd) -> Result<Self, RootfsError> {
        Ok(Self { root: Rc::new(Dir::new(root, b".")?), open: HashMap::new() })
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.fd.as_fd()
    }

    /// Forgets all of them: something that paths lead through was removed.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    /// The directory, if it exists.
    pub(super) fn find(&mut self, path: &[u8]) -> Result<Option<Rc<Dir>>, RootfsError> {
        if path.is_empty() {
            return Ok(Some(Rc::clone(&self.root)));
        }
        if let Some(dir) = self.open.get(path) {
            return Ok(Some(Rc::clone(dir)));
        }
        match open_in_root(self.root.fd.as_fd(), path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(fd) => self.keep(path, fd).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(RootfsError::io("open the directory", path)(error)),
        }
    }

    /// The directory, made with its parents if need be; `made` hears of those that were.
    pub(super) fn make(
        &mut self,
        path: &[u8],
        made: &mut dyn FnMut(&[u8]) -> Result<(), RootfsError>,
    ) -> Result<Rc<Dir>, RootfsError> {
        if let Some(dir) = self.find(path)? {
            return Ok(dir);
        }
        let mut parent = Rc::clone(&self.root);
        for prefix in prefixes(path) {
            parent = match self.find(prefix)? {
                Some(dir) => dir,
                None => {
                    let (_, name) = split(prefix);
                    match rustix::fs::mkdirat(&parent.fd, name, Mode::RWXU) {
                        Ok(()) => made(prefix)?,
                        Err(Errno::EXIST) => {
                            let (path, parent) = (path.to_vec(), prefix.to_vec());
                            return Err(RootfsError::ParentNotDirectory { path, parent });
                        }
                        Err(error) => return Err(RootfsError::io("make the directory", prefix)(error)),
                    }
                    let fd = rustix::fs::openat(
                        &parent.fd,
                        name,
                        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                        Mode::empty(),
                    );
                    self.keep(prefix, fd.map_err(RootfsError::io("open the directory", prefix))?)?
                }
            };
        }
        Ok(parent)
    }

    fn keep(&mut self, path: &[u8], fd: OwnedFd) -> Result<Rc<Dir>, RootfsError> {
        if self.open.len() >= CAPACITY {
            self.open.clear();
        }
        let dir = Rc::new(Dir::new(fd, path)?);
        self.open.insert(path.to_vec(), Rc::clone(&dir));
        Ok(dir)
    }
}

/// Opens a path as a process whose root is `root` would.
pub(super) fn open_in_root(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // The kernel says this when somebody renamed something meanwhile and it cannot tell whether it matters.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}
