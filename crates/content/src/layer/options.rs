//! How a layer is made, and what came of it.

use std::thread;

use oci::{Compression, Descriptor, DiffId};

use crate::ContentError;

/// How a layer is made. The number of threads does not change its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerOptions {
    /// How its bytes are compressed.
    pub compression: Compression,
    /// gzip: 0 to 9, zstd: 1 to 19; none for the default.
    pub level: Option<i32>,
    /// Threads that compress; 0 for as many as there are processors.
    pub threads: usize,
}

/// Where zstd's ratio still grows quickly at a rate that files can be read with.
const ZSTD_LEVEL: i32 = 3;
/// About the ratio of other builders' default, at twice their rate: on programs, level 2 is a quarter faster but makes
/// layers 4 % larger, level 6 takes half again as long for 4 % less.
const GZIP_LEVEL: i32 = 3;
/// More would only fill memory: reading and hashing cannot keep so many busy.
const MAX_THREADS: usize = 16;

impl Default for LayerOptions {
    fn default() -> Self {
        Self { compression: Compression::Zstd, level: None, threads: 0 }
    }
}

impl LayerOptions {
    /// Looks whether there is such a level.
    ///
    /// # Errors
    /// When the format does not have it.
    pub fn check(&self) -> Result<(), ContentError> {
        self.level().map(drop)
    }

    /// The level to use.
    pub(super) fn level(&self) -> Result<i32, ContentError> {
        let (default, least, most) = match self.compression {
            Compression::None => return Ok(0),
            Compression::Gzip => (GZIP_LEVEL, 0, 9),
            Compression::Zstd => (ZSTD_LEVEL, 1, 19),
        };
        let level = self.level.unwrap_or(default);
        match (least..=most).contains(&level) {
            true => Ok(level),
            false => Err(ContentError::CompressionLevel { compression: self.compression, level, least, most }),
        }
    }

    pub(super) fn threads(&self) -> usize {
        let threads = match self.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        threads.min(MAX_THREADS)
    }
}

/// A layer that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The blob, with the OCI media type of its compression.
    pub descriptor: Descriptor,
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// Size of the tar in bytes.
    pub uncompressed_size: u64,
}
