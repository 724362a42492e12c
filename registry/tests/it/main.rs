//! The registry against those who talk to registries: the official conformance suites and other tools.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod browser;
mod clients;
mod conformance;
mod page;
mod server;
mod shelf;
mod site;
