//! Several images as one: their layers one above the other, their configurations as one, and what
//! they carry together.
//!
//! Layers keep their digests: merging moves and stores no bytes of them. What an image takes away of its own files must
//! not take away another image's: an image above the first whose layers hold whiteouts is flattened into one layer
//! first. A whiteout in the lowest layer of an image would hide nothing of it, so that lowest layers are not looked into.

use std::collections::BTreeMap;

use content::layer::{LayerOptions, LayerWriter};
use content::{Assembly, Disk, Image, ImageLock, LayerInfo, assemble};
use oci::{Descriptor, History, ImageConfig, RootFs};

use super::clock::rfc3339;
use super::error::BuildError;
use super::files;
use super::flatten::flatten;
use super::image::{BuiltImage, store_image};
use super::request::Format;
use super::walk::split;
use crate::cluster;

/// An image to be merged.
#[derive(Debug)]
pub struct Merged {
    /// Its root image.
    pub image: Image,
    /// What it carries for that platform.
    pub carried: ImageLock,
}

/// Merges images of one platform that are in the store, lowest first; the result is stored without a name.
/// `timestamp` is the date of the result, in seconds since 1970.
///
/// # Errors
/// When an image has a kind that is not known, or a layer that has to be read cannot be.
pub fn merge(store: &Disk, parts: &[Merged], timestamp: i64) -> Result<(Descriptor, BuiltImage), BuildError> {
    let images: Vec<&Image> = parts.iter().map(|part| &part.image).collect();
    let configs: Vec<&ImageConfig> = images.iter().map(|image| image.config.value()).collect();
    let runtimes: Vec<_> = configs.iter().map(|config| &config.config).collect();
    let runtime = cluster::merge(&runtimes)?;
    let (mut layers, mut history) = (Vec::new(), Vec::new());
    for (at, image) in images.iter().enumerate() {
        match at > 0 && hides(store, image)? {
            true => {
                let created = image.config.value().created.clone();
                let created_by = Some(format!("{} as one layer # sealos merge", image.manifest_descriptor.digest));
                layers.push(as_one_layer(store, image)?);
                history.push(History { created, created_by, ..History::default() });
            }
            false => {
                layers.extend(image.layers.iter().cloned());
                history.extend(history_of(image));
            }
        }
    }
    let first = configs.first().map(|config| config.platform());
    let diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let mut config = ImageConfig {
        created: Some(rfc3339(timestamp)),
        config: runtime,
        rootfs: RootFs { diff_ids, ..RootFs::default() },
        history,
        ..ImageConfig::default()
    };
    if let Some(platform) = first {
        config.architecture = platform.architecture;
        config.os = platform.os;
        config.variant = platform.variant;
        config.os_version = platform.os_version;
    }
    let built = store_image(store, config, &layers, Format::Oci, &BTreeMap::new())?;
    let lock = ImageLock::new(parts.iter().flat_map(|part| part.carried.images.iter().cloned()));
    let roots = [built.manifest.clone()];
    let root = assemble(store, &Assembly { roots: &roots, lock: &lock, annotations: BTreeMap::new() })?;
    Ok((root, built))
}

/// Whether layers of an image hide files of layers below them.
fn hides(store: &Disk, image: &Image) -> Result<bool, BuildError> {
    for layer in image.layers.iter().skip(1) {
        let is_whiteout = |path: &[u8]| split(path).1.starts_with(b".wh.");
        if files::scan(store, layer)?.iter().any(|entry| is_whiteout(&entry.path)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn as_one_layer(store: &Disk, image: &Image) -> Result<LayerInfo, BuildError> {
    let writer = LayerWriter::begin(store, &LayerOptions::default())?;
    let layer = flatten(store, &image.layers, 0, writer)?.finish()?;
    Ok(LayerInfo { descriptor: layer.descriptor, diff_id: layer.diff_id })
}

/// An image's history, if it is about its layers at all.
fn history_of(image: &Image) -> Vec<History> {
    let history = &image.config.value().history;
    let made = history.iter().filter(|step| !step.empty_layer).count();
    match made == image.layers.len() {
        true => history.clone(),
        // One that does not fit would be taken for wrong by whoever counts.
        false => image.layers.iter().map(|_| History::default()).collect(),
    }
}
