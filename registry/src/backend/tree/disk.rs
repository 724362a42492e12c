//! A tree on a disk.
//!
//! Files are written beside their place, synced and renamed; then the directories are synced in which something new
//! appeared. Locks are files outside the tree proper, so that a garbage collection in another process sees them.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{FallocateFlags, FlockOperation, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use super::{Entry, Facts, Growing, Held, STRIPES, Stamp, Start, Tree, Writing, own_stripe, stripes};
use crate::http::Body;

/// Files of this size and more get their space before they are written.
const RESERVE_FROM: u64 = 1 << 20;
/// Bytes read back at a time.
const PIECE: usize = 1 << 20;
/// Bytes after which the kernel is asked to begin writing to the disk.
const WRITE_BACK: u64 = 8 << 20;
/// A directory that changed more recently than this may change again without its time showing it: some file systems keep
/// two seconds as one, and the kernel's own clock stands still while a busy machine does not run it.
const SETTLED: Duration = Duration::from_secs(3);

/// A tree in a directory.
pub(in crate::backend) struct DiskTree {
    root: PathBuf,
    locks: Option<Locks>,
}

struct Locks {
    directory: PathBuf,
    stripes: Vec<Mutex<Option<File>>>,
}

impl DiskTree {
    /// The tree in a directory, only to be read.
    pub(in crate::backend) fn reading(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), locks: None }
    }

    /// The tree in a directory, to be written as well; `locks` is a directory for locks.
    pub(in crate::backend) fn writing(root: impl Into<PathBuf>, locks: impl Into<PathBuf>) -> io::Result<Self> {
        let (root, directory) = (root.into(), locks.into());
        for directory in [&root, &directory] {
            make_all(directory)?;
        }
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Ok(Self { root, locks: Some(Locks { directory, stripes }) })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl Tree for DiskTree {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = absent(File::open(self.at(path)))? else { return Ok(None) };
        // Links are short; a first read of this size usually gets all of it.
        let mut bytes = Vec::with_capacity(256);
        let read = file.take(limit + 1).read_to_end(&mut bytes);
        match read {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(None),
            Ok(count) if count as u64 > limit => Err(io::ErrorKind::FileTooLarge.into()),
            result => result.map(|_| Some(bytes)),
        }
    }

    fn facts(&self, path: &str) -> io::Result<Option<Facts>> {
        let Some(found) = absent(fs::metadata(self.at(path)))?.filter(fs::Metadata::is_file) else { return Ok(None) };
        Ok(Some(Facts { size: found.len(), changed: found.modified()? }))
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<Body> {
        let file = File::open(self.at(path))?;
        Ok(Body::File { file, from: range.start, length: range.end - range.start })
    }

    fn list(&self, path: &str) -> io::Result<Option<Vec<Entry>>> {
        let entries = match fs::read_dir(self.at(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            entries => absent(entries)?,
        };
        let Some(entries) = entries else { return Ok(None) };
        let mut all = Vec::new();
        for entry in entries {
            // What goes away meanwhile, even the directory itself, is not there.
            let Some(entry) = absent(entry)? else { continue };
            // Names that are not text are none of the layout's.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Some(kind) = absent(entry.file_type())? else { continue };
            let is_directory = match kind {
                kind if kind.is_symlink() => fs::metadata(entry.path()).is_ok_and(|found| found.is_dir()),
                kind => kind.is_dir(),
            };
            all.push(Entry { name, is_directory });
        }
        all.sort();
        Ok(Some(all))
    }

    fn stamp(&self, path: &str) -> io::Result<Option<Stamp>> {
        let Some(found) = absent(fs::metadata(self.at(path)))?.filter(fs::Metadata::is_dir) else { return Ok(None) };
        let is_settled = found.modified()?.elapsed().is_ok_and(|age| age > SETTLED);
        let stamp = (found.ino(), found.mtime(), found.mtime_nsec(), found.nlink());
        Ok(Some(is_settled.then_some(stamp)))
    }

    fn directory_changed(&self, path: &str) -> io::Result<Option<SystemTime>> {
        absent(fs::metadata(self.at(path)))?.filter(fs::Metadata::is_dir).map(|found| found.modified()).transpose()
    }

    fn writing(&self) -> Option<&dyn Writing> {
        self.locks.as_ref().map(|_| self as &dyn Writing)
    }
}

impl Writing for DiskTree {
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let target = self.at(path);
        let mut fresh = target.clone().into_os_string();
        fresh.push(format!(".{}.tmp", unique()));
        let made = parents(&target)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&fresh)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_data()).and_then(|()| fs::rename(&fresh, &target));
        if let Err(error) = written {
            // It has a name that nobody asks for; garbage collection takes it if this does not.
            fs::remove_file(&fresh).ok();
            return Err(error);
        }
        sync(&target, &made)
    }

    fn note(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.at(path), bytes)
    }

    fn forget(&self, path: &str) -> io::Result<()> {
        absent(fs::remove_dir_all(self.at(path))).map(drop)
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        let target = self.at(path);
        if target.is_dir() {
            return Ok(());
        }
        let made = parents(&target.join("x"))?;
        made.iter().try_for_each(|directory| sync_directory(directory))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let target = self.at(path);
        let removed = match fs::symlink_metadata(&target) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&target),
            _ => fs::remove_file(&target),
        };
        match absent(removed)? {
            Some(()) => target.parent().map_or(Ok(()), sync_directory),
            None => Ok(()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let target = self.at(to);
        let made = parents(&target)?;
        fs::rename(self.at(from), &target)?;
        sync(&target, &made)
    }

    fn touch(&self, path: &str) -> io::Result<()> {
        let file = File::open(self.at(path))?;
        match file.set_times(FileTimes::new().set_modified(SystemTime::now())) {
            // Only the owner may set any time; to set the present one it is enough that one may write.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
                let times = Timestamps { last_access: now, last_modification: now };
                Ok(rustix::fs::futimens(&file, &times)?)
            }
            set => set,
        }
    }

    fn grow(&self, path: &str, start: Start) -> io::Result<Box<dyn Growing>> {
        let path = self.at(path);
        if start == Start::Fresh {
            // An upload may go with the power; the repository that is made for it holds what it becomes.
            let made = parents(&path)?;
            let stays = |directory: &&PathBuf| !directory.iter().any(|part| part == "_uploads");
            made.iter().filter(stays).try_for_each(|directory| sync_directory(directory))?;
        }
        let file =
            OpenOptions::new().read(true).write(true).create_new(start == Start::Fresh).mode(0o644).open(&path)?;
        let length = file.metadata()?.len();
        Ok(Box::new(GrowingFile { root: self.root.clone(), file, path, length, written_back: length, reserved: false }))
    }

    fn lock(&self, keys: &[u8]) -> io::Result<Box<dyn Held + '_>> {
        let Some(locks) = &self.locks else { return Err(io::ErrorKind::ReadOnlyFilesystem.into()) };
        let held = stripes(keys).into_iter().map(|stripe| locks.take(stripe)).collect::<io::Result<_>>()?;
        Ok(Box::new(Stripes(held)))
    }

    fn alone(&self, key: u8) -> io::Result<Box<dyn Held + '_>> {
        let Some(locks) = &self.locks else { return Err(io::ErrorKind::ReadOnlyFilesystem.into()) };
        Ok(Box::new(Stripes(vec![locks.take(own_stripe(key))?])))
    }

    fn tick(&self) -> io::Result<Duration> {
        let Some(locks) = &self.locks else { return Err(io::ErrorKind::ReadOnlyFilesystem.into()) };
        // A time that no coarser clock can hold: an odd second, less a nanosecond.
        let exact = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_001, 999_999_999);
        let path = locks.directory.join(format!("{}.clock", unique()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
        let kept = file
            .set_times(FileTimes::new().set_modified(exact))
            .and_then(|()| file.metadata())
            .and_then(|found| found.modified());
        fs::remove_file(&path)?;
        Ok(exact.duration_since(kept?).unwrap_or_default())
    }
}

impl Locks {
    fn take(&self, stripe: usize) -> io::Result<Stripe<'_>> {
        let mut guard = self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            let path = self.directory.join(format!("{stripe:02}"));
            *guard = Some(OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path)?);
        }
        if let Some(file) = &*guard {
            wait(file)?;
        }
        Ok(Stripe(guard))
    }
}

fn wait(file: &File) -> io::Result<()> {
    loop {
        match rustix::fs::flock(file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// One lock, held against this process's other threads and against other processes.
struct Stripe<'a>(MutexGuard<'a, Option<File>>);

impl Drop for Stripe<'_> {
    fn drop(&mut self) {
        // It cannot fail for a lock that is held.
        if let Some(file) = &*self.0 {
            rustix::fs::flock(file, FlockOperation::Unlock).ok();
        }
    }
}

/// Some locks. They are let go of in any order.
struct Stripes<'a>(#[expect(dead_code, reason = "it is there to be dropped")] Vec<Stripe<'a>>);

impl Held for Stripes<'_> {}

struct GrowingFile {
    root: PathBuf,
    file: File,
    path: PathBuf,
    length: u64,
    written_back: u64,
    reserved: bool,
}

impl Growing for GrowingFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        if bytes < RESERVE_FROM {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.length, bytes) {
            // Not every file system can.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            result => {
                result?;
                self.reserved = true;
                Ok(())
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        let behind = self.length - self.written_back;
        if behind >= WRITE_BACK {
            write_back(&self.file, self.written_back, behind);
            self.written_back = self.length;
        }
        Ok(())
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = vec![0; PIECE.min(usize::try_from(self.length).unwrap_or(PIECE)).max(1)];
        let mut at = 0;
        while at < self.length {
            match self.file.read_at(&mut buffer, at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    take(&buffer[..count]);
                    at += count as u64;
                }
            }
        }
        Ok(())
    }

    fn file(&self) -> io::Result<Option<File>> {
        self.file.try_clone().map(Some)
    }

    fn claim(&self) -> io::Result<bool> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            result => Ok(result.map(|()| true)?),
        }
    }

    fn settle(&mut self) -> io::Result<()> {
        if self.reserved {
            // Space beyond the end goes back; the length stays.
            self.file.set_len(self.length)?;
        }
        self.file.sync_data()
    }

    fn place(self: Box<Self>, path: &str) -> io::Result<()> {
        let target = self.root.join(path);
        let made = parents(&target)?;
        fs::rename(&self.path, &target)?;
        sync(&target, &made)
    }
}

/// Asks the kernel to begin writing a part of a file, so that the sync at the end is short.
fn write_back(file: &File, from: u64, length: u64) {
    use std::os::fd::AsRawFd;
    let offset = |value: u64| libc::off64_t::try_from(value).unwrap_or(libc::off64_t::MAX);
    // SAFETY: the descriptor is open while `file` is borrowed; no memory is involved. It is a hint: what fails here is
    // written by the sync at the end.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset(from), offset(length), libc::SYNC_FILE_RANGE_WRITE);
    }
}

/// Makes the directories above a path. Returns those in which one was made, nearest the root first.
fn parents(path: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(parent) = path.parent() else { return Ok(Vec::new()) };
    if parent.is_dir() {
        return Ok(Vec::new());
    }
    let mut missing = vec![parent];
    // The last of what is above a relative path is nothing, and stands for the working directory.
    let is_missing = |above: &&Path| !above.as_os_str().is_empty() && !above.is_dir();
    missing.extend(parent.ancestors().skip(1).take_while(is_missing));
    let mut changed = Vec::new();
    for directory in missing.iter().rev() {
        match DirBuilder::new().mode(0o755).create(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        changed.extend(directory.parent().map(Path::to_owned));
    }
    Ok(changed)
}

fn make_all(directory: &Path) -> io::Result<()> {
    parents(&directory.join("x")).map(drop)
}

/// Makes durable what appeared at `path`, and the directories that were made for it.
fn sync(path: &Path, made: &[PathBuf]) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_directory)?;
    made.iter().rev().try_for_each(|directory| sync_directory(directory))
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        // Some network file systems cannot; there the server decides. One that is gone needs no sync.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::NotFound
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// `None` for what is not there.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        // A name that the file system cannot hold is not there either.
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name that no other write of this or another process has.
pub(in crate::backend) fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{}-{count}-{since:x}", std::process::id())
}
