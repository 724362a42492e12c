//! Archives that are not what they should be.

use std::fs;
use std::process::Command;

use crate::sandbox::{Bounded, Said, Sandbox, noise};

/// Where the bytes of a blob begin in a tar that holds it uncompressed, and the member's name.
fn layer_member(archive: &[u8]) -> (usize, String) {
    let mut at = 0;
    let mut best = (0, 0, String::new());
    while at + 512 <= archive.len() {
        let header = &archive[at..at + 512];
        let name: Vec<u8> = header[..100].iter().copied().take_while(|b| *b != 0).collect();
        if name.is_empty() {
            break;
        }
        let digits: String = header[124..135].iter().map(|b| *b as char).collect();
        let size = usize::from_str_radix(digits.trim(), 8).unwrap();
        if size > best.0 {
            best = (size, at + 512, String::from_utf8(name).unwrap());
        }
        at += 512 + size.div_ceil(512) * 512;
    }
    (best.1, best.2)
}

#[test]
fn a_truncated_archive_names_itself_and_leaves_nothing() {
    for format in ["oci-archive", "docker-archive"] {
        let sandbox = Sandbox::new();
        let archive = sandbox.archive(format);
        let bytes = fs::read(&archive).unwrap();
        for keep in [0, 100, 700, bytes.len() / 2, bytes.len() - 3000] {
            fs::write(&archive, &bytes[..keep]).unwrap();
            let said = sandbox.sealos(&["load", "-q", "-i", &archive]);
            said.refused(&["app.tar"]);
            sandbox.is_empty();
        }
        fs::write(&archive, bytes).unwrap();
        assert!(sandbox.sealos(&["load", "-i", &archive]).fine().contains("app:v1"));
    }
}

#[test]
fn a_flipped_byte_is_found_and_the_blob_named() {
    for format in ["oci-archive", "docker-archive"] {
        let sandbox = Sandbox::new();
        let archive = sandbox.archive(format);
        let mut bytes = fs::read(&archive).unwrap();
        let (at, name) = layer_member(&bytes);
        bytes[at + 150_000] ^= 1;
        fs::write(&archive, bytes).unwrap();
        let hex = name.rsplit('/').next().unwrap().trim_end_matches(".tar").to_owned();
        sandbox.sealos(&["load", "-q", "-i", &archive]).refused(&[&hex]);
        sandbox.is_empty();
    }
}

#[test]
fn a_flipped_byte_on_stdin_is_found_too() {
    let sandbox = Sandbox::new();
    let archive = sandbox.archive("oci-archive");
    let mut bytes = fs::read(&archive).unwrap();
    let (at, _) = layer_member(&bytes);
    bytes[at + 150_000] ^= 1;
    fs::write(&archive, bytes).unwrap();
    let mut command = sandbox.command(&["load", "-q"]);
    let output = command.bounded_with(fs::File::open(&archive).unwrap()).unwrap();
    assert_eq!(output.status.code(), Some(1));
    sandbox.is_empty();
}

#[test]
fn a_layout_without_one_of_its_blobs_names_it() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY Kubefile /\n", &[]);
    sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    sandbox.sealos(&["save", "-q", "--format", "oci-dir", "-o", &sandbox.at("layout"), "app:v1"]).fine();
    let layer = sandbox.sealos(&["inspect", "--raw", "app:v1"]).fine();
    let manifest: serde_json::Value = serde_json::from_str(&layer).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let hex = digest.trim_start_matches("sha256:").to_owned();
    fs::remove_file(sandbox.path("layout/blobs/sha256").join(&hex)).unwrap();
    sandbox.sealos(&["rmi", "app:v1"]).fine();
    sandbox.sealos(&["prune", "--all"]).fine();
    sandbox.sealos(&["load", "-q", "-i", &sandbox.at("layout")]).refused(&[&hex]);
    assert_eq!(sandbox.sealos(&["images", "-q"]).fine().trim(), "");
}

#[test]
fn a_document_under_a_wrong_digest_is_refused() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY Kubefile /\n", &[]);
    sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    sandbox.sealos(&["save", "-q", "--format", "oci-dir", "-o", &sandbox.at("layout"), "app:v1"]).fine();
    let digest = sandbox.sealos(&["inspect", "-f", "{{.Digest}}", "app:v1"]).fine();
    let manifest = sandbox.path("layout/blobs/sha256").join(digest.trim().trim_start_matches("sha256:"));
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("schemaVersion\":2", "schemaVersion\": 2")).unwrap();
    sandbox.sealos(&["rmi", "app:v1"]).fine();
    sandbox.sealos(&["prune", "--all"]).fine();
    sandbox.sealos(&["load", "-q", "-i", &sandbox.at("layout")]).refused(&[digest.trim()]);
    assert_eq!(sandbox.sealos(&["images", "-q"]).fine().trim(), "");
}

#[test]
fn what_is_no_image_at_all_is_said_to_be_none() {
    let sandbox = Sandbox::new();
    let readable = "help: what can be read are oci-archives";
    for (name, content, parts) in [
        ("empty", &b""[..], &["it is empty", readable][..]),
        ("text", &b"this is not an image\n".repeat(100), &["a text that begins with `this is not an image`", readable]),
        ("page.tar", b"<!doctype html><title>Please log in</title>", &["it is a web page"]),
        ("app.zip", b"PK\x03\x04\x14\0\0\0", &["it is a zip archive"]),
        ("noise", &noise(2000, 7), &["it is no tar, neither as it is nor compressed"]),
        ("zeros", &[0; 1024], &["neither an index.json nor a manifest.json"]),
    ] {
        fs::write(sandbox.path(name), content).unwrap();
        let packed = sandbox.path(&format!("{name}.gz"));
        let gzip = Command::new("gzip").arg("-kn").arg(sandbox.path(name)).bounded().unwrap().status;
        assert!(gzip.success() && packed.exists());
        for path in [sandbox.path(name), packed] {
            let shown = path.to_str().unwrap();
            let said = sandbox.sealos(&["load", "-q", "-i", shown]).refused(parts);
            assert!(said.contains(shown), "{said}");
            sandbox.sealos(&["inspect", shown]).refused(parts);
            let mut command = sandbox.command(&["load", "-q"]);
            let said = Said::from(command.bounded_with(fs::File::open(&path).unwrap()).unwrap()).refused(parts);
            assert!(said.contains("stdin"), "{said}");
        }
    }
    fs::create_dir(sandbox.path("folder")).unwrap();
    for (place, parts) in [
        ("absent", &["absent", "No such file"][..]),
        ("folder", &["folder", "neither an oci-layout nor a manifest.json", readable]),
        ("ftp://files.example/app.tar", &["`ftp` is not understood", "by http or https"]),
        ("file:///tmp/app.tar", &["`file` is not understood", "sealos load -i /tmp/app.tar"]),
        ("docker://hub.example/app:v1", &["`docker` is not understood", "is pulled"]),
    ] {
        sandbox.sealos(&["load", "-q", "-i", place]).refused(parts);
    }
    sandbox.is_empty();
}

#[test]
fn a_store_that_is_a_file_is_called_one() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("file"), "mine").unwrap();
    for (root, parts) in [
        (
            "file",
            &["file is not a valid image store: it is a file", "help: choose another directory with `--root`"][..],
        ),
        ("file/below", &["file/below is not a valid image store", "file is a file and no directory"]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealos"));
        Said::from(command.args(["--root", &sandbox.at(root), "images"]).bounded().unwrap()).refused(parts);
    }
    assert_eq!(fs::read_to_string(sandbox.path("file")).unwrap(), "mine");
}

#[test]
fn a_corrupt_blob_of_the_store_is_not_passed_on() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY Kubefile /\n", &[]);
    sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    let manifest: serde_json::Value =
        serde_json::from_str(&sandbox.sealos(&["inspect", "--raw", "app:v1"]).fine()).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let blob = sandbox.path("store/blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let mut permissions = fs::metadata(&blob).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&blob, permissions).unwrap();
    fs::write(&blob, bytes).unwrap();
    sandbox.sealos(&["save", "-q", "-o", &sandbox.at("out.tar"), "app:v1"]).refused(&[&digest]);
    assert!(!sandbox.path("out.tar").exists(), "no half-written archive is left");
}
