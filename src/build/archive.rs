//! Local archives that ADD unpacks: tars, plain or compressed with gzip or zstd.
//!
//! Contents of a plain tar stay where they are; those of a compressed one are spooled once. What is no tar is copied as
//! it is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use content::packing::Packing;
use content::tar::{Entry, EntryKind, TarError, TarReader, is_tar};

use super::error::BuildError;
use super::item::{Content, Identity, Item};
use super::walk::split;

/// Bytes that are read ahead.
const BUFFER: usize = 256 << 10;

/// How a file is packed, if it is an archive that is to be unpacked.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn recognise(file: &File, path: &Path) -> Result<Option<Packing>, BuildError> {
    let unreadable = |source| BuildError::Source { doing: "read", path: path.to_owned(), source };
    let (packing, input) = Packing::detect(BufReader::new(rewound(file).map_err(unreadable)?)).map_err(unreadable)?;
    let mut head = Vec::new();
    let opened = packing.open(input).map_err(unreadable)?;
    match opened.take(512).read_to_end(&mut head) {
        Ok(_) => Ok(is_tar(&head).then_some(packing)),
        Err(source) if source.kind() == io::ErrorKind::OutOfMemory => Err(unreadable(source)),
        // A file that only looks compressed is no archive.
        Err(_) => Ok(None),
    }
}

fn rewound(mut file: &File) -> io::Result<&File> {
    file.rewind()?;
    Ok(file)
}

/// The files of an archive, by their paths in it. `spool` takes contents that cannot be read where they are.
///
/// # Errors
/// When the archive is damaged or an entry would leave its place.
pub(crate) fn read(file: File, packing: Packing, path: &Path, spool: &mut Spooling) -> Result<Vec<Item>, BuildError> {
    let unreadable = |source| BuildError::Source { doing: "read", path: path.to_owned(), source };
    let damaged = |source: TarError| BuildError::Archive { path: path.to_owned(), source };
    let archive = Arc::new(file);
    let input = packing.open(BufReader::new(rewound(&archive).map_err(unreadable)?)).map_err(unreadable)?;
    let mut tar = TarReader::new(BufReader::with_capacity(BUFFER, input));
    let mut items: Vec<Item> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    while let Some(entry) = tar.next().map_err(damaged)? {
        if split(&entry.path).1.starts_with(b".wh.") {
            return Err(BuildError::ReservedName { path: path.join(super::shown::shown(&entry.path)) });
        }
        let item = match &entry.kind {
            EntryKind::HardLink { target } => {
                let target = places.get(target).map(|at| items[*at].clone());
                let mut item = target.ok_or_else(|| damaged(dangling(&entry)))?;
                item.entry.path.clone_from(&entry.path);
                item
            }
            EntryKind::File { size } => {
                let is_plain = packing == Packing::NONE && !tar.is_sparse();
                let (content, offset) = match is_plain {
                    true => (Arc::clone(&archive), tar.content_offset()),
                    false => spool.take(&mut tar, *size).map_err(unreadable)?,
                };
                let identity = Some(Identity::Slice(Arc::as_ptr(&content).addr(), offset));
                Item { entry, content: Content::Slice { file: content, offset }, identity }
            }
            _ => Item { entry, content: Content::Nothing, identity: None },
        };
        places.insert(item.entry.path.clone(), items.len());
        items.push(item);
    }
    Ok(items)
}

fn dangling(entry: &Entry) -> TarError {
    TarError::Unrepresentable { path: entry.path.clone(), reason: "it is a hard link to a file that is not there" }
}

/// A file without a name that takes contents one after the other.
pub(crate) struct Spooling {
    file: Arc<File>,
    length: u64,
}

impl Spooling {
    /// A new one in a directory.
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self { file: Arc::new(tempfile::tempfile_in(directory)?), length: 0 })
    }

    /// Takes a content of `size` bytes.
    fn take(&mut self, content: &mut dyn Read, size: u64) -> io::Result<(Arc<File>, u64)> {
        let offset = self.length;
        let copied = io::copy(&mut content.take(size), &mut &*self.file)?;
        self.length += copied;
        match copied == size {
            true => Ok((Arc::clone(&self.file), offset)),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Takes a content of unknown size, through `see`.
    pub(crate) fn take_all(
        &mut self,
        mut content: impl Read,
        see: &mut dyn FnMut(&[u8]),
    ) -> io::Result<(Arc<File>, u64, u64)> {
        let offset = self.length;
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match content.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if count == 0 {
                return Ok((Arc::clone(&self.file), offset, self.length - offset));
            }
            see(&buffer[..count]);
            (&*self.file).write_all(&buffer[..count])?;
            self.length += count as u64;
        }
    }
}
