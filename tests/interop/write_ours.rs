//! Images built and saved by us, read by others.

use std::fs;

use crate::sandbox::Sandbox;
use crate::tree;

/// Builds the awkward tree as `app:v1` with a compression.
fn build(sandbox: &Sandbox, compression: &str) {
    let context = sandbox.path("context");
    tree::awkward(&context.join("files"));
    fs::write(context.join("Kubefile"), "FROM scratch\nCOPY files /\nENV A=\"b c\"\nCMD [\"echo hello\"]\n").unwrap();
    sandbox.sealos(&["build", "--compression", compression, "-t", "app:v1", &sandbox.at("context")]);
}

#[test]
fn umoci_unpacks_every_file_as_it_was() {
    let sandbox = Sandbox::new();
    build(&sandbox, "gzip");
    sandbox.sealos(&["save", "--format", "oci-dir", "-o", &sandbox.at("layout"), "app:v1"]);
    let image = format!("{}:app:v1", sandbox.at("layout"));
    // umoci takes what follows the last colon for the tag.
    let image = image.replace(":app:v1", ":v1");
    retag(&sandbox, "layout", "v1");
    sandbox.run("umoci", &["unpack", "--image", &image, &sandbox.at("bundle")]);
    tree::assert_same(&sandbox.path("context/files"), &sandbox.path("bundle/rootfs"));
    let config = fs::read_to_string(sandbox.path("bundle/config.json")).unwrap();
    assert!(config.contains("\"A=b c\"") && config.contains("echo hello"), "{config}");
}

/// Gives the only image of a layout another name, for tools that want a bare tag.
fn retag(sandbox: &Sandbox, layout: &str, tag: &str) {
    let path = sandbox.path(layout).join("index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = tag.into();
    fs::write(&path, index.to_string()).unwrap();
}

#[test]
fn skopeo_reads_every_format_and_finds_the_same_digest() {
    for compression in ["gzip", "zstd"] {
        let sandbox = Sandbox::new();
        build(&sandbox, compression);
        let raw = sandbox.sealos(&["inspect", "--raw", "app:v1"]);
        let archive = sandbox.at("app.tar");
        sandbox.sealos(&["save", "-o", &archive, "app:v1"]);
        assert_eq!(sandbox.run("skopeo", &["inspect", "--raw", &format!("oci-archive:{archive}")]), raw);
        sandbox
            .run("skopeo", &["copy", "-q", &format!("oci-archive:{archive}"), &format!("oci:{}:1", sandbox.at("out"))]);
        assert_eq!(sandbox.run("skopeo", &["inspect", "--raw", &format!("oci:{}:1", sandbox.at("out"))]), raw);

        let docker = sandbox.at("docker.tar");
        sandbox.sealos(&["save", "--format", "docker-archive", "-o", &docker, "app:v1"]);
        let config = sandbox.run("skopeo", &["inspect", "--config", &format!("docker-archive:{docker}")]);
        assert!(config.contains("\"A=b c\""), "{config}");

        let plain = sandbox.at("plain");
        sandbox.sealos(&["save", "--format", "docker-dir", "-o", &plain, "app:v1"]);
        sandbox.run("skopeo", &["inspect", &format!("dir:{plain}")]);
    }
}

#[test]
fn podman_loads_both_archives_under_our_name() {
    let sandbox = Sandbox::new();
    build(&sandbox, "zstd");
    for format in ["oci-archive", "docker-archive"] {
        let archive = sandbox.at(format);
        sandbox.sealos(&["save", "--format", format, "-o", &archive, "app:v1"]);
        let said = sandbox.with_store("podman", &["load", "-q", "-i", &archive]);
        assert!(said.contains("app:v1"), "{format}: {said}");
        let env = sandbox.with_store("podman", &["image", "inspect", "-f", "{{.Config.Env}}", "app:v1"]);
        assert!(env.contains("A=b c"), "{format}: {env}");
        sandbox.with_store("podman", &["rmi", "-f", "app:v1"]);
    }
}

#[test]
fn podman_mounts_every_file_as_it_was() {
    let sandbox = Sandbox::new();
    build(&sandbox, "zstd");
    sandbox.sealos(&["save", "-o", &sandbox.at("app.tar"), "app:v1"]);
    sandbox.with_store("podman", &["load", "-q", "-i", &sandbox.at("app.tar")]);
    let mounted = sandbox.with_store("podman", &["image", "mount", "app:v1"]);
    tree::assert_same(&sandbox.path("context/files"), std::path::Path::new(mounted.trim()));
    sandbox.with_store("podman", &["image", "umount", "app:v1"]);
}

#[test]
fn buildah_builds_on_our_image() {
    let sandbox = Sandbox::new();
    build(&sandbox, "gzip");
    sandbox.sealos(&["save", "-o", &sandbox.at("app.tar"), "app:v1"]);
    let id = sandbox.with_store("buildah", &["pull", "-q", &format!("oci-archive:{}", sandbox.at("app.tar"))]);
    sandbox.with_store("buildah", &["tag", id.trim(), "localhost/ours:v1"]);
    let child = sandbox.path("child");
    fs::create_dir(&child).unwrap();
    fs::write(child.join("Dockerfile"), "FROM localhost/ours:v1\nCOPY Dockerfile /added\n").unwrap();
    let child = child.to_str().unwrap().to_owned();
    sandbox.with_store("buildah", &["bud", "--isolation", "chroot", "-q", "-t", "child", &child]);
    let env = sandbox.with_store("buildah", &["inspect", "-f", "{{.OCIv1.Config.Env}}", "child"]);
    assert!(env.contains("A=b c"), "{env}");
}

#[test]
fn the_store_itself_is_a_layout_that_others_read() {
    let sandbox = Sandbox::new();
    build(&sandbox, "gzip");
    let raw = sandbox.sealos(&["inspect", "--raw", "app:v1"]);
    let theirs = sandbox.run("skopeo", &["inspect", "--raw", &format!("oci:{}:app:v1", sandbox.at("store"))]);
    assert_eq!(theirs, raw);
}

#[test]
fn an_index_of_two_platforms_is_copied_whole() {
    let sandbox = Sandbox::new();
    let context = sandbox.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Kubefile"), "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY Kubefile /\n")
        .unwrap();
    sandbox.sealos(&["build", "--platform", "linux/amd64,linux/arm64", "-t", "app:v1", &sandbox.at("context")]);
    sandbox.sealos(&["save", "--format", "oci-dir", "-o", &sandbox.at("layout"), "app:v1"]);
    let from = format!("oci:{}:app:v1", sandbox.at("layout"));
    sandbox.run("skopeo", &["copy", "-q", "--all", &from, &format!("oci:{}:1", sandbox.at("out"))]);
    let arm = sandbox.run("skopeo", &["--override-arch", "arm64", "inspect", "--config", &from]);
    assert!(arm.contains("\"arch\":\"arm64\"") || arm.contains("\"arch\": \"arm64\""), "{arm}");
    let raw = sandbox.run("skopeo", &["inspect", "--raw", &format!("oci:{}:1", sandbox.at("out"))]);
    assert_eq!(raw, sandbox.sealos(&["inspect", "--raw", "app:v1"]));
}
