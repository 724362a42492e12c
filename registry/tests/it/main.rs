//! The registry against those who talk to registries: the official conformance suites and other tools.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod browser;
mod bucket;
mod client;
mod clients;
mod conformance;
mod deadline;
mod disks;
mod docker;
mod durable;
mod fuzz;
mod hostile;
mod images;
mod interchange;
mod keeping;
mod page;
mod process;
mod server;
mod shelf;
mod site;
mod upstream;
