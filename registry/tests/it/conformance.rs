//! The conformance suite of the distribution specification, with everything on that it knows.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use oci::Digest;
use registry::backend::{Backend, Distribution};

use crate::bucket::Store;
use crate::client::Client;
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

/// Specifications of the suite of version 1.1 that a registry can only skip: of two that answer the same question, one
/// is for the registries that answer it the other way.
const OTHERWISE: [&str; 2] = [
    // Ours can mount, so the answer to a mount is not a session.
    "Cross-mounting of nonexistent blob should yield session id",
    // Ours finds blobs without being told where.
    "Cross-mounting without from, and automatic content discovery disabled should return a 202",
];

/// The suite as it was when version 1.1 was made. What it skips when it fills the registry itself is run a second time, against
/// what is there then.
#[test]
fn the_older_suite_passes_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Arc::new(Distribution::open(directory.path()).unwrap());
    let server = Server::with(Registry::new(tree, ServeOptions::default()));
    let mut client = Client::new(&server.address);
    let tags = ["one", "three", "two", "zero"];
    let pushed = tags.map(|tag| client.push_image("conformance/there", tag, b"layer").unwrap().0);
    let filled = run_older(&server.address, "conformance/a", "", &[]);
    let blob = Digest::of(b"layer").to_string();
    let there = [
        ("OCI_TAG_NAME", tags[0]),
        ("OCI_TAG_LIST", &tags.join(",")),
        ("OCI_MANIFEST_DIGEST", &pushed[0].to_string()),
        ("OCI_BLOB_DIGEST", &blob),
        ("OCI_TEST_PUSH", "0"),
        ("OCI_TEST_CONTENT_MANAGEMENT", "0"),
    ];
    // Referrers can only be ones that it has pushed.
    let given = run_older(&server.address, "conformance/there", "listing references", &there);
    let passed = |name: &str, all: &[(String, String)]| all.iter().any(|(other, how)| other == name && how == "passed");
    let skipped: Vec<&str> = filled
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !passed(name, &filled) && !passed(name, &given))
        .filter(|name| !OTHERWISE.iter().any(|other| name.contains(other)))
        .collect();
    assert_eq!(skipped, Vec::<&str>::new());
    assert!(filled.len() >= 75, "{} specifications", filled.len());
}

/// Every specification, and what became of it. None fails.
fn run_older(address: &str, namespace: &str, without: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let results = tempfile::tempdir().unwrap();
    let suite = Command::new("conformance-1.1")
        .arg("-ginkgo.no-color")
        .args(["-ginkgo.v", "-ginkgo.skip", without])
        .env("OCI_ROOT_URL", format!("http://{address}"))
        .envs([("OCI_NAMESPACE", namespace), ("OCI_CROSSMOUNT_NAMESPACE", "conformance/b")])
        .envs([("OCI_TEST_PULL", "1"), ("OCI_TEST_PUSH", "1"), ("OCI_TEST_CONTENT_DISCOVERY", "1")])
        .envs([("OCI_TEST_CONTENT_MANAGEMENT", "1"), ("OCI_AUTOMATIC_CROSSMOUNT", "1"), ("OCI_DEBUG", "0")])
        .env("OCI_REPORT_DIR", results.path())
        .envs(more.iter().copied())
        .current_dir(results.path())
        .bounded()
        .expect("`conformance-1.1` is installed by tests/run");
    let said = String::from_utf8_lossy(&suite.stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    let end = lines[lines.len().saturating_sub(40)..].join("\n");
    assert!(suite.status.success(), "{end}");
    assert!(lines.iter().any(|line| line.contains(" Passed") && line.contains("0 Failed")), "{end}");
    let report = fs::read_to_string(results.path().join("junit.xml")).unwrap();
    let cases = report.split("<testcase ").skip(1).map(|case| {
        let value = |key: &str| {
            let (_, behind) =
                case.split_once(&format!(" {key}=\"")).or_else(|| case.split_once(&format!("{key}=\"")))?;
            Some(behind.split_once('"')?.0.to_owned())
        };
        (value("name").unwrap(), value("status").unwrap())
    });
    cases.filter(|(name, _)| name.starts_with("[It]")).collect()
}
