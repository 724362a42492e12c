//! The documents of the result: configuration, manifest, and the index of several platforms.

use std::collections::BTreeMap;

use content::cluster_image::with_compression;
use content::{Disk, LayerInfo, Sink, store_bytes};
use oci::{Compression, Descriptor, Digest, ImageConfig, ImageManifest, Index, MediaType, Platform, Raw};

use super::error::BuildError;
use super::request::Format;

/// An image that is stored, of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// What it is for.
    pub platform: Platform,
    /// Its manifest, with the platform.
    pub manifest: Descriptor,
    /// The digest of its configuration, which many tools call the image's id.
    pub config: Digest,
}

/// Stores configuration and manifest of an image whose layers are stored.
///
/// # Errors
/// When they cannot be stored.
pub(crate) fn store_image(
    sink: &dyn Sink,
    config: ImageConfig,
    layers: &[LayerInfo],
    format: Format,
    annotations: &BTreeMap<String, String>,
) -> Result<BuiltImage, BuildError> {
    let platform = config.platform();
    let config = Raw::write(config)?;
    let (config_type, manifest_type) = match format {
        Format::Oci => (MediaType::OCI_CONFIG, MediaType::OCI_MANIFEST),
        Format::Docker => (MediaType::DOCKER_CONFIG, MediaType::DOCKER_MANIFEST),
    };
    let config_descriptor = Descriptor::of(config_type, config.bytes());
    store_bytes(sink, &config_descriptor, config.bytes())?;
    let manifest = Raw::write(ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::from(manifest_type)),
        artifact_type: None,
        config: config_descriptor.clone(),
        layers: layers.iter().map(|layer| in_format(&layer.descriptor, format)).collect(),
        subject: None,
        // Docker's schema has no annotations.
        annotations: if format == Format::Oci { annotations.clone() } else { BTreeMap::new() },
    })?;
    let descriptor = Descriptor::of(manifest_type, manifest.bytes());
    sink.publish(&descriptor, manifest.bytes())?;
    Ok(BuiltImage { manifest: descriptor.for_platform(platform.clone()), config: config_descriptor.digest, platform })
}

/// Stores the index of several images.
///
/// # Errors
/// When it cannot be stored.
pub(crate) fn store_index(
    store: &Disk,
    images: &[BuiltImage],
    format: Format,
    annotations: &BTreeMap<String, String>,
) -> Result<Descriptor, BuildError> {
    let entries = images.iter().map(|image| match format {
        Format::Oci => with_compression(store, image.manifest.clone()),
        Format::Docker => Ok(image.manifest.clone()),
    });
    let mut index = Index::new(entries.collect::<Result<_, _>>()?);
    let media_type = match format {
        Format::Oci => MediaType::OCI_INDEX,
        Format::Docker => MediaType::DOCKER_LIST,
    };
    index.media_type = Some(MediaType::from(media_type));
    if format == Format::Oci {
        index.annotations.clone_from(annotations);
    }
    let index = Raw::write(index)?;
    let descriptor = Descriptor::of(media_type, index.bytes());
    store.publish(&descriptor, index.bytes())?;
    Ok(descriptor)
}

/// A layer's descriptor in the names of a format.
fn in_format(layer: &Descriptor, format: Format) -> Descriptor {
    let mut layer = layer.clone();
    if layer.media_type.is_foreign_layer() {
        return layer;
    }
    let compression = layer.media_type.compression();
    layer.media_type = match format {
        Format::Oci => MediaType::oci_layer(compression),
        Format::Docker => MediaType::docker_layer(compression),
    };
    layer
}

/// How layers are compressed where nothing is said: Docker's format knows no zstd.
pub(crate) fn default_compression(format: Format) -> Compression {
    match format {
        Format::Oci => Compression::Zstd,
        Format::Docker => Compression::Gzip,
    }
}
