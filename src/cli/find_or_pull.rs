//! An image to run: the one in the store, else the registry's.
//!
//! A name that the store has is never looked up elsewhere, so that what was loaded or built here runs without a
//! network. An image that has to be pulled gets its name in the store, for the next time.

use content::{ContentError, Disk, Observer};
use oci::{Descriptor, Platform, Reference};

use super::build::Registry;
use super::build_world::Network;
use super::error::CommandError;

/// An image to run: its name as shown, and its root.
pub(crate) type Wanted = (String, Descriptor);

/// Finds an image by name or id; one that is missing is pulled. `platform` is which image of an index, if the user
/// said so.
pub(crate) fn find_or_pull(
    name: &str,
    platform: Option<&Platform>,
    disk: &Disk,
    args: &Registry,
    observer: &dyn Observer,
) -> Result<Wanted, CommandError> {
    let network = Network { args, store: disk, observer };
    let unknown = match disk.find(name) {
        Ok(record) => {
            // What was pulled for one platform is not there for another.
            let is_here = match platform {
                Some(platform) => network.local(name, platform)?.is_some(),
                None => true,
            };
            if is_here {
                return Ok((shown(record.name.as_ref(), &record.root), record.root));
            }
            None
        }
        Err(error @ ContentError::UnknownImage { .. }) => Some(error),
        Err(error) => return Err(error.into()),
    };
    let reference: Reference = match (name.parse(), unknown) {
        (Ok(reference), _) => reference,
        // What is no name can be asked of no registry: what helps is that the store has none such.
        (Err(_), Some(unknown)) => return Err(unknown.into()),
        (Err(error), None) => return Err(CommandError::Name(error)),
    };
    let host = Platform::host();
    let root = network
        .pull(&reference, platform.unwrap_or(&host))
        .map_err(|source| CommandError::Pull { name: reference.familiar(), source })?;
    Ok((reference.familiar(), root))
}

/// An image's name, or its digest if it has none.
pub(crate) fn shown(name: Option<&Reference>, root: &Descriptor) -> String {
    name.map_or_else(|| root.digest.to_string(), Reference::familiar)
}
