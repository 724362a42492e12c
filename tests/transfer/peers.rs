//! What other programs say, and images to be moved.

use std::process::Command;

use serde_json::Value;

use crate::registry::Registry;
use crate::sandbox::{Bounded, Sandbox, noise};

/// What a program that has to succeed says, without the last line feed.
#[track_caller]
pub(crate) fn say(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).bounded().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The digest of the manifest or index at a place, as skopeo names places.
#[track_caller]
pub(crate) fn digest_at(place: &str) -> String {
    let output = Command::new("skopeo").args(["inspect", "--tls-verify=false", "--raw", place]).bounded().unwrap();
    assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
    oci::Digest::of(&output.stdout).to_string()
}

/// The configuration of the image at a place, which is its identity.
#[track_caller]
pub(crate) fn config_at(place: &str) -> Value {
    let text = say("skopeo", &["inspect", "--tls-verify=false", "--config", "--raw", place]);
    serde_json::from_str(&text).unwrap()
}

/// Fails unless an image of a registry is whole and right: skopeo reads and hashes everything; crane unpacks and hashes it
/// again where it knows the compression.
#[track_caller]
pub(crate) fn validate(name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let to = format!("dir:{}", directory.path().display());
    say("skopeo", &["copy", "-q", "--all", "--src-tls-verify=false", &format!("docker://{name}"), &to]);
    let manifest = manifest(name);
    if manifest["layers"].is_array() && layer_types(&manifest).iter().all(|layer| layer.ends_with("gzip")) {
        say("crane", &["validate", "--insecure", "--remote", name]);
    }
}

/// The manifest of an image in a registry.
#[track_caller]
pub(crate) fn manifest(name: &str) -> Value {
    serde_json::from_str(&say("crane", &["manifest", "--insecure", name])).unwrap()
}

/// The media types of a manifest's layers.
pub(crate) fn layer_types(manifest: &Value) -> Vec<String> {
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["mediaType"].as_str().unwrap().to_owned()).collect()
}

pub(crate) const BOTH: &str = "linux/amd64,linux/arm64";

/// The platform that this machine is not, of the two.
pub(crate) fn other() -> String {
    let host = oci::Platform::host().to_string();
    BOTH.split(',').find(|platform| **platform != host).unwrap().to_owned()
}

/// Builds `one:v1`, an image of three layers for this machine, and `both:v1`, an index for two platforms.
pub(crate) fn build(sandbox: &Sandbox) {
    let kubefile = "FROM scratch\nCOPY a /\nCOPY b /\nCOPY c /\nENV who=me\nCMD [\"cat a\"]\n";
    let text = "the same again\n".repeat(5000);
    let files: &[(&str, &[u8])] = &[("a", b"first"), ("b", text.as_bytes()), ("c", &noise(100_000, 1))];
    let context = sandbox.context("one", kubefile, files);
    sandbox.sealos(&["build", "-q", "-t", "one:v1", &context]).fine();
    let context = sandbox.context(
        "both",
        "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH} /arch\nCOPY c /\n",
        &[("amd64", b"this is amd64"), ("arm64", b"this is arm64"), ("c", &noise(100_000, 1))],
    );
    sandbox.sealos(&["build", "-q", "-t", "both:v1", "--platform", BOTH, &context]).fine();
}

/// The digest of an image of the store.
#[track_caller]
pub(crate) fn digest(sandbox: &Sandbox, name: &str) -> String {
    sandbox.sealos(&["inspect", "-f", "{{.Digest}}", name]).fine().trim().to_owned()
}

/// A sandbox with both images and a registry with both images, and the digests of the two.
pub(crate) fn published() -> (Sandbox, Registry, String, String) {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    build(&sandbox);
    let push = |name: &str, to: &str| {
        let archive = sandbox.at("publish.tar");
        sandbox.sealos(&["save", "-q", "-o", &archive, name]).fine();
        let to = format!("docker://{}", registry.name(to));
        say("skopeo", &["copy", "-q", "--all", "--dest-tls-verify=false", &format!("oci-archive:{archive}"), &to]);
        digest(&sandbox, name)
    };
    let (one, both) = (push("one:v1", "team/one:v1"), push("both:v1", "team/both:v1"));
    (sandbox, registry, one, both)
}

/// Events of `--progress json`: how many blobs moved, which ones several times, and how many were there.
pub(crate) fn events(stderr: &str) -> (usize, Vec<String>, usize) {
    let all: Vec<Value> = stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |state: &str| -> Vec<String> {
        let blobs = all.iter().filter(|event| event["event"] == "blob" && event["state"] == state);
        let layers = blobs.filter(|event| event["mediaType"].as_str().unwrap().contains("layer"));
        layers.map(|event| event["digest"].as_str().unwrap().to_owned()).collect()
    };
    let mut moved = of("finished");
    let count = moved.len();
    moved.sort();
    let twice = moved.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    (count, twice, of("skipped").len())
}
