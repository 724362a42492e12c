//! Items to a layer of the store, or to the one that an earlier build made of the same.
//!
//! ```text
//! shape known? ── no ───────────────────────────────▶ pack, compress, store
//!      └─ yes ─ fingerprint known and settled? ─ yes ▶ that layer; no file is opened
//!                    └─ no ─ hash the tar: known? ── yes ▶ that layer; nothing is compressed
//!                                └─ no ────────────▶ pack, compress, store
//! ```

use content::layer::{LayerOptions, LayerWriter};
use content::tar::TarError;
use content::{ContentError, Disk};
use oci::Digest;

use super::cache::{Cache, CachedLayer, Variant};
use super::error::BuildError;
use super::fingerprint::Fingerprint;
use super::item::Item;
use super::pack;
use super::request::CacheUse;
use super::walk::Moment;

/// How old a file has to be, in seconds, for a later change to show in its times: file systems and kernels round.
const SETTLED_AFTER: i64 = 2;

/// What a step's layer is looked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Equal for equal instructions on files of equal names, sizes and modes.
    pub(crate) shape: Digest,
    /// Equal if no file was touched.
    pub(crate) fingerprint: Digest,
    /// Whether an equal fingerprint means equal contents.
    pub(crate) settled: bool,
}

impl Key {
    /// The key of a step that is known by its inputs' digests alone.
    pub(crate) fn of(shape: Fingerprint) -> Self {
        let shape = shape.finish();
        Self { shape, fingerprint: shape, settled: true }
    }
}

/// Whether files whose last change was at `newest` are old enough at `now`, both seconds since 1970.
pub(crate) fn is_settled(newest: Option<Moment>, now: i64) -> bool {
    newest.is_none_or(|(seconds, _)| seconds < now.saturating_sub(SETTLED_AFTER))
}

/// A step's layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// The layer; none if the step changes no file.
    pub(crate) layer: Option<CachedLayer>,
    /// Whether it was there already.
    pub(crate) was_cached: bool,
}

/// Makes layers, or finds them.
pub(crate) struct Layers<'a> {
    store: &'a Disk,
    cache: Cache<'a>,
    options: LayerOptions,
    cache_use: CacheUse,
}

impl<'a> Layers<'a> {
    /// Layers of a store.
    ///
    /// # Errors
    /// When the cache cannot be used.
    pub(crate) fn new(store: &'a Disk, options: LayerOptions, cache_use: CacheUse) -> Result<Self, BuildError> {
        Ok(Self { store, cache: Cache::open(store)?, options, cache_use })
    }

    /// The beginning of a key: what decides about the bytes of any layer.
    pub(crate) fn key(&self, kind: &str, timestamp: i64) -> Fingerprint {
        let mut key = Fingerprint::new(kind);
        let level = self.options.level.map_or_else(|| "default".to_owned(), |level| level.to_string());
        key.text(&self.options.compression.to_string()).text(&level).number(timestamp.cast_unsigned());
        key
    }

    /// The layer that is known without looking at contents.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<Made>, BuildError> {
        let found = self.variants(key)?.into_iter().find(|it| it.settled && it.fingerprint == key.fingerprint);
        Ok(found.map(|variant| Made { layer: variant.layer, was_cached: true }))
    }

    /// The layer of items, which were not found by [`Layers::find`].
    ///
    /// # Errors
    /// When a file cannot be read or has changed, or the layer cannot be stored.
    pub(crate) fn make(&self, key: &Key, items: &[Item]) -> Result<Made, BuildError> {
        if items.is_empty() {
            self.remember(key, None)?;
            return Ok(Made { layer: None, was_cached: false });
        }
        let known: Vec<CachedLayer> = self.variants(key)?.into_iter().filter_map(|variant| variant.layer).collect();
        if !known.is_empty() {
            let diff_id = pack::diff_id(items)?;
            if let Some(layer) = known.into_iter().find(|layer| layer.diff_id == diff_id) {
                self.remember(key, Some(layer.clone()))?;
                return Ok(Made { layer: Some(layer), was_cached: true });
            }
        }
        let layer = self.write(|output| pack::pack(items, output))?;
        self.remember(key, Some(layer.clone()))?;
        Ok(Made { layer: Some(layer), was_cached: false })
    }

    /// Stores a layer whose tar `fill` writes.
    ///
    /// # Errors
    /// When filling or storing fails.
    pub(crate) fn write(
        &self,
        fill: impl FnOnce(LayerWriter<'a>) -> Result<LayerWriter<'a>, BuildError>,
    ) -> Result<CachedLayer, BuildError> {
        let writer = LayerWriter::begin(self.store, &self.options)?;
        let writer = fill(writer).map_err(own_error)?;
        Ok(writer.finish()?.into())
    }

    /// Remembers what a step came to.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub(crate) fn remember(&self, key: &Key, layer: Option<CachedLayer>) -> Result<(), BuildError> {
        let Key { shape, fingerprint, settled } = *key;
        self.cache.remember(&shape, Variant { fingerprint, settled, layer })
    }

    fn variants(&self, key: &Key) -> Result<Vec<Variant>, BuildError> {
        match self.cache_use {
            CacheUse::Use => self.cache.variants(&key.shape),
            CacheUse::Ignore => Ok(Vec::new()),
        }
    }
}

/// What the store said when the tar could not be written to it.
fn own_error(error: BuildError) -> BuildError {
    match error {
        BuildError::Tar(TarError::Write { source }) => BuildError::Content(ContentError::io("store the layer")(source)),
        other => other,
    }
}
