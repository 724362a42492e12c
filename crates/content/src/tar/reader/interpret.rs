//! What a header and the extensions in front of it make together.

use std::io::Read;

use super::super::extensions::Extensions;
use super::super::header::{BLOCK, Header};
use super::super::path::{self, Refused as Unfit};
use super::super::{Entry, EntryKind, TarError};
use super::TarReader;

impl<R: Read> TarReader<R> {
    pub(super) fn entry(&mut self, header: &Header, mut said: Extensions, at: u64) -> Result<Entry, TarError> {
        let raw = said.sparse.name.take().or(said.path.take()).unwrap_or_else(|| header.path());
        self.raw_path = raw;
        self.content_offset = self.offset;
        let stored = said.size.or_else(|| header.size()).ok_or_else(|| self.number(at, "size"))?;
        let flag = match header.flag() {
            // Before POSIX a directory was a file whose name ends in a slash.
            0 if self.raw_path.ends_with(b"/") => b'5',
            0 | b'7' => b'0',
            flag => flag,
        };
        let kind = match flag {
            b'0' | b'S' => {
                self.set_left(stored, at)?;
                EntryKind::File { size: self.file_size(header, &said, stored, at)? }
            }
            b'1' => EntryKind::HardLink { target: self.hard_link(header, &mut said, at)? },
            b'2' => EntryKind::Symlink { target: self.symlink(header, &mut said, at)? },
            b'3' | b'4' => {
                let major = header.major().ok_or_else(|| self.number(at, "device major number"))?;
                let minor = header.minor().ok_or_else(|| self.number(at, "device minor number"))?;
                match flag {
                    b'3' => EntryKind::CharDevice { major, minor },
                    _ => EntryKind::BlockDevice { major, minor },
                }
            }
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            flag => {
                self.set_left(stored, at)?;
                return Err(TarError::UnknownType { place: self.named(at), flag });
            }
        };
        let path = path::normalise(&self.raw_path).map_err(|why| self.unfit(why, &self.raw_path, at))?;
        if path.is_empty() && kind != EntryKind::Directory {
            return Err(TarError::InvalidPath { place: self.named(at), reason: "only a directory can be the root" });
        }
        Ok(Entry {
            path,
            kind,
            mode: header.mode().ok_or_else(|| self.number(at, "mode"))? & 0o7777,
            uid: said.uid.or_else(|| header.uid()).ok_or_else(|| self.number(at, "uid"))?,
            gid: said.gid.or_else(|| header.gid()).ok_or_else(|| self.number(at, "gid"))?,
            mtime: said.mtime.or_else(|| header.mtime()).ok_or_else(|| self.number(at, "mtime"))?,
            xattrs: said.xattrs,
        })
    }

    fn set_left(&mut self, stored: u64, at: u64) -> Result<(), TarError> {
        // So that no sum of sizes and offsets can overflow.
        if i64::try_from(stored).is_err() {
            return Err(self.number(at, "size"));
        }
        self.left = stored;
        self.padding = stored.next_multiple_of(BLOCK as u64) - stored;
        Ok(())
    }

    fn hard_link(&self, header: &Header, said: &mut Extensions, at: u64) -> Result<Vec<u8>, TarError> {
        let raw = said.link.take().unwrap_or_else(|| header.link());
        let target = path::normalise(&raw).map_err(|why| self.unfit(why, &raw, at))?;
        match target.is_empty() {
            true => Err(TarError::InvalidPath { place: self.named(at), reason: "a hard link to nothing" }),
            false => Ok(target),
        }
    }

    fn symlink(&self, header: &Header, said: &mut Extensions, at: u64) -> Result<Vec<u8>, TarError> {
        let target = said.link.take().unwrap_or_else(|| header.link());
        let reason = match (target.is_empty(), target.contains(&0)) {
            (true, _) => "a symbolic link to nothing",
            (_, true) => "a symbolic link's target has a NUL byte",
            _ => return Ok(target),
        };
        Err(TarError::InvalidPath { place: self.named(at), reason })
    }

    fn unfit(&self, why: Unfit, raw: &[u8], offset: u64) -> TarError {
        match why {
            Unfit::Escape => TarError::Escape { place: self.named(offset), path: raw.to_vec() },
            Unfit::Nul => TarError::InvalidPath { place: self.named(offset), reason: "it has a NUL byte" },
        }
    }
}
