//! Images between places, through the real binary, with the programs that others use on the other side: docker-registry,
//! skopeo, crane, oras, podman.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod asking;
mod contents;
mod copying;
mod deleting;
mod faults;
mod faulty;
mod foreign;
mod interrupted;
mod layouts;
mod lists;
mod logins;
mod merging;
mod own;
mod peers;
mod pulling;
mod pushing;
mod referring;
mod refusals;
#[path = "../network/registry.rs"]
mod registry;
#[path = "../sandbox/mod.rs"]
mod sandbox;
mod syncing;
mod trust;
mod wire;
