//! Builds through the library, on stores in temporary directories.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

#[path = "sandbox/bounded.rs"]
mod bounded;
#[path = "build/support.rs"]
mod support;

#[path = "build/bad_input.rs"]
mod bad_input;
#[path = "build/cache.rs"]
mod cache;
#[path = "build/configuration.rs"]
mod configuration;
#[path = "build/copying.rs"]
mod copying;
#[path = "build/determinism.rs"]
mod determinism;
#[path = "build/results.rs"]
mod results;
#[path = "build/running.rs"]
mod running;
#[path = "build/stages.rs"]
mod stages;
