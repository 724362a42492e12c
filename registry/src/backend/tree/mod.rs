//! Where the files of a docker-distribution tree lie: a disk, memory, or a bucket. Paths are relative to the tree's root
//! and made of well-formed names only.
//!
//! Invariants: a file that is written is there whole or not at all, and stays after a crash once `write` or `place`
//! has returned.

pub(super) mod bucket;
mod bucket_upload;
pub(super) mod disk;
pub(super) mod memory;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use crate::http::Body;

/// What is known about a file without reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) size: u64,
    /// When it was written or touched last.
    pub(super) changed: SystemTime,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_directory: bool,
}

/// Changes whenever the entries of a directory may have changed. Equal stamps mean equal entries.
pub(super) type Stamp = Option<(u64, i64, i64, u64)>;

/// The files of a tree. What is not there is `None` or false; errors are for what could not be found out or done.
pub(super) trait Tree: Send + Sync {
    /// How the place is called in messages.
    fn place(&self) -> String;

    /// The bytes of a file of at most `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>>;

    /// What is known about a file.
    fn facts(&self, path: &str) -> io::Result<Option<Facts>>;

    /// The same, where somebody else than the file itself may know that it was touched.
    fn usage(&self, path: &str) -> io::Result<Option<Facts>> {
        self.facts(path)
    }

    /// A range of a file's bytes; it lies inside the file.
    fn open(&self, path: &str, range: Range<u64>) -> io::Result<Body>;

    /// A URL by which anybody who is told it can read a file for a while, where there is such a thing.
    fn link(&self, _path: &str) -> Option<String> {
        None
    }

    /// The entries of a directory in bytewise order; none when there is no such directory.
    fn list(&self, path: &str) -> io::Result<Option<Vec<Entry>>>;

    /// What [`Tree::list`] depends on, if that can be told without listing; `Some(None)` when it cannot, none when
    /// there is no such directory.
    fn stamp(&self, path: &str) -> io::Result<Option<Stamp>>;

    /// When something was last added to a directory or removed from it; none when there is no such directory, or when
    /// the place does not have directories.
    fn directory_changed(&self, path: &str) -> io::Result<Option<SystemTime>>;

    /// The writing side; none when nothing can be written.
    fn writing(&self) -> Option<&dyn Writing>;
}

/// The writing side of a tree.
pub(super) trait Writing: Send + Sync {
    /// Writes a file, with the directories that it needs.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes a file that need not survive a crash.
    fn note(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a directory that need not stay removed after a crash.
    fn forget(&self, path: &str) -> io::Result<()>;

    /// Makes a directory, with those that it needs.
    fn make_directory(&self, path: &str) -> io::Result<()>;

    /// Removes a file, or a directory with everything in it. That it is gone already is no error.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Moves a file, with the directories that its new place needs.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Sets the time of a file to now.
    fn touch(&self, path: &str) -> io::Result<()>;

    /// Begins a file of unknown content that grows at `path`, or goes on with one.
    fn grow(&self, path: &str, start: Start) -> io::Result<Box<dyn Growing>>;

    /// Runs alone among all users of the tree that do something with the same digests, also those of other processes.
    fn lock(&self, keys: &[u8]) -> io::Result<Box<dyn Held + '_>>;

    /// Runs alone among all who change the same tag or take up the same upload. Whoever needs [`Writing::lock`] too takes
    /// that first, and nobody takes two of these.
    fn alone(&self, key: u8) -> io::Result<Box<dyn Held + '_>>;

    /// Says that a file is about to be removed, to those whom locks do not hold off: until what this returns is dropped,
    /// their [`Writing::touch`] waits, and afterwards finds out whether the file is still there. None where locks are
    /// enough.
    fn doom(&self, _path: &str) -> io::Result<Option<Box<dyn Held + '_>>> {
        Ok(None)
    }

    /// How coarse the times of files are: one that is touched may seem to have been touched so much earlier.
    fn tick(&self) -> io::Result<Duration>;
}

/// Whether a file that grows is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Fresh,
    Again,
}

/// A file that grows.
pub(super) trait Growing: Send {
    /// How many bytes it has.
    fn length(&self) -> u64;

    /// Takes space for so many more.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;

    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads everything back.
    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()>;

    /// The file itself, if there is one.
    fn file(&self) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// Whether nobody else has claimed it; nobody else can from now on, until it is dropped.
    fn claim(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Makes the bytes durable, before the locks are taken that `place` needs.
    fn settle(&mut self) -> io::Result<()>;

    /// Moves the file to where it belongs.
    fn place(self: Box<Self>, path: &str) -> io::Result<()>;
}

/// Locks for digests, chosen by their first byte; as many more are for tags and uploads.
const LOCKS: usize = 64;
/// All locks of a tree.
const STRIPES: usize = 2 * LOCKS;

/// The locks of digests, in order, so that two who need the same ones do not wait for each other.
fn stripes(keys: &[u8]) -> BTreeSet<usize> {
    keys.iter().map(|key| usize::from(*key) % LOCKS).collect()
}

/// The lock of a tag or an upload.
fn own_stripe(key: u8) -> usize {
    LOCKS + usize::from(key) % LOCKS
}

/// Something that is locked while it exists.
pub(super) trait Held {}
