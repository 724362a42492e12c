//! Sparse files: which ranges of a file the tar has; the rest are zeros.

use super::header;
use super::pax;

/// No real sparse file has more ranges; a map of so many takes 16 MiB.
pub(super) const MAX_RANGES: usize = 1 << 20;

/// A file with holes, being read.
#[derive(Clone, Debug)]
pub(super) struct Sparse {
    ranges: Vec<(u64, u64)>,
    size: u64,
    position: u64,
    current: usize,
}

/// What comes next in a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// So many bytes that the tar has.
    Data(u64),
    /// So many zeros.
    Hole(u64),
    /// Nothing.
    End,
}

impl Sparse {
    /// A map of (offset, length) pairs for a file of `size` bytes of which the tar has `stored`.
    pub(super) fn new(ranges: Vec<(u64, u64)>, size: u64, stored: u64) -> Result<Self, &'static str> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for (offset, length) in &ranges {
            if *offset < end {
                return Err("its ranges overlap or are out of order");
            }
            end = offset.checked_add(*length).ok_or("a range ends beyond all files")?;
            sum += length;
        }
        if end > size {
            return Err("a range ends behind the file's end");
        }
        if sum != stored {
            return Err("its ranges do not add up to the bytes that are there");
        }
        Ok(Self { ranges, size, position: 0, current: 0 })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn next(&mut self) -> Next {
        while let Some((offset, length)) = self.ranges.get(self.current) {
            if self.position < *offset {
                return Next::Hole(offset - self.position);
            }
            if self.position < offset + length {
                return Next::Data(offset + length - self.position);
            }
            self.current += 1;
        }
        match self.size - self.position {
            0 => Next::End,
            rest => Next::Hole(rest),
        }
    }

    pub(super) fn advance(&mut self, bytes: u64) {
        self.position += bytes;
    }
}

/// The ranges in a block of GNU's old format, and whether another block follows. `count` are the slots of this block.
pub(super) fn old_ranges(slots: &[u8], into: &mut Vec<(u64, u64)>) -> Result<(), &'static str> {
    for slot in slots.chunks_exact(24) {
        if slot[0] == 0 {
            break;
        }
        let field = |bytes| header::number(bytes).and_then(|value| u64::try_from(value).ok());
        let (Some(offset), Some(length)) = (field(&slot[..12]), field(&slot[12..])) else {
            return Err("its map has an invalid number");
        };
        into.push((offset, length));
    }
    match into.len() > MAX_RANGES {
        true => Err("its map is too long"),
        false => Ok(()),
    }
}

/// The ranges of `GNU.sparse.map` (format 0.1): `offset,length,offset,length…`.
pub(super) fn ranges_of_list(text: &[u8]) -> Result<Vec<(u64, u64)>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Option<Vec<u64>> = text.split(|byte| *byte == b',').map(pax::decimal).collect();
    pairs(&numbers.ok_or("its map has an invalid number")?)
}

/// (offset, length) pairs of alternating numbers.
pub(super) fn pairs(numbers: &[u64]) -> Result<Vec<(u64, u64)>, &'static str> {
    match numbers.len().is_multiple_of(2) && numbers.len() / 2 <= MAX_RANGES {
        true => Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()),
        false => Err("its map is incomplete or too long"),
    }
}
