//! One image's manifest, configuration and layers, as unpacking and running need them.

use content::{ContentError, Source};
use oci::{Descriptor, DiffId, ImageConfig, Platform};

use super::error::CommandError;
use super::summary::{PlatformImage, summarise};

/// What an image is made of.
pub(crate) struct ImageLayers {
    /// The manifest of one platform.
    pub(crate) manifest: Descriptor,
    pub(crate) config: ImageConfig,
    /// Lowest first, each with the digest of its tar.
    pub(crate) layers: Vec<(Descriptor, DiffId)>,
}

/// Reads the image for a platform; `name` is what the user calls it.
pub(crate) fn image_layers(
    source: &dyn Source,
    root: &Descriptor,
    platform: &Platform,
    name: &str,
) -> Result<ImageLayers, CommandError> {
    let summary = summarise(source, root, platform)?;
    if summary.index.is_some() && !summary.platforms.iter().any(|offered| offered.serves(platform)) {
        let available: Vec<String> = summary.platforms.iter().map(Platform::to_string).collect();
        let (place, wanted) = (source.place(), platform.to_string());
        let (name, available) = (name.to_owned(), available.join(", "));
        return Err(ContentError::NoPlatform { place, name, wanted, available }.into());
    }
    let Some(PlatformImage { descriptor, manifest, config: Some(config) }) = summary.image else {
        return Err(CommandError::NotAnImage(name.to_owned()));
    };
    let (manifest, config) = (manifest.into_parts().1, config.into_parts().1);
    let diff_ids = &config.rootfs.diff_ids;
    if manifest.layers.len() != diff_ids.len() {
        let reason = format!("the manifest has {} layers, the configuration {}", manifest.layers.len(), diff_ids.len());
        return Err(ContentError::Format { place: source.place(), format: "image", reason }.into());
    }
    let layers = manifest.layers.into_iter().zip(diff_ids.iter().copied()).collect();
    Ok(ImageLayers { manifest: descriptor, config, layers })
}
