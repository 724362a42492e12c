//! An image that a user named, wherever it is, to be looked at: in the store, a file, a registry, another program's
//! store. How places are written is [`content::Location`]'s.

use std::sync::Arc;

use content::{Location, Plain, Source};
use oci::{Descriptor, Reference};

use super::error::CommandError;
use super::registry::{Registry, client, host};
use super::world::{Silence, World};
use crate::report::Reporter;
use crate::transfer::{LazyStore, TransferError, open};

/// An image and where it is.
pub(crate) struct Located<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) root: Descriptor,
    /// All its names there.
    pub(crate) names: Vec<Reference>,
}

/// Finds an image and does something with it. Of a file with several images the first is meant.
pub(crate) fn with<T>(
    world: &World<'_>,
    registry: &Registry,
    text: &str,
    act: impl FnOnce(&Located<'_>) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let store = LazyStore::at(world.store_place()?);
    let location = Location::source(text, Plain::Store, &store).map_err(TransferError::from)?;
    let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::Unasked));
    let client = client(registry, host(&location), Some(&reporter));
    let origin = open(&location, &store, &client)?;
    let Some(first) = origin.images.first() else {
        return Err(TransferError::Empty { place: origin.source().place() }.into());
    };
    let same = origin.images.iter().filter(|image| image.root.digest == first.root.digest);
    let names = same.filter_map(|image| image.name.clone()).collect();
    let done = act(&Located { source: origin.source(), root: first.root.clone(), names });
    reporter.finish();
    done
}
