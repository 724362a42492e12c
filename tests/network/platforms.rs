//! Of an index, the image for the platform that is asked for.

use crate::registry::Registry;
use crate::sandbox::{Sandbox, text};

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
