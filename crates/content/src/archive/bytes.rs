//! The bytes of an archive: a tar as it lies there, or one behind a packing.
//!
//! A packed tar is never written out. Its small members, which are the documents, are kept in memory from the one pass
//! that finds all members; for a large one it is unpacked again from its beginning.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::FORMAT;
use super::foreign;
use crate::ContentError;
use crate::packing::Packing;
use crate::tar::{Entry, EntryKind, Place, TarError, TarIndex, TarReader};

/// A member of at most so many bytes is kept.
const SMALL: u64 = 1 << 20;
/// Bytes that are kept at most.
const KEEP: u64 = 64 << 20;
/// Bytes that are unpacked at a time.
const BUFFER: usize = 1 << 20;
/// The first bytes of every member, which tell how it is compressed.
pub(super) const HEAD: usize = 4;

/// Where a member's bytes lie in the tar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// An archive's bytes.
#[derive(Debug)]
pub(super) enum Bytes {
    Plain(File),
    Packed(Packed),
}

/// A tar behind a packing.
#[derive(Debug)]
pub(super) struct Packed {
    path: PathBuf,
    packing: Packing,
    /// Members that are kept, and the beginnings of the others, by their offsets.
    kept: HashMap<u64, Vec<u8>>,
}

/// The entries of an archive and where their contents lie.
pub(super) type Entries = Vec<(Entry, u64)>;

impl Bytes {
    /// Opens an archive and finds its members.
    ///
    /// # Errors
    /// When it cannot be read or is no tar.
    pub(super) fn open(path: &Path) -> Result<(Self, Entries), ContentError> {
        let place = path.display().to_string();
        let problem = || ContentError::io(format!("read {place}"));
        let file = File::open(path).map_err(ContentError::io(format!("open {place}")))?;
        let (packing, input) = Packing::detect(BufReader::new(&file)).map_err(problem())?;
        let input = packing.open(input).map_err(problem())?;
        drop(foreign::refuse(&place, input).map_err(problem())??);
        let damaged =
            |error: TarError| ContentError::Format { place: place.clone(), format: FORMAT, reason: error.to_string() };
        if packing != Packing::NONE {
            let mut packed = Packed { path: path.to_owned(), packing, kept: HashMap::new() };
            let entries = packed.scan().map_err(problem())?.map_err(damaged)?;
            return Ok((Self::Packed(packed), entries));
        }
        (&file).rewind().map_err(problem())?;
        let index = TarIndex::scan(BufReader::new(&file)).map_err(damaged)?;
        Ok((Self::Plain(file), index.entries))
    }

    /// The bytes of a member from byte `from` on.
    pub(super) fn reader(&self, extent: Extent, from: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        let from = from.min(extent.size);
        let (offset, left) = (extent.offset + from, extent.size - from);
        Ok(match self {
            Self::Plain(file) => Box::new(Window { file, offset, left }),
            Self::Packed(packed) => {
                match packed.kept.get(&extent.offset).filter(|kept| kept.len() as u64 == extent.size) {
                    Some(kept) => {
                        let mut cursor = Cursor::new(kept.as_slice());
                        cursor.set_position(from);
                        Box::new(cursor)
                    }
                    None => {
                        let mut input = packed.unpacked()?;
                        let skipped = io::copy(&mut input.by_ref().take(offset), &mut io::sink())?;
                        match skipped == offset {
                            true => Box::new(input.take(left)),
                            false => return Err(io::ErrorKind::UnexpectedEof.into()),
                        }
                    }
                }
            }
        })
    }

    /// The first bytes of a member.
    pub(super) fn head(&self, extent: Extent) -> io::Result<Vec<u8>> {
        if let Self::Packed(packed) = self
            && let Some(kept) = packed.kept.get(&extent.offset)
        {
            return Ok(kept[..kept.len().min(HEAD)].to_vec());
        }
        let mut head = Vec::new();
        self.reader(extent, 0)?.take(HEAD as u64).read_to_end(&mut head)?;
        Ok(head)
    }
}

impl Packed {
    fn unpacked(&self) -> io::Result<impl Read + Send> {
        let (packing, input) = Packing::detect(BufReader::with_capacity(BUFFER, File::open(&self.path)?))?;
        match packing == self.packing {
            true => packing.open(input),
            false => Err(io::Error::other("it was replaced while it was read")),
        }
    }

    /// Reads all of it once.
    fn scan(&mut self) -> io::Result<Result<Entries, TarError>> {
        let mut tar = TarReader::new(BufReader::with_capacity(BUFFER, self.unpacked()?));
        let (mut entries, mut kept, mut budget) = (Vec::new(), HashMap::new(), KEEP);
        loop {
            let entry = match tar.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            };
            let offset = tar.content_offset();
            if tar.is_sparse() {
                let place = Place { entry: Some(entry.path), offset };
                return Ok(Err(TarError::Sparse { place, reason: "it cannot be read in place" }));
            }
            if let EntryKind::File { size } = entry.kind {
                let whole = size <= SMALL.min(budget);
                let mut bytes = Vec::new();
                tar.content().take(if whole { size } else { HEAD as u64 }).read_to_end(&mut bytes)?;
                budget -= if whole { size } else { 0 };
                kept.insert(offset, bytes);
            }
            entries.push((entry, offset));
        }
        // To its end: what the packing says about the whole is there.
        io::copy(&mut tar.into_inner(), &mut io::sink())?;
        self.kept = kept;
        Ok(Ok(entries))
    }
}

/// A member of a plain tar; many of them can be read at once.
struct Window<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..length], self.offset)?;
        if count == 0 && length > 0 {
            // Truncated after it was indexed.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
