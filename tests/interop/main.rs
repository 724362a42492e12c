//! What we write, tools that nobody here wrote can read, and the other way round: skopeo, buildah, podman, umoci.
//!
//! Every test makes its own directory, stores and images; nothing of the machine's own is touched. Runs as root, as the
//! peers' stores want it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

#[path = "../sandbox/bounded.rs"]
mod bounded;
mod read_theirs;
mod sandbox;
mod tree;
mod write_ours;
