//! Images that go through the store on their way into an archive.
//!
//! An archive is a stream: one blob after the other, and from the beginning after an interruption. What comes from a
//! network is better fetched many blobs at once, and taken up where it ended. The store does that; what was fetched for
//! an archive alone leaves it again.

use std::sync::{Mutex, PoisonError};

use content::{CopyJob, CopyOptions, Disk, Event, Observer, Source, copy_all};
use oci::{Descriptor, Digest};

use super::error::TransferError;
use crate::report::{Reporter, Watch};

/// An image on its way into an archive.
pub(crate) struct Staged<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) root: Descriptor,
}

/// Brings images into the store without names, does something with them there, and takes them out again. After a
/// failure they stay, for the next attempt, until they are pruned.
///
/// # Errors
/// The first error.
pub(crate) fn staged(
    images: &[Staged<'_>],
    store: &Disk,
    options: &CopyOptions,
    reporter: &dyn Reporter,
    act: impl FnOnce(&Disk) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    let own = store.reopen()?;
    let jobs: Vec<CopyJob<'_>> = images
        .iter()
        .map(|image| CopyJob { from: image.source, to: &own, roots: vec![image.root.clone()], names: Vec::new() })
        .collect();
    let ledger = Ledger { observer: Watch(reporter), seen: Mutex::default() };
    copy_all(&jobs, options, &ledger).into_iter().try_for_each(|result| result.map(drop))?;
    act(&own)?;
    // What an interrupted attempt had left was skipped; it is not needed any longer either.
    let seen = ledger.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    own.withdraw(&seen, &[])?;
    Ok(())
}

/// Remembers what was stored, or was there already.
struct Ledger<'a> {
    observer: Watch<'a>,
    seen: Mutex<Vec<Digest>>,
}

impl Observer for Ledger<'_> {
    fn event(&self, event: &Event) {
        if let Event::Finished(what) | Event::Skipped(what) = event {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(what.digest);
        }
        self.observer.event(event);
    }
}
