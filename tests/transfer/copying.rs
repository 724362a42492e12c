//! `copy`: from every place to every place, both ways, with the digest that it had.

use std::fs;

use crate::peers::{build, config_at, digest, digest_at, other, published, say};
use crate::registry::Registry;
use crate::sandbox::{Sandbox, run};

/// Places that keep digests. Where an image is, and how skopeo calls it there.
fn places(sandbox: &Sandbox, registry: &Registry, name: &str) -> Vec<(String, String)> {
    let layout = format!("oci:{}:{name}", sandbox.at("layout"));
    let archive = format!("oci-archive:{}:{name}", sandbox.at(&format!("{name}.tar")));
    let directory = format!("dir:{}", sandbox.at(&format!("{name}.dir")));
    let remote = format!("docker://{}", registry.name(&format!("copied/{name}:v1")));
    let store = format!("oci:{}:copied/{name}:v1", sandbox.at("store"));
    let same = |place: String| (place.clone(), place);
    vec![same(layout), same(archive), same(directory), same(remote), (format!("copied/{name}:v1"), store)]
}

#[test]
fn every_pair_of_places_keeps_the_digest() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    build(&sandbox);
    for (image, flags) in [("one:v1", &[][..]), ("both:v1", &["--all"])] {
        let want = digest(&sandbox, image);
        let kind = image.trim_end_matches(":v1");
        let sources = places(&sandbox, &registry, &format!("{kind}-from"));
        for (source, for_skopeo) in &sources {
            let copied = sandbox.sealos(&[&["copy", "-q"], flags, &[image, source]].concat()).fine();
            assert_eq!((copied.trim(), digest_at(for_skopeo)), (want.as_str(), want.clone()), "{image} to {source}");
        }
        for (at, (source, _)) in sources.iter().enumerate() {
            for (target, for_skopeo) in places(&sandbox, &registry, &format!("{kind}-{at}")) {
                let copied = sandbox.sealos(&[&["copy", "-q"], flags, &[source, &target]].concat()).fine();
                let got = (copied.trim().to_owned(), digest_at(&for_skopeo));
                assert_eq!(got, (want.clone(), want.clone()), "{source} to {target}");
            }
        }
    }
}

#[test]
fn what_skopeo_wrote_is_copied_everywhere() {
    let (sandbox, registry, one, both) = published();
    for (name, want) in [("one", &one), ("both", &both)] {
        let theirs = places(&sandbox, &registry, &format!("{name}-theirs"));
        for (at, (place, for_skopeo)) in theirs.iter().enumerate().take(4) {
            let from = format!("docker://{}", registry.name(&format!("team/{name}:v1")));
            let args = ["copy", "-q", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", &from, for_skopeo];
            run("skopeo", &args);
            let target = format!("mine/{name}{at}:v1");
            assert_eq!(sandbox.sealos(&["copy", "-q", "--all", place, &target]).fine().trim(), want, "{place}");
            assert_eq!(&digest(&sandbox, &target), want);
        }
    }
}

#[test]
fn docker_archives_keep_the_image_and_its_layers_contents() {
    let (sandbox, registry, ..) = published();
    let remote = format!("docker://{}", registry.name("team/one:v1"));
    let config = config_at(&remote);
    let archive = format!("docker-archive:{}:mine/one:v1", sandbox.at("one.tar"));
    sandbox.sealos(&["copy", "-q", &remote, &archive]).fine();
    assert_eq!(config_at(&archive), config);
    assert_eq!(say("skopeo", &["list-tags", &archive]).matches("mine/one:v1").count(), 1);
    // Back into a registry it is compressed on the way, into files it stays as it is.
    let back = registry.name("back/one:v1");
    sandbox.sealos(&["copy", "-q", &archive, &format!("docker://{back}")]).fine();
    assert_eq!(config_at(&format!("docker://{back}")), config);
    assert!(crate::peers::layer_types(&crate::peers::manifest(&back)).iter().all(|layer| layer.ends_with("gzip")));
    crate::peers::validate(&back);
    let layout = format!("oci:{}:v1", sandbox.at("layout"));
    sandbox.sealos(&["copy", "-q", &archive, &layout]).fine();
    assert_eq!(config_at(&layout), config);
    // What a skopeo of others made of it, too.
    let theirs = format!("docker-archive:{}:theirs/one:v1", sandbox.at("theirs.tar"));
    // It cannot unpack zstd for this; the image that came back is compressed with gzip.
    run("skopeo", &["copy", "-q", "--src-tls-verify=false", &format!("docker://{back}"), &theirs]);
    sandbox.sealos(&["copy", "-q", &theirs, "theirs/one:v1"]).fine();
    let again = format!("docker-archive:{}:again/one:v1", sandbox.at("again.tar"));
    sandbox.sealos(&["copy", "-q", "theirs/one:v1", &again]).fine();
    assert_eq!(config_at(&again), config);
    sandbox.sealos(&["copy", "--compression-format", "zstd", "one:v1", &archive]).refused(&["unpacked"]);
}

#[test]
fn of_an_index_the_image_for_this_machine_is_copied_and_it_is_said() {
    let (sandbox, registry, _, both) = published();
    let (from, host, other) =
        (format!("docker://{}", registry.name("team/both:v1")), oci::Platform::host().to_string(), other());
    let said = sandbox.sealos(&["copy", &from, &format!("oci:{}:v1", sandbox.at("layout"))]);
    assert!(said.stderr.contains(&host) && said.stderr.contains(&other), "{}", said.stderr);
    let copied = said.fine();
    assert_ne!(copied.trim(), both);
    for (args, parts) in [
        (&["--preserve-digests"][..], &["would change", "--all"][..]),
        (&["--platform", "linux/s390x"], &["linux/s390x", &host, &other]),
    ] {
        sandbox.sealos(&[&["copy"], args, &[&from, "never:v1"]].concat());
        let said = sandbox.sealos(&[&["copy"], args, &[&from, &format!("dir:{}", sandbox.at("never"))]].concat());
        said.refused(parts);
        assert!(!sandbox.path("never").exists(), "{args:?}");
    }
    let target = format!("dir:{}", sandbox.at("whole"));
    assert_eq!(sandbox.sealos(&["copy", "-q", "--all", "--preserve-digests", &from, &target]).fine().trim(), both);
    // Both platforms, but not by `--all`: an index of both is the index.
    let target = format!("dir:{}", sandbox.at("two"));
    let args = ["copy", "-q", "--platform", &host, "--platform", &other, &from, &target];
    assert_eq!(sandbox.sealos(&args).fine().trim(), both);
}

#[test]
fn a_dry_run_says_what_would_move_and_moves_nothing() {
    let (sandbox, registry, one, _) = published();
    let to = format!("docker://{}", registry.name("dry/one:v1"));
    let said = sandbox.sealos(&["copy", "--dry-run", "one:v1", &to]).fine();
    assert!(said.contains(&one) && said.contains("5 of 5 blobs would be copied"), "{said}");
    sandbox.sealos(&["inspect", &to]).refused(&["no image"]);
    sandbox.sealos(&["copy", "-q", "one:v1", &to]).fine();
    let said = sandbox.sealos(&["copy", "--dry-run", "--json", "one:v1", &to]).fine();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((said["dryRun"]["blobs"].as_u64(), said["dryRun"]["of"].as_u64()), (Some(0), Some(5)));
    let directory = sandbox.at("dry");
    sandbox.sealos(&["copy", "--dry-run", "one:v1", &format!("dir:{directory}")]).fine();
    assert!(!sandbox.path("dry").exists());
}

#[test]
fn an_image_directory_is_replaced_and_any_other_is_refused() {
    let sandbox = Sandbox::new();
    build(&sandbox);
    let target = format!("dir:{}", sandbox.at("image"));
    for (name, flags) in [("one:v1", &[][..]), ("one:v1", &[]), ("both:v1", &["--all"]), ("one:v1", &[])] {
        sandbox.sealos(&[&["copy", "-q"], flags, &[name, &target]].concat()).fine();
        assert_eq!(digest_at(&target), digest(&sandbox, name), "{name}");
    }
    let left: Vec<_> = fs::read_dir(sandbox.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    fs::create_dir(sandbox.path("mine")).unwrap();
    fs::write(sandbox.path("mine/precious"), "x").unwrap();
    for target in ["dir:mine", "oci:mine:v1"] {
        sandbox.sealos(&["copy", "-q", "one:v1", target]).refused(&["mine", "something else"]);
    }
    assert_eq!(fs::read_to_string(sandbox.path("mine/precious")).unwrap(), "x");
}

#[test]
fn a_name_that_only_looks_like_a_transport_is_a_name() {
    let sandbox = Sandbox::new();
    build(&sandbox);
    let one = digest(&sandbox, "one:v1");
    for name in ["dir:x", "oci:v1", "docker:27"] {
        sandbox.sealos(&["tag", "one:v1", name]).fine();
        assert_eq!(digest(&sandbox, name), one, "{name}");
        assert_eq!(sandbox.sealos(&["copy", "-q", name, "copied:v1"]).fine().trim(), one, "{name}");
    }
    // The path is meant where it is written as one, also beside such a name.
    sandbox.sealos(&["copy", "-q", "--all", "both:v1", "dir:x"]).fine();
    assert_eq!(digest(&sandbox, "dir:x"), one);
    assert_eq!(digest(&sandbox, "dir:./x"), digest(&sandbox, "both:v1"));
    sandbox.sealos(&["rmi", "dir:x"]).fine();
    assert_eq!(digest(&sandbox, "dir:x"), digest(&sandbox, "both:v1"));
    sandbox.sealos(&["copy", "oci-archive:absent.tar", "x:v1"]).refused(&["absent.tar", "not there", "no image"]);
}

#[test]
fn of_several_images_in_a_file_one_has_to_be_chosen() {
    let sandbox = Sandbox::new();
    build(&sandbox);
    let archive = sandbox.at("two.tar");
    sandbox.sealos(&["save", "-q", "-o", &archive, "one:v1", "both:v1"]).fine();
    let source = format!("oci-archive:{archive}");
    sandbox.sealos(&["copy", &source, "x:v1"]).refused(&["several images", "one:v1", "both:v1"]);
    sandbox.sealos(&["copy", "-q", &format!("{source}:one:v1"), "x:v1"]).fine();
    assert_eq!(digest(&sandbox, "x:v1"), digest(&sandbox, "one:v1"));
    sandbox.sealos(&["copy", &format!("{source}:absent:v1"), "x:v1"]).refused(&["absent:v1"]);
    sandbox.sealos(&["copy", &format!("docker-archive:{archive}"), "x:v1"]).refused(&["oci-archive:"]);
}

#[test]
fn an_archive_of_a_registrys_image_leaves_nothing_in_the_store() {
    let (_, registry, one, _) = published();
    let sandbox = Sandbox::new();
    let source = format!("docker://{}", registry.name("team/one:v1"));
    let target = format!("oci-archive:{}:v1", sandbox.at("one.tar"));
    assert_eq!(sandbox.sealos(&["copy", "-q", &source, &target]).fine().trim(), one);
    assert_eq!(digest_at(&target), one);
    sandbox.is_empty();
}
