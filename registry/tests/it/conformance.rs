//! The conformance suite of the distribution specification, with everything on that it knows.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use registry::backend::{Backend, Distribution};

use crate::bucket::Store;
use crate::deadline::Bounded;
use crate::server::Server;
use registry::options::{Completeness, ServeOptions};
use registry::service::Registry;

/// Runs the suite of 2026; every test it has must pass.
fn conforms(backend: Arc<dyn Backend>) {
    let options = ServeOptions { completeness: Completeness::Sparse, ..ServeOptions::default() };
    let server = Server::with(Registry::new(backend, options));
    let results = tempfile::tempdir().unwrap();
    let output = Command::new("conformance")
        .env("OCI_REGISTRY", &server.address)
        .env("OCI_TLS", "disabled")
        .env("OCI_VERSION", "dev")
        .env("OCI_DATA_SPARSE", "true")
        .env("OCI_RESULTS_DIR", results.path())
        .current_dir(results.path())
        .stdin(Stdio::null())
        .bounded()
        .expect("`conformance` is installed by tests/run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", failures(results.path()));
}

fn failures(results: &Path) -> String {
    let text = fs::read_to_string(results.join("junit.xml")).unwrap_or_default();
    text.lines()
        .filter(|line| line.contains("failure") || line.contains("error"))
        .take(60)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_registry_in_memory_conforms() {
    conforms(Arc::new(Distribution::in_memory()));
}

#[test]
fn a_directory_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conforms(Arc::new(Distribution::open(directory.path()).unwrap()));
}

#[test]
fn a_bucket_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::start(directory.path());
    conforms(Arc::new(store.tree()));
}
