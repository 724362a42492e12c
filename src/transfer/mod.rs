//! Images between places: the store, registries, files, other programs' stores.
//!
//! ```text
//! Location ── open ──▶ Origin ── choose platforms ── convert ──▶ Target
//! names    ── resolve, all at once ──▶ one queue of blobs ──▶ store          pull
//! a list   ── plan: which images, and their names there ──▶ one queue        sync
//! ```
//!
//! Invariants: what moves, moves by `content::copy`; a name is given when everything under it is there; nothing that was
//! asked for is missing silently; documents are changed only where what was asked for needs it, and then only in the
//! fields that it is about.

mod choose;
mod copy;
mod error;
mod foreign;
mod lists;
mod places;
mod pull;
mod recompress;
mod scattered;
mod staging;
pub(crate) mod sync;
mod target;

use content::{Keeper, Source};
use oci::Descriptor;

pub(crate) use choose::{Platforms, choose};
pub(crate) use copy::{CopyOutcome, CopyWish, Digests, Mode, copy_image, write_digest};
pub(crate) use error::TransferError;
pub(crate) use lists::{Amend, Facts, List};
pub(crate) use places::{LazyStore, Origin, open, resolve};
pub(crate) use pull::{PullPolicy, Pulled, Puller};
pub(crate) use target::Target;

/// An image of another program's store, opened: the source, and what its name stands for there.
///
/// # Errors
/// When the program or the image is not there.
pub(crate) fn foreign(keeper: Keeper, name: &str) -> Result<(Box<dyn Source>, Descriptor), TransferError> {
    let opened = foreign::Foreign::open(foreign::Address::new(keeper, name))?;
    let root = opened.root().clone();
    Ok((Box::new(opened), root))
}
