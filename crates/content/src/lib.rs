//! Content moves by copy: where blobs come from ([`Source`]), where they go ([`Sink`]), and where they are kept
//! ([`Store`]); archives and layouts; the layer pipeline; garbage collection.
//!
//! ```text
//! push, pull, save, load, mirror  =  copy(Source, Sink, roots)
//!
//! Source ── fetch ──▶ Ingest (hash) ──▶ Upload ── commit ──▶ visible
//! ```
//!
//! Invariants: children are stored before parents; nothing is visible before its bytes are hashed and compared; no blob
//! is ever held in memory; writing what is already there is not an error. Plain blocking calls on threads: the work is
//! hashing, compressing and copying, and there are never more transfers than a few dozen.

pub mod archive;
mod blob_dir;
#[cfg(test)]
mod child_process;
pub mod cluster_image;
pub mod convert;
pub mod copy;
mod disk;
mod docker_dir;
mod durable;
mod error;
mod event;
mod graph;
pub mod image;
mod ingest;
pub mod kit;
pub mod layer;
mod layout;
mod location;
mod memory;
mod outline;
mod overlay;
pub mod packing;
mod parallel;
mod present;
pub mod rfc3339;
mod roots;
mod similar;
pub mod tar;
mod traits;
mod unfinished;
mod write_back;

pub use cluster_image::{
    Assembly, ClusterImage, ImageLock, LockError, LockedImage, LockedPlatform, Origin, assemble, companions,
};
pub use copy::{Copied, CopyJob, CopyOptions, ForeignLayers, Sparse, copy, copy_all};
pub use disk::{Disk, PruneMode, PruneScope, Pruned, Record, Scratch};
pub use docker_dir::DockerDir;
pub use error::{ContentError, DocumentKind};
pub use event::{Event, Observer, Silent};
pub use image::{FoundImage, Image, LayerInfo, copy_image, find_image, load_image, platforms_of};
pub use ingest::{Ingest, Sealed};
pub use layout::Layout;
pub use location::{Facts, Keeper, Location, LocationError, Plain};
pub use memory::Memory;
pub use outline::Outline;
pub use overlay::Overlay;
pub use parallel::side_by_side;
pub use present::{Present, narrowed, present};
pub use roots::name_of;
pub use traits::{BlobReader, Named, Sink, Source, Storage, Store, Upload, fetch_document, store_bytes};
