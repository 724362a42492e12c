//! The commands from outside: the real binary in a sandbox directory; exact stdout, stderr and exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod archives;
#[path = "../sandbox/bounded.rs"]
mod bounded;
mod fixture;
mod help;
mod images;
mod running;
mod sandbox;
mod usage;
