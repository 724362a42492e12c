//! Builds, carries, serves and runs cluster images: the rooms behind the program `sealos`.

pub mod cli;
pub mod report;
