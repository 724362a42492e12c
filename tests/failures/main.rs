//! Bad input, full disks, kills and races, through the real binary: for each the message, the exit code, and that
//! nothing wrong became visible and nothing was lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod archives;
mod building;
mod kills;
mod malicious;
#[path = "../sandbox/mod.rs"]
mod sandbox;
