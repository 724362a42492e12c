//! A tree in a bucket of an S3-compatible store: what docker-distribution's `s3` driver has there.
//!
//! A blob goes to the store in parts while it comes, and is joined, copied to its place and only then linked. There are no
//! directories: one is there when something is in it. An upload is gone on with by the process that began it only.
//!
//! Locks hold in this process; objects cannot be touched. So that garbage can be collected by another process than the
//! one that serves, both leave marks in the store, of whose objects everybody sees the last state (S3 has been strongly
//! consistent since 2020):
//!
//! ```text
//! whoever relies on a blob:  mark it as used ─▶ is it doomed? then wait ─▶ is it there? else fail
//! garbage collection:        mark it as doomed ─▶ is it used? then leave it ─▶ remove it ─▶ remove the mark
//! ```
//!
//! Either the first sees the second's mark, or the second the first's. A mark of use is written anew after some minutes
//! only; [`Writing::tick`] says so. A mark of doom that has outlived any living collector counts for nothing.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use registry_client::{Below, Bucket, Depth, RegistryError};

use super::bucket_upload::GrowingObject;
use super::{Entry, Facts, Growing, Held, STRIPES, Stamp, Start, Tree, Writing, own_stripe, stripes};
use crate::http::Body;
use crate::seat;

/// A mark of use is good for so long.
const SPARED: Duration = Duration::from_secs(300);
/// Files whose mark of use is remembered.
const MARKS: usize = 100_000;
/// A mark of doom is nobody's any more after so long: all attempts at what is done meanwhile together take less.
const LEASE: Duration = Duration::from_secs(30 * 60);
/// How long somebody waits for the end of a living collector's mark.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client that was sent to the store may take to get there.
const LINK: Duration = Duration::from_secs(20 * 60);
/// The store's times have no parts of a second.
const SECOND: Duration = Duration::from_secs(1);

/// A tree in a bucket.
pub(in crate::backend) struct BucketTree {
    bucket: Arc<Bucket>,
    /// Ends with a slash.
    root: String,
    /// Where marks are. Ends with a slash.
    marks: String,
    writing: Option<Sides>,
}

/// What only who writes needs.
struct Sides {
    stripes: Vec<Mutex<()>>,
    /// When files were marked as used.
    used: Mutex<HashMap<String, Instant>>,
}

impl BucketTree {
    /// The tree below a path in the bucket, only to be read.
    pub(in crate::backend) fn reading(bucket: Arc<Bucket>, root: &str) -> Self {
        Self { bucket, root: format!("{root}/"), marks: String::new(), writing: None }
    }

    /// The tree below a path in the bucket, to be written as well; `own` is where it may keep what is not of the tree.
    pub(in crate::backend) fn writing(bucket: Arc<Bucket>, root: &str, own: &str) -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        let writing = Some(Sides { stripes, used: Mutex::default() });
        Self { bucket, root: format!("{root}/"), marks: format!("{own}/"), writing }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    fn below(&self, path: &str) -> String {
        if path.is_empty() { self.root.clone() } else { format!("{}{path}/", self.root) }
    }

    fn used_mark(&self, path: &str) -> String {
        format!("{}used/{path}", self.marks)
    }

    fn doom_mark(&self, path: &str) -> String {
        format!("{}doomed/{path}", self.marks)
    }

    fn sides(&self) -> io::Result<&Sides> {
        self.writing.as_ref().ok_or_else(|| io::ErrorKind::ReadOnlyFilesystem.into())
    }

    /// Removes everything below a prefix.
    fn clear(&self, below: &str) -> io::Result<()> {
        let inside = self.bucket.list(below, Depth::All, usize::MAX).map_err(failed)?;
        inside.into_iter().try_for_each(|one| match one {
            Below::Object(key) => self.bucket.delete(&key).map_err(failed),
            Below::Prefix(_) => Ok(()),
        })
    }

    /// Waits until a file is not doomed any more.
    fn outlive(&self, path: &str) -> io::Result<()> {
        let (used, doomed) = (self.used_mark(path), self.doom_mark(path));
        let begun = Instant::now();
        while let Some(doom) = self.bucket.head(&doomed).map_err(failed)? {
            let now = self.bucket.head(&used).map_err(failed)?.map_or(doom.modified, |mark| mark.modified);
            if now.duration_since(doom.modified).is_ok_and(|age| age > LEASE) {
                return self.bucket.delete(&doomed).map_err(failed);
            }
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "a garbage collection is about to remove it"));
            }
            std::thread::sleep(SECOND);
        }
        Ok(())
    }
}

/// Whether a path is inside of where uploads are: what is not completed there is in no list of objects.
fn is_of_upload(path: &str) -> bool {
    path.contains("/_uploads/")
}

/// An error of the store as one of a file.
pub(super) fn failed(error: RegistryError) -> io::Error {
    let kind = match &error {
        RegistryError::Bucket { status: 403, .. } => io::ErrorKind::PermissionDenied,
        RegistryError::Bucket { status: 507, .. } => io::ErrorKind::StorageFull,
        RegistryError::Bucket { status, message: Some(message), .. } => match (status, message.code.as_str()) {
            (_, "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage") => io::ErrorKind::StorageFull,
            (404, "NoSuchKey") => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        },
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

impl Tree for BucketTree {
    fn place(&self) -> String {
        self.bucket.place()
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        seat::leave();
        let bytes = self.bucket.get(&self.at(path), limit).map_err(failed)?;
        match bytes {
            Some(bytes) if bytes.len() as u64 > limit => Err(io::ErrorKind::FileTooLarge.into()),
            bytes => Ok(bytes),
        }
    }

    fn facts(&self, path: &str) -> io::Result<Option<Facts>> {
        seat::leave();
        let object = self.bucket.head(&self.at(path)).map_err(failed)?;
        Ok(object.map(|object| Facts { size: object.size, changed: object.modified }))
    }

    fn usage(&self, path: &str) -> io::Result<Option<Facts>> {
        let Some(facts) = self.facts(path)? else { return Ok(None) };
        let mark = self.bucket.head(&self.used_mark(path)).map_err(failed)?;
        let changed = mark.map_or(facts.changed, |mark| mark.modified.max(facts.changed));
        Ok(Some(Facts { changed, ..facts }))
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<Body> {
        seat::leave();
        let length = Some(range.end - range.start);
        let reader = self.bucket.read(&self.at(path), range).map_err(failed)?;
        Ok(Body::Stream { reader, length })
    }

    fn link(&self, path: &str) -> Option<String> {
        Some(self.bucket.link(&self.at(path), LINK))
    }

    fn list(&self, path: &str) -> io::Result<Option<Vec<Entry>>> {
        seat::leave();
        let below = self.below(path);
        let mut keys = Vec::new();
        for one in self.bucket.list(&below, Depth::One, usize::MAX).map_err(failed)? {
            keys.push(match one {
                Below::Object(key) => (key, false),
                Below::Prefix(key) => (key, true),
            });
        }
        if path.ends_with("/_uploads") {
            let begun = self.bucket.unfinished(&below).map_err(failed)?;
            keys.extend(begun.into_iter().map(|upload| (upload.key, true)));
        }
        let is_there = !keys.is_empty();
        let entry = |(key, is_directory): (String, bool)| {
            let name = key.strip_prefix(&below)?.split('/').next()?.to_owned();
            (!name.is_empty()).then_some(Entry { name, is_directory })
        };
        let mut entries: Vec<Entry> = keys.into_iter().filter_map(entry).collect();
        entries.sort();
        entries.dedup();
        Ok(is_there.then_some(entries))
    }

    fn stamp(&self, path: &str) -> io::Result<Option<Stamp>> {
        seat::leave();
        let found = self.bucket.list(&self.below(path), Depth::All, 1).map_err(failed)?;
        Ok((!found.is_empty()).then_some(None))
    }

    fn directory_changed(&self, path: &str) -> io::Result<Option<SystemTime>> {
        if !is_of_upload(path) {
            return Ok(None);
        }
        let begun = self.bucket.unfinished(&self.below(path)).map_err(failed)?;
        Ok(begun.into_iter().map(|upload| upload.changed).max())
    }

    fn writing(&self) -> Option<&dyn Writing> {
        self.writing.as_ref().map(|_| self as &dyn Writing)
    }
}

impl Writing for BucketTree {
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        seat::leave();
        self.bucket.put(&self.at(path), bytes).map_err(failed)
    }

    /// What need not survive a crash is only for another process, which goes on with nothing here.
    fn note(&self, _path: &str, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn forget(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn make_directory(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        seat::leave();
        self.bucket.delete(&self.at(path)).map_err(failed)?;
        self.clear(&self.below(path))?;
        if is_of_upload(path) {
            let begun = self.bucket.unfinished(&self.below(path)).map_err(failed)?;
            return begun.iter().try_for_each(|upload| self.bucket.give_up(upload).map_err(failed));
        }
        self.bucket.delete(&self.used_mark(path)).map_err(failed)?;
        self.clear(&format!("{}/", self.used_mark(path)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let facts = self.facts(from)?.ok_or(io::ErrorKind::NotFound)?;
        self.bucket.copy(&self.at(from), &self.at(to), facts.size).map_err(failed)?;
        self.bucket.delete(&self.at(from)).map_err(failed)
    }

    fn touch(&self, path: &str) -> io::Result<()> {
        let used = &self.sides()?.used;
        let now = Instant::now();
        if lock(used).get(path).is_some_and(|marked| now.duration_since(*marked) < SPARED) {
            return Ok(());
        }
        seat::leave();
        self.bucket.put(&self.used_mark(path), b"").map_err(failed)?;
        self.outlive(path)?;
        if self.facts(path)?.is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut used = lock(used);
        if used.len() >= MARKS {
            used.clear();
        }
        used.insert(path.to_owned(), now);
        Ok(())
    }

    fn grow(&self, path: &str, start: Start) -> io::Result<Box<dyn Growing>> {
        match start {
            Start::Again => Err(io::ErrorKind::NotFound.into()),
            Start::Fresh => Ok(Box::new(GrowingObject::new(&self.bucket, &self.root, self.at(path)))),
        }
    }

    fn lock(&self, keys: &[u8]) -> io::Result<Box<dyn Held + '_>> {
        seat::leave();
        let all = &self.sides()?.stripes;
        Ok(Box::new(Stripes(stripes(keys).into_iter().map(|stripe| lock(&all[stripe])).collect())))
    }

    fn alone(&self, key: u8) -> io::Result<Box<dyn Held + '_>> {
        seat::leave();
        let stripe = &self.sides()?.stripes[own_stripe(key)];
        Ok(Box::new(Stripes(vec![lock(stripe)])))
    }

    fn doom(&self, path: &str) -> io::Result<Option<Box<dyn Held + '_>>> {
        let mark = self.doom_mark(path);
        self.bucket.put(&mark, b"").map_err(failed)?;
        Ok(Some(Box::new(Doom { bucket: &self.bucket, mark })))
    }

    fn tick(&self) -> io::Result<Duration> {
        // The store's clock may be behind; where it is ahead, everything only seems younger.
        let mark = format!("{}clock", self.marks);
        let now = SystemTime::now();
        self.bucket.put(&mark, b"").map_err(failed)?;
        let found = self.bucket.head(&mark).map_err(failed)?.ok_or(io::ErrorKind::NotFound)?;
        let behind = now.duration_since(found.modified).unwrap_or_default();
        Ok(SPARED + SECOND + behind)
    }
}

/// A mutex whose holder panicked guards nothing that could be half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Stripes<'a>(#[expect(dead_code, reason = "it is there to be dropped")] Vec<MutexGuard<'a, ()>>);

impl Held for Stripes<'_> {}

/// A mark of doom, until it is dropped.
struct Doom<'a> {
    bucket: &'a Bucket,
    mark: String,
}

impl Held for Doom<'_> {}

impl Drop for Doom<'_> {
    fn drop(&mut self) {
        // One that stays behind counts for nothing after a while.
        self.bucket.delete(&self.mark).ok();
    }
}
