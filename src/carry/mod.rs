//! The container images of a context: found, resolved to digests, fetched, locked.
//!
//! ```text
//! context  ─ scan (lists, manifests, charts, kustomizations, commands) ─▶ Findings
//! Findings ─ gather (resolve, fetch in one queue) ─▶ ImageLock, everything in the store
//! ```
//!
//! Invariants: only files of the context are read, through links as long as they stay inside; what cannot be read as
//! what it should be is an error that names file and line, never a gap.
//!
//! What it does not do: judge what a text asks for (that is the pure room `discover`), build images, talk to users.

mod charts;
mod commands;
mod directory;
mod error;
mod files;
mod gather;
mod known;
mod kustomize;
mod manifests;
mod resolve;
mod scan;
#[cfg(test)]
mod scan_tests;
mod source;
mod tree;
mod unpacked;

pub use directory::RegistryDirectory;
pub use error::{CarryError, Failure};
pub use gather::{Binding, Effort, GatherOrder, Gathered, gather};
pub use resolve::{Lookup, Wanted};
pub use scan::{CommandText, CopiedPath, ScanOrder, scan, scan_chart};
pub use source::{Foreign, Repositories};
pub use tree::{RegistryTree, TreeImage, TreeTag, other_tags, remove_tag, tree_name};
pub use unpacked::unpack;
