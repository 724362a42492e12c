//! Applies a layer's entries to a directory.
//!
//! ```text
//! layer 0: entry… end_layer   layer 1: entry… end_layer   …   finish
//! ```
//!
//! A file is made under its name with `O_EXCL` (what is in the way is removed first), so nothing is ever written
//! through a link. Directories are made with mode 0700 and get their mode, owner and times in `finish`: only then
//! nothing more is put into them.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;

use content::tar::{Entry, EntryKind};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::dirs::{Dir, Dirs, open_in_root};
use super::error::Limit;
use super::metadata::{Keeper, ModeIs};
use super::path::{Marker, marker, split};
use super::remove::{self, Spot};
use super::write::copy_content;
use super::{Ownership, RootfsError, UnpackOptions, Unpacked, Warning};

/// Contents are read and written in pieces of this size.
const BUFFER: usize = 1 << 20;

/// Applies entries to a directory. Dropped without [`Extractor::finish`], directories lack their modes and times.
#[derive(Debug)]
pub struct Extractor {
    dirs: Dirs,
    keeper: Keeper,
    options: UnpackOptions,
    /// What the current layer brought: its whiteouts do not mean that.
    layer: HashSet<Spot>,
    /// Directories with what they are to become.
    pending: BTreeMap<Vec<u8>, Entry>,
    umask: u32,
    buffer: Vec<u8>,
    files: u64,
    bytes: u64,
}

impl Extractor {
    /// Works in `root`, which has to exist; what is in it counts as a lower layer.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn new(root: &Path, options: &UnpackOptions) -> Result<Self, RootfsError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = root.as_os_str().as_encoded_bytes();
        let fd = rustix::fs::open(root, flags, Mode::empty()).map_err(RootfsError::io("open the directory", path))?;
        Ok(Self {
            dirs: Dirs::new(fd)?,
            keeper: Keeper { ownership: options.ownership, warnings: Vec::new() },
            options: *options,
            layer: HashSet::new(),
            pending: BTreeMap::new(),
            umask: umask(),
            buffer: vec![0; BUFFER],
            files: 0,
            bytes: 0,
        })
    }

    /// Applies one entry; `content` is read to the entry's size if it is a file.
    ///
    /// # Errors
    /// When it cannot be written, or would leave the directory: then nothing of it was written.
    pub fn apply(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), RootfsError> {
        self.count(entry)?;
        let (parent, name) = split(&entry.path);
        if name.is_empty() {
            self.pending.insert(Vec::new(), entry.clone());
            return Ok(());
        }
        match marker(name) {
            Marker::Foreign => Ok(()),
            Marker::Opaque => self.make_opaque(parent),
            Marker::Whiteout(hidden) => self.hide(parent, hidden),
            Marker::None => {
                let dir = self.parent(parent)?;
                self.place(&dir, name, entry, content)?;
                self.layer.insert((dir.id, name.to_vec()));
                Ok(())
            }
        }
    }

    /// The next entries belong to the next layer.
    pub fn end_layer(&mut self) {
        self.layer.clear();
    }

    /// Gives directories their modes and times, deepest first.
    ///
    /// # Errors
    /// When the system refuses one.
    pub fn finish(mut self) -> Result<Unpacked, RootfsError> {
        for (path, entry) in std::mem::take(&mut self.pending).iter().rev() {
            let (parent, name) = split(path);
            let Some(dir) = self.dirs.find(parent)? else { continue };
            let name = if name.is_empty() { b"." } else { name };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(&dir.fd, name, flags, Mode::empty()) {
                Ok(fd) => self.keeper.finish(fd.as_fd(), entry, ModeIs::ToBeSet)?,
                // Reached through a link and replaced since.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(RootfsError::io("open the directory", path)(error)),
            }
        }
        Ok(Unpacked { files: self.files, bytes: self.bytes, warnings: self.keeper.warnings })
    }

    fn count(&mut self, entry: &Entry) -> Result<(), RootfsError> {
        let limits = self.options.limits;
        self.files += 1;
        if let EntryKind::File { size } = entry.kind {
            self.bytes = self.bytes.saturating_add(size);
        }
        let limit = match () {
            () if self.files > limits.files => Limit::Files(limits.files),
            () if self.bytes > limits.bytes => Limit::Bytes(limits.bytes),
            () => return Ok(()),
        };
        Err(RootfsError::TooLarge { path: entry.path.clone(), limit })
    }

    /// The directory that an entry goes into; made if no entry said what it is.
    fn parent(&mut self, path: &[u8]) -> Result<Rc<Dir>, RootfsError> {
        let (pending, files) = (&mut self.pending, &mut self.files);
        let limit = self.options.limits.files;
        self.dirs.make(path, &mut |made| {
            *files += 1;
            if *files > limit {
                return Err(RootfsError::TooLarge { path: made.to_vec(), limit: Limit::Files(limit) });
            }
            pending.insert(made.to_vec(), implied(made));
            Ok(())
        })
    }

    fn place(&mut self, dir: &Dir, name: &[u8], entry: &Entry, content: &mut dyn Read) -> Result<(), RootfsError> {
        match &entry.kind {
            EntryKind::File { size } => self.place_file(dir, name, entry, *size, content),
            EntryKind::Directory => self.place_directory(dir, name, entry),
            EntryKind::HardLink { target } => self.place_link(dir, name, entry, target),
            EntryKind::Symlink { target } => {
                self.clear_way(dir, name, entry, || rustix::fs::symlinkat(target.as_slice(), &dir.fd, name))?;
                self.keeper.finish_at(dir.fd.as_fd(), name, entry, ModeIs::Set)
            }
            EntryKind::Fifo => self.place_node(dir, name, entry, FileType::Fifo, 0),
            EntryKind::CharDevice { major, minor } => {
                self.place_node(dir, name, entry, FileType::CharacterDevice, rustix::fs::makedev(*major, *minor))
            }
            EntryKind::BlockDevice { major, minor } => {
                self.place_node(dir, name, entry, FileType::BlockDevice, rustix::fs::makedev(*major, *minor))
            }
        }
    }

    fn place_file(
        &mut self,
        dir: &Dir,
        name: &[u8],
        entry: &Entry,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), RootfsError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let fd = self.clear_way(dir, name, entry, || rustix::fs::openat(&dir.fd, name, flags, mode))?;
        let mut file = File::from(fd);
        let copied = copy_content(content, size, &mut file, self.options.holes, &mut self.buffer)
            .map_err(RootfsError::io("write", &entry.path))?;
        if copied != size {
            let ended = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            return Err(RootfsError::io("read the content of", &entry.path)(ended));
        }
        let mode = if entry.mode & 0o777 & self.umask == 0 { ModeIs::Set } else { ModeIs::ToBeSet };
        self.keeper.finish(file.as_fd(), entry, mode)
    }

    fn place_directory(&mut self, dir: &Dir, name: &[u8], entry: &Entry) -> Result<(), RootfsError> {
        match rustix::fs::mkdirat(&dir.fd, name, Mode::RWXU) {
            Err(Errno::EXIST) if !self.is_directory(dir, name, &entry.path)? => {
                self.clear_way(dir, name, entry, || rustix::fs::mkdirat(&dir.fd, name, Mode::RWXU))?;
            }
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(RootfsError::io("make the directory", &entry.path)(error)),
        }
        self.pending.insert(entry.path.clone(), entry.clone());
        Ok(())
    }

    fn is_directory(&self, dir: &Dir, name: &[u8], path: &[u8]) -> Result<bool, RootfsError> {
        let stat = rustix::fs::statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(RootfsError::io("look at", path))?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    fn place_link(&mut self, dir: &Dir, name: &[u8], entry: &Entry, target: &[u8]) -> Result<(), RootfsError> {
        let missing = || RootfsError::MissingLinkTarget { path: entry.path.clone(), target: target.to_vec() };
        let (target_parent, target_name) = split(target);
        if target_name.is_empty() || target_name == b".." {
            return Err(missing());
        }
        let from = self.dirs.find(target_parent)?.ok_or_else(missing)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let Ok(found) = rustix::fs::statat(&from.fd, target_name, flags) else { return Err(missing()) };
        if let Ok(here) = rustix::fs::statat(&dir.fd, name, flags)
            && (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino)
        {
            return Ok(());
        }
        self.clear_way(dir, name, entry, || rustix::fs::linkat(&from.fd, target_name, &dir.fd, name, AtFlags::empty()))
    }

    fn place_node(
        &mut self,
        dir: &Dir,
        name: &[u8],
        entry: &Entry,
        kind: FileType,
        device: u64,
    ) -> Result<(), RootfsError> {
        let is_device = kind != FileType::Fifo;
        if is_device && self.keeper.ownership == Ownership::Caller {
            self.keeper.warnings.push(Warning::DeviceSkipped { path: entry.path.clone() });
            return Ok(());
        }
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let made = self.clear_way(dir, name, entry, || rustix::fs::mknodat(&dir.fd, name, kind, mode, device));
        match made {
            // Root of a user namespace is not root enough.
            Err(RootfsError::Io { source, .. }) if is_device && source.raw_os_error() == Some(libc::EPERM) => {
                self.keeper.warnings.push(Warning::DeviceSkipped { path: entry.path.clone() });
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => self.keeper.finish_at(dir.fd.as_fd(), name, entry, ModeIs::ToBeSet),
        }
    }

    /// Makes something under a name; what has that name is removed first.
    fn clear_way<T>(
        &mut self,
        dir: &Dir,
        name: &[u8],
        entry: &Entry,
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, RootfsError> {
        match make() {
            Err(Errno::EXIST) => {}
            other => return other.map_err(RootfsError::io("make", &entry.path)),
        }
        self.remove(dir, name, &entry.path, &HashSet::new())?;
        make().map_err(RootfsError::io("make", &entry.path))
    }

    fn remove(&mut self, dir: &Dir, name: &[u8], path: &[u8], keep: &HashSet<Spot>) -> Result<(), RootfsError> {
        remove::remove(dir.fd.as_fd(), name, path, keep)?;
        self.removed(path);
        Ok(())
    }

    /// Paths may have led through what was removed.
    fn removed(&mut self, path: &[u8]) {
        self.dirs.forget();
        let mut first = path.to_vec();
        first.push(b'/');
        let gone: Vec<_> = self.pending.range(first.clone()..).map(|(path, _)| path.clone()).collect();
        for path in gone.into_iter().take_while(|path| path.starts_with(&first)) {
            self.pending.remove(&path);
        }
        self.pending.remove(path);
    }

    fn hide(&mut self, parent: &[u8], name: &[u8]) -> Result<(), RootfsError> {
        let Some(dir) = self.dirs.find(parent)? else { return Ok(()) };
        let path = super::path::join(parent, name);
        let keep = std::mem::take(&mut self.layer);
        let spot = (dir.id, name.to_vec());
        let outcome = match keep.contains(&spot) {
            false => remove::remove(dir.fd.as_fd(), name, &path, &keep),
            true if self.is_directory(&dir, name, &path)? => remove::clear(dir.fd.as_fd(), name, &path, &keep),
            true => Ok(()),
        };
        self.layer = keep;
        self.forget_missing(&path)?;
        outcome
    }

    fn make_opaque(&mut self, path: &[u8]) -> Result<(), RootfsError> {
        let Some(dir) = self.dirs.find(path)? else { return Ok(()) };
        let keep = std::mem::take(&mut self.layer);
        let outcome = remove::clear(dir.fd.as_fd(), b".", path, &keep);
        self.layer = keep;
        self.forget_missing(path)?;
        outcome
    }

    /// After some of what is below a path was removed: forgets what is to become of directories that are no more.
    fn forget_missing(&mut self, path: &[u8]) -> Result<(), RootfsError> {
        self.dirs.forget();
        let below = |other: &[u8]| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || path.is_empty() || rest[0] == b'/')
        };
        let known: Vec<_> = self
            .pending
            .range(path.to_vec()..)
            .map(|(path, _)| path)
            .take_while(|other| other.starts_with(path))
            .filter(|other| below(other))
            .cloned()
            .collect();
        for path in known {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            if !path.is_empty() && open_in_root(self.dirs.root(), &path, flags).is_err() {
                self.pending.remove(&path);
            }
        }
        Ok(())
    }
}

/// A directory that no entry describes.
pub(super) fn implied(path: &[u8]) -> Entry {
    Entry {
        path: path.to_vec(),
        kind: EntryKind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: 0,
        xattrs: BTreeMap::new(),
    }
}

/// The bits that the system takes from modes of new files. Asking the system would change them for a moment, for all
/// threads; where it cannot be read, all bits are, and modes are always set.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o777)
}
