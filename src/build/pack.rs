//! Items to tar: the only place where the contents of a context are read.
//!
//! A file that is not what it was when it was looked at ends the build: a layer never holds half of an old and half of a
//! new file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use content::tar::{EntryKind, TarError, TarWriter};
use oci::{Algorithm, DiffId, Hasher};
use rustix::fs::{Mode, OFlags};

use super::error::BuildError;
use super::item::{Content, Item};
use super::walk::{Base, Facts, split};

/// Writes the items, which are in the order of a layer, as a tar.
///
/// # Errors
/// When a file cannot be read or has changed, or the tar cannot be written.
pub(crate) fn pack<W: Write>(items: &[Item], output: W) -> Result<W, BuildError> {
    let mut tar = TarWriter::new(output);
    let mut opener = Opener::default();
    for item in items {
        append(&mut tar, item, &mut opener)?;
    }
    tar.finish().map_err(BuildError::Tar)
}

/// The digest that the tar of the items would have; nothing is written.
///
/// # Errors
/// When a file cannot be read or has changed.
pub(crate) fn diff_id(items: &[Item]) -> Result<DiffId, BuildError> {
    let hashed = pack(items, HashOnly(Hasher::new(Algorithm::Sha256)))?;
    Ok(DiffId(hashed.0.finish()))
}

struct HashOnly(Hasher);

impl Write for HashOnly {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append<W: Write>(tar: &mut TarWriter<W>, item: &Item, opener: &mut Opener) -> Result<(), BuildError> {
    match &item.content {
        Content::Nothing | Content::InImage(_) => put(tar, item, &mut io::empty()),
        Content::Spooled { spooled, path } => put(tar, item, &mut spooled.spool.open(path)?),
        Content::Changed { held, entry } => match held.changes.open(entry)? {
            Some(mut file) => put(tar, item, &mut file),
            None => put(tar, item, &mut io::empty()),
        },
        Content::Bytes(bytes) => put(tar, item, &mut &bytes[..]),
        Content::Slice { file, offset } => {
            let size = if let EntryKind::File { size } = item.entry.kind { size } else { 0 };
            put(tar, item, &mut Slice::new(file, *offset, size))
        }
        Content::Beneath { base, path, facts } => {
            let named = |doing| {
                let path = base.name(path);
                move |source: io::Error| BuildError::Source { doing, path, source }
            };
            let file = opener.open(base, path, item).map_err(named("open"))?;
            let mut entry = item.entry.clone();
            entry.xattrs = super::xattr::of_open(&file).map_err(named("read the extended attributes of"))?;
            let mut file = File::from(file);
            let EntryKind::File { size } = entry.kind else {
                return tar.append(&entry, &mut io::empty()).map_err(BuildError::Tar);
            };
            // Not asked for more than was announced: whether there is more, the facts tell.
            tar.append(&entry, &mut (&mut file).take(size)).map_err(|error| match error {
                TarError::Content { source, .. } => named("read")(source),
                TarError::Changed { .. } => BuildError::SourceChanged { path: base.name(path) },
                other => BuildError::Tar(other),
            })?;
            let now = Facts::of_open(&file).map_err(named("look at"))?;
            match (now.inode, now.size, now.modified, now.changed)
                == (facts.inode, facts.size, facts.modified, facts.changed)
            {
                true => Ok(()),
                false => Err(BuildError::SourceChanged { path: base.name(path) }),
            }
        }
    }
}

fn put<W: Write>(tar: &mut TarWriter<W>, item: &Item, content: &mut dyn Read) -> Result<(), BuildError> {
    tar.append(&item.entry, content).map_err(BuildError::Tar)
}

/// Opens files beneath a base; the directory of the last one stays open, as the next one is mostly in it too.
#[derive(Default)]
struct Opener {
    last: Option<(Arc<Base>, Vec<u8>, OwnedFd)>,
}

impl Opener {
    fn open(&mut self, base: &Arc<Base>, path: &[u8], item: &Item) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        if item.entry.kind == EntryKind::Directory {
            return base.directory(path);
        }
        let (parent, name) = split(path);
        let is_last =
            |(last, directory, _): &(Arc<Base>, Vec<u8>, OwnedFd)| Arc::ptr_eq(last, base) && directory == parent;
        if !self.last.as_ref().is_some_and(is_last) {
            self.last = Some((Arc::clone(base), parent.to_vec(), base.directory(parent)?));
        }
        let Some((_, _, directory)) = &self.last else { return Err(io::ErrorKind::NotFound.into()) };
        Ok(rustix::fs::openat(directory.as_fd(), name, flags, Mode::empty())?)
    }
}

/// A part of a file, from front to back.
pub(crate) struct Slice<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl<'a> Slice<'a> {
    /// `size` bytes from `offset` on.
    pub(crate) fn new(file: &'a File, offset: u64, size: u64) -> Self {
        Self { file, offset, left: size }
    }
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..room], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
