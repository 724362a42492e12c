//! x

pub mod rootfs;
pub mod sandbox;
