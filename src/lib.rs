//! Cluster images: built from a Kubefile, kept, carried, and run.
//!
//! The rooms and who may look at whom are in ARCHITECTURE.md; `tests/tidy.rs` holds the table.

pub mod build;
pub mod carry;
pub mod charts;
pub mod cli;
pub mod cluster;
pub mod clusterfile;
pub mod discover;
pub mod execute;
pub mod helm;
pub mod kubefile;
pub mod plan;
pub mod probe;
pub mod report;
pub mod rootfs;
pub mod sandbox;
pub mod template;
mod transfer;
pub mod transport;
pub mod yaml;
