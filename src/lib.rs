//! x

pub mod rootfs;
