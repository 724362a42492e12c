//! Images to run: those in the store, and those that registries have.
//!
//! A name that the store has is never looked up elsewhere, so that what was loaded or built here runs without a
//! network. What has to be pulled is pulled at once, and gets its name in the store, for the next time.

use std::sync::Arc;

use content::{ContentError, CopyOptions, Disk};
use oci::{Descriptor, Platform, Reference};

use super::error::CommandError;
use super::registry::{Registry, client, one_registry};
use crate::report::Reporter;
use crate::transfer::{Platforms, PullPolicy, Pulled, Puller, TransferError};

/// An image to run: its name as shown, and its root.
pub(crate) type Wanted = (String, Descriptor);

/// Finds images by names or ids; those that are missing are pulled. `platform` is which image of an index, if the user
/// said so.
pub(crate) fn find_or_pull(
    names: &[&str],
    platform: Option<&Platform>,
    disk: &Disk,
    args: &Registry,
    reporter: &Arc<dyn Reporter>,
) -> Result<Vec<Wanted>, CommandError> {
    let platforms = platform.map_or(Platforms::Host, |platform| Platforms::Only(vec![platform.clone()]));
    let mut found = Vec::new();
    for name in names {
        found.push(match disk.find(name) {
            Ok(record) => Find::Here(shown(record.name.as_ref(), &record.root), record.root),
            // What is no name can be asked of no registry: what helps is that the store has none such.
            Err(error @ ContentError::UnknownImage { .. }) => match name.parse::<Reference>() {
                Ok(reference) => Find::Missing(reference),
                Err(_) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        });
    }
    let references = |found: &[Find]| -> Vec<Reference> {
        let missing = found.iter().filter_map(|one| match one {
            Find::Missing(reference) => Some(reference.clone()),
            Find::Here(..) => None,
        });
        missing.collect()
    };
    let client = client(args, &one_registry(args, references(&found).iter())?, Some(reporter));
    let options = CopyOptions::default();
    let puller = Puller { store: disk, client: &client, platforms, policy: PullPolicy::Missing, options };
    if platform.is_some() {
        // What was pulled for one platform is not there for another.
        for (one, name) in found.iter_mut().zip(names) {
            if let Find::Here(_, root) = one
                && !puller.has(root)?
            {
                *one = Find::Missing(name.parse::<Reference>()?);
            }
        }
    }
    let missing = references(&found);
    let mut pulled = missing.iter().zip(puller.pull(&missing, &**reporter));
    let wanted = found.into_iter().map(|one| match one {
        Find::Here(name, root) => Ok(Some((name, root))),
        // One result a name, in their order.
        Find::Missing(_) => pulled.next().map(|(name, result)| named(name, result)).transpose(),
    });
    Ok(wanted.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn named(name: &Reference, result: Result<Pulled, TransferError>) -> Result<Wanted, CommandError> {
    match result {
        Ok(pulled) => Ok((name.familiar(), pulled.root)),
        Err(source) => Err(CommandError::Move { verb: "pull", name: name.familiar(), source }),
    }
}

enum Find {
    Here(String, Descriptor),
    Missing(Reference),
}

/// An image's name, or its digest if it has none.
pub(crate) fn shown(name: Option<&Reference>, root: &Descriptor) -> String {
    name.map_or_else(|| root.digest.to_string(), Reference::familiar)
}
