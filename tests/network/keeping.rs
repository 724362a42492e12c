//! A registry is kept: filled from another, listed, emptied, its space freed, its damage found and mended.

use std::fs;

use crate::sandbox::{Sandbox, run};
use crate::serving::Served;

/// The file of the largest blob of a registry: the layer of the image that was pushed.
fn largest(sandbox: &Sandbox, registry: &str) -> std::path::PathBuf {
    let top = sandbox.path(registry).join("docker/registry/v2/blobs/sha256");
    let entries =
        |path: &std::path::Path| -> Vec<_> { fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let blobs = entries(&top).into_iter().flat_map(|group| entries(&group)).map(|blob| blob.join("data"));
    blobs.max_by_key(|data| fs::metadata(data).unwrap().len()).unwrap()
}

fn blobs(sandbox: &Sandbox, registry: &str) -> usize {
    let top = sandbox.path(registry).join("docker/registry/v2/blobs/sha256");
    fs::read_dir(top).unwrap().map(|group| fs::read_dir(group.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn a_registry_is_filled_from_another_emptied_and_mended() {
    let sandbox = Sandbox::new();
    let archive = sandbox.archive("oci-archive");
    let first = Served::of(&sandbox, &["--anonymous", "push"]);
    for name in ["team/app:v1", "team/app:v2", "library/tool:1"] {
        let to = format!("docker://{}/{name}", first.host());
        run("skopeo", &["copy", "-q", "--dest-tls-verify=false", &format!("oci-archive:{archive}"), &to]);
    }
    let listed = sandbox.sealos(&["registry", "ls", "registry"]).fine();
    let names: Vec<&str> = listed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["library/tool:1", "team/app:v1", "team/app:v2"]);

    // Everything into another registry, and one image under a path of it.
    let second = Served::in_directory(&sandbox, "other", &["--anonymous", "push"]);
    let sync = ["registry", "sync", "-q", "--all", "--tls-verify=false", first.host(), second.host()];
    let dry = sandbox.sealos(&[&sync[..], &["--dry-run"]].concat()).fine();
    assert_eq!((dry.lines().count(), dry.matches(" -> ").count()), (3, 3), "{dry}");
    assert_eq!(sandbox.sealos(&["registry", "ls", "other"]).fine(), "");
    assert_eq!(sandbox.sealos(&sync).fine().lines().count(), 3);
    assert_eq!(sandbox.sealos(&["registry", "ls", "other"]).fine(), listed, "digests and all");
    let image = format!("{}/team/app:v1", first.host());
    let below = format!("{}/mirror", second.host());
    sandbox.sealos(&["registry", "copy", "-q", "--tls-verify=false", &image, &below]).fine();
    let mirrored = sandbox.sealos(&["registry", "ls", "other"]).fine();
    assert!(mirrored.contains("mirror/team/app:v1 sha256:"), "{mirrored}");
    // What cannot be copied is an error.
    let missing = format!("{}/team/app:none", first.host());
    let copy = ["registry", "copy", "-q", "--tls-verify=false", "--retry", "0"];
    sandbox.sealos(&[&copy[..], &[&missing, &below]].concat()).refused(&["team/app:none"]);

    // A damaged blob is found, put aside, and fetched from the peer.
    sandbox.sealos(&["registry", "scrub", "other"]).fine();
    let layer = largest(&sandbox, "other");
    let whole = fs::read(&layer).unwrap();
    let mut wrong = whole.clone();
    wrong[1000] ^= 1;
    fs::write(&layer, &wrong).unwrap();
    let found = sandbox.sealos(&["registry", "scrub", "other"]);
    assert_eq!(found.code, Some(1), "{}", found.stderr);
    assert!(found.stderr.contains("damaged: sha256:"), "{}", found.stderr);
    assert!(!layer.exists(), "it is put aside");
    let peer = format!("http://{}", first.host());
    let mended = sandbox.sealos(&["registry", "scrub", "other", "--repair", &peer, "--json"]).fine();
    assert!(mended.contains("\"repaired\""), "{mended}");
    assert_eq!(fs::read(&layer).unwrap(), whole);
    let pulled = format!("dir:{}", sandbox.at("pulled"));
    let from = format!("docker://{}/mirror/team/app:v1", second.host());
    run("skopeo", &["copy", "-q", "--src-tls-verify=false", &from, &pulled]);

    // Space: nothing goes that is needed or young, a dry run takes nothing, and then it goes.
    for image in ["team/app:v1", "library/tool:1", "mirror/team/app:v1"] {
        assert_eq!(sandbox.sealos(&["registry", "rm", "other", image]).fine(), format!("{image}\n"));
    }
    sandbox.sealos(&["registry", "rm", "other", "team/app:v1"]).refused(&["team/app:v1"]);
    let before = blobs(&sandbox, "other");
    let gc = |args: &[&str]| sandbox.sealos(&[&["registry", "gc", "other", "--untagged"], args].concat()).fine();
    assert!(gc(&[]).contains("(0 blobs)"));
    assert!(gc(&["--grace", "0s"]).contains("(0 blobs)"), "one tag needs it all");
    sandbox.sealos(&["registry", "rm", "other", "team/app:v2"]).fine();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(gc(&["--grace", "0s", "--dry-run"]).starts_with("Would free "));
    assert_eq!(blobs(&sandbox, "other"), before);
    let freed = gc(&["--grace", "0s"]);
    assert!(freed.contains(&format!("({before} blobs)")), "{freed}");
    assert_eq!(blobs(&sandbox, "other"), 0);
    // The newest stay, in the registry that is served meanwhile.
    let kept = sandbox.sealos(&["registry", "gc", "registry", "--keep", "1", "--grace", "0s", "--json"]).fine();
    assert!(kept.contains("\"tags\": 1"), "{kept}");
    let left = sandbox.sealos(&["registry", "ls", "registry"]).fine();
    assert!(left.contains("team/app:v2 ") && !left.contains("team/app:v1 "), "{left}");
}
