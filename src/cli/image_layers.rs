//! One image with its layers, and errors that call it what the user called it.

use content::{ContentError, Image, Source, load_image};
use oci::{Descriptor, Platform};

use super::error::CommandError;

/// Reads the image for a platform; `name` is what the user calls it.
pub(crate) fn image_layers(
    source: &dyn Source,
    root: &Descriptor,
    platform: &Platform,
    name: &str,
) -> Result<Image, CommandError> {
    load_image(source, root, platform).map_err(|error| match error {
        ContentError::NoPlatform { place, wanted, available, .. } => {
            ContentError::NoPlatform { place, name: name.to_owned(), wanted, available }.into()
        }
        other => other.into(),
    })
}
