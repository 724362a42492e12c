//! `sealos build` with images to carry: fetched, locked, missing, offline, for several platforms, always the same.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, run};
use crate::upstream::{Upstream, pod};

/// The document behind a name of a sandbox's store.
fn raw(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_str(&sandbox.sealos(&["inspect", "--raw", name]).fine()).unwrap()
}

fn lock(sandbox: &Sandbox, name: &str) -> Value {
    serde_json::from_str(&sandbox.sealos(&["inspect", "--images", name]).fine()).unwrap()
}

/// A context that asks for `a:1` in a manifest and for `b:1` in a list.
fn context(sandbox: &Sandbox, upstream: &Upstream) -> String {
    let manifest = pod(&format!("{} # comment", upstream.name("team/a:1")));
    let list = format!("{}\n", upstream.name("team/b:1"));
    sandbox.context(
        "app",
        "FROM scratch\nCOPY . .\nCMD [\"kubectl apply -f manifests\"]\n",
        &[("manifests/a.yaml", manifest.as_bytes()), ("images/shim/list", list.as_bytes())],
    )
}

#[test]
fn a_cluster_image_is_an_index_with_root_carried_and_lock() {
    let upstream = Upstream::open();
    upstream.images(&["team/a:1", "team/b:1"]);
    let sandbox = Sandbox::new();
    let context = context(&sandbox, &upstream);
    let id = sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    let index = raw(&sandbox, "app:v1");
    assert_eq!(index["artifactType"], "application/vnd.sealos.cluster-image.v1");
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 4);
    assert_eq!(manifests[0]["platform"]["architecture"], oci::Platform::host().architecture);
    for carried in &manifests[1..] {
        assert_eq!(carried["platform"]["os"], "unknown");
    }
    let host = oci::Platform::host().to_string();
    assert_eq!(manifests[1]["annotations"]["io.sealos.carried.platform"], host);
    assert_eq!(manifests[3]["annotations"]["io.sealos.carried.lock"], "images.lock.json");

    let lock = lock(&sandbox, "app:v1");
    let images = lock["images"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    let upstream_index: Value = serde_json::from_slice(&upstream.raw("team/a:1")).unwrap();
    assert_eq!(images[0]["reference"], upstream.name("team/a:1"));
    assert_eq!(images[0]["digest"], upstream.digest("team/a:1"));
    assert_eq!(images[0]["mediaType"], upstream_index["mediaType"]);
    assert_eq!(images[0]["platforms"][0]["digest"], upstream_index["manifests"][0]["digest"]);
    assert_eq!(images[0]["origins"][0]["file"], "manifests/a.yaml");
    assert_eq!(images[0]["origins"][0]["line"], 7);
    assert_eq!(images[1]["origins"][0]["file"], "images/shim/list");

    // What is carried is no name of the whole.
    let carried = images[0]["platforms"][0]["digest"].as_str().unwrap();
    sandbox.sealos(&["rmi", carried]).refused(&[carried]);

    // The same in another place, at another time, in another store.
    let other = Sandbox::new();
    let again = self::context(&other, &upstream);
    run("find", &[&again, "-exec", "touch", "-d", "2001-02-03", "{}", "+"]);
    assert_eq!(other.sealos(&["build", "-q", "--lock", "--jobs", "1", "-t", "other:1", &again]).fine(), id);
    assert_eq!(sandbox.sealos(&["build", "-q", "--lock", "-t", "app:v1", &context]).fine(), id);
    let written = |context: &str| fs::read(format!("{context}/images.lock.json")).unwrap();
    assert_eq!(written(&context), written(&again));
    // Nothing carried: a plain image.
    sandbox.sealos(&["build", "-q", "--no-carry", "-t", "plain:1", &context]).fine();
    assert_eq!(raw(&sandbox, "plain:1")["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
    sandbox.sealos(&["build", "-q", "--save-image=false", "-t", "plain:2", &context]).fine();
    assert_eq!(raw(&sandbox, "plain:2"), raw(&sandbox, "plain:1"));
}

#[test]
fn images_that_cannot_be_had_fail_the_build_with_file_and_line() {
    let upstream = Upstream::open();
    upstream.image("team/a:1", 1, "linux/amd64,linux/arm64");
    upstream.image("team/s390:1", 2, "linux/s390x");
    let closed = Upstream::closed();
    closed.image("team/secret:1", 3, "linux/amd64,linux/arm64");
    let sandbox = Sandbox::new();
    let files = [
        ("manifests/a.yaml", pod(&upstream.name("team/a:1"))),
        ("manifests/missing.yaml", pod(&upstream.name("team/missing:1"))),
        ("manifests/other.yaml", pod(&upstream.name("team/s390:1"))),
        ("images/shim/list", format!("# one\n{}\n", closed.name("team/secret:1"))),
    ];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    let context = sandbox.context("app", "FROM scratch\nCOPY . .\n", &files);
    let said = sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]);
    said.refused(&[
        "3 images cannot be carried",
        "team/missing:1, wanted by manifests/missing.yaml:7",
        "team/s390:1, wanted by manifests/other.yaml:7",
        "linux/s390x",
        "team/secret:1, wanted by images/shim/list:2",
        "help: ",
    ]);
    sandbox.shows_nothing();

    // With credentials, and what may be missing left out.
    let login = [&closed.address()[..], "-u", "me", "--password-stdin"];
    let mut child =
        sandbox.command(&[&["login"][..], &login].concat()).stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"hunter2").unwrap();
    assert!(child.wait().unwrap().success());
    let allowed = ["--ignore-missing", "*/team/missing", "--ignore-missing", "*s390*"];
    let said = sandbox.sealos(&[&["build", "-t", "app:v1"][..], &allowed, &[&context]].concat());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("not carried: ") && !said.stderr.contains("hunter2"), "{}", said.stderr);
    assert_eq!(lock(&sandbox, "app:v1")["images"].as_array().unwrap().len(), 2);
}

#[test]
fn a_rebuild_needs_no_registry_and_fetches_what_is_new_only() {
    let mut upstream = Upstream::open();
    upstream.images(&["team/a:1", "team/b:1"]);
    let sandbox = Sandbox::new();
    let context = context(&sandbox, &upstream);
    let first = sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    upstream.stop();
    let again = sandbox.sealos(&["build", "-t", "app:v1", &context]);
    assert_eq!((again.code, again.stdout), (Some(0), first.clone()), "{}", again.stderr);
    // A file changes; the images do not.
    fs::write(format!("{context}/more.txt"), "more").unwrap();
    let changed = sandbox.sealos(&["build", "-q", "-t", "app:v2", &context]).fine();
    assert_ne!(changed, first);
    // Asked to look again, it has to be reached.
    sandbox.sealos(&["build", "-q", "--pull=always", &context]).refused(&["team/a:1", "manifests/a.yaml:7"]);
    // What is not known is not made up.
    fs::write(format!("{context}/manifests/c.yaml"), pod(&upstream.name("team/c:1"))).unwrap();
    sandbox.sealos(&["build", "-q", &context]).refused(&["team/c:1, wanted by manifests/c.yaml:7"]);
    sandbox.sealos(&["build", "-q", "--pull=never", &context]).refused(&["team/c:1, wanted by manifests/c.yaml:7"]);
    upstream.go();
    upstream.image("team/c:1", 9, "linux/amd64,linux/arm64");
    let said = sandbox.sealos(&["build", "-t", "app:v3", &context]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(said.stderr.lines().filter(|line| line.starts_with("layer ")).count(), 1, "{}", said.stderr);
}

#[test]
fn several_platforms_carry_theirs_and_a_part_is_whole_by_itself() {
    let upstream = Upstream::open();
    upstream.images(&["team/a:1", "team/b:1"]);
    let sandbox = Sandbox::new();
    let context = context(&sandbox, &upstream);
    let platforms = "linux/amd64,linux/arm64";
    sandbox.sealos(&["build", "-q", "--platform", platforms, "-t", "app:v1", &context]).fine();
    assert_eq!(raw(&sandbox, "app:v1")["manifests"].as_array().unwrap().len(), 2 + 4 + 1);
    assert_eq!(lock(&sandbox, "app:v1")["images"][0]["platforms"].as_array().unwrap().len(), 2);
    sandbox.sealos(&["push", "-q", "--all", "app:v1", &upstream.name("x/app:v1")]).fine();

    // One platform of it, elsewhere.
    let node = Sandbox::new();
    node.sealos(&["pull", "-q", "--platform", "linux/arm64", &upstream.name("x/app:v1")]).fine();
    let archive = node.at("arm.tar");
    node.sealos(&["save", "-q", "-o", &archive, &upstream.name("x/app:v1")]).fine();
    let far = Sandbox::new();
    far.sealos(&["load", "-q", "-i", &archive]).fine();
    let name = upstream.name("x/app:v1");
    let index = raw(&far, &name);
    assert_eq!(index["artifactType"], "application/vnd.sealos.cluster-image.v1");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1 + 2 + 1);
    let only = sandbox.at("only.tar");
    sandbox.sealos(&["save", "-q", "--platform", "linux/arm64", "-o", &only, "app:v1"]).fine();
    let other = Sandbox::new();
    other.sealos(&["load", "-q", "-i", &only]).fine();
    assert_eq!(raw(&other, "app:v1"), index);
    // All that an image has.
    sandbox.sealos(&["build", "-q", "--all", "-t", "all:v1", &context]).fine();
    assert_eq!(lock(&sandbox, "all:v1")["images"][0]["platforms"].as_array().unwrap().len(), 2);
}

/// The platforms of each image of a lock, and the digests of their manifests.
fn carried_platforms(lock: &Value) -> Vec<Vec<(String, String)>> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pair = |it: &Value| (text(&it["platform"]), text(&it["digest"]));
    let of_image = |image: &Value| image["platforms"].as_array().unwrap().iter().map(pair).collect();
    lock["images"].as_array().unwrap().iter().map(of_image).collect()
}

#[test]
fn every_platform_of_what_is_carried_or_of_the_base_travels_and_is_built_again_offline() {
    let mut upstream = Upstream::open();
    upstream.image("team/a:1", 1, "linux/amd64,linux/arm64,linux/s390x");
    upstream.image("team/b:1", 2, "linux/amd64,linux/arm64");
    upstream.image("team/base:1", 3, "linux/amd64,linux/arm64");
    let sandbox = Sandbox::new();
    let context = context(&sandbox, &upstream);
    let all = ["build", "-q", "--all", "-t", "all:v1", &context];
    let everything = sandbox.sealos(&all).fine();
    let index = raw(&sandbox, "all:v1");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1 + 3 + 2 + 1, "root, carried, lock: {index}");
    let own = lock(&sandbox, "all:v1");
    for (name, found) in ["team/a:1", "team/b:1"].iter().zip(carried_platforms(&own)) {
        // As the registry has them, each with all its blobs.
        let theirs: Value = serde_json::from_slice(&upstream.raw(name)).unwrap();
        let mut want: Vec<(String, String)> = Vec::new();
        for entry in theirs["manifests"].as_array().unwrap() {
            let platform = format!("linux/{}", entry["platform"]["architecture"].as_str().unwrap());
            let digest = entry["digest"].as_str().unwrap().to_owned();
            let blob = |digest: &str| sandbox.path("store/blobs/sha256").join(&digest["sha256:".len()..]);
            let manifest: Value = serde_json::from_slice(&fs::read(blob(&digest)).unwrap()).unwrap();
            for part in [&manifest["config"], &manifest["layers"][0]] {
                assert!(blob(part["digest"].as_str().unwrap()).is_file(), "{name} {platform}: {part}");
            }
            let listed = |it: &&Value| it["digest"] == entry["digest"];
            let in_index = index["manifests"].as_array().unwrap().iter().find(listed).unwrap();
            assert_eq!(in_index["annotations"]["io.sealos.carried.platform"], platform.as_str());
            want.push((platform, digest));
        }
        want.sort();
        assert_eq!(found, want, "{name}");
    }
    // An image layout has it under one name, and any tool reads it.
    let layout = sandbox.at("layout");
    sandbox.sealos(&["save", "-q", "--format", "oci-dir", "-o", &layout, "all:v1"]).fine();
    let entries: Value = serde_json::from_slice(&fs::read(format!("{layout}/index.json")).unwrap()).unwrap();
    assert_eq!(entries["manifests"].as_array().unwrap().len(), 1, "{entries}");
    run("skopeo", &["copy", "-q", "--all", &format!("oci:{layout}"), &format!("dir:{}", sandbox.at("dir"))]);

    // The platforms of the base.
    let base = upstream.name("team/base:1");
    fs::write(format!("{context}/Kubefile"), format!("FROM {base}\nCOPY . .\n")).unwrap();
    let of_base = ["build", "-q", "--all-platforms", "-t", "base:v1", &context];
    let based = sandbox.sealos(&of_base).fine();
    assert_eq!(raw(&sandbox, "base:v1")["manifests"].as_array().unwrap().len(), 2 + 4 + 1);
    let platforms: Vec<usize> = carried_platforms(&lock(&sandbox, "base:v1")).iter().map(Vec::len).collect();
    assert_eq!(platforms, [2, 2]);

    // Without the registry, and a part of it for fewer platforms.
    upstream.stop();
    let offline = ["build", "-q", "--pull=false", "--all-platforms", "-t", "base:v2", &context];
    assert_eq!(sandbox.sealos(&offline).fine(), based);
    fs::write(format!("{context}/Kubefile"), "FROM scratch\nCOPY . .\nCMD [\"kubectl apply -f manifests\"]\n").unwrap();
    assert_eq!(sandbox.sealos(&all).fine(), everything);
    sandbox
        .sealos(&["build", "-q", "--platform", "linux/s390x", "-t", "s390:v1", &context])
        .refused(&["team/b:1, wanted by images/shim/list:1", "linux/s390x"]);
    sandbox.sealos(&["build", "-q", "--platform", "linux/arm64,linux/amd64", "-t", "two:v1", &context]).fine();
    let platforms: Vec<usize> = carried_platforms(&lock(&sandbox, "two:v1")).iter().map(Vec::len).collect();
    assert_eq!(platforms, [2, 2]);
}

#[test]
fn a_lock_pins_what_names_stand_for() {
    let upstream = Upstream::open();
    upstream.images(&["team/a:1", "team/b:1"]);
    let sandbox = Sandbox::new();
    let context = context(&sandbox, &upstream);
    let file = format!("{context}/images.lock.json");
    sandbox
        .sealos(&["build", "-q", "--locked", &context])
        .refused(&["2 images are not in the image lock", "manifests/a.yaml:7"]);
    let first = sandbox.sealos(&["build", "-q", "--lock", "-t", "app:v1", &context]).fine();
    let text = fs::read_to_string(&file).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written, lock(&sandbox, "app:v1"));
    // The lock is no file of the image.
    assert_eq!(sandbox.sealos(&["build", "-q", "--lock", "-t", "app:v1", &context]).fine(), first);

    // The tag moves; the lock does not.
    let old = upstream.digest("team/a:1");
    upstream.image("team/a:1", 50, "linux/amd64,linux/arm64");
    let fresh = Sandbox::new();
    assert_eq!(fresh.sealos(&["build", "-q", "--locked", "-t", "app:v1", &context]).fine(), first);
    let said = sandbox.sealos(&["images", "update", "--dry-run", &context]).fine();
    assert_eq!(said, format!("~ {} {old} -> {}\n", upstream.name("team/a:1"), upstream.digest("team/a:1")));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert_eq!(sandbox.sealos(&["images", "update", &context, "*/team/b"]).fine(), "");
    sandbox.sealos(&["images", "update", &context]).fine();
    let second = fresh.sealos(&["build", "-q", "--locked", "-t", "app:v2", &context]).fine();
    assert_ne!(first, second);
    let diff = fresh.sealos(&["images", "diff", "app:v1", "app:v2"]).fine();
    assert!(diff.starts_with(&format!("~ {} {old} -> ", upstream.name("team/a:1"))), "{diff}");
    let diff = fresh.sealos(&["diff", "app:v1", "app:v2"]).fine();
    assert!(diff.contains("image changed"), "{diff}");
    // A damaged lock is no lock.
    fs::write(&file, "{").unwrap();
    sandbox.sealos(&["build", "-q", &context]).refused(&["images.lock.json"]);
}

#[test]
fn tag_and_digest_are_kept_and_two_hosts_are_two_images() {
    let (upstream, second) = (Upstream::open(), Upstream::open());
    upstream.image("team/a:1", 1, "linux/amd64,linux/arm64");
    second.image("team/a:1", 2, "linux/amd64,linux/arm64");
    let pinned = format!("{}@{}", upstream.name("team/a:1"), upstream.digest("team/a:1"));
    let sandbox = Sandbox::new();
    let text =
        format!("{}---\n{}---\n{}", pod(&pinned), pod(&upstream.name("team/a:1")), pod(&second.name("team/a:1")));
    let context = sandbox.context("app", "FROM scratch\nCOPY . .\n", &[("manifests/a.yaml", text.as_bytes())]);
    sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    let lock = lock(&sandbox, "app:v1");
    let names: Vec<&str> =
        lock["images"].as_array().unwrap().iter().map(|it| it["reference"].as_str().unwrap()).collect();
    assert!(names.contains(&pinned.as_str()) && names.len() == 3, "{names:?}");
    // A digest that nobody has.
    let wrong = format!("{}@{}", upstream.name("team/a:1"), oci::Digest::of(b"nothing"));
    fs::write(format!("{context}/manifests/a.yaml"), pod(&wrong)).unwrap();
    sandbox.sealos(&["build", "-q", &context]).refused(&["manifests/a.yaml:7"]);
}

#[test]
fn a_base_brings_what_it_carries() {
    let upstream = Upstream::open();
    upstream.images(&["team/a:1", "team/b:1", "team/c:1"]);
    let sandbox = Sandbox::new();
    let context = context(&sandbox, &upstream);
    let base = upstream.name("x/base:v1");
    sandbox.sealos(&["build", "-q", "-t", &base, &context]).fine();
    sandbox.sealos(&["push", "-q", &base]).fine();
    let other = Sandbox::new();
    let manifest = pod(&upstream.name("team/c:1"));
    let derived = other.context(
        "d",
        &format!("FROM {base}\nCOPY manifests/c.yaml manifests/\n"),
        &[("manifests/c.yaml", manifest.as_bytes())],
    );
    other.sealos(&["build", "-q", "-t", "derived:v1", &derived]).fine();
    let names = other.sealos(&["images", "list", "derived:v1"]).fine();
    assert_eq!(names, ["team/a:1", "team/b:1", "team/c:1"].map(|rest| format!("{}\n", upstream.name(rest))).concat());
    let why = other.sealos(&["images", "why", "a", "in", "derived:v1"]).fine();
    assert!(why.contains(&format!("from the base image {base}")), "{why}");
}

#[test]
fn a_mirror_may_serve_what_is_carried() {
    let upstream = Upstream::open();
    upstream.image("team/a:1", 1, "linux/amd64,linux/arm64");
    let sandbox = Sandbox::new();
    let manifest = pod("quay.invalid/team/a:1");
    let context = sandbox.context("app", "FROM scratch\nCOPY . .\n", &[("manifests/a.yaml", manifest.as_bytes())]);
    let conf = format!(
        "[[registry]]\nlocation = \"quay.invalid\"\n[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        upstream.address()
    );
    fs::write(sandbox.path("registries.conf"), conf).unwrap();
    let conf = sandbox.at("registries.conf");
    sandbox.sealos(&["build", "-q", "--registries-conf", &conf, "-t", "app:v1", &context]).fine();
    let lock = lock(&sandbox, "app:v1");
    assert_eq!(lock["images"][0]["normalised"], "quay.invalid/team/a:1");
    assert_eq!(lock["images"][0]["digest"], upstream.digest("team/a:1"));
}

#[test]
fn archives_and_other_stores_may_hold_what_is_carried() {
    let sandbox = Sandbox::new();
    let made = sandbox.context("made", "FROM scratch\nCOPY data /\n", &[("data", b"x".as_slice())]);
    sandbox.sealos(&["build", "-q", "-t", "local/tool:1", &made]).fine();
    let context = sandbox.context(
        "app",
        "FROM scratch\nCOPY . .\n",
        &[
            ("images/skopeo/tar.txt", b"docker-archive:tool.tar@library/renamed:2\n".as_slice()),
            (
                "images/more.txt",
                b"oci-archive:files/tool.tar   # with its own name\ncontainers-storage:localhost/podman/tool:3\n",
            ),
            (".containerignore", b"images\n"),
        ],
    );
    fs::create_dir_all(format!("{context}/images/files")).unwrap();
    sandbox
        .sealos(&[
            "save",
            "-q",
            "--format",
            "docker-archive",
            "-o",
            &format!("{context}/images/skopeo/tool.tar"),
            "local/tool:1",
        ])
        .fine();
    sandbox.sealos(&["save", "-q", "-o", &format!("{context}/images/files/tool.tar"), "local/tool:1"]).fine();
    let storage = sandbox.at("containers");
    fs::write(
        sandbox.path("storage.conf"),
        format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{storage}/root\"\nrunroot = \"{storage}/run\"\n"),
    )
    .unwrap();
    let conf = sandbox.at("storage.conf");
    let copied = std::process::Command::new("skopeo")
        .args([
            "copy",
            "-q",
            &format!("oci-archive:{context}/images/files/tool.tar"),
            "containers-storage:localhost/podman/tool:3",
        ])
        .env("CONTAINERS_STORAGE_CONF", &conf)
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let built = sandbox
        .command(&["build", "-q", "-t", "app:v1", &context])
        .env("CONTAINERS_STORAGE_CONF", &conf)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let names = sandbox.sealos(&["images", "list", "app:v1"]).fine();
    assert_eq!(names, "library/renamed:2\nlocal/tool:1\nlocalhost/podman/tool:3\n");
    fs::write(format!("{context}/images/files/tool.tar"), "broken").unwrap();
    sandbox.sealos(&["build", "-q", &context]).refused(&["images/more.txt:1"]);
}
