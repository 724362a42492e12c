//! The maps of sparse files: where each format keeps them.

use std::io::Read;

use super::super::extensions::Extensions;
use super::super::header::{self, BLOCK, Header};
use super::super::sparse::{self, Sparse};
use super::super::{TarError, pax};
use super::TarReader;

impl<R: Read> TarReader<R> {
    /// The size of a file with its holes; prepares reading them.
    pub(super) fn file_size(
        &mut self,
        block: &Header,
        said: &Extensions,
        stored: u64,
        at: u64,
    ) -> Result<u64, TarError> {
        let facts = &said.sparse;
        let wrong = |this: &Self, reason| TarError::Sparse { place: this.named(at), reason };
        let (ranges, size) = if block.flag() == b'S' {
            let field = |bytes| header::number(bytes).and_then(|size| u64::try_from(size).ok());
            let size = field(&block.0[483..495]).ok_or_else(|| self.number(at, "real size"))?;
            (self.old_map(block, at)?, size)
        } else if facts.major == Some(1) && facts.minor == Some(0) {
            let size = facts.size.ok_or_else(|| wrong(self, "it does not say its size"))?;
            (self.map_in_content(at)?, size)
        } else if let Some(size) = facts.size.filter(|_| facts.major.unwrap_or(0) == 0) {
            let ranges = match &facts.map {
                Some(list) => sparse::ranges_of_list(list),
                None => sparse::pairs(&facts.numbers),
            };
            (ranges.map_err(|reason| wrong(self, reason))?, size)
        } else if facts.major.is_some() {
            return Err(wrong(self, "its format is not known"));
        } else {
            return Ok(stored);
        };
        self.content_offset = self.offset;
        let sparse = Sparse::new(ranges, size, self.left).map_err(|reason| wrong(self, reason))?;
        let size = sparse.size();
        self.sparse = Some(sparse);
        Ok(size)
    }

    /// GNU's old format: four ranges in the header, 21 in each block that follows it.
    fn old_map(&mut self, block: &Header, at: u64) -> Result<Vec<(u64, u64)>, TarError> {
        let mut ranges = Vec::new();
        let wrong = |this: &Self, reason| TarError::Sparse { place: this.named(at), reason };
        sparse::old_ranges(&block.0[386..482], &mut ranges).map_err(|reason| wrong(self, reason))?;
        let mut goes_on = block.0[482] != 0;
        while goes_on {
            let more = self.block()?.ok_or_else(|| TarError::Truncated(self.named(self.offset)))?;
            let before = ranges.len();
            sparse::old_ranges(&more[..504], &mut ranges).map_err(|reason| wrong(self, reason))?;
            goes_on = more[504] != 0;
            if goes_on && ranges.len() == before {
                return Err(wrong(self, "a block of its map is empty"));
            }
        }
        Ok(ranges)
    }

    /// PAX format 1.0: the map stands in front of the data as decimal lines, padded to a block.
    fn map_in_content(&mut self, at: u64) -> Result<Vec<(u64, u64)>, TarError> {
        let wrong = |this: &Self, reason| TarError::Sparse { place: this.named(at), reason };
        let (mut numbers, mut line) = (Vec::new(), Vec::new());
        let mut wanted = None;
        while wanted.is_none_or(|wanted| numbers.len() < wanted) {
            if self.left < BLOCK as u64 {
                return Err(wrong(self, "its map is longer than its content"));
            }
            let more = self.block()?.ok_or_else(|| TarError::Truncated(self.named(self.offset)))?;
            self.left -= BLOCK as u64;
            for byte in more {
                if wanted.is_some_and(|wanted| numbers.len() >= wanted) {
                    break;
                }
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let number = pax::decimal(&line).ok_or_else(|| wrong(self, "its map has an invalid number"))?;
                line.clear();
                if wanted.is_some() {
                    numbers.push(number);
                } else if number <= sparse::MAX_RANGES as u64 {
                    wanted = Some(number as usize * 2);
                } else {
                    return Err(wrong(self, "its map is too long"));
                }
            }
            if line.len() > 20 {
                return Err(wrong(self, "its map has an invalid number"));
            }
        }
        sparse::pairs(&numbers).map_err(|reason| wrong(self, reason))
    }
}
