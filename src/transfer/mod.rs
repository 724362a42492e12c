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
mod places;
mod pull;
mod recompress;
mod target;

pub(crate) use choose::Platforms;
pub(crate) use copy::{CopyOutcome, CopyWish, Digests, Mode, copy_image, write_digest};
pub(crate) use error::TransferError;
pub(crate) use places::{LazyStore, Origin, open, resolve};
pub(crate) use pull::{PullPolicy, Pulled, Puller};
pub(crate) use target::Target;
