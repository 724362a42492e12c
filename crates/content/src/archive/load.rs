//! From an archive into a store, all or nothing.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oci::{Descriptor, DiffId, Digest, Reference};

use super::{open, stream};
use crate::layer::LayerReader;
use crate::packing::Packing;
use crate::{ContentError, CopyOptions, Disk, Event, Named, Observer, Sink, copy};

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The name that the archive gives it.
    pub name: Option<Reference>,
    /// The root.
    pub root: Descriptor,
}

/// Loads all images of an archive: an oci-archive or docker-archive (also compressed as a whole), a layout, or an image
/// directory. Names become visible when everything is stored and verified; an image without a name is kept as a root
/// without one.
///
/// # Errors
/// What is wrong with the archive, with the blob's name; or what the store cannot do. What this call had stored by then
/// is removed again.
pub fn load(path: &Path, store: &Disk, observer: &dyn Observer) -> Result<Vec<Loaded>, ContentError> {
    let doing = || ContentError::io(format!("open {}", path.display()));
    let found = std::fs::metadata(path).map_err(doing())?;
    if found.is_file() {
        if open::sniff(path).map_err(doing())? != Packing::NONE {
            let mut file = File::open(path).map_err(doing())?;
            return load_stream(&path.display().to_string(), &mut file, store, observer);
        }
    } else if !found.is_dir() {
        let mut file = File::open(path).map_err(doing())?;
        return load_stream(&path.display().to_string(), &mut file, store, observer);
    }
    let archive = open::open(path)?;
    transaction(store, observer, |own, ledger| {
        let roots: Vec<Descriptor> = archive.images().iter().map(|image| image.root.clone()).collect();
        let options = CopyOptions { sparse: archive.sparse, ..CopyOptions::default() };
        copy(&archive, own, &roots, &options, ledger)?;
        verify_layers(own, &archive.compressed)?;
        Ok(archive.images().to_vec())
    })
}

/// The same from a stream, which is read once and to its end. `name` is what messages call it.
///
/// # Errors
/// See [`load`].
pub fn load_stream(
    name: &str,
    reader: &mut (dyn Read + Send),
    store: &Disk,
    observer: &dyn Observer,
) -> Result<Vec<Loaded>, ContentError> {
    transaction(store, observer, |own, ledger| {
        let images = stream::receive(name, reader, own, ledger)?;
        Ok(images)
    })
}

/// Checks what an image's configuration says about its compressed layers.
pub(super) fn verify_layers(store: &Disk, layers: &[(Descriptor, DiffId)]) -> Result<(), ContentError> {
    for (layer, diff_id) in layers {
        LayerReader::open(store, layer)?.verify_diff_id(*diff_id)?.finish()?;
    }
    Ok(())
}

/// Does the work with a lease of its own, so that what it stored can be told from what others rely on; then makes the
/// names visible, or removes what was stored.
fn transaction(
    store: &Disk,
    observer: &dyn Observer,
    work: impl FnOnce(&Disk, &Ledger<'_>) -> Result<Vec<Named>, ContentError>,
) -> Result<Vec<Loaded>, ContentError> {
    let own = store.reopen()?;
    let ledger = Ledger { observer, begun: Mutex::default(), stored: Mutex::default() };
    let done = work(&own, &ledger).and_then(|images| own.add_images(&images).map(|()| images));
    let (begun, stored) = (ledger.begun().clone(), ledger.stored().clone());
    match done {
        Ok(images) => {
            // A stream may have held what no image needs.
            own.withdraw(&stored, &[])?;
            for image in &images {
                // The caller's handle takes over the lease.
                store.has(&image.root)?;
            }
            Ok(images.into_iter().map(|Named { name, root }| Loaded { name, root }).collect())
        }
        Err(error) => {
            if let Err(why) = own.withdraw(&stored, &begun) {
                observer.event(&Event::Warning(format!("what was loaded could not be removed again: {why}")));
            }
            Err(error)
        }
    }
}

/// Remembers what a load began and stored.
pub(super) struct Ledger<'a> {
    observer: &'a dyn Observer,
    begun: Mutex<Vec<Digest>>,
    stored: Mutex<Vec<Digest>>,
}

impl Ledger<'_> {
    fn begun(&self) -> MutexGuard<'_, Vec<Digest>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self) -> MutexGuard<'_, Vec<Digest>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Ledger<'_> {
    fn event(&self, event: &Event) {
        match event {
            Event::Started(what) => self.begun().push(what.digest),
            Event::Finished(what) => self.stored().push(what.digest),
            _ => {}
        }
        self.observer.event(event);
    }
}
