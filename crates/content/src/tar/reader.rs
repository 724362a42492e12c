//! Reads a tar from front to back and trusts nothing in it.
//!
//! Where tars can be read in two ways (which is how archives are made that a scanner and an unpacker see differently),
//! this follows Go's archive/tar, which container engines use: a PAX size counts for the entry's content and never for
//! an extension header; links, directories and devices have no content whatever their size says.
//!
//! The end of the stream at a header's place is an end of the archive even without its two blocks of zeros, as with
//! GNU tar and Go: there are such layers, and a blob's digest tells truncation anyway.

use std::io::{self, Read, Seek, SeekFrom};

use super::extensions::{Extensions, Refused};
use super::header::{BLOCK, Header};
use super::sparse::{Next, Sparse};
use super::{Entry, Place, TarError};

mod interpret;
mod sparse_map;

/// No name, link target or PAX header is longer, in bytes (as in Go's archive/tar).
pub(super) const MAX_EXTENSION: u64 = 1 << 20;

/// Reads entries one after the other; [`Read`] gives the content of the entry that came last.
///
/// After an error about one entry ([`TarError::Escape`], [`TarError::InvalidPath`], [`TarError::UnknownType`]) the
/// reader can go on with the next one.
pub struct TarReader<R> {
    input: R,
    pass: fn(&mut R, u64) -> io::Result<bool>,
    /// Bytes of the stream before the next one.
    offset: u64,
    /// Bytes of this entry's content that are still in the stream.
    left: u64,
    padding: u64,
    sparse: Option<Sparse>,
    content_offset: u64,
    raw_path: Vec<u8>,
    globals: Extensions,
    is_over: bool,
}

impl<R: Read> TarReader<R> {
    /// A reader of a stream. It reads 512 bytes at a time between contents: the stream should be buffered.
    pub fn new(input: R) -> Self {
        Self::with(input, pass_by_reading)
    }

    fn with(input: R, pass: fn(&mut R, u64) -> io::Result<bool>) -> Self {
        Self {
            input,
            pass,
            offset: 0,
            left: 0,
            padding: 0,
            sparse: None,
            content_offset: 0,
            raw_path: Vec::new(),
            globals: Extensions::default(),
            is_over: false,
        }
    }

    /// The next entry; what was not read of the last one's content is skipped.
    ///
    /// # Errors
    /// What is wrong with the tar, and where.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not lend the entry's content")]
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        if self.is_over {
            return Ok(None);
        }
        self.skip_content()?;
        let mut said = self.globals.clone();
        let mut has_extension = false;
        let mut budget = 2 * MAX_EXTENSION;
        loop {
            let at = self.offset;
            let Some(header) = self.header()? else {
                self.is_over = true;
                return match has_extension {
                    true => Err(TarError::Truncated(self.unnamed(at))),
                    false => Ok(None),
                };
            };
            let flag = header.flag();
            match flag {
                b'L' => said.path = Some(self.long_name(&header, at, &mut budget)?),
                b'K' => said.link = Some(self.long_name(&header, at, &mut budget)?),
                b'x' => {
                    let bytes = self.extension(&header, at, "PAX header", &mut budget)?;
                    said.take(&bytes).map_err(|why| self.refused(&why, at))?;
                }
                b'g' => {
                    let bytes = self.extension(&header, at, "PAX header", &mut { MAX_EXTENSION })?;
                    self.globals.take_global(&bytes).map_err(|why| self.refused(&why, at))?;
                    if !has_extension {
                        said = self.globals.clone();
                    }
                }
                _ => return self.entry(&header, said, at).map(Some),
            }
            has_extension |= flag != b'g';
        }
    }

    /// The content of the entry that came last; the same as reading from the reader.
    pub fn content(&mut self) -> impl Read + '_ {
        self
    }

    /// The path of the entry that came last as it stands in the archive, even if [`TarReader::next`] refused it.
    pub fn raw_path(&self) -> &[u8] {
        &self.raw_path
    }

    /// The byte of the stream that the content of the last entry begins at.
    pub fn content_offset(&self) -> u64 {
        self.content_offset
    }

    /// Whether the last entry's content lies in the stream with its holes left out, so that it cannot be read there
    /// directly.
    pub fn is_sparse(&self) -> bool {
        self.sparse.is_some()
    }

    /// Gives the stream back, wherever it stands.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        let (left, padding) = (self.left, self.padding);
        (self.left, self.padding, self.sparse) = (0, 0, None);
        if left > 0 {
            let (from, pass) = (self.offset, self.pass);
            match pass(&mut self.input, left) {
                Ok(true) => {
                    self.offset = from.checked_add(left).ok_or_else(|| TarError::Truncated(self.named(from)))?;
                }
                Ok(false) => return Err(TarError::Truncated(self.named(from))),
                Err(source) => return Err(TarError::Read { place: self.named(from), source }),
            }
        }
        self.skip_padding(padding)
    }

    /// Passes over the zeros behind a content. umoci leaves out those of the last entry (and the end mark), and Go's
    /// reader lets it: nothing of the content is missing then.
    fn skip_padding(&mut self, mut padding: u64) -> Result<(), TarError> {
        let mut zeros = [0; BLOCK];
        while padding > 0 {
            let want = usize::try_from(padding).unwrap_or(BLOCK).min(BLOCK);
            match self.input.read(&mut zeros[..want]) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    padding -= count as u64;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { place: self.named(self.offset), source }),
            }
        }
        Ok(())
    }

    /// The next header block; none at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let at = self.offset;
        let Some(block) = self.block()? else { return Ok(None) };
        if block.iter().all(|byte| *byte == 0) {
            return match self.block()? {
                Some(second) if second.iter().any(|byte| *byte != 0) => {
                    Err(TarError::EndMark { offset: at + BLOCK as u64 })
                }
                _ => Ok(None),
            };
        }
        let header = Header(block);
        match header.checksum_is_valid() {
            true => Ok(Some(header)),
            false => Err(TarError::Checksum(self.unnamed(at))),
        }
    }

    /// The next 512 bytes; none if the stream ends in front of them.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Truncated(self.unnamed(self.offset))),
                Ok(count) => {
                    filled += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { place: self.unnamed(self.offset), source }),
            }
        }
        Ok(Some(block))
    }

    /// The content of an extension header. All of one entry together may have `budget` bytes.
    fn extension(
        &mut self,
        header: &Header,
        at: u64,
        what: &'static str,
        budget: &mut u64,
    ) -> Result<Vec<u8>, TarError> {
        let size = header.size().ok_or_else(|| TarError::Number { place: self.unnamed(at), field: "size" })?;
        let limit = MAX_EXTENSION.min(*budget);
        if size > limit {
            return Err(TarError::HeaderTooLarge { place: self.unnamed(at), what, size, limit });
        }
        *budget -= size;
        let mut bytes = Vec::new();
        let padded = size.next_multiple_of(BLOCK as u64);
        let count = (&mut self.input).take(padded).read_to_end(&mut bytes);
        let count = count.map_err(|source| TarError::Read { place: self.unnamed(at), source })? as u64;
        self.offset += count;
        if count < padded {
            return Err(TarError::Truncated(self.unnamed(self.offset)));
        }
        // At most MAX_EXTENSION, so it fits.
        bytes.truncate(size as usize);
        Ok(bytes)
    }

    fn long_name(&mut self, header: &Header, at: u64, budget: &mut u64) -> Result<Vec<u8>, TarError> {
        let mut bytes = self.extension(header, at, "name", budget)?;
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(length);
        Ok(bytes)
    }

    fn read_stored(&mut self, buffer: &mut [u8], limit: u64) -> io::Result<usize> {
        let length = usize::try_from(limit.min(self.left)).unwrap_or(usize::MAX).min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..length])?;
        if count == 0 {
            return Err(TarError::Truncated(self.named(self.offset)).into());
        }
        self.left -= count as u64;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Places and errors.
impl<R> TarReader<R> {
    fn named(&self, offset: u64) -> Place {
        Place { entry: Some(self.raw_path.clone()), offset }
    }

    fn unnamed(&self, offset: u64) -> Place {
        Place { entry: None, offset }
    }

    fn number(&self, at: u64, field: &'static str) -> TarError {
        TarError::Number { place: self.named(at), field }
    }

    fn refused(&self, why: &Refused, at: u64) -> TarError {
        match *why {
            Refused::Rule(reason) => TarError::Pax { place: self.unnamed(at), reason },
            Refused::Number(field) => TarError::Number { place: self.unnamed(at), field },
        }
    }
}

impl<R: Read + Seek> TarReader<R> {
    /// A reader that seeks over what is not read. Offsets count from where the stream stands now.
    pub fn seekable(input: R) -> Self {
        Self::with(input, pass_by_seeking)
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(sparse) = &mut self.sparse else { return self.read_stored(buffer, u64::MAX) };
        let count = match sparse.next() {
            Next::End => return Ok(0),
            Next::Data(limit) => self.read_stored(buffer, limit)?,
            Next::Hole(length) => {
                let count = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
                buffer[..count].fill(0);
                count
            }
        };
        if let Some(sparse) = &mut self.sparse {
            sparse.advance(count as u64);
        }
        Ok(count)
    }
}

/// Returns whether so many bytes were there.
fn pass_by_reading<R: Read>(input: &mut R, bytes: u64) -> io::Result<bool> {
    let mut buffer = [0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match input.read(&mut buffer[..length]) {
            Ok(0) => return Ok(false),
            Ok(count) => left -= count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Returns whether so many bytes were there: seeking behind the end is no error, reading the last byte tells.
fn pass_by_seeking<R: Read + Seek>(input: &mut R, bytes: u64) -> io::Result<bool> {
    let Some(before_last) = bytes.checked_sub(1) else { return Ok(true) };
    let Ok(before_last) = i64::try_from(before_last) else { return Ok(false) };
    input.seek(SeekFrom::Current(before_last))?;
    pass_by_reading(input, 1)
}
