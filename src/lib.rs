//! Cluster images and clusters: what the program `sealos` is made of.

pub mod cluster;
pub mod execute;
pub mod plan;
pub mod transport;
