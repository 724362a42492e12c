//! The network side through the real binary: images from a real registry, files from a real web server, and what
//! happens when they refuse or break off.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod buckets;
mod downloads;
mod keeping;
mod loading;
mod looking;
mod platforms;
mod pulling;
mod registry;
#[path = "../sandbox/mod.rs"]
mod sandbox;
mod secured;
mod serving;
mod web;
