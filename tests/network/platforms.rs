//! Of an index, the image for the platform that is asked for.

use crate::registry::Registry;
use crate::sandbox::{Sandbox, run, text};

const KUBEFILE: &str = "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH} /arch\nCMD [\"cat arch\"]\n";
const FILES: &[(&str, &[u8])] = &[("amd64", b"this is amd64"), ("arm64", b"this is arm64")];

#[test]
fn the_right_child_of_an_index_is_pulled_and_a_wrong_one_is_refused() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    registry.publish("team/both:v1", KUBEFILE, FILES, &["--platform", "linux/amd64,linux/arm64"]);
    let name = registry.name("team/both:v1");
    let context = sandbox.context("app", &format!("FROM {name}\n"), &[]);
    let said = sandbox.sealos(&["build", "-t", "app:v1", "--platform", "linux/s390x", &context]);
    said.refused(&[&name, "linux/s390x", "linux/amd64", "linux/arm64"]);
    sandbox.sealos(&["run", "--platform", "linux/s390x", &name]).refused(&[&name, "linux/s390x", "linux/arm64"]);
    sandbox.shows_nothing();
    assert_eq!(sandbox.blobs(), [""; 0], "nothing was copied");
    for arch in ["arm64", "amd64", "arm64"] {
        let (platform, out) = (format!("linux/{arch}"), sandbox.at("out"));
        sandbox.build(&["--platform", &platform, &context]);
        assert_eq!(text(&out, "arch"), format!("this is {arch}"));
    }
    assert_eq!(sandbox.sealos(&["run", "--platform", "linux/amd64", &name]).fine(), format!("{name}: this is amd64\n"));
    sandbox.sealos(&["build", "-q", "-t", "all:v1", "--platform", "linux/amd64,linux/arm64", &context]).fine();
}

#[test]
fn an_image_for_another_platform_is_not_pulled() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    registry.publish("team/one:v1", KUBEFILE, FILES, &["--platform", "linux/arm64"]);
    let name = registry.name("team/one:v1");
    let context = sandbox.context("app", &format!("FROM {name}\n"), &[]);
    let said = sandbox.sealos(&["build", "-t", "app:v1", "--platform", "linux/amd64", &context]);
    said.refused(&[&name, "linux/amd64", "linux/arm64"]);
    sandbox.shows_nothing();
    assert_eq!(sandbox.blobs(), [""; 0], "nothing was copied");
}

#[test]
fn a_build_for_several_platforms_needs_the_registry_once() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let files = [FILES, &[("s390x", b"this is s390x")]].concat();
    registry.publish("team/both:v1", KUBEFILE, &files, &["--platform", "linux/amd64,linux/arm64,linux/s390x"]);
    let name = registry.name("team/both:v1");
    let context = sandbox.context("app", &format!("FROM {name}\n"), &[]);
    let build = |more: &[&str]| {
        let args = ["build", "-q", "-t", "all:v1", "--platform", "linux/amd64,linux/arm64", &context];
        sandbox.sealos(&[&args[..], more].concat()).fine()
    };
    let first = build(&[]);
    let digest = registry.digest("team/both:v1");
    assert_eq!(
        sandbox.sealos(&["inspect", "-f", "{{.Digest}}", &name]).fine().trim(),
        digest,
        "the index has the name"
    );
    let platforms = sandbox.sealos(&["inspect", "-f", "{{.Platforms}}", &name]).fine();
    assert_eq!(platforms.trim(), "[linux/amd64 linux/arm64]", "what was not asked for was not pulled");

    drop(registry);
    assert_eq!(build(&[]), first);
    assert_eq!(build(&["--no-cache", "--pull=never"]), first);
    let said = sandbox.sealos(&["build", "-q", "--platform", "linux/s390x", &context]);
    said.refused(&["cannot pull", &name]);

    let archive = sandbox.at("base.tar");
    let saved = sandbox.sealos(&["save", "-o", &archive, &name]);
    assert!(saved.stderr.contains("is saved without linux/s390x"), "{}", saved.stderr);
    saved.fine();
    let other = Sandbox::new();
    other.sealos(&["load", "-q", "-i", &archive]).fine();
    for arch in ["amd64", "arm64"] {
        let root = other.sealos(&["create", "--short", "--platform", &format!("linux/{arch}"), &name]).fine();
        assert_eq!(text(root.trim(), "arch"), format!("this is {arch}"));
    }
}

#[test]
fn what_was_pulled_for_one_platform_is_saved_as_that_image() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    registry.publish("team/both:v1", KUBEFILE, FILES, &["--platform", "linux/amd64,linux/arm64"]);
    let name = registry.name("team/both:v1");
    let context = sandbox.context("app", &format!("FROM {name}\n"), &[]);
    sandbox.sealos(&["build", "-q", "--platform", "linux/arm64", &context]).fine();
    for format in ["oci-archive", "docker-archive", "docker-dir", "oci-dir"] {
        let saved = sandbox.at(format);
        sandbox.sealos(&["save", "-q", "--format", format, "-o", &saved, &name]).fine();
        let transport = format.replace("docker-dir", "dir").replace("oci-dir", "oci");
        run("skopeo", &["inspect", "--override-arch", "arm64", "--config", &format!("{transport}:{saved}")]);
        let other = Sandbox::new();
        other.sealos(&["load", "-q", "-i", &saved]).fine();
        assert_eq!(other.sealos(&["images", "--format", "{{.Platforms}}"]).fine(), "linux/arm64\n", "{format}");
    }
}

#[test]
fn all_platforms_of_a_base_are_asked_of_its_registry() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    registry.publish("team/both:v1", KUBEFILE, FILES, &["--platform", "linux/amd64,linux/arm64"]);
    let name = registry.name("team/both:v1");
    let context = sandbox.context("app", &format!("FROM {name}\n"), &[]);
    let build =
        |more: &[&str]| sandbox.sealos(&[&["build", "-q", "-t", "all:v1", "--all-platforms", &context], more].concat());
    build(&["--pull=never"]).refused(&[&name, "--pull never"]);
    let id = build(&[]).fine();
    assert_eq!(sandbox.sealos(&["inspect", "-f", "{{.Platforms}}", "all:v1"]).fine(), "[linux/amd64 linux/arm64]\n");
    drop(registry);
    assert_eq!(build(&["--no-cache"]).fine(), id);
    build(&["--pull=always"]).refused(&[&name]);
}
