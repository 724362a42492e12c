//! Clusters of real hosts: each with a root, processes, an address and an `sshd` of its own, on this machine. Needs root,
//! who alone can make them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod failing;
mod lab;
mod living;
#[path = "../sandbox/mod.rs"]
mod sandbox;
