//! A tree in memory: for tests, and for a registry that forgets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{Entry, Facts, Growing, Held, Stamp, Start, Tree, Writing};
use crate::http::Body;

/// A tree in memory.
#[derive(Default)]
pub(in crate::backend) struct MemoryTree {
    files: Arc<Mutex<BTreeMap<String, Item>>>,
    blobs: Mutex<()>,
    tags: Mutex<()>,
}

enum Item {
    Directory,
    File { bytes: Arc<[u8]>, changed: SystemTime },
}

impl MemoryTree {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Item>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self, path: &str) -> Option<Arc<[u8]>> {
        match self.files().get(path) {
            Some(Item::File { bytes, .. }) => Some(Arc::clone(bytes)),
            _ => None,
        }
    }
}

fn store(files: &Mutex<BTreeMap<String, Item>>, path: &str, bytes: Arc<[u8]>) {
    let item = Item::File { bytes, changed: SystemTime::now() };
    files.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), item);
}

/// The part of a map that lies under a directory.
fn under(path: &str) -> (String, usize) {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let length = prefix.len();
    (prefix, length)
}

impl Tree for MemoryTree {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        match self.bytes(path) {
            Some(bytes) if bytes.len() as u64 > limit => Err(io::ErrorKind::FileTooLarge.into()),
            bytes => Ok(bytes.map(|bytes| bytes.to_vec())),
        }
    }

    fn facts(&self, path: &str) -> io::Result<Option<Facts>> {
        Ok(match self.files().get(path) {
            Some(Item::File { bytes, changed }) => Some(Facts { size: bytes.len() as u64, changed: *changed }),
            _ => None,
        })
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<Body> {
        let bytes = self.bytes(path).ok_or(io::ErrorKind::NotFound)?;
        let end = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let range = end(range.start)..end(range.end);
        Ok(Body::Shared(bytes, range))
    }

    fn list(&self, path: &str) -> io::Result<Option<Vec<Entry>>> {
        let files = self.files();
        let (prefix, length) = under(path);
        let mut entries = BTreeSet::new();
        let inside = files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        for (path, item) in inside {
            let rest = &path[length..];
            let (name, is_directory) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, matches!(item, Item::Directory)),
            };
            entries.insert(Entry { name: name.to_owned(), is_directory });
        }
        let is_there = !entries.is_empty() || matches!(files.get(path), Some(Item::Directory));
        // A directory can be there by itself and by what is in it.
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.dedup_by(|next, first| next.name == first.name);
        Ok(is_there.then_some(entries))
    }

    fn stamp(&self, path: &str) -> io::Result<Option<Stamp>> {
        Ok(self.list(path)?.map(|_| None))
    }

    fn directory_changed(&self, _path: &str) -> io::Result<Option<SystemTime>> {
        Ok(None)
    }

    fn writing(&self) -> Option<&dyn Writing> {
        Some(self)
    }
}

impl Writing for MemoryTree {
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        store(&self.files, path, bytes.into());
        Ok(())
    }

    fn note(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(path, bytes)
    }

    fn forget(&self, path: &str) -> io::Result<()> {
        self.remove(path)
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        self.files().entry(path.to_owned()).or_insert(Item::Directory);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let (prefix, _) = under(path);
        self.files().retain(|other, _| other != path && !other.starts_with(&prefix));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let item = self.files().remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.files().insert(to.to_owned(), item);
        Ok(())
    }

    fn touch(&self, path: &str) -> io::Result<()> {
        match self.files().get_mut(path) {
            Some(Item::File { changed, .. }) => {
                *changed = SystemTime::now();
                Ok(())
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn grow(&self, path: &str, start: Start) -> io::Result<Box<dyn Growing>> {
        let bytes = match start {
            Start::Fresh => Vec::new(),
            Start::Again => self.bytes(path).ok_or(io::ErrorKind::NotFound)?.to_vec(),
        };
        Ok(Box::new(GrowingBytes { files: Arc::clone(&self.files), path: path.to_owned(), bytes }))
    }

    fn lock(&self, _keys: &[u8]) -> io::Result<Box<dyn Held + '_>> {
        Ok(Box::new(Alone(self.blobs.lock().unwrap_or_else(PoisonError::into_inner))))
    }

    fn alone(&self, _key: u8) -> io::Result<Box<dyn Held + '_>> {
        Ok(Box::new(Alone(self.tags.lock().unwrap_or_else(PoisonError::into_inner))))
    }

    fn tick(&self) -> io::Result<Duration> {
        Ok(Duration::ZERO)
    }
}

struct Alone<'a>(#[expect(dead_code, reason = "it is there to be dropped")] MutexGuard<'a, ()>);

impl Held for Alone<'_> {}

struct GrowingBytes {
    files: Arc<Mutex<BTreeMap<String, Item>>>,
    path: String,
    bytes: Vec<u8>,
}

impl Growing for GrowingBytes {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).map_err(|_too_many| io::ErrorKind::StorageFull)?;
        self.bytes.try_reserve_exact(bytes).map_err(|_no_memory| io::ErrorKind::StorageFull.into())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        take(&self.bytes);
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn place(self: Box<Self>, path: &str) -> io::Result<()> {
        let (prefix, _) = under(&self.path);
        let is_old = |other: &str| other == self.path || other.starts_with(&prefix);
        self.files.lock().unwrap_or_else(PoisonError::into_inner).retain(|other, _| !is_old(other));
        store(&self.files, path, self.bytes.into());
        Ok(())
    }
}
