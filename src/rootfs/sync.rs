//! Brings a directory to a manifest by its differences: changed files are replaced, files that are no more wanted are
//! removed, all else stays.
//!
//! ```text
//! begin: survey (what is there, what the last sync left) ─▶ needed ─ place… ─▶ finish: links, modes, record
//! ```
//!
//! Invariants: a file is replaced in one step (written beside, renamed over); bytes are hashed while they are written;
//! files that neither this nor the last manifest lists are nobody's business here. What an interrupted sync has placed
//! is found again by its bytes. No path leads out of the directory, whatever lies in it.
//!
//! A file that was changed by somebody else since the last sync shows in its inode and times, and is replaced.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use oci::{Algorithm, Digest, Hasher};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::dirs::{Dir, Dirs};
use super::index::hash;
use super::metadata::{Keeper, ModeIs};
use super::path::split;
use super::record::{FileKind, FileRecord};
use super::write::copy_content;
use super::{Ownership, RootfsError, TreeManifest, UnpackOptions, Warning, remove};

/// Contents are read and written in pieces of this size.
const BUFFER: usize = 1 << 20;
/// What a file is called, in its directory, until it is whole.
const STAGED: &[u8] = b".sealos-syncing~";

/// What shows that a file is as it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    inode: u64,
    size: i64,
    ctime: (i64, i64),
}

impl Fingerprint {
    fn of(stat: &Stat) -> Self {
        Self { inode: stat.st_ino, size: stat.st_size, ctime: (stat.st_ctime, stat.st_ctime_nsec as i64) }
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    file: FileRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    print: Option<Fingerprint>,
}

/// What a sync did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Files that were written.
    pub written: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that were removed.
    pub removed: u64,
    /// Files that were as they should be.
    pub kept: u64,
    /// What could not be kept.
    pub warnings: Vec<Warning>,
}

/// A directory on its way to a manifest.
pub struct Syncer<'a> {
    target: PathBuf,
    /// Where the work is done: the target, or beside it while there is no target.
    work: PathBuf,
    record: PathBuf,
    manifest: &'a TreeManifest,
    options: UnpackOptions,
    dirs: Dirs,
    keeper: Keeper,
    /// Files whose bytes are needed, by their number in the manifest.
    needed: Vec<usize>,
    /// Files that are as they should be.
    kept: HashSet<usize>,
    buffer: Vec<u8>,
    done: Synced,
}

/// `NAME` becomes `.NAME.PURPOSE` in the same directory.
fn beside(path: &Path, purpose: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{purpose}"))
}

fn bytes_of(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

impl<'a> Syncer<'a> {
    /// Looks at `target` and compares it with `manifest`; nothing is changed but that its directories are made.
    /// `record` is the file in which the last sync noted what it left.
    ///
    /// # Errors
    /// When the directory cannot be read or written.
    pub fn begin(
        target: &Path,
        record: &Path,
        manifest: &'a TreeManifest,
        options: &UnpackOptions,
    ) -> Result<Self, RootfsError> {
        let is_there = target.symlink_metadata().is_ok_and(|found| found.is_dir());
        // What is not there is made beside and appears whole.
        let work = if is_there { target.to_owned() } else { beside(target, "syncing") };
        fs::create_dir_all(&work).map_err(RootfsError::io("make the directory", bytes_of(&work)))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&work, flags, Mode::empty());
        let root = root.map_err(RootfsError::io("open the directory", bytes_of(&work)))?;
        let mut syncer = Self {
            target: target.to_owned(),
            work,
            record: record.to_owned(),
            manifest,
            options: *options,
            dirs: Dirs::new(root)?,
            keeper: Keeper { ownership: options.ownership, warnings: Vec::new() },
            needed: Vec::new(),
            kept: HashSet::new(),
            buffer: vec![0; BUFFER],
            done: Synced::default(),
        };
        let old = if is_there { syncer.read_record() } else { HashMap::new() };
        syncer.remove_unwanted(&old)?;
        syncer.make_directories()?;
        syncer.survey(&old)?;
        Ok(syncer)
    }

    /// The files whose bytes are needed, by their number in the manifest.
    pub fn needed(&self) -> &[usize] {
        &self.needed
    }

    /// What the last sync left; a record that cannot be read is none.
    fn read_record(&self) -> HashMap<Vec<u8>, Kept> {
        let read = || -> io::Result<HashMap<Vec<u8>, Kept>> {
            let file = zstd::Decoder::new(File::open(&self.record)?)?;
            let lines = io::BufRead::lines(BufReader::new(file));
            lines
                .map(|line| {
                    let kept: Kept = serde_json::from_str(&line?)?;
                    Ok((kept.file.path.0.clone(), kept))
                })
                .collect()
        };
        read().unwrap_or_default()
    }

    fn stat(&mut self, path: &[u8]) -> Result<Option<(Rc<Dir>, Stat)>, RootfsError> {
        let (parent, name) = split(path);
        let Some(dir) = self.dirs.find(parent)? else { return Ok(None) };
        match rustix::fs::statat(&dir.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((dir, stat))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(RootfsError::io("look at", path)(error)),
        }
    }

    fn remove(&mut self, path: &[u8]) -> Result<(), RootfsError> {
        let (parent, name) = split(path);
        if let Some(dir) = self.dirs.find(parent)? {
            remove::remove(dir.fd.as_fd(), name, path, &HashSet::new())?;
            self.dirs.forget();
        }
        Ok(())
    }

    /// Removes what the last manifest had and this one has not. Directories go when they are empty.
    fn remove_unwanted(&mut self, old: &HashMap<Vec<u8>, Kept>) -> Result<(), RootfsError> {
        let wanted: HashSet<&[u8]> = self.manifest.files.iter().map(|file| file.path.0.as_slice()).collect();
        let mut unwanted: Vec<_> = old.values().filter(|kept| !wanted.contains(kept.file.path.0.as_slice())).collect();
        unwanted.sort_by(|a, b| b.file.path.cmp(&a.file.path));
        for Kept { file, .. } in unwanted {
            let path = &file.path.0;
            let Some((dir, stat)) = self.stat(path)? else { continue };
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            match rustix::fs::unlinkat(&dir.fd, split(path).1, flags) {
                Ok(()) => self.done.removed += 1,
                // Somebody else's files are in there.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::BUSY) => {}
                Err(error) => return Err(RootfsError::io("remove", path)(error)),
            }
        }
        self.dirs.forget();
        Ok(())
    }

    fn make_directories(&mut self) -> Result<(), RootfsError> {
        let manifest = self.manifest;
        for file in manifest.files.iter().filter(|file| file.kind == FileKind::Directory && !file.path.0.is_empty()) {
            let path = &file.path.0;
            match self.stat(path)? {
                Some((_, stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => continue,
                Some(_) => self.remove(path)?,
                None => {}
            }
            self.dirs.make(path, &mut |_| Ok(()))?;
        }
        Ok(())
    }

    fn survey(&mut self, old: &HashMap<Vec<u8>, Kept>) -> Result<(), RootfsError> {
        let manifest = self.manifest;
        for (number, file) in manifest.files.iter().enumerate() {
            let Some((size, digest)) = file.content() else { continue };
            match self.stat(&file.path.0)? {
                Some((dir, stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                    let left = old.get(&file.path.0).filter(|kept| kept.print == Some(Fingerprint::of(&stat)));
                    let is_same = match left {
                        Some(kept) => is_alike(&kept.file, file),
                        None if u64::try_from(stat.st_size) == Ok(size) => {
                            self.has_bytes(&dir, file, digest)? && self.finish_file(&dir, file)?
                        }
                        None => false,
                    };
                    if is_same {
                        self.kept.insert(number);
                        self.done.kept += 1;
                    } else {
                        self.needed.push(number);
                    }
                }
                Some((_, stat)) => {
                    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                        self.remove(&file.path.0)?;
                    }
                    self.needed.push(number);
                }
                None => self.needed.push(number),
            }
        }
        Ok(())
    }

    /// Whether a file of the right size has the right bytes: an earlier sync that was interrupted may have placed it.
    fn has_bytes(&mut self, dir: &Dir, file: &FileRecord, digest: Digest) -> Result<bool, RootfsError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&dir.fd, split(&file.path.0).1, flags, Mode::empty());
        let Ok(fd) = opened else { return Ok(false) };
        let found = hash(&mut File::from(fd), &mut self.buffer).map_err(RootfsError::io("read", &file.path.0))?;
        Ok(found == digest)
    }

    /// Gives a file that has its bytes its owner, mode and times.
    fn finish_file(&mut self, dir: &Dir, file: &FileRecord) -> Result<bool, RootfsError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&dir.fd, split(&file.path.0).1, flags, Mode::empty());
        let Ok(fd) = opened else { return Ok(false) };
        self.keeper.finish(fd.as_fd(), &file.entry(), ModeIs::ToBeSet)?;
        Ok(true)
    }

    /// Writes the bytes of a needed file; they are compared with what the manifest says.
    ///
    /// # Errors
    /// When they are other bytes, or cannot be written; the old file is then as it was.
    pub fn place(&mut self, number: usize, content: &mut dyn Read) -> Result<(), RootfsError> {
        let manifest = self.manifest;
        let file = &manifest.files[number];
        let Some((size, digest)) = file.content() else { return Ok(()) };
        let (parent, name) = split(&file.path.0);
        let dir = self.dirs.make(parent, &mut |_| Ok(()))?;
        let write = |error: io::Error| RootfsError::io("write", &file.path.0)(error);
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = match rustix::fs::openat(&dir.fd, STAGED, create, Mode::from_raw_mode(0o600)) {
            Err(Errno::EXIST) => {
                remove::remove(dir.fd.as_fd(), STAGED, &file.path.0, &HashSet::new())?;
                rustix::fs::openat(&dir.fd, STAGED, create, Mode::from_raw_mode(0o600))
            }
            made => made,
        };
        let mut target = File::from(made.map_err(|error| write(error.into()))?);
        let mut tap = Tap { inner: content, hasher: Hasher::new(Algorithm::Sha256) };
        let copied = copy_content(&mut tap, size, &mut target, self.options.holes, &mut self.buffer);
        let settled = copied.map_err(RootfsError::io("write", &file.path.0)).and_then(|copied| {
            if copied != size {
                return Err(write(io::ErrorKind::UnexpectedEof.into()));
            }
            let found = tap.hasher.finish();
            if found != digest {
                return Err(RootfsError::WrongContent { path: file.path.0.clone(), expected: digest, actual: found });
            }
            self.keeper.finish(target.as_fd(), &file.entry(), ModeIs::ToBeSet)?;
            rustix::fs::renameat(&dir.fd, STAGED, &dir.fd, name).map_err(|error| write(error.into()))
        });
        if settled.is_err() {
            remove::remove(dir.fd.as_fd(), STAGED, &file.path.0, &HashSet::new())?;
        }
        settled?;
        self.done.written += 1;
        self.done.bytes += size;
        Ok(())
    }

    /// Makes links and devices, gives directories their modes, and notes what is there now.
    ///
    /// # Errors
    /// When something cannot be made or the record cannot be written.
    pub fn finish(mut self) -> Result<Synced, RootfsError> {
        let manifest = self.manifest;
        for file in &manifest.files {
            match &file.kind {
                FileKind::File { .. } | FileKind::Directory => {}
                _ => self.make(file)?,
            }
        }
        for file in manifest.files.iter().rev().filter(|file| file.kind == FileKind::Directory) {
            self.finish_directory(file)?;
        }
        let settle = || -> io::Result<()> {
            rustix::fs::syncfs(File::open(&self.work)?)?;
            if self.work != self.target {
                fs::rename(&self.work, &self.target)?;
                File::open(self.target.parent().unwrap_or(&self.target))?.sync_all()?;
            }
            Ok(())
        };
        settle().map_err(RootfsError::io("put in place", bytes_of(&self.target)))?;
        self.write_record()?;
        self.done.warnings = std::mem::take(&mut self.keeper.warnings);
        Ok(self.done)
    }

    fn finish_directory(&mut self, file: &FileRecord) -> Result<(), RootfsError> {
        let path = &file.path.0;
        let (parent, name) = split(path);
        let Some(dir) = self.dirs.find(parent)? else { return Ok(()) };
        let name = if name.is_empty() { b"." } else { name };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&dir.fd, name, flags, Mode::empty());
        let fd = opened.map_err(RootfsError::io("open the directory", path))?;
        // A sync that was killed may have left one.
        match rustix::fs::unlinkat(&fd, STAGED, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(RootfsError::io("clean", path)(error)),
        }
        self.keeper.finish(fd.as_fd(), &file.entry(), ModeIs::ToBeSet)
    }

    /// Makes a link or a device unless it is there.
    fn make(&mut self, file: &FileRecord) -> Result<(), RootfsError> {
        let path = &file.path.0;
        if let Some((dir, stat)) = self.stat(path)? {
            if self.is_made(file, &dir, &stat)? {
                self.done.kept += 1;
                return Ok(());
            }
            self.remove(path)?;
        }
        let (parent, name) = split(path);
        let dir = self.dirs.make(parent, &mut |_| Ok(()))?;
        let failed = |error| RootfsError::io("make", path)(error);
        let entry = file.entry();
        let device = match &file.kind {
            FileKind::Symlink { target } => {
                rustix::fs::symlinkat(target.0.as_slice(), &dir.fd, name).map_err(failed)?;
                self.done.written += 1;
                return self.keeper.finish_at(dir.fd.as_fd(), name, &entry, ModeIs::Set);
            }
            FileKind::Link { target } => {
                let (target_parent, target_name) = split(&target.0);
                let from = self.dirs.find(target_parent)?.ok_or_else(|| failed(Errno::NOENT))?;
                self.done.written += 1;
                return rustix::fs::linkat(&from.fd, target_name, &dir.fd, name, AtFlags::empty()).map_err(failed);
            }
            FileKind::Char { major, minor } => Some((FileType::CharacterDevice, *major, *minor)),
            FileKind::Block { major, minor } => Some((FileType::BlockDevice, *major, *minor)),
            FileKind::Fifo => Some((FileType::Fifo, 0, 0)),
            FileKind::File { .. } | FileKind::Directory => None,
        };
        match device {
            None => Ok(()),
            Some((kind, ..)) if kind != FileType::Fifo && self.keeper.ownership == Ownership::Caller => {
                self.keeper.warnings.push(Warning::DeviceSkipped { path: path.clone() });
                Ok(())
            }
            Some((kind, major, minor)) => {
                let mode = Mode::from_raw_mode(entry.mode & 0o777);
                let number = rustix::fs::makedev(major, minor);
                rustix::fs::mknodat(&dir.fd, name, kind, mode, number).map_err(failed)?;
                self.done.written += 1;
                self.keeper.finish_at(dir.fd.as_fd(), name, &entry, ModeIs::ToBeSet)
            }
        }
    }

    fn is_made(&mut self, file: &FileRecord, dir: &Dir, stat: &Stat) -> Result<bool, RootfsError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let name = split(&file.path.0).1;
        Ok(match &file.kind {
            FileKind::Symlink { target } if kind == FileType::Symlink => {
                let found = rustix::fs::readlinkat(&dir.fd, name, Vec::new());
                found.map_err(RootfsError::io("read the link", &file.path.0))?.as_bytes() == target.0
            }
            FileKind::Link { target } => {
                let found = self.stat(&target.0)?;
                found.is_some_and(|(_, other)| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino))
            }
            FileKind::Char { major, minor } => {
                kind == FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(*major, *minor)
            }
            FileKind::Block { major, minor } => {
                kind == FileType::BlockDevice && stat.st_rdev == rustix::fs::makedev(*major, *minor)
            }
            FileKind::Fifo => kind == FileType::Fifo,
            _ => false,
        })
    }

    fn write_record(&mut self) -> Result<(), RootfsError> {
        let staged = beside(&self.record, "new");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.target, flags, Mode::empty());
        self.dirs = Dirs::new(root.map_err(RootfsError::io("open the directory", bytes_of(&self.target)))?)?;
        let mut lines = Vec::new();
        for file in &self.manifest.files {
            let print = match file.kind {
                FileKind::File { .. } => self.stat(&file.path.0)?.map(|(_, stat)| Fingerprint::of(&stat)),
                _ => None,
            };
            let file = FileRecord { layer: None, from: None, ..file.clone() };
            serde_json::to_writer(&mut lines, &Kept { file, print })
                .map_err(|error| RootfsError::io("write", bytes_of(&self.record))(io::Error::from(error)))?;
            lines.push(b'\n');
        }
        let write = || -> io::Result<()> {
            if let Some(parent) = self.record.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut encoder = zstd::Encoder::new(BufWriter::new(File::create(&staged)?), 1)?;
            encoder.write_all(&lines)?;
            encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(&staged, &self.record)
        };
        write().map_err(RootfsError::io("write", bytes_of(&self.record)))
    }
}

/// Removes all files that the last sync left in a directory, and the directory if nothing else is in it.
///
/// # Errors
/// When one cannot be removed.
pub fn remove_synced(target: &Path, record: &Path) -> Result<Synced, RootfsError> {
    let is_there = target.symlink_metadata().is_ok_and(|found| found.is_dir());
    let mut done = Synced::default();
    if is_there {
        let empty = TreeManifest::default();
        let syncer = Syncer::begin(target, record, &empty, &UnpackOptions::default())?;
        done = syncer.done;
        match fs::remove_dir(target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => return Err(RootfsError::io("remove", bytes_of(target))(error)),
        }
    }
    match fs::remove_file(record) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RootfsError::io("remove", bytes_of(record))(error))
        }
        _ => Ok(done),
    }
}

/// Whether two records mean the same file, wherever its bytes come from.
fn is_alike(a: &FileRecord, b: &FileRecord) -> bool {
    a.kind == b.kind && a.entry() == b.entry()
}

struct Tap<'a> {
    inner: &'a mut dyn Read,
    hasher: Hasher,
}

impl Read for Tap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
