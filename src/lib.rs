//! Cluster images: built from a Kubefile, kept, carried, and run.
//!
//! The rooms and who may look at whom are in ARCHITECTURE.md; `tests/tidy.rs` holds the table.

pub mod build;
pub mod kubefile;
pub mod rootfs;
pub mod sandbox;
