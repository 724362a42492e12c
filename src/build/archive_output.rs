//! Images of the store as an oci-archive.

use std::path::Path;

use oci::{Descriptor, Reference};

use super::error::BuildError;
use super::world::World;

/// Writes images, each with its name.
///
/// # Errors
/// When the archive cannot be written.
pub(crate) fn write(
    _world: &World<'_>,
    _images: &[(Option<Reference>, Descriptor)],
    _path: &Path,
) -> Result<(), BuildError> {
    Err(BuildError::Unsupported { what: "type=oci-archive".to_owned(), instead: None })
}
