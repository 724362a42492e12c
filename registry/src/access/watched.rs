//! Values that are read from files and read again when the files change: users, policies, keys, certificates.
//!
//! ```text
//! files ─load─▶ value ─swap─▶ readers (no lock)          Keeper: looks once a second, and when it is nudged (SIGHUP)
//! ```
//!
//! Invariants: a reader sees the old value or the new one, whole; what cannot be used is reported once and the old value
//! stays; a file is looked at by its identity (device, inode, size, times), so replacing it is seen as well as writing.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, io};

use arc_swap::{ArcSwap, Guard};

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// The largest file that is read, in bytes.
const LIMIT: u64 = 16 << 20;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What it says cannot be used.
    #[error("`{}` cannot be used: {reason}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl LoadError {
    /// What to do about it, if that is known.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Content { reason, .. } if reason.contains("which is not accepted") => {
                Some("set such passwords anew with `sealos registry passwd -p FILE USER`".to_owned())
            }
            _ => None,
        }
    }

    /// For `map_err`: the content of a file is wrong.
    pub fn content<E: fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |reason| Self::Content { path, reason: reason.to_string() }
    }
}

/// Reads a file of at most 16 MiB.
///
/// # Errors
/// When it cannot be read or is larger.
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > LIMIT {
        let reason = format!("it has {size} bytes; at most {LIMIT} are read");
        return Err(LoadError::Content { path: path.to_owned(), reason });
    }
    fs::read(path).map_err(failed)
}

/// Reads a file of text.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, LoadError> {
    String::from_utf8(read(path)?).map_err(|_error| LoadError::content(path)("it is not UTF-8"))
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp([i64; 7]);

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        let (device, inode, size) = (data.dev().cast_signed(), data.ino().cast_signed(), data.size().cast_signed());
        Some(Self([device, inode, size, data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()]))
    }
}

/// What looking at the files led to.
#[derive(Debug)]
pub enum Outcome {
    /// They are as they were.
    Same,
    /// There is a new value.
    Changed,
    /// They changed, but cannot be used: the old value stays.
    Kept(LoadError),
}

/// When files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// If they have changed.
    Changed,
    /// In any case.
    Now,
}

/// Something that can be read again.
pub trait Reload: Send + Sync {
    /// The files, for messages.
    fn files(&self) -> &[PathBuf];

    /// Looks at the files and reads them.
    fn refresh(&self, when: When) -> Outcome;
}

type Load<T> = Box<dyn Fn() -> Result<T, LoadError> + Send + Sync>;

/// A value that is read from files.
pub struct Watched<T> {
    files: Vec<PathBuf>,
    load: Option<Load<T>>,
    current: ArcSwap<T>,
    seen: Mutex<Vec<Option<Stamp>>>,
}

impl<T> Watched<T> {
    /// Reads the value for the first time. `load` reads `files`.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn open(
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<T, LoadError> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, LoadError> {
        // Taken before reading: a change in between is then seen as one.
        let seen = stamps(&files);
        let value = load()?;
        let (load, current) = (Some(Box::new(load) as Load<T>), ArcSwap::from_pointee(value));
        Ok(Arc::new(Self { files, load, current, seen: Mutex::new(seen) }))
    }

    /// A value that does not come from a file and never changes.
    pub fn fixed(value: T) -> Arc<Self> {
        let current = ArcSwap::from_pointee(value);
        Arc::new(Self { files: Vec::new(), load: None, current, seen: Mutex::default() })
    }

    /// The value; to be held for a moment only.
    pub fn get(&self) -> Guard<Arc<T>> {
        self.current.load()
    }

    /// The value, to be kept.
    pub fn keep(&self) -> Arc<T> {
        self.current.load_full()
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|path| Stamp::of(path)).collect()
}

impl<T: Send + Sync> Reload for Watched<T> {
    fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn refresh(&self, when: When) -> Outcome {
        let Some(load) = &self.load else { return Outcome::Same };
        // Held while reading: two refreshes at once must not leave the older value.
        let mut seen = lock(&self.seen);
        let now = stamps(&self.files);
        if *seen == now && when == When::Changed {
            return Outcome::Same;
        }
        *seen = now;
        match load() {
            Ok(value) => {
                self.current.store(Arc::new(value));
                Outcome::Changed
            }
            Err(error) => Outcome::Kept(error),
        }
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({:?})", self.files)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at files as long as it lives, on a thread of its own.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    orders: Mutex<Orders>,
    given: Condvar,
}

#[derive(Debug, Default)]
struct Orders {
    nudged: bool,
    ended: bool,
}

/// Asks a [`Keeper`] to read everything now.
#[derive(Clone, Debug)]
pub struct Nudge(Arc<Shared>);

impl Nudge {
    /// Asks. Can be called from any thread.
    pub fn now(&self) {
        lock(&self.0.orders).nudged = true;
        self.0.given.notify_all();
    }
}

impl Keeper {
    /// Begins. `tell` hears of every change: the files, and why they are not used if they are not.
    ///
    /// # Errors
    /// When there are no threads left.
    pub fn start(
        watched: Vec<Arc<dyn Reload>>,
        tell: impl Fn(&[PathBuf], Option<&LoadError>) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let orders = Arc::clone(&shared);
        let keep = move || {
            while let Some(when) = orders.next() {
                for one in &watched {
                    match one.refresh(when) {
                        Outcome::Same => {}
                        Outcome::Changed => tell(one.files(), None),
                        Outcome::Kept(error) => tell(one.files(), Some(&error)),
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("files".to_owned()).spawn(keep)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What asks it to read everything now.
    #[must_use]
    pub fn nudge(&self) -> Nudge {
        Nudge(Arc::clone(&self.shared))
    }
}

impl Shared {
    /// Waits for the next time to look; none at the end.
    fn next(&self) -> Option<When> {
        let waiting = |orders: &mut Orders| !orders.nudged && !orders.ended;
        let guard = lock(&self.orders);
        let (mut orders, _timeout) =
            self.given.wait_timeout_while(guard, INTERVAL, waiting).unwrap_or_else(PoisonError::into_inner);
        match (orders.ended, std::mem::take(&mut orders.nudged)) {
            (true, _) => None,
            (false, true) => Some(When::Now),
            (false, false) => Some(When::Changed),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        lock(&self.shared.orders).ended = true;
        self.shared.given.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed; there is nothing to be saved.
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn number(path: &Path) -> Result<u32, LoadError> {
        read_text(path)?.trim().parse().map_err(LoadError::content(path))
    }

    fn watch(path: &Path) -> Result<Arc<Watched<u32>>, LoadError> {
        let own = path.to_owned();
        Watched::open(vec![path.to_owned()], move || number(&own))
    }

    #[test]
    fn a_change_is_seen_and_what_cannot_be_used_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        assert!(matches!(watch(&path), Err(LoadError::Read { .. })));
        fs::write(&path, "1").unwrap();
        let watched = watch(&path).unwrap();
        assert!(matches!(watched.refresh(When::Changed), Outcome::Same));
        fs::write(&path, "22").unwrap();
        assert!(matches!(watched.refresh(When::Changed), Outcome::Changed));
        assert_eq!(**watched.get(), 22);
        // Replaced by a file of the same size and times.
        let (other, times) = (dir.path().join("m"), fs::metadata(&path).unwrap().modified().unwrap());
        fs::write(&other, "33").unwrap();
        fs::File::options().write(true).open(&other).unwrap().set_modified(times).unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(matches!(watched.refresh(When::Changed), Outcome::Changed));
        fs::write(&path, "x").unwrap();
        let Outcome::Kept(error) = watched.refresh(When::Changed) else { panic!("it is used") };
        assert!(error.to_string().ends_with("n` cannot be used: invalid digit found in string"), "{error}");
        assert!(matches!(watched.refresh(When::Changed), Outcome::Same), "said once");
        assert!(matches!(watched.refresh(When::Now), Outcome::Kept(_)));
        fs::remove_file(&path).unwrap();
        assert!(matches!(watched.refresh(When::Changed), Outcome::Kept(LoadError::Read { .. })));
        assert_eq!(**watched.get(), 33);
        assert!(matches!(watched.refresh(When::Now), Outcome::Kept(LoadError::Read { .. })));
    }

    #[test]
    fn a_keeper_sees_changes_by_itself_and_reads_at_once_when_nudged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n");
        fs::write(&path, "1").unwrap();
        let watched = watch(&path).unwrap();
        let (tell, told) = mpsc::channel();
        let keeper =
            Keeper::start(vec![watched.clone() as _], move |_, error| tell.send(error.is_none()).unwrap()).unwrap();
        keeper.nudge().now();
        assert_eq!(told.recv(), Ok(true));
        fs::write(&path, "oh").unwrap();
        assert_eq!(told.recv(), Ok(false));
        fs::write(&path, "44").unwrap();
        // Reading may have met the file while it was being written.
        while !told.recv().unwrap() {}
        assert_eq!(*watched.keep(), 44);
        drop(keeper);
        assert!(told.recv().is_err(), "its thread has ended");
    }
}
