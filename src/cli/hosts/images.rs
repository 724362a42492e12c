//! The images of a cluster, from the store.

use std::sync::Arc;

use content::{ClusterImage, Disk};
use oci::{Descriptor, Platform};

use crate::cli::error::CommandError;
use crate::cli::find_or_pull::{Wanted, find_or_pull};
use crate::cli::image_layers::image_layers;
use crate::cli::registry::Registry;
use crate::execute::hosts::ImageLayers;
use crate::plan::hosts::ImageFacts;
use crate::report::Reporter;

/// An image: its root in the store, what is known of it, its layers.
pub(crate) struct HostImage {
    pub(crate) root: Descriptor,
    pub(crate) facts: ImageFacts,
    pub(crate) layers: ImageLayers,
}

/// Finds images by name; those that the store has not are pulled.
pub(crate) fn find(
    names: &[String],
    disk: &Disk,
    registry: &Registry,
    reporter: &Arc<dyn Reporter>,
) -> Result<Vec<HostImage>, CommandError> {
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = find_or_pull(&list, None, disk, registry, reporter)?;
    // They keep the names that the cluster's list has for them.
    let named = names.iter().zip(found).map(|(name, (_, root))| (name.clone(), root));
    named.map(|wanted| load(&wanted, disk)).collect()
}

/// Reads what is known of an image for the architecture of this program, which is also that of the hosts.
pub(crate) fn load((name, root): &Wanted, disk: &Disk) -> Result<HostImage, CommandError> {
    if ClusterImage::load(disk, root)?.carries() {
        return Err(CommandError::CarriesForHosts { name: name.clone() });
    }
    let image = image_layers(disk, root, &Platform::host(), name)?;
    let layers = image.layer_pairs();
    let facts = ImageFacts {
        name: name.clone(),
        digest: image.manifest_descriptor.digest,
        config: image.config.value().config.clone(),
        bytes: layers.iter().map(|(layer, _)| layer.size).sum(),
    };
    let layers = ImageLayers { digest: facts.digest, layers };
    Ok(HostImage { root: root.clone(), facts, layers })
}
