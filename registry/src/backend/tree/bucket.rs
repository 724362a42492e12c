//! A tree in a bucket of an S3-compatible store: what docker-distribution's `s3` driver has there.
//!
//! A blob goes to the store in parts while it comes, and is joined, copied to its place and only then linked. There are no
//! directories: one is there when something is in it. Uploads are not gone on with by another process, locks hold in this
//! process only, and nothing is touched; so garbage is not collected here.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_client::{Below, Bucket, Depth, Parts, RegistryError};

use super::{Entry, Facts, Growing, Held, Stamp, Start, Tree, Writing};
use crate::http::Body;
use crate::seat;

/// Bytes of a part, and of one where there are many parts: at most 10 000 are allowed.
const PART: usize = 8 << 20;
const LARGE_PART: usize = 64 << 20;
/// From so many bytes on parts are large.
const MANY: u64 = 4 << 30;

/// A tree in a bucket.
pub(in crate::backend) struct BucketTree {
    bucket: Arc<Bucket>,
    /// Ends with a slash.
    root: String,
    alone: Mutex<()>,
}

impl BucketTree {
    /// The tree below a path in the bucket.
    pub(in crate::backend) fn new(bucket: Arc<Bucket>, root: &str) -> Self {
        Self { bucket, root: format!("{root}/"), alone: Mutex::default() }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    fn below(&self, path: &str) -> String {
        if path.is_empty() { self.root.clone() } else { format!("{}{path}/", self.root) }
    }
}

/// An error of the store as one of a file.
fn failed(error: RegistryError) -> io::Error {
    io::Error::other(error)
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

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<Body> {
        seat::leave();
        let length = Some(range.end - range.start);
        let reader = self.bucket.read(&self.at(path), range).map_err(failed)?;
        Ok(Body::Stream { reader, length })
    }

    fn list(&self, path: &str) -> io::Result<Option<Vec<Entry>>> {
        seat::leave();
        let below = self.below(path);
        let found = self.bucket.list(&below, Depth::One, usize::MAX).map_err(failed)?;
        let is_there = !found.is_empty();
        let entry = |one: Below| {
            let (key, is_directory) = match one {
                Below::Object(key) => (key, false),
                Below::Prefix(key) => (key, true),
            };
            let name = key.strip_prefix(&below)?.trim_end_matches('/').to_owned();
            (!name.is_empty()).then_some(Entry { name, is_directory })
        };
        let mut entries: Vec<Entry> = found.into_iter().filter_map(entry).collect();
        entries.sort();
        Ok(is_there.then_some(entries))
    }

    fn stamp(&self, path: &str) -> io::Result<Option<Stamp>> {
        seat::leave();
        let found = self.bucket.list(&self.below(path), Depth::All, 1).map_err(failed)?;
        Ok((!found.is_empty()).then_some(None))
    }

    fn writing(&self) -> Option<&dyn Writing> {
        Some(self)
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
        let inside = self.bucket.list(&self.below(path), Depth::All, usize::MAX).map_err(failed)?;
        inside.into_iter().try_for_each(|one| match one {
            Below::Object(key) => self.bucket.delete(&key).map_err(failed),
            Below::Prefix(_) => Ok(()),
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let facts = self.facts(from)?.ok_or(io::ErrorKind::NotFound)?;
        self.bucket.copy(&self.at(from), &self.at(to), facts.size).map_err(failed)?;
        self.bucket.delete(&self.at(from)).map_err(failed)
    }

    fn touch(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn grow(&self, path: &str, start: Start) -> io::Result<Box<dyn Growing>> {
        match start {
            Start::Again => Err(io::ErrorKind::NotFound.into()),
            Start::Fresh => Ok(Box::new(GrowingObject {
                bucket: Arc::clone(&self.bucket),
                root: self.root.clone(),
                key: self.at(path),
                parts: None,
                buffer: Vec::new(),
                length: 0,
            })),
        }
    }

    fn lock(&self, _keys: &[u8]) -> io::Result<Box<dyn Held + '_>> {
        Ok(Box::new(Alone(self.alone.lock().unwrap_or_else(PoisonError::into_inner))))
    }
}

struct Alone<'a>(#[expect(dead_code, reason = "it is there to be dropped")] MutexGuard<'a, ()>);

impl Held for Alone<'_> {}

/// An object whose parts are written while it grows; one that is shorter than a part is written at its end.
struct GrowingObject {
    bucket: Arc<Bucket>,
    root: String,
    key: String,
    parts: Option<Parts>,
    buffer: Vec<u8>,
    length: u64,
}

impl GrowingObject {
    fn flush(&mut self) -> io::Result<()> {
        seat::leave();
        let parts = match &mut self.parts {
            Some(parts) => parts,
            parts => parts.insert(self.bucket.begin(&self.key).map_err(failed)?),
        };
        self.bucket.part(parts, &self.buffer).map_err(failed)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Growing for GrowingObject {
    fn length(&self) -> u64 {
        self.length
    }

    fn reserve(&mut self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        let part = if self.length > MANY { LARGE_PART } else { PART };
        if self.buffer.len() >= part { self.flush() } else { Ok(()) }
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        match &self.parts {
            // The store gives nothing back before all parts are joined.
            Some(_) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "a bucket does not give back parts of an upload"))
            }
            None => {
                take(&self.buffer);
                Ok(())
            }
        }
    }

    fn settle(&mut self) -> io::Result<()> {
        match self.parts.is_some() && !self.buffer.is_empty() {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn place(mut self: Box<Self>, path: &str) -> io::Result<()> {
        seat::leave();
        let target = format!("{}{path}", self.root);
        let Some(parts) = &self.parts else { return self.bucket.put(&target, &self.buffer).map_err(failed) };
        self.bucket.complete(parts).map_err(failed)?;
        self.parts = None;
        self.bucket.copy(&self.key, &target, self.length).map_err(failed)?;
        self.bucket.delete(&self.key).map_err(failed)
    }
}

impl Drop for GrowingObject {
    fn drop(&mut self) {
        // Parts that cannot be thrown away now are the store's to throw away: buckets have rules for that.
        if let Some(parts) = self.parts.take() {
            self.bucket.abort(&parts).ok();
        }
    }
}
