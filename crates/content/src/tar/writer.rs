//! Writes a tar: the same entries and contents give the same bytes, whenever and wherever.
//!
//! ustar where it suffices, else a PAX header in front. The archive ends with two blocks of zeros and is not padded to a
//! multiple of 10 KiB: that is for tape drives, and nothing that reads layers wants it.

use std::io::{self, Read, Write};

use super::header::{BLOCK, Header, MAX_LONG, MAX_SHORT, NAME_LENGTH, PREFIX_LENGTH};
use super::path;
use super::pax;
use super::reader::MAX_EXTENSION;
use super::{Entry, EntryKind, TarError};

/// Bytes that are gathered before the stream below is called; contents are read in pieces of at most this size.
const BUFFER: usize = 256 << 10;

/// Writes entries one after the other.
pub struct TarWriter<W: Write> {
    output: W,
    buffer: Box<[u8]>,
    filled: usize,
    records: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    /// A tar into `output`, which need not be buffered.
    pub fn new(output: W) -> Self {
        Self { output, buffer: vec![0; BUFFER].into_boxed_slice(), filled: 0, records: Vec::new() }
    }

    /// Writes an entry. Of a file, `content` is read to its end and has to have exactly the size that the entry says;
    /// of anything else it is not touched.
    ///
    /// # Errors
    /// When the path could not be unpacked safely, something does not fit into a tar, the content is shorter or longer
    /// than announced, or reading or writing fails. The tar is unusable afterwards.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), TarError> {
        check(entry)?;
        self.records.clear();
        let header = self.header(entry)?;
        if !self.records.is_empty() {
            self.put_records(entry)?;
        }
        self.put(&header)?;
        match entry.kind {
            EntryKind::File { size } => self.put_content(&entry.path, size, content),
            _ => Ok(()),
        }
    }

    /// Writes the end mark and gives the stream back.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> Result<W, TarError> {
        self.put(&[0; 2 * BLOCK])?;
        self.send()?;
        self.output.flush().map_err(|source| TarError::Write { source })?;
        Ok(self.output)
    }

    /// The entry's header; what does not fit into it goes to the PAX records.
    fn header(&mut self, entry: &Entry) -> Result<[u8; BLOCK], TarError> {
        let mut header = Header::ustar(flag(&entry.kind));
        header.set_mode(entry.mode);
        self.names(entry, &mut header);
        if let EntryKind::File { size } = entry.kind {
            header.set_size(self.number(b"size", size, MAX_LONG));
        }
        header.set_uid(self.number(b"uid", entry.uid, MAX_SHORT));
        header.set_gid(self.number(b"gid", entry.gid, MAX_SHORT));
        match u64::try_from(entry.mtime).ok().filter(|mtime| *mtime <= MAX_LONG) {
            Some(mtime) => header.set_mtime(mtime),
            None => pax::push(&mut self.records, b"mtime", entry.mtime.to_string().as_bytes()),
        }
        if let EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } = entry.kind {
            if u64::from(major.max(minor)) > MAX_SHORT {
                return Err(unrepresentable(entry, "its device number is too large"));
            }
            header.set_device(major, minor);
        }
        for (name, value) in &entry.xattrs {
            if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
                return Err(unrepresentable(entry, "an extended attribute's name is empty or has a `=`"));
            }
            pax::push(&mut self.records, &[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        Ok(header.seal())
    }

    /// A number, or zero when it went to the PAX records.
    fn number(&mut self, keyword: &[u8], value: u64, max: u64) -> u64 {
        if value <= max {
            return value;
        }
        pax::push(&mut self.records, keyword, value.to_string().as_bytes());
        0
    }

    fn names(&mut self, entry: &Entry, header: &mut Header) {
        let mut name = entry.path.clone();
        if entry.kind == EntryKind::Directory {
            if name.is_empty() {
                name.push(b'.');
            }
            name.push(b'/');
        }
        let target = match &entry.kind {
            EntryKind::Symlink { target } | EntryKind::HardLink { target } => &target[..],
            _ => &[],
        };
        let split = if name.is_ascii() { split(&name) } else { None };
        let link_fits = target.len() <= NAME_LENGTH && target.is_ascii();
        let is_binary = |bytes: &[u8], fits: bool| !fits && str::from_utf8(bytes).is_err();
        if is_binary(&name, split.is_some()) || is_binary(target, link_fits) {
            pax::push(&mut self.records, b"hdrcharset", b"BINARY");
        }
        match split {
            Some((prefix, rest)) => header.set_path(prefix, rest),
            None => {
                header.set_path(b"", &stand_in(&name));
                pax::push(&mut self.records, b"path", &name);
            }
        }
        if link_fits {
            header.set_link(target);
        } else {
            header.set_link(&stand_in(target));
            pax::push(&mut self.records, b"linkpath", target);
        }
    }

    fn put_records(&mut self, entry: &Entry) -> Result<(), TarError> {
        let records = std::mem::take(&mut self.records);
        let size = records.len() as u64;
        if size > MAX_EXTENSION {
            return Err(unrepresentable(entry, "its names and extended attributes have more than 1 MiB"));
        }
        let base = entry.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let mut header = Header::ustar(b'x');
        header.set_path(b"", &stand_in(&[b"PaxHeaders.0/", base].concat()));
        header.set_mode(0o644);
        header.set_size(size);
        self.put(&header.seal())?;
        self.put(&records)?;
        self.pad(size)?;
        self.records = records;
        Ok(())
    }

    fn put_content(&mut self, path: &[u8], size: u64, content: &mut dyn Read) -> Result<(), TarError> {
        let mut left = size;
        while left > 0 {
            if self.filled == BUFFER {
                self.send()?;
            }
            let room = &mut self.buffer[self.filled..];
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(room.len());
            let count = read(content, &mut room[..length], path)?;
            if count == 0 {
                return Err(TarError::Changed { path: path.to_vec(), expected: size, actual: size - left });
            }
            self.filled += count;
            left -= count as u64;
        }
        if read(content, &mut [0], path)? != 0 {
            return Err(TarError::Changed { path: path.to_vec(), expected: size, actual: size + 1 });
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<(), TarError> {
        let over = (size % BLOCK as u64) as usize;
        match over {
            0 => Ok(()),
            _ => self.put(&[0; BLOCK][over..]),
        }
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), TarError> {
        while !bytes.is_empty() {
            if self.filled == BUFFER {
                self.send()?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - self.filled));
            self.buffer[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), TarError> {
        let sent = self.output.write_all(&self.buffer[..self.filled]);
        self.filled = 0;
        sent.map_err(|source| TarError::Write { source })
    }
}

fn read(content: &mut dyn Read, buffer: &mut [u8], path: &[u8]) -> Result<usize, TarError> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|source| TarError::Content { path: path.to_vec(), source }),
        }
    }
}

fn flag(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File { .. } => b'0',
        EntryKind::HardLink { .. } => b'1',
        EntryKind::Symlink { .. } => b'2',
        EntryKind::CharDevice { .. } => b'3',
        EntryKind::BlockDevice { .. } => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    }
}

/// Refuses what a reader would have to refuse.
fn check(entry: &Entry) -> Result<(), TarError> {
    let is_normal = |path: &[u8]| path::normalise(path).is_ok_and(|normal| normal == path);
    if !is_normal(&entry.path) || entry.path.is_empty() && entry.kind != EntryKind::Directory {
        return Err(unrepresentable(entry, "its path is not a plain relative one"));
    }
    match &entry.kind {
        EntryKind::HardLink { target } if target.is_empty() || !is_normal(target) => {
            Err(unrepresentable(entry, "its link target is not a plain relative path"))
        }
        EntryKind::Symlink { target } if target.is_empty() || target.contains(&0) => {
            Err(unrepresentable(entry, "its link target is empty or has a NUL byte"))
        }
        _ => Ok(()),
    }
}

fn unrepresentable(entry: &Entry, reason: &'static str) -> TarError {
    TarError::Unrepresentable { path: entry.path.clone(), reason }
}

/// Prefix and name as ustar splits a path; none if it does not fit.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME_LENGTH {
        return Some((b"", path));
    }
    // The slash between them is not stored; neither part may be empty.
    let first = path.len().saturating_sub(NAME_LENGTH + 1).max(1);
    let last = PREFIX_LENGTH.min(path.len() - 2);
    let at = (first..=last).find(|at| path[*at] == b'/')?;
    Some((&path[..at], &path[at + 1..]))
}

/// What stands in a name field for readers that do not know PAX: its beginning, in ASCII.
fn stand_in(path: &[u8]) -> Vec<u8> {
    let name = path.iter().take(NAME_LENGTH).map(|byte| if byte.is_ascii() { *byte } else { b'_' });
    name.collect()
}
