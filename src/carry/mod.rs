//! The container images of a context: found, resolved to digests, fetched, locked.
//!
//! ```text
//! context ─ scan (lists, manifests, charts, kustomizations, commands) ─▶ Findings
//! ```
//!
//! Invariants: only files of the context are read, through links as long as they stay inside; what cannot be read as
//! what it should be is an error that names file and line, never a gap.
//!
//! What it does not do: judge what a text asks for (that is the pure room `discover`), build images, talk to users.

mod charts;
mod commands;
mod error;
mod files;
mod kustomize;
mod manifests;
mod scan;
#[cfg(test)]
mod scan_tests;

pub use error::CarryError;
pub use scan::{CommandText, CopiedPath, ScanOrder, scan};
