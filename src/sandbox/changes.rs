//! What a command changed, as the entries of a layer.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use content::tar::{Entry, EntryKind};

use super::lowers::{Lowers, is_opaque};
use crate::rootfs::{Contents, DirWalk, OPAQUE_XATTRS, RootfsError, Walked, Warning, is_carried, join, split};

/// The changes of one command: a directory that can be a further lower of the next job, and its content as entries.
///
/// Entries come in the order of a walk: a directory before what is in it, names sorted by their bytes, hard links after
/// the file they mean. What is gone is an empty file `.wh.NAME`.
#[derive(Debug)]
pub struct Changes {
    directory: PathBuf,
    entries: Vec<Entry>,
    contents: Contents,
    warnings: Vec<Warning>,
}

impl Changes {
    /// Reads an upper directory. Directories that are as in the layers below, and have nothing in them, are no change.
    pub(super) fn read(upper: &Path, lowers: &Lowers) -> Result<Self, RootfsError> {
        let mut changes = Self::read_whole(upper)?;
        let mut kept: Vec<Entry> = Vec::new();
        // Backwards, so that what is in a directory comes before it.
        for entry in changes.entries.drain(..).rev() {
            let is_needed = kept.last().is_some_and(|last| is_below(&last.path, &entry.path));
            if is_needed || entry.kind != EntryKind::Directory || !is_same(lowers, &entry)? {
                kept.push(entry);
            }
        }
        kept.reverse();
        changes.entries = kept;
        Ok(changes)
    }

    /// Reads a directory with all that is in it.
    pub(super) fn read_whole(directory: &Path) -> Result<Self, RootfsError> {
        let mut walk = DirWalk::new(directory)?;
        let mut entries = Vec::new();
        for walked in walk.by_ref() {
            let Walked { entry, .. } = walked?;
            convert(entry, &mut entries);
        }
        let (contents, warnings) = (walk.contents()?, walk.warnings().to_vec());
        Ok(Self { directory: directory.to_owned(), entries, contents, warnings })
    }

    /// The layer's entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The directory, for [`super::Job::lowers`].
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What was left out.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Opens the content of an entry; none for what has no content.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(&self, entry: &Entry) -> Result<Option<File>, RootfsError> {
        match entry.kind {
            EntryKind::File { size } if size > 0 => self.contents.open(&entry.path).map(Some),
            _ => Ok(None),
        }
    }
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Whether the view below has the same directory, times aside.
fn is_same(lowers: &Lowers, entry: &Entry) -> Result<bool, RootfsError> {
    let Some(found) = lowers.find(&entry.path)? else { return Ok(false) };
    if !found.metadata.is_dir() || is_opaque(&found.place) {
        return Ok(false);
    }
    let walked = DirWalk::new(&found.place)?.root_entry()?;
    let model = carried(walked.entry);
    Ok((model.mode, model.uid, model.gid, model.xattrs) == (entry.mode, entry.uid, entry.gid, entry.xattrs.clone()))
}

fn carried(mut entry: Entry) -> Entry {
    entry.xattrs.retain(|name, _| is_carried(name));
    entry
}

/// From overlayfs's notation to that of layers.
fn convert(entry: Entry, entries: &mut Vec<Entry>) {
    if entry.kind == (EntryKind::CharDevice { major: 0, minor: 0 }) {
        let (parent, name) = split(&entry.path);
        entries.push(marker(join(parent, &[b".wh.".as_slice(), name].concat())));
        return;
    }
    let opaque = OPAQUE_XATTRS.iter().any(|name| entry.xattrs.get(*name).is_some_and(|value| value == b"y"));
    let path = entry.path.clone();
    entries.push(carried(entry));
    if opaque {
        entries.push(marker(join(&path, b".wh..wh..opq")));
    }
}

fn marker(path: Vec<u8>) -> Entry {
    let (kind, xattrs) = (EntryKind::File { size: 0 }, BTreeMap::new());
    Entry { path, kind, mode: 0o600, uid: 0, gid: 0, mtime: 0, xattrs }
}
