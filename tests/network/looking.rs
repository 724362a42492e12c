//! Looking at an image in a registry without pulling it.

use crate::registry::Registry;
use crate::sandbox::Sandbox;

#[test]
fn inspect_shows_an_image_in_a_registry_and_pulls_nothing() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let kubefile = "FROM scratch\nLABEL team=core\nCOPY base /\n";
    registry.publish("team/app:v1", kubefile, &[("base", b"text")], &[]);
    let name = registry.name("team/app:v1");
    let there = format!("docker://{name}");

    let document = sandbox.sealos(&["inspect", &there]).fine();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["Name"], name);
    assert_eq!(document["Labels"]["team"], "core");
    assert_eq!(document["Layers"].as_array().unwrap().len(), 1);

    let raw = sandbox.sealos(&["inspect", "--raw", &there]).fine();
    let digest = oci::Digest::of(raw.as_bytes()).to_string();
    assert_eq!(document["Digest"], digest, "--raw is byte for byte what the digest is of");
    let by_digest = format!("docker://{}@{digest}", registry.name("team/app"));
    assert_eq!(sandbox.sealos(&["inspect", "--raw", &by_digest]).fine(), raw);

    let absent = registry.name("team/absent:v1");
    sandbox.sealos(&["inspect", &format!("docker://{absent}")]).refused(&["team/absent"]);
    sandbox.shows_nothing();
    assert_eq!(sandbox.blobs(), [""; 0]);
}
