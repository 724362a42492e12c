//! Carried images through the real binary: which are found, how they are locked, carried, moved and served, and what
//! other tools make of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod building;
mod charts;
mod corpus;
mod kubefiles;
mod moving;
mod upstream;

#[path = "../sandbox/mod.rs"]
mod sandbox;
