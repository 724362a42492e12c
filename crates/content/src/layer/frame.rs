//! One block of a zstd stream: a frame of its own (RFC 8878).

use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

use super::deflate::Squeezed;

/// Size of a block of tar bytes. Part of what zstd layers look like. Larger ones would fill memory, smaller ones lose
/// what could be referred to across their ends (level 3 looks back 2 MiB).
pub(super) const FRAME: usize = 4 << 20;

/// Up to this level libzstd takes its strategies "fast" and "dfast", whose results do not depend on what a context was
/// used for before: entries of its tables that are too old count as none. The ones above mix a number into their hashes
/// that changes with every use.
const REUSED_UP_TO: i32 = 4;

/// Makes frames, one after the other. What one looks like depends on its block and the level only.
#[derive(Default)]
pub(super) struct Frames {
    /// A context and its level: making one anew for each frame costs more than a hundredth of the time.
    context: Option<(Compressor<'static>, i32)>,
}

impl Frames {
    /// Compresses a block into a frame. Without a checksum: the digests of the layer and of its tar are compared by
    /// whoever reads it.
    pub(super) fn compress(&mut self, block: &[u8], level: i32, mut into: Vec<u8>) -> io::Result<Squeezed> {
        into.clear();
        into.reserve(compress_bound(block.len()));
        let mut compressor = match self.context.take() {
            Some((compressor, of)) if of == level && level <= REUSED_UP_TO => compressor,
            _ => Compressor::new(level)?,
        };
        compressor.compress_to_buffer(block, &mut into)?;
        self.context = Some((compressor, level));
        Ok(Squeezed { bytes: into, checksum: crc32fast::Hasher::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_does_not_depend_on_those_before_it() {
        let words = |seed: u64, length: usize| {
            let mut state = seed | 1;
            let mut bytes = Vec::new();
            while bytes.len() < length {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                bytes.extend_from_slice(&format!("word{} ", (state >> 33) % 3000).into_bytes());
            }
            bytes.truncate(length);
            bytes
        };
        let mut blocks: Vec<Vec<u8>> = (0..12).map(|seed| words(seed, 300_000 + 70_001 * seed as usize)).collect();
        blocks.push(words(3, FRAME));
        blocks.push(blocks[1].clone());
        blocks.push(Vec::new());
        blocks.push(vec![7; FRAME]);
        blocks.push(blocks[0].clone());
        for level in [1, 2, 3, 4, 5, 9] {
            let mut frames = Frames::default();
            for (number, block) in blocks.iter().enumerate() {
                let alone = Frames::default().compress(block, level, Vec::new()).unwrap().bytes;
                let after_others = frames.compress(block, level, Vec::new()).unwrap().bytes;
                assert!(alone == after_others, "level {level}, block {number}");
                assert!(zstd::bulk::decompress(&alone, FRAME).unwrap() == *block, "level {level}, block {number}");
            }
        }
    }
}
