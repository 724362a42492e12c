//! Templates beside Go's own engine, and charts beside the real Helm: YAML, `--set`, schemas and rendering through
//! Helm's own library and its binary.
//!
//! Needs `go`; the oracle and the binary are built from Go modules into the target directory.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test's helpers fail the test by panicking")]

mod answers;
mod binary;
mod functions;
mod generated;
mod oracle;
mod process;
mod public;
mod schema;
mod set;
mod template;
mod yaml;
