//! Owner, mode, attributes and times of files.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};

use content::tar::Entry;
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::path::join;
use super::{Ownership, RootfsError, Warning};

/// Attributes that make a directory opaque to overlayfs, of the host and of a user namespace.
pub(crate) const OPAQUE_XATTRS: [&[u8]; 2] = [b"trusted.overlay.opaque", b"user.overlay.opaque"];

/// Whether an attribute is overlayfs's own bookkeeping, which no layer may bring or carry.
pub(crate) fn is_overlay_xattr(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// Whether an attribute of a file on disk belongs into a layer: those of users, and file capabilities. Labels, access
/// control lists and the like belong to the machine.
pub(crate) fn is_carried(name: &[u8]) -> bool {
    !is_overlay_xattr(name) && (name.starts_with(b"user.") || name == b"security.capability")
}

/// What all files of one unpacking have in common.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) ownership: Ownership,
    pub(super) warnings: Vec<Warning>,
}

impl Keeper {
    /// Owner and group as numbers of this system; none where they are not to be set.
    fn owner(&self, entry: &Entry) -> Result<Option<(Uid, Gid)>, RootfsError> {
        if self.ownership == Ownership::Caller {
            return Ok(None);
        }
        // The largest number means "unchanged" to chown.
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        match (id(entry.uid), id(entry.gid)) {
            (Some(uid), Some(gid)) => Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid)))),
            _ => Err(refused(entry, Errno::INVAL)),
        }
    }

    /// Sets everything on an open file or directory. The order matters: a change of owner takes setuid and file
    /// capabilities away, and every change but the last moves the times.
    pub(super) fn finish(&mut self, fd: BorrowedFd<'_>, entry: &Entry, mode: ModeIs) -> Result<(), RootfsError> {
        if let Some((uid, gid)) = self.owner(entry)? {
            rustix::fs::fchown(fd, Some(uid), Some(gid)).map_err(|error| refused(entry, error))?;
        }
        if mode == ModeIs::ToBeSet || entry.mode & 0o7000 != 0 {
            let mode = Mode::from_raw_mode(entry.mode & 0o7777);
            rustix::fs::fchmod(fd, mode).map_err(RootfsError::io("set the mode of", &entry.path))?;
        }
        self.set_xattrs(entry, |name, value| rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()))?;
        rustix::fs::futimens(fd, &times(entry)).map_err(RootfsError::io("set the time of", &entry.path))
    }

    /// Sets everything on something that cannot be opened: a link, a device, a pipe.
    pub(super) fn finish_at(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        mode: ModeIs,
    ) -> Result<(), RootfsError> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((uid, gid)) = self.owner(entry)? {
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), nofollow).map_err(|error| refused(entry, error))?;
        }
        if mode == ModeIs::ToBeSet {
            let mode = Mode::from_raw_mode(entry.mode & 0o7777);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())
                .map_err(RootfsError::io("set the mode of", &entry.path))?;
        }
        let place = reachable(parent, name);
        self.set_xattrs(entry, |name, value| {
            rustix::fs::lsetxattr(place.as_slice(), name, value, XattrFlags::empty())
        })?;
        rustix::fs::utimensat(parent, name, &times(entry), nofollow)
            .map_err(RootfsError::io("set the time of", &entry.path))
    }

    fn set_xattrs(
        &mut self,
        entry: &Entry,
        set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>,
    ) -> Result<(), RootfsError> {
        for (name, value) in &entry.xattrs {
            if is_overlay_xattr(name) {
                self.skipped(entry, name);
                continue;
            }
            match set(name, value) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => self.skipped(entry, name),
                Err(error) => return Err(RootfsError::io("set an extended attribute of", &entry.path)(error)),
            }
        }
        Ok(())
    }

    fn skipped(&mut self, entry: &Entry, attribute: &[u8]) {
        let is_known = |warning: &Warning| matches!(warning, Warning::XattrSkipped { name, .. } if name == attribute);
        if !self.warnings.iter().any(is_known) {
            self.warnings.push(Warning::XattrSkipped { path: entry.path.clone(), name: attribute.to_vec() });
        }
    }
}

/// Whether a file has got its permission bits when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModeIs {
    /// They still have to be set.
    ToBeSet,
    /// They are as they should be (or, on a symbolic link, mean nothing).
    Set,
}

fn refused(entry: &Entry, error: Errno) -> RootfsError {
    RootfsError::Owner { path: entry.path.clone(), uid: entry.uid, gid: entry.gid, source: error.into() }
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// A path for calls that take no directory descriptor; it goes through the descriptor and cannot lead elsewhere.
pub(super) fn reachable(parent: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    join(format!("/proc/self/fd/{}", parent.as_raw_fd()).as_bytes(), name)
}

/// Extended attributes of a file that is not opened and not followed, all names.
pub(super) fn read_xattrs(
    parent: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, RootfsError> {
    let place = reachable(parent, name);
    let mut list = [0_u8; 1024];
    let listed = match rustix::fs::llistxattr(place.as_slice(), &mut list[..]) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
        Ok(length) => list[..length].to_vec(),
        // No list is longer: the kernel's limit (XATTR_LIST_MAX).
        Err(Errno::RANGE) => {
            let mut list = vec![0; 64 << 10];
            let length = rustix::fs::llistxattr(place.as_slice(), &mut list[..])
                .map_err(RootfsError::io("list extended attributes of", path))?;
            list.truncate(length);
            list
        }
        Err(error) => return Err(RootfsError::io("list extended attributes of", path)(error)),
    };
    let mut xattrs = BTreeMap::new();
    for name in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // No value is longer: the kernel's limit (XATTR_SIZE_MAX).
        let mut value = vec![0; 64 << 10];
        match rustix::fs::lgetxattr(place.as_slice(), name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                xattrs.insert(name.to_vec(), value);
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(RootfsError::io("read an extended attribute of", path)(error)),
        }
    }
    Ok(xattrs)
}
