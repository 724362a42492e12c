//! Layers as directories, and layers as trees that are never written out.
//!
//! ```text
//! unpack   layers ─▶ tar entries ─▶ Extractor ─▶ directory        (a node, RUN)
//! Tree     layers ─▶ tar entries ─▶ merged view ─▶ Spool          (COPY --from, USER lookup: no root, no mounts)
//! LayerIndex ─▶ TreeManifest ─▶ Syncer ─▶ directory               (a host's files, by their differences)
//! DirWalk  directory ─▶ sorted entries                            (COPY from the context, RUN's changes)
//! ```
//!
//! Invariants: no system call gets a path that could leave the directory it works in (`openat2`, directory file
//! descriptors, never following the last component); whiteouts hide only what lower layers brought; later entries
//! win. `unpack` is not atomic: unpack into a temporary directory and rename it. Nothing here writes layers.

mod dirs;
mod error;
mod extract;
mod index;
mod manifest;
mod metadata;
mod options;
pub mod passwd;
mod path;
mod record;
mod remove;
mod spool;
mod sync;
mod tree;
mod unpack;
mod walk;
mod write;

#[cfg(test)]
mod sync_tests;
#[cfg(test)]
mod tests;

pub use error::{Limit, RootfsError};
pub use extract::Extractor;
pub use index::LayerIndex;
pub use manifest::{IndexedLayer, OverlayText, TreeManifest};
pub use options::{Holes, Limits, Ownership, UnpackOptions, Unpacked, Warning};
pub use record::{FileKind, FileRecord, PathBytes};
pub use spool::Spool;
pub use sync::{Synced, Syncer, remove_synced};
pub use tree::{Node, Tree};
pub use unpack::{unpack, unpack_some};
pub use walk::{Contents, DirWalk, Walked};

pub(crate) use index::hash;
pub(crate) use metadata::{OPAQUE_XATTRS, is_carried};
pub(crate) use path::{join, split};
