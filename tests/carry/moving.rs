//! Cluster images moved by other programs, and registry directories that docker-registry and sealos read from each
//! other.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::sandbox::{Sandbox, run};
use crate::upstream::{Upstream, installed, pod};

/// An upstream with two images of two platforms, and a sandbox with the cluster image `app:v1` that carries them.
fn built() -> (Upstream, Sandbox, String) {
    let upstream = Upstream::open();
    upstream.images(&["team/a:1", "team/b:1"]);
    let sandbox = Sandbox::new();
    let manifest = pod(&upstream.name("team/a:1")) + "---\n" + &pod(&upstream.name("team/b:1"));
    let files: &[(&str, &[u8])] = &[("manifests/m.yaml", manifest.as_bytes())];
    let context = sandbox.context("app", "FROM scratch\nCOPY . .\nCMD [\"true\"]\n", files);
    sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    (upstream, sandbox, context)
}

fn digest(sandbox: &Sandbox, name: &str) -> String {
    oci::Digest::of(sandbox.sealos(&["inspect", "--raw", name]).fine().as_bytes()).to_string()
}

#[test]
fn other_programs_move_the_native_form_there_and_back_with_the_same_digests() {
    let (upstream, sandbox, _) = built();
    let own = digest(&sandbox, "app:v1");
    sandbox.sealos(&["push", "-q", "app:v1", &upstream.name("x/app:v1")]).fine();
    assert_eq!(upstream.digest("x/app:v1"), own);
    let mut second = Upstream::open();
    let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let skopeo = |from: &str, to: &str| run("skopeo", &[&["copy", "-q", "--all"][..], &insecure, &[from, to]].concat());
    let remote = |upstream: &Upstream, rest: &str| format!("docker://{}", upstream.name(rest));
    let layout = format!("oci:{}:v1", sandbox.at("layout"));
    let directory = format!("dir:{}", sandbox.at("dir"));
    // There, through a layout and a directory, and back.
    skopeo(&remote(&upstream, "x/app:v1"), &remote(&second, "skopeo/app:v1"));
    skopeo(&remote(&second, "skopeo/app:v1"), &layout);
    skopeo(&layout, &directory);
    skopeo(&directory, &remote(&upstream, "skopeo/app:v1"));
    let (crane, oras) = (installed("crane"), installed("oras"));
    run(&crane, &["copy", "--insecure", &upstream.name("x/app:v1"), &second.name("crane/app:v1")]);
    run(&crane, &["copy", "--insecure", &second.name("crane/app:v1"), &upstream.name("crane/app:v1")]);
    let plain = ["--from-plain-http", "--to-plain-http"];
    let oras_copy = |from: &str, to: &str| run(&oras, &[&["cp", "-r"][..], &plain, &[from, to]].concat());
    oras_copy(&upstream.name("x/app:v1"), &second.name("oras/app:v1"));
    oras_copy(&second.name("oras/app:v1"), &upstream.name("oras/app:v1"));
    for by in ["skopeo", "crane", "oras"] {
        let name = format!("{by}/app:v1");
        assert_eq!((second.digest(&name), upstream.digest(&name)), (own.clone(), own.clone()), "{by}");
    }

    // A garbage collector takes nothing away, and everything is there for a stranger.
    let before = second.blobs();
    second.stop();
    run("docker-registry", &["garbage-collect", &second.at("config.yml")]);
    assert_eq!(second.blobs(), before);
    second.go();
    let lock = sandbox.sealos(&["inspect", "--images", "app:v1"]).fine();
    for by in ["skopeo", "crane", "oras"] {
        let stranger = Sandbox::new();
        let name = second.name(&format!("{by}/app:v1"));
        stranger.sealos(&["pull", "-q", &name]).fine();
        assert_eq!(digest(&stranger, &name), own, "{by}");
        assert_eq!(stranger.sealos(&["inspect", "--images", &name]).fine(), lock, "{by}");
    }
    // What skopeo wrote into a layout is loaded.
    let stranger = Sandbox::new();
    stranger.sealos(&["load", "-q", "-i", &sandbox.at("layout")]).fine();
    assert_eq!(digest(&stranger, &own), own);
}

#[test]
fn the_layer_form_is_served_by_dockers_registry_and_converts_there_and_back() {
    let (upstream, sandbox, context) = built();
    let out = sandbox.out();
    sandbox.sealos(&["build", "-q", "--carry", "layer", "-t", "app:layer", "-o", &out, &context]).fine();
    let plain: Value = serde_json::from_str(&sandbox.sealos(&["inspect", "--raw", "app:layer"]).fine()).unwrap();
    assert!(plain["layers"].is_array(), "one plain image: {plain}");
    let theirs = Upstream::over(Path::new(&out).join("registry"));
    let host = oci::Platform::host();
    for name in ["team/a:1", "team/b:1"] {
        let index: Value = serde_json::from_slice(&upstream.raw(name)).unwrap();
        let manifests = index["manifests"].as_array().unwrap();
        let own = manifests.iter().find(|it| it["platform"]["architecture"] == host.architecture.as_str()).unwrap();
        assert_eq!(Value::from(theirs.digest(name)), own["digest"], "{name}");
        let to = format!("dir:{}", sandbox.at(&name.replace(['/', ':'], "-")));
        run("skopeo", &["copy", "-q", "--src-tls-verify=false", &format!("docker://{}", theirs.name(name)), &to]);
    }

    let said = sandbox.sealos(&["inspect", "--images", "app:layer"]);
    assert!(said.stderr.contains("`sealos images list app:layer`"), "{}", said.stderr);
    // With all platforms, tags stand for the upstream's own indexes.
    let out = sandbox.out();
    sandbox.sealos(&["build", "-q", "--carry", "layer", "--all", "-t", "app:all", "-o", &out, &context]).fine();
    let theirs = Upstream::over(Path::new(&out).join("registry"));
    for name in ["team/a:1", "team/b:1"] {
        assert_eq!(theirs.digest(name), upstream.digest(name), "{name}");
        let to = format!("dir:{}", sandbox.at(&name.replace(['/', ':'], "-all-")));
        let from = format!("docker://{}", theirs.name(name));
        run("skopeo", &["copy", "-q", "--all", "--src-tls-verify=false", &from, &to]);
    }

    // There and back: what is carried stays what it is.
    sandbox.sealos(&["convert", "-q", "--carry", "layer", "-t", "app:converted", "app:v1"]).fine();
    sandbox.sealos(&["convert", "-q", "--carry", "native", "-t", "app:native", "app:converted"]).fine();
    sandbox.sealos(&["convert", "-q", "--carry", "native", "-t", "app:native2", "app:layer"]).fine();
    let names = |image: &str| {
        let lock: Value = serde_json::from_str(&sandbox.sealos(&["inspect", "--images", image]).fine()).unwrap();
        let manifest = |it: &Value| it["platforms"][0]["digest"].as_str().unwrap().to_owned();
        lock["images"].as_array().unwrap().iter().map(manifest).collect::<Vec<_>>()
    };
    assert_eq!(names("app:v1").len(), 2);
    assert_eq!(names("app:native"), names("app:v1"));
    assert_eq!(names("app:native2"), names("app:v1"));
}

#[test]
fn what_dockers_registry_wrote_is_carried_and_saved_directories_are_served_by_it() {
    let upstream = Upstream::open();
    upstream.images(&["team/a:1", "team/b:1"]);
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY . .\n", &[]);
    run("cp", &["-r", &upstream.at("data"), &format!("{context}/registry")]);
    sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    let listed = sandbox.sealos(&["images", "list", "app:v1"]).fine();
    assert_eq!(listed, "team/a:1\nteam/b:1\n");
    let out = sandbox.out();
    sandbox.sealos(&["build", "-q", "-t", "app:v1", "-o", &out, &context]).fine();
    assert!(!Path::new(&out).join("registry").exists(), "the directory stays out of the layers");

    // Named by the recipe or not there at all, it stays out, too.
    let recipe = |text: &str| fs::write(format!("{context}/Kubefile"), text).unwrap();
    recipe("FROM scratch\nCOPY Kubefile /\nCOPY registry registry\n");
    let out = sandbox.out();
    sandbox.sealos(&["build", "-q", "-t", "app:v2", "-o", &out, &context]).fine();
    assert_eq!(sandbox.sealos(&["images", "list", "app:v2"]).fine(), listed);
    assert!(!Path::new(&out).join("registry").exists());
    // A directory of that name that is none is the user's.
    fs::rename(format!("{context}/registry"), sandbox.at("kept")).unwrap();
    sandbox.sealos(&["build", "-q", "-t", "app:v3", &context]).fine();
    fs::create_dir(format!("{context}/registry")).unwrap();
    fs::write(format!("{context}/registry/note"), "mine").unwrap();
    let out = sandbox.out();
    sandbox.sealos(&["build", "-q", "-t", "app:v4", "-o", &out, &context]).fine();
    assert_eq!(fs::read_to_string(format!("{out}/registry/note")).unwrap(), "mine");
    fs::remove_dir_all(format!("{context}/registry")).unwrap();

    // An image in the old form says what it holds, and what in it asks for more.
    fs::rename(sandbox.at("kept"), format!("{context}/registry")).unwrap();
    fs::create_dir(format!("{context}/manifests")).unwrap();
    fs::write(format!("{context}/manifests/m.yaml"), pod("r.example/team/c:1")).unwrap();
    recipe("FROM scratch\nCOPY . .\n");
    sandbox.sealos(&["build", "-q", "--no-carry", "-t", "old:v1", &context]).fine();
    let listed = sandbox.sealos(&["images", "list", "old:v1"]).fine();
    assert_eq!(listed, "team/a:1\nteam/b:1\nr.example/team/c:1\n");
    sandbox.sealos(&["images", "why", "c", "in", "old:v1"]).fine();

    // Saved anew by us, served by it; a second time nothing is written.
    let saved = sandbox.at("saved");
    let names = [upstream.name("team/a:1"), upstream.name("team/b:1")].join(",");
    let save = ["registry", "save", "--all", "--registry-dir", &saved, "--images", &names];
    sandbox.sealos(&save).fine();
    let theirs = Upstream::over(saved.clone().into());
    for name in ["team/a:1", "team/b:1"] {
        assert_eq!(theirs.digest(name), upstream.digest(name), "{name}");
    }
    let blobs = theirs.blobs();
    sandbox.sealos(&save).fine();
    assert_eq!(theirs.blobs(), blobs);
    let (from, to) = (theirs.name("team/a:1"), upstream.name("copied/a:1"));
    let digest = upstream.digest("team/a:1");
    sandbox.sealos(&["copy", "-q", "--all", &format!("docker://{from}"), &format!("docker://{to}")]).fine();
    assert_eq!(upstream.digest("copied/a:1"), digest);
    let second = Upstream::open();
    sandbox.sealos(&["sync", "--all", &theirs.address(), &second.address()]).fine();
    assert_eq!((second.digest("team/a:1"), second.digest("team/b:1")), (digest, upstream.digest("team/b:1")));
}

#[test]
fn two_versions_share_what_they_share_on_the_way_and_at_rest() {
    let (upstream, sandbox, context) = built();
    upstream.image("team/a:2", 77, "linux/amd64,linux/arm64");
    let manifest = pod(&upstream.name("team/a:2")) + "---\n" + &pod(&upstream.name("team/b:1"));
    fs::write(format!("{context}/manifests/m.yaml"), manifest).unwrap();
    sandbox.sealos(&["build", "-q", "-t", "app:v2", &context]).fine();

    let (target, sum) = (Upstream::open(), |blobs: &[(String, u64)]| blobs.iter().map(|(_, size)| size).sum::<u64>());
    sandbox.sealos(&["push", "-q", "app:v1", &target.name("x/app:v1")]).fine();
    let first = target.blobs();
    sandbox.sealos(&["push", "-q", "app:v2", &target.name("x/app:v2")]).fine();
    let new: Vec<_> = target.blobs().into_iter().filter(|blob| !first.contains(blob)).collect();
    // The other image's layer, configuration, manifest and index; the changed file's layer; the root's configuration and
    // manifest; lock, its manifest, index.
    assert!(new.len() <= 10 && sum(&new) < 60_000 + 20_000, "{new:?}");
    assert!(sum(&first) > 2 * 60_000, "{first:?}");

    let (one, two) = (sandbox.at("one.tar"), sandbox.at("two.tar"));
    sandbox.sealos(&["save", "-q", "-o", &one, "app:v1"]).fine();
    sandbox.sealos(&["save", "-q", "-o", &two, "app:v1", "app:v2"]).fine();
    let size = |path: &str| fs::metadata(path).unwrap().len();
    assert!(size(&two) - size(&one) < 60_000 + 40_000, "{} and {}", size(&one), size(&two));

    // Counted, shown, compared.
    let tree = sandbox.sealos(&["images", "--tree"]).fine();
    for part in ["├─ ", "└─ ", "team/a", "team/b"] {
        assert!(tree.contains(part), "`{part}` is not in {tree}");
    }
    let rows: Value = serde_json::from_str(&sandbox.sealos(&["images", "--json"]).fine()).unwrap();
    assert!(rows.as_array().unwrap().iter().all(|row| row["bytes"].as_u64().unwrap() > 120_000), "{rows}");
    let diff = sandbox.sealos(&["images", "diff", "app:v1", "app:v2"]).fine();
    let (old, new) = (upstream.name("team/a:1"), upstream.name("team/a:2"));
    assert!(diff.contains(&format!("- {old}")) && diff.contains(&format!("+ {new}")), "{diff}");

    // Merged, copied, and renamed, everything goes along.
    sandbox.sealos(&["merge", "-q", "-t", "both:v1", "app:v1", "app:v2"]).fine();
    assert_eq!(sandbox.sealos(&["images", "list", "both:v1"]).fine().lines().count(), 3);
    let archive = format!("oci-archive:{}", sandbox.at("copied.tar"));
    sandbox.sealos(&["copy", "-q", "both:v1", &archive]).fine();
    let other = Sandbox::new();
    other.sealos(&["load", "-q", "-i", &two]).fine();
    other.sealos(&["tag", "app:v1", "kept:v1"]).fine();
    other.sealos(&["rmi", "app:v1"]).fine();
    other.sealos(&["prune"]).fine();
    let whole = other.blobs().len();
    assert_eq!(digest(&other, "kept:v1"), digest(&sandbox, "app:v1"));
    other.sealos(&["save", "-q", "-o", &other.at("again.tar"), "kept:v1"]).fine();
    other.sealos(&["rmi", "kept:v1"]).fine();
    other.sealos(&["prune"]).fine();
    assert!(other.blobs().len() < whole, "what only the first version carried is gone");
    other.sealos(&["save", "-q", "-o", &other.at("rest.tar"), "app:v2"]).fine();
    let third = Sandbox::new();
    third.sealos(&["load", "-q", "-i", &other.at("rest.tar")]).fine();
    assert_eq!(digest(&third, "app:v2"), digest(&sandbox, "app:v2"));
    let loaded = Sandbox::new();
    loaded.sealos(&["load", "-q", "-i", &sandbox.at("copied.tar")]).fine();
}

#[test]
fn commands_of_a_run_find_what_is_carried_in_a_registry_of_their_own() {
    let (mut upstream, sandbox, context) = built();
    let own = upstream.digest("team/a:1");
    let kubefile = "FROM scratch\nCOPY manifests manifests\nCMD [\"curl -fsS http://$(registryDomain):$(registryPort)/v2/team/b/tags/list\", \
         \"skopeo copy -q --src-tls-verify=false docker://$registryDomain:$registryPort/team/a:1 dir:pulled && cat pulled/manifest.json\", \
         \"skopeo login --authfile auth.json --tls-verify=false -u $registryUsername -p $registryPassword $registryDomain:$registryPort\", \
         \"curl -fsS -u $registryUsername:$registryPassword http://$registryDomain:$registryPort/v2/ && echo known\", \
         \"curl -fsS -o /dev/null http://$registryDomain:$registryPort/v2/team/a/manifests/DIGEST && echo pinned\"]\n";
    fs::write(format!("{context}/Kubefile"), kubefile.replace("DIGEST", &own)).unwrap();
    let index: Value = serde_json::from_slice(&upstream.raw("team/a:1")).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    sandbox.sealos(&["build", "-q", "--carry", "native", "-t", "app:run", &context]).fine();
    sandbox.sealos(&["build", "-q", "--carry", "layer", "-t", "app:layer", &context]).fine();
    upstream.stop();
    let said = sandbox.sealos(&["run", "app:run"]);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    for part in ["\"tags\":[\"1\"]", "application/vnd.oci.image.config.v1+json", "Login Succeeded!", "known", "pinned"]
    {
        assert!(said.stdout.contains(part), "`{part}` is not in {}", said.stdout);
    }
    // The old form is served as well, without the index, which it does not hold.
    let commands = ["curl -fsS http://$registryDomain:$registryPort/v2/team/b/tags/list"];
    let said = sandbox.sealos(&["run", "-c", "layered", "--cmd", commands[0], "app:layer"]);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("\"tags\":[\"1\"]"), "{}", said.stdout);
}
