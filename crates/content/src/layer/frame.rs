//! One block of a zstd stream: a frame of its own (RFC 8878).

use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

use super::deflate::Squeezed;

/// Size of a block of tar bytes. Part of what zstd layers look like. Larger ones would fill memory, smaller ones lose
/// what could be referred to across their ends (level 3 looks back 2 MiB).
pub(super) const FRAME: usize = 4 << 20;

/// Compresses a block into a frame with a checksum. A fresh context each time: the result depends on nothing else.
pub(super) fn compress(block: &[u8], level: i32, mut into: Vec<u8>) -> io::Result<Squeezed> {
    into.clear();
    into.reserve(compress_bound(block.len()));
    let mut compressor = Compressor::new(level)?;
    compressor.include_checksum(true)?;
    compressor.compress_to_buffer(block, &mut into)?;
    Ok(Squeezed { bytes: into, checksum: crc32fast::Hasher::new() })
}
