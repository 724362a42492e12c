//! Results of earlier steps: which layer an instruction with these inputs became.
//!
//! ```text
//! <store>/cache/build/<shape>.json    shape: the instruction, and of its files names, sizes, modes
//!   variants: fingerprint (inodes, times) -> layer
//! ```
//!
//! A record is a hint: one that cannot be read, or whose blob is gone, is no record. Writers replace the whole file, so
//! of two builds at once the later one's record stays; what the other one knew is found out again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use content::layer::Layer;
use content::{Disk, LayerInfo, Sink};
use oci::{Descriptor, DiffId, Digest};
use serde::{Deserialize, Serialize};

use super::error::BuildError;

/// Variants that are kept for a shape: branches that one switches between.
const VARIANTS: usize = 8;

/// A layer as the cache keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CachedLayer {
    /// The blob.
    pub(crate) descriptor: Descriptor,
    /// The digest of its tar.
    pub(crate) diff_id: DiffId,
    /// Bytes of its tar.
    pub(crate) uncompressed_size: u64,
}

impl CachedLayer {
    /// The layer as images list it.
    pub(crate) fn info(&self) -> LayerInfo {
        LayerInfo { descriptor: self.descriptor.clone(), diff_id: self.diff_id }
    }
}

impl From<Layer> for CachedLayer {
    fn from(layer: Layer) -> Self {
        let Layer { descriptor, diff_id, uncompressed_size } = layer;
        Self { descriptor, diff_id, uncompressed_size }
    }
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Variant {
    /// Inodes and times of the files.
    pub(crate) fingerprint: Digest,
    /// Whether the files were old enough for a later change to show in their times.
    pub(crate) settled: bool,
    /// The layer; none if the step changed nothing.
    pub(crate) layer: Option<CachedLayer>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    variants: Vec<Variant>,
}

/// The build cache of a store.
#[derive(Debug)]
pub(crate) struct Cache<'a> {
    store: &'a Disk,
    directory: PathBuf,
}

impl<'a> Cache<'a> {
    /// The cache of a store.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub(crate) fn open(store: &'a Disk) -> Result<Self, BuildError> {
        let directory = store.cache_dir().join("build");
        let made = fs::create_dir_all(&directory);
        made.map_err(|source| BuildError::Cache { path: directory.clone(), source })?;
        Ok(Self { store, directory })
    }

    /// What is known about a shape and whose blob is there, newest first.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(crate) fn variants(&self, shape: &Digest) -> Result<Vec<Variant>, BuildError> {
        let Some(record) = read(&self.path(shape)) else { return Ok(Vec::new()) };
        let mut there = Vec::new();
        for variant in record.variants {
            let has = variant.layer.as_ref().map(|layer| self.store.has(&layer.descriptor)).transpose()?;
            if has.unwrap_or(true) {
                there.push(variant);
            }
        }
        Ok(there)
    }

    /// Remembers a variant, in front of the older ones.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub(crate) fn remember(&self, shape: &Digest, variant: Variant) -> Result<(), BuildError> {
        let path = self.path(shape);
        let mut record = read(&path).unwrap_or_default();
        let is_same = |other: &Variant| {
            other.fingerprint == variant.fingerprint || other.layer == variant.layer && other.settled <= variant.settled
        };
        record.variants.retain(|other| !is_same(other));
        record.variants.insert(0, variant);
        record.variants.truncate(VARIANTS);
        self.write(&path, &record).map_err(|source| BuildError::Cache { path, source })
    }

    fn write(&self, path: &Path, record: &Record) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.persist(path)?;
        Ok(())
    }

    fn path(&self, shape: &Digest) -> PathBuf {
        self.directory.join(format!("{}.json", shape.hex()))
    }
}

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
