//! One block of a gzip stream (RFC 1951, RFC 1952).

use std::io::{self, Write};

use flate2::{Compress, FlushCompress, Status};

/// A match in deflate reaches no further back.
const WINDOW: usize = 32 << 10;

/// What a block becomes; the checksum is gzip's.
#[derive(Default)]
pub(super) struct Squeezed {
    pub(super) bytes: Vec<u8>,
    pub(super) checksum: crc32fast::Hasher,
}

/// Whether more blocks follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Inner,
    Last,
}

/// Compresses a block. `before` is the block in front of it, whose end it can refer to. The result depends on nothing
/// else: a [`Compress`] that has seen other data would make other bytes of it, so each block gets a new one.
pub(super) fn deflate(
    block: &[u8],
    before: &[u8],
    position: Position,
    level: u32,
    mut into: Vec<u8>,
) -> io::Result<Squeezed> {
    into.clear();
    let mut compress = Compress::new(flate2::Compression::new(level), false);
    let dictionary = &before[before.len().saturating_sub(WINDOW)..];
    if !dictionary.is_empty() {
        compress.set_dictionary(dictionary)?;
    }
    let flush = match position {
        Position::Inner => FlushCompress::Sync,
        Position::Last => FlushCompress::Finish,
    };
    into.reserve(block.len() / 2 + 1024);
    loop {
        let taken = compress.total_in() as usize;
        let status = compress.compress_vec(&block[taken..], &mut into, flush)?;
        let all_in = compress.total_in() as usize == block.len();
        // A flush is complete when it leaves room in the output.
        let is_done = match position {
            Position::Inner => all_in && into.len() < into.capacity(),
            Position::Last => status == Status::StreamEnd,
        };
        if is_done {
            break;
        }
        into.reserve(block.len() / 4 + 1024);
    }
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(block);
    Ok(Squeezed { bytes: into, checksum })
}

/// The header of the one member: no name and no time, so that equal tars give equal layers; the system is "unknown".
pub(super) fn header(output: &mut dyn Write) -> io::Result<()> {
    output.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
}

/// The trailer: checksum and size modulo 2^32 of what went in.
pub(super) fn trailer(output: &mut dyn Write, checksum: u32, size: u64) -> io::Result<()> {
    output.write_all(&checksum.to_le_bytes())?;
    output.write_all(&(size as u32).to_le_bytes())
}
