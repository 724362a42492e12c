//! Layers: from tar bytes to a stored blob and back, each byte hashed once, on all cores, in bounded memory.
//!
//! ```text
//! tar bytes ─▶ blocks ─┬─▶ SHA-256 (DiffId)             thread
//!                      └─▶ compress                      threads
//!                            └─▶ Ingest: SHA-256, write  caller
//!
//! blob ─▶ SHA-256 ─▶ chunks ─▶ inflate ─▶ blocks ─┬─▶ SHA-256 (DiffId)
//!         caller               thread             └─▶ tar bytes, caller
//! ```
//!
//! Invariants: the bytes of a layer depend on the tar and on [`LayerOptions`] without its number of threads, never on
//! timing or on how the tar was cut into writes. Whoever reads a layer to its end has verified it. Threads end before
//! the value that started them is gone.
//!
//! It does not know what is in the tar: that is [`crate::tar`]'s.

mod block;
mod deflate;
mod diff;
mod frame;
mod inflate;
mod limit;
mod options;
mod parallel;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use diff::diff_id;
pub use limit::ExpandLimit;
pub use options::{Layer, LayerOptions};
pub use reader::LayerReader;
pub use writer::LayerWriter;
