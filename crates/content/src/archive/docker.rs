//! The `manifest.json` of a docker-archive, and the manifests that are made from it.
//!
//! A docker-archive has no image manifests. One is made for each image: Docker schema 2, with the configuration's bytes
//! kept and the layers as they lie in the archive.

use std::collections::HashMap;

use oci::{Compression, Descriptor, DiffId, Digest, ImageConfig, ImageManifest, MediaType, Raw, Reference};
use serde::{Deserialize, Serialize};

use super::FORMAT;
use crate::{ContentError, DocumentKind, Named};

/// An image of a docker-archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    /// Path of the configuration.
    pub(super) config: String,
    /// `name:tag`; absent or null for an image without a name.
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    /// Paths of the layers' tars, lowest first.
    #[serde(default)]
    pub(super) layers: Vec<String>,
}

/// Reads a `manifest.json`.
pub(super) fn parse(place: &str, bytes: &[u8]) -> Result<Vec<Item>, ContentError> {
    serde_json::from_slice(bytes).map_err(|error| wrong(place, format!("manifest.json: {error}")))
}

pub(super) fn wrong(place: &str, reason: String) -> ContentError {
    ContentError::Format { place: place.to_owned(), format: FORMAT, reason }
}

impl Item {
    /// The image's names. What is no reference is left out: it cannot be asked for.
    pub(super) fn names(&self) -> Vec<Reference> {
        self.repo_tags.iter().flatten().filter_map(|tag| tag.parse().ok()).collect()
    }
}

/// The names of an image: one entry for each, or one without.
pub(super) fn named(names: Vec<Reference>, root: &Descriptor) -> Vec<Named> {
    if names.is_empty() {
        return vec![Named { name: None, root: root.clone() }];
    }
    names.into_iter().map(|name| Named { name: Some(name), root: root.clone() }).collect()
}

/// Gives the roots of a layout the names that a `manifest.json` beside it has for them. `configs` tells the digest of
/// each root's configuration.
pub(super) fn add_names(images: &mut Vec<Named>, items: &[Item], configs: &HashMap<Digest, Digest>) {
    for item in items {
        let config = super::member::blob_digest(item.config.trim_start_matches("./").as_bytes());
        let roots = images.iter().map(|image| image.root.clone());
        let mut of_item = roots.filter(|root| config.is_some() && configs.get(&root.digest) == config.as_ref());
        let Some(root) = of_item.next() else { continue };
        for name in item.names() {
            if images.iter().all(|image| image.name.as_ref() != Some(&name)) {
                images.push(Named { name: Some(name), root: root.clone() });
            }
        }
    }
    let with_names: Vec<Digest> = images.iter().filter(|i| i.name.is_some()).map(|i| i.root.digest).collect();
    images.retain(|image| image.name.is_some() || !with_names.contains(&image.root.digest));
}

/// The configuration of an image, from its bytes.
pub(super) fn config(place: &str, bytes: Vec<u8>) -> Result<(Descriptor, Raw<ImageConfig>), ContentError> {
    let what = Descriptor::of(MediaType::DOCKER_CONFIG, &bytes);
    let config = ImageConfig::parse(bytes).map_err(|error| ContentError::Document {
        place: place.to_owned(),
        digest: what.digest,
        source: DocumentKind::Config(error),
    })?;
    Ok((what, config))
}

/// Pairs an image's layers with the digests that its configuration has for their tars.
pub(super) fn pair<'a>(
    place: &str,
    item: &'a Item,
    config: &ImageConfig,
) -> Result<Vec<(&'a str, DiffId)>, ContentError> {
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != item.layers.len() {
        let (layers, ids) = (item.layers.len(), diff_ids.len());
        let reason = format!("the image {} has {layers} layers, but its configuration lists {ids}", item.config);
        return Err(wrong(place, reason));
    }
    Ok(item.layers.iter().map(String::as_str).zip(diff_ids.iter().copied()).collect())
}

/// The descriptor of a layer as it lies in the archive.
pub(super) fn layer(digest: Digest, size: u64, compression: Compression) -> Descriptor {
    Descriptor::new(MediaType::docker_layer(compression), digest, size)
}

/// The manifest for an image.
pub(super) fn manifest(
    place: &str,
    config: Descriptor,
    layers: Vec<Descriptor>,
) -> Result<(Descriptor, Vec<u8>), ContentError> {
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::DOCKER_MANIFEST.into()),
        artifact_type: None,
        config,
        layers,
        subject: None,
        annotations: std::collections::BTreeMap::new(),
    };
    let raw = Raw::write(manifest)
        .map_err(|source| ContentError::io(format!("make a manifest for {place}"))(source.into()))?;
    let bytes = raw.into_parts().0;
    Ok((Descriptor::of(MediaType::DOCKER_MANIFEST, &bytes), bytes))
}
