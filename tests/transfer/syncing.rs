//! `sync`, `tags` and `search`: many images at once, beside skopeo's sync.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::own::Own;
use crate::peers::{digest, digest_at, events, published, say};
use crate::registry::Registry;
use crate::sandbox::{Sandbox, noise, run};

/// All names of a registry and their digests, as crane sees them, sorted; the registry's own name is left out.
fn contents(registry: &Registry) -> Vec<(String, String)> {
    let host = registry.name("");
    let host = host.trim_end_matches('/');
    let mut all = Vec::new();
    for repository in say("crane", &["catalog", "--insecure", host]).lines() {
        for tag in say("crane", &["ls", "--insecure", &format!("{host}/{repository}")]).lines() {
            let name = format!("{repository}:{tag}");
            all.push((name.clone(), say("crane", &["digest", "--insecure", &format!("{host}/{name}")])));
        }
    }
    all.sort();
    all
}

/// A registry with several repositories and tags.
fn filled() -> (Sandbox, Registry) {
    let (sandbox, registry, ..) = published();
    for tag in ["v1.2.0", "v1.10.0", "v2.0.0-rc.1", "latest"] {
        sandbox.sealos(&["push", "-q", "one:v1", &registry.name(&format!("team/many:{tag}"))]).fine();
    }
    sandbox.sealos(&["push", "-q", "both:v1", &registry.name("top:v1")]).fine();
    (sandbox, registry)
}

fn host(registry: &Registry) -> String {
    registry.name("").trim_end_matches('/').to_owned()
}

#[test]
fn a_whole_registry_is_mirrored_and_the_second_time_moves_nothing() {
    let (sandbox, from) = filled();
    let to = Registry::plain();
    let args = ["--progress", "json", "sync", "--all", &host(&from), &host(&to)];
    let said = sandbox.sealos(&args);
    let (moved, twice, _) = events(&said.stderr);
    assert!(moved > 0 && twice.is_empty(), "{twice:?}");
    assert_eq!(said.fine().lines().count(), contents(&from).len());
    assert_eq!(contents(&to), contents(&from));
    let again = sandbox.sealos(&args);
    assert_eq!(events(&again.stderr).0, 0);
    again.fine();
}

#[test]
fn lists_name_tags_expressions_and_ranges_as_skopeo_has_them() {
    let (sandbox, from) = filled();
    let (mine, theirs) = (Registry::plain(), Registry::plain());
    let list = format!(
        "{}:\n  tls-verify: false\n  images:\n    team/one: [v1]\n    top: []\n  images-by-tag-regex:\n    team/many: ^v1\\.\n",
        host(&from)
    );
    fs::write(sandbox.path("list.yaml"), list).unwrap();
    let file = sandbox.at("list.yaml");
    let common = ["sync", "--all", "--src", "yaml", "--dest", "docker"];
    sandbox.sealos(&[&common[..], &[&file, &host(&mine)]].concat()).fine();
    run("skopeo", &[&common[..], &["--dest-tls-verify=false", &file, &host(&theirs)]].concat());
    assert_eq!(contents(&mine), contents(&theirs));
    assert_eq!(contents(&mine).len(), 4);

    let scoped = Registry::plain();
    sandbox.sealos(&["sync", "-q", "--all", "--scoped", &file, &format!("{}/m", host(&scoped))]).fine();
    let prefix = format!("m/{}/team/one:v1", host(&from).replace(':', "-"));
    assert!(contents(&scoped).iter().any(|(name, _)| *name == prefix), "{:?}", contents(&scoped));

    let list = format!("{}:\n  images-by-semver:\n    team/many: \">=1.10\"\n", host(&from));
    fs::write(sandbox.path("range.yaml"), list).unwrap();
    let plan = sandbox.sealos(&["sync", "--dry-run", "range.yaml", &host(&mine)]).fine();
    assert_eq!(plan.lines().count(), 1, "{plan}");
    assert!(plan.contains("team/many:v1.10.0 -> "), "{plan}");
}

#[test]
fn filters_choose_and_a_dry_run_writes_nothing() {
    let (sandbox, from) = filled();
    let to = Registry::plain();
    for (filters, want) in [
        (&["tag=^v1"][..], 5),
        (&["tag=^v1", "repository=many"], 2),
        (&["repository=many", "tag!=rc"], 3),
        (&["repository=many", "semver=>=1.3-0"], 2),
    ] {
        let flags: Vec<&str> = filters.iter().flat_map(|filter| ["--filter", filter]).collect();
        let (source, target) = (host(&from), host(&to));
        let args = [&["sync", "--dry-run", "--json"], &flags[..], &[&source, &target]].concat();
        let rows: Vec<Value> = serde_json::from_str(&sandbox.sealos(&args).fine()).unwrap();
        assert_eq!(rows.len(), want, "{filters:?}: {rows:?}");
    }
    assert_eq!(contents(&to), []);
    let said = sandbox.sealos(&["sync", "--filter", "tag=nothing", &host(&from), &host(&to)]);
    said.refused(&["filtered out"]);
}

#[test]
fn a_list_that_is_not_there_is_no_registry() {
    Sandbox::new().sealos(&["sync", "absent.yaml", "127.0.0.1:1"]).refused(&["absent.yaml", "o such file"]);
}

#[test]
fn what_is_missing_stops_everything_or_is_left_out_and_fails_either_way() {
    let (sandbox, from) = filled();
    let to = Registry::plain();
    let list = format!("{0}/team/one:v1\n{0}/team/one:absent\n{0}/nobody/nothing:v1\n", host(&from));
    fs::write(sandbox.path("list.txt"), list).unwrap();
    let said = sandbox.sealos(&["sync", "list.txt", &host(&to)]);
    said.refused(&["team/one:absent", "nobody/nothing:v1", "--keep-going"]);
    assert_eq!(contents(&to), []);
    let said = sandbox.sealos(&["sync", "--dry-run", "list.txt", &host(&to)]);
    assert_eq!((said.code, said.stdout.lines().count()), (Some(1), 1), "{}", said.stderr);
    let said = sandbox.sealos(&["sync", "--keep-going", "list.txt", &host(&to)]);
    assert_eq!((said.code, said.stdout.lines().count()), (Some(1), 1), "{}", said.stderr);
    assert_eq!(contents(&to).len(), 1);
}

#[test]
fn two_images_never_get_one_name() {
    let (sandbox, from) = filled();
    let to = Registry::plain();
    sandbox.sealos(&["push", "-q", "one:v1", &from.name("other/one:v1")]).fine();
    let args = ["sync", "--src", "docker", "--dest", "docker", &from.name("team/one:v1"), &from.name("other/one:v1")];
    let said = sandbox.sealos(&[&args[..], &[&host(&to)]].concat());
    said.refused(&["two images", "--scoped"]);
    assert_eq!(contents(&to), []);
    sandbox.sealos(&["sync", "-q", &from.name("team/one:v1"), &from.name("other/one:v1"), &host(&to)]).fine();
    assert_eq!(contents(&to).len(), 2);
}

#[test]
fn a_bundle_crosses_the_gap_and_comes_out_the_same() {
    let (sandbox, from) = filled();
    let (to, again) = (Registry::plain(), Registry::plain());
    let other_side = Sandbox::new();
    for (bundle, source) in [
        (format!("oci-archive:{}", sandbox.at("bundle.tar")), sandbox.at("bundle.tar")),
        (format!("oci:{}", sandbox.at("bundle")), sandbox.at("bundle")),
        (format!("dir:{}", sandbox.at("tree")), format!("dir:{}", sandbox.at("tree"))),
    ] {
        sandbox.sealos(&["sync", "-q", "--all", &host(&from), &bundle]).fine();
        sandbox.sealos(&["sync", "-q", "--all", &host(&from), &bundle]).fine();
        other_side.sealos(&["sync", "-q", "--all", &source, &host(&to)]).fine();
        assert_eq!(contents(&to), contents(&from), "{bundle}");
    }
    // skopeo reads the tree, too.
    let args = ["sync", "--all", "--src", "dir", "--dest", "docker", "--scoped", "--dest-tls-verify=false"];
    run("skopeo", &[&args[..], &[&sandbox.at("tree"), &host(&again)]].concat());
    let digests = |registry: &Registry| -> Vec<String> { contents(registry).into_iter().map(|(_, it)| it).collect() };
    let (mut a, mut b) = (digests(&again), digests(&from));
    a.sort();
    b.sort();
    assert_eq!(a, b);
    other_side.is_empty();
}

#[test]
fn the_store_is_synced_both_ways() {
    let (sandbox, from) = filled();
    let fresh = Sandbox::new();
    fresh.sealos(&["sync", "-q", "--all", &host(&from), "store:"]).fine();
    let name = from.name("team/one:v1");
    assert_eq!(digest(&fresh, &name), digest(&sandbox, "one:v1"));
    let to = Registry::plain();
    fresh.sealos(&["sync", "-q", "--all", "store:", &host(&to)]).fine();
    assert_eq!(contents(&to), contents(&from));
    drop(from);
    fresh.sealos(&["inspect", &name]).fine();
}

/// A layout with `count` images that share 20 layers among them.
fn many(directory: &Path, count: usize) {
    use oci::{Descriptor, MediaType};
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        let what = Descriptor::of(media_type, bytes);
        fs::write(blobs.join(what.digest.hex()), bytes).unwrap();
        what
    };
    let layers: Vec<Descriptor> =
        (0..20).map(|at| put(MediaType::OCI_LAYER, &[noise(30_000, at), vec![0; 1024]].concat())).collect();
    let mut manifests = Vec::new();
    for at in 0..count {
        let own = [&layers[at % 20], &layers[(at * 7 + 3) % 20]];
        let diff_ids: Vec<String> = own.iter().map(|layer| layer.digest.to_string()).collect();
        let platform = oci::Platform::host();
        let config = serde_json::json!({
            "architecture": platform.architecture, "os": platform.os, "config": {"Env": [format!("n={at}")]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = put(MediaType::OCI_CONFIG, config.to_string().as_bytes());
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": own,
        });
        let manifest = put(MediaType::OCI_MANIFEST, manifest.to_string().as_bytes());
        manifests.push(manifest.annotated(oci::annotation::REF_NAME, format!("hub.example/many/app{at}:v1")));
    }
    let index = serde_json::json!({"schemaVersion": 2, "manifests": manifests});
    fs::write(directory.join("index.json"), index.to_string()).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
fn two_hundred_images_move_every_layer_once() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    many(&sandbox.path("layout"), 200);
    let source = format!("oci:{}", sandbox.at("layout"));
    let push = sandbox.sealos(&["--progress", "json", "sync", &source, &host(&registry)]);
    let (moved, twice, _) = events(&push.stderr);
    assert_eq!((moved, twice), (20, vec![]), "pushed");
    assert_eq!(push.fine().lines().count(), 200);
    let again = sandbox.sealos(&["--progress", "json", "sync", &source, &host(&registry)]);
    assert_eq!(events(&again.stderr).0, 0);
    again.fine();

    let names: Vec<String> = (0..200).map(|at| registry.name(&format!("many/app{at}:v1"))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pull = sandbox.sealos(&[&["--progress", "json", "pull"], &names[..]].concat());
    let (moved, twice, _) = events(&pull.stderr);
    assert_eq!((moved, twice), (20, vec![]), "pulled");
    assert_eq!(pull.fine().lines().count(), 200);
    let name = names[199];
    assert_eq!(digest(&sandbox, name), digest_at(&format!("docker://{name}")));
}

#[test]
fn tags_and_repositories_are_listed() {
    let (sandbox, registry) = filled();
    let many = registry.name("team/many");
    let tags = sandbox.sealos(&["tags", &many]).fine();
    assert_eq!(tags.trim(), say("crane", &["ls", "--insecure", &many]));
    let range = sandbox.sealos(&["tags", "--filter", "semver=>=1.2", &many]).fine();
    assert_eq!(range, "v1.10.0\nv1.2.0\n");
    let json: Value = serde_json::from_str(&sandbox.sealos(&["tags", "--json", &many]).fine()).unwrap();
    assert_eq!((json["name"].as_str(), json["tags"].as_array().unwrap().len()), (Some(many.as_str()), 4));
    let both = sandbox.sealos(&["list-tags", &many, &registry.name("top")]).fine();
    assert!(both.lines().any(|line| line == registry.name("top:v1")), "{both}");
    sandbox.sealos(&["tags", &registry.name("nobody/nothing")]).refused(&["nobody/nothing"]);

    let found = sandbox.sealos(&["search", &host(&registry)]).fine();
    let names: Vec<&str> = found.lines().skip(1).map(str::trim).collect();
    assert_eq!(names, [registry.name("team/both"), many.clone(), registry.name("team/one"), registry.name("top")]);
    let found = sandbox.sealos(&["search", "--json", &registry.name("many")]).fine();
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found[0]["name"].as_str(), Some(many.as_str()));
    assert_eq!(found.as_array().unwrap().len(), 1);
}

#[test]
fn lists_of_many_pages_are_read_to_their_end() {
    // Docker's registry lists the repositories that have a directory.
    let registry = Registry::plain();
    for at in 0..1234 {
        let repository = registry.at(&format!("data/docker/registry/v2/repositories/many/r{at:04}"));
        fs::create_dir_all(format!("{repository}/_layers")).unwrap();
        fs::create_dir_all(format!("{repository}/_manifests/tags")).unwrap();
    }
    let sandbox = Sandbox::new();
    let said = sandbox.sealos(&["search", "--limit", "1100", &host(&registry)]);
    assert!(said.stderr.contains("these are 1100 of 1234 that match; `--limit` shows more"), "{}", said.stderr);
    let found = said.fine();
    let names: Vec<&str> = found.lines().skip(1).map(str::trim).collect();
    let ends = (registry.name("many/r0000"), registry.name("many/r1099"));
    assert_eq!((names.len(), names[0], names[1099]), (1100, &ends.0[..], &ends.1[..]));

    // Ours takes many tags at once, and has pages of them.
    let own = Own::new();
    let manifest = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    let digest = oci::Digest::of(manifest.as_bytes());
    for hundred in 0..12 {
        let tags: String = (0..100).map(|at| format!("&tag=t{:04}", hundred * 100 + at)).collect();
        let url = format!("http://{}/v2/many/tags/manifests/{digest}?{}", own.host(), tags.trim_start_matches('&'));
        let put =
            ["-sSf", "--max-time", "60", "-X", "PUT", "-H", "Content-Type: application/vnd.oci.image.index.v1+json"];
        say("curl", &[&put[..], &["--data-binary", manifest, "-o", "/dev/null", &url]].concat());
    }
    let tags = sandbox.sealos(&["tags", &own.name("many/tags")]).fine();
    let tags: Vec<&str> = tags.lines().collect();
    assert_eq!((tags.len(), tags[0], tags[1199]), (1200, "t0000", "t1199"));
    let plan =
        sandbox.sealos(&["sync", "--dry-run", "--filter", "tag=^t11", &own.name("many/tags"), "oci:never"]).fine();
    assert_eq!(plan.lines().count(), 100);
}
