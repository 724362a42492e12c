//! Content of every kind goes everywhere and stays what it is: sha512, layers that may not be distributed, layers with
//! tables of contents, indexes inside indexes, artifacts without layers.

use std::fs;
use std::path::Path;

use oci::{Algorithm, Descriptor, Digest, MediaType};
use serde_json::{Value, json};

use crate::layouts::{HandMade, tar};
use crate::own::Own;
use crate::peers::{digest, digest_at, manifest, say};
use crate::registry::Registry;
use crate::sandbox::{Bounded, Sandbox, noise, run};

/// Copies an image and fails unless it keeps its digest.
#[track_caller]
fn copy(sandbox: &Sandbox, flags: &[&str], from: &str, to: &str, want: &Digest) -> String {
    let said = sandbox.sealos(&[&["copy"], flags, &[from, to]].concat());
    let stderr = said.stderr.clone();
    assert_eq!(said.fine_for(&format!("{from} to {to}")), want.to_string(), "{from} to {to}");
    stderr
}

/// What HEAD of a blob answers.
fn status(registry: &str, repository: &str, blob: &Digest) -> String {
    let url = format!("http://{registry}/v2/{repository}/blobs/{blob}");
    say("curl", &["-sI", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", &url])
}

/// The file of an image that was written out.
fn file(sandbox: &Sandbox, name: &str, path: &str) -> Vec<u8> {
    let root = sandbox.sealos(&["create", "--short", name]).fine();
    fs::read(Path::new(root.trim()).join(path)).unwrap()
}

#[test]
fn what_sha512_names_is_copied_everywhere_and_read_by_others() {
    let (sandbox, own) = (Sandbox::new(), Own::new());
    let mut made = HandMade::new(sandbox.path("made"), Algorithm::Sha512);
    let tar = tar(sandbox.root(), "file", 1);
    let layer = made.put(MediaType::OCI_LAYER, &tar);
    let image = made.image(&oci::Platform::host().to_string(), &[(layer.clone(), layer.digest)]);
    let index = made.index(std::slice::from_ref(&image));
    made.name(&image, "v1");
    made.name(&index, "both");
    let made_at = |digest: &Digest| made.path(digest);
    for (label, root, flags) in [("v1", &image, &[][..]), ("both", &index, &["--all"])] {
        let places = |what: &str| {
            [
                format!("oci:{}:{label}", sandbox.at(&format!("{what}-layout"))),
                format!("oci-archive:{}:{label}", sandbox.at(&format!("{what}-{label}.tar"))),
                format!("dir:{}", sandbox.at(&format!("{what}-{label}.dir"))),
                format!("docker://{}", own.name(&format!("{what}/app:{label}"))),
                format!("{what}/app:{label}"),
            ]
        };
        let made = format!("oci:{}:{label}", sandbox.at("made"));
        for from in places("first") {
            copy(&sandbox, flags, &made, &from, &root.digest);
            // An image directory does not say what its manifest is called.
            let bytes = fs::read(made_at(&root.digest)).unwrap();
            let want = if from.starts_with("dir:") { Digest::of(&bytes) } else { root.digest };
            for to in places("second") {
                copy(&sandbox, flags, &from, &to, &want);
            }
        }
    }
    assert_eq!(file(&sandbox, "first/app:v1", "file"), noise(200_000, 1));
    let work = ["pull", "-q", &own.name("first/app:v1")];
    let fresh = Sandbox::new();
    fresh.sealos(&work).fine();
    assert_eq!(digest(&fresh, &own.name("first/app:v1")), image.digest.to_string());
    assert_eq!(fs::read(fresh.path("store/blobs/sha512").join(layer.digest.hex())).unwrap(), tar);
    // Others, from our registry.
    let by_digest = own.name(&format!("first/app@{}", image.digest));
    let text = say("oras", &["manifest", "fetch", "--plain-http", &by_digest]);
    assert_eq!(made.digest(text.as_bytes()), image.digest);
    run("oras", &["cp", "--from-plain-http", "--to-oci-layout", &by_digest, &format!("{}:v1", sandbox.at("oras"))]);
    let theirs = fs::read(sandbox.path("oras/blobs/sha512").join(layer.digest.hex())).unwrap();
    assert_eq!(theirs, tar);
    // What they wrote comes back.
    copy(&sandbox, &["-q"], &format!("oci:{}:v1", sandbox.at("oras")), "oras:v1", &image.digest);

    // A registry that knows sha256 only gives the image that name, and it is said.
    let docker = Registry::plain();
    let from = format!("oci:{}:v1", sandbox.at("made"));
    let name = docker.name("team/app:v1");
    let said = sandbox.sealos(&["copy", &from, &format!("docker://{name}")]);
    let there = digest_at(&format!("docker://{name}"));
    assert!(there.starts_with("sha256:") && said.stderr.contains(&there), "{}", said.stderr);
    said.fine();
    let fresh = Sandbox::new();
    fresh.sealos(&["pull", "-q", &name]).fine();
    assert_eq!((digest(&fresh, &name), file(&fresh, &name, "file")), (there, noise(200_000, 1)));
    let both = format!("docker://{}", docker.name("team/app:both"));
    sandbox.sealos(&["copy", "--all", &format!("oci:{}:both", sandbox.at("made")), &both]).refused(&["DIGEST_INVALID"]);

    let mut wrong = tar.clone();
    wrong[100_000] ^= 1;
    fs::write(made.path(&layer.digest), &wrong).unwrap();
    let from = format!("oci:{}:v1", sandbox.at("made"));
    // One that has never had it: ours would find the right bytes in another repository.
    let (fresh, own) = (Sandbox::new(), Own::new());
    for to in ["app:v1".to_owned(), format!("docker://{}", own.name("wrong/app:v1"))] {
        fresh.sealos(&["copy", &from, &to]).refused(&["corrupt", &layer.digest.to_string()]);
    }
    fresh.shows_nothing();
    fresh.sealos(&["inspect", &format!("docker://{}", own.name("wrong/app:v1"))]).refused(&["no image"]);
}

/// A registry that takes manifests with URLs; Debian's does not unless it is told so.
fn lenient() -> Registry {
    let extra = "http: {addr: \"ADDRESS\"}\nvalidation: {manifests: {urls: {allow: ['^https://']}}}\n";
    Registry::start(tempfile::tempdir().unwrap(), extra, Vec::new())
}

/// A layout with `app`, an image of a layer of its own and one that is to be had from a URL.
fn with_foreign(sandbox: &Sandbox, media_type: &str) -> (Descriptor, Descriptor) {
    let mut made = HandMade::new(sandbox.path("made"), Algorithm::Sha256);
    let (own, base) = (tar(sandbox.root(), "own", 1), tar(sandbox.root(), "base", 2));
    let own = made.put(MediaType::OCI_LAYER, &own);
    let mut foreign = made.put(media_type, &base);
    foreign.urls = vec!["https://vendor.example/base.tar".to_owned()];
    let layers = [(foreign.clone(), foreign.digest), (own.clone(), own.digest)];
    let image = made.image(&oci::Platform::host().to_string(), &layers);
    made.name(&image, "app:v1");
    (image, foreign)
}

const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

#[test]
fn layers_that_may_not_be_distributed_are_left_out_and_it_is_said() {
    let (docker, own) = (lenient(), Own::new());
    let hosts = [docker.name("").trim_end_matches('/').to_owned(), own.host().to_owned()];
    for host in &hosts {
        let sandbox = Sandbox::new();
        let (image, foreign) = with_foreign(&sandbox, FOREIGN);
        let source = format!("oci:{}:app:v1", sandbox.at("made"));
        copy(&sandbox, &["-q"], &source, "app:v1", &image.digest);
        let said = [&foreign.digest.to_string()[..], "may not be distributed", "https://vendor.example/base.tar"];
        let to = format!("{host}/team/app:v1");
        let dry = sandbox.sealos(&["copy", "--dry-run", "app:v1", &format!("docker://{to}")]).fine();
        assert!(dry.contains("3 of 4 blobs"), "{dry}");
        let pushed = sandbox.sealos(&["push", "app:v1", &to]);
        for part in said.iter().chain(&["--allow-nondistributable-artifacts"]) {
            assert!(pushed.stderr.contains(part), "`{part}` is not in:\n{}", pushed.stderr);
        }
        assert_eq!(pushed.fine().trim(), image.digest.to_string());
        assert_eq!(status(host, "team/app", &foreign.digest), "404");
        assert_eq!(manifest(&to)["layers"][0]["urls"], json!(["https://vendor.example/base.tar"]));

        // From there it comes without the layer, and is the same image; also when it goes on from here.
        let fresh = Sandbox::new();
        let pulled = fresh.sealos(&["pull", &to]);
        for part in said {
            assert!(pulled.stderr.contains(part), "`{part}` is not in:\n{}", pulled.stderr);
        }
        pulled.fine();
        assert_eq!(digest(&fresh, &to), image.digest.to_string());
        fresh.sealos(&["pull", "--policy", "never", &to]).fine();
        let archive = fresh.at("app.tar");
        let saved = fresh.sealos(&["save", "-o", &archive, &to]);
        assert!(saved.stderr.contains("may not be distributed"), "{}", saved.stderr);
        saved.fine();
        let other = Sandbox::new();
        other.sealos(&["load", "-q", "-i", &archive]).fine();
        assert_eq!(digest(&other, &to), image.digest.to_string());
        // What cannot be done without it says what is missing.
        let created = fresh.sealos(&["create", "--short", &to]);
        created.refused(&[&foreign.digest.to_string(), "may not be distributed", "https://vendor.example/base.tar"]);

        // Whoever may distribute it says so.
        let all = ["push", "-q", "--allow-nondistributable-artifacts", "app:v1"];
        let to = format!("{host}/whole/app:v1");
        assert_eq!(sandbox.sealos(&[&all[..], &[&to]].concat()).fine().trim(), image.digest.to_string());
        assert_eq!(status(host, "whole/app", &foreign.digest), "200");
        let whole = Sandbox::new();
        whole.sealos(&["pull", "-q", &to]).fine();
        assert_eq!(file(&whole, &to, "base"), noise(200_000, 2));
    }
}

#[test]
fn a_registry_that_takes_no_urls_says_so() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let (image, _) = with_foreign(&sandbox, FOREIGN);
    copy(&sandbox, &["-q"], &format!("oci:{}:app:v1", sandbox.at("made")), "app:v1", &image.digest);
    let name = registry.name("team/app:v1");
    sandbox.sealos(&["push", "--retry", "0", "app:v1", &name]).refused(&["cannot push", "answered 500"]);
    sandbox.sealos(&["inspect", &format!("docker://{name}")]).refused(&["no image"]);
}

/// The program that makes and checks layers with tables of contents, on top of the library of stargz-snapshotter.
fn estargz() -> String {
    let usual = Path::new("/usr/local/go/bin/go");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("transfer-estargz");
    let building = std::process::Command::new(if usual.exists() { usual } else { Path::new("go") })
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/estargz"))
        .env("CGO_ENABLED", "0")
        .spawn()
        .expect("go is installed (tests/run does it)");
    assert!(crate::sandbox::bounded::within(crate::sandbox::bounded::BUILDING, building).status.success());
    program.to_str().unwrap().to_owned()
}

const TOC: &str = "containerd.io/snapshot/stargz/toc.digest";

#[test]
fn layers_with_tables_of_contents_stay_what_they_are() {
    let (sandbox, registry, program) = (Sandbox::new(), Registry::plain(), estargz());
    let plain = tar(sandbox.root(), "file", 1);
    let (from, to) = (sandbox.at("file.tar"), sandbox.at("file.esgz"));
    let built = std::process::Command::new(&program).args(["build", &from, &to]).bounded().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let facts: Value = serde_json::from_slice(&built.stdout).unwrap();
    let mut made = HandMade::new(sandbox.path("made"), Algorithm::Sha256);
    let layer = made.put(MediaType::OCI_LAYER_GZIP, &fs::read(&to).unwrap());
    let layer = layer.annotated(TOC, facts["toc"].as_str().unwrap());
    let diff_id: Digest = facts["diffId"].as_str().unwrap().parse().unwrap();
    assert!(plain.len() > 200_000);
    let image = made.image(&oci::Platform::host().to_string(), &[(layer.clone(), diff_id)]);
    made.name(&image, "v1");
    let source = format!("oci:{}:v1", sandbox.at("made"));

    let name = registry.name("lazy/app:v1");
    copy(&sandbox, &["-q"], &source, &format!("docker://{name}"), &image.digest);
    let fresh = Sandbox::new();
    fresh.sealos(&["pull", "-q", &name]).fine();
    assert_eq!(file(&fresh, &name, "file"), noise(200_000, 1));
    // Compressed so already: not touched, table and all.
    let again = registry.name("lazy/again:v1");
    let pushed = fresh.sealos(&["push", "-q", "--compression-format", "gzip", &name, &again]).fine();
    assert_eq!(pushed.trim(), image.digest.to_string());
    assert_eq!(manifest(&again)["layers"][0]["annotations"][TOC], facts["toc"]);
    let blob = sandbox.at("blob");
    let layer_there = format!("{}@{}", registry.name("lazy/again"), layer.digest);
    run("oras", &["blob", "fetch", "--plain-http", "-o", &blob, &layer_there]);
    run(&program, &["verify", &blob, facts["toc"].as_str().unwrap()]);
    // In another compression the table is gone, and nothing says that there is one.
    let other = registry.name("lazy/zstd:v1");
    fresh.sealos(&["push", "-q", "--compression-format", "zstd", &name, &other]).fine();
    let changed = manifest(&other)["layers"][0].clone();
    assert_eq!(
        (changed["mediaType"].as_str(), &changed["annotations"]),
        (Some(MediaType::OCI_LAYER_ZSTD), &Value::Null)
    );
    let back = Sandbox::new();
    back.sealos(&["pull", "-q", &other]).fine();
    assert_eq!(file(&back, &other, "file"), noise(200_000, 1));
}

#[test]
fn what_skopeo_compressed_in_chunks_is_read() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let context = sandbox.context("app", "FROM scratch\nCOPY file /\n", &[("file", &noise(200_000, 1))]);
    sandbox.sealos(&["build", "-q", "--compression", "none", "-t", "app:v1", &context]).fine();
    let name = registry.name("chunked/app:v1");
    let from = format!("oci:{}:app:v1", sandbox.at("store"));
    let flags = ["copy", "-q", "--dest-tls-verify=false", "--dest-compress-format", "zstd:chunked"];
    run("skopeo", &[&flags[..], &["--dest-compress", &from, &format!("docker://{name}")]].concat());
    let fresh = Sandbox::new();
    fresh.sealos(&["pull", "-q", &name]).fine();
    assert_eq!(digest(&fresh, &name), digest_at(&format!("docker://{name}")));
    assert_eq!(file(&fresh, &name, "file"), noise(200_000, 1));
}

#[test]
fn indexes_inside_indexes_and_artifacts_without_layers_are_copied_whole() {
    let (docker, own) = (Registry::plain(), Own::new());
    let sandbox = Sandbox::new();
    let mut made = HandMade::new(sandbox.path("made"), Algorithm::Sha256);
    let host = oci::Platform::host().to_string();
    let layer = |seed: u64| {
        let layer = made.put(MediaType::OCI_LAYER, &tar(sandbox.root(), "file", seed));
        (layer.clone(), layer.digest)
    };
    let (mine, theirs) = (made.image(&host, &[layer(1)]), made.image(&crate::peers::other(), &[layer(2)]));
    let empty = made.put("application/vnd.oci.empty.v1+json", b"{}");
    let artifact = |more: &[(&str, Value)]| {
        let mut document = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": "application/vnd.example.note",
            "config": empty, "annotations": {"note": "is all there is"},
        });
        for (key, value) in more {
            document[key] = value.clone();
        }
        made.document(MediaType::OCI_MANIFEST, &document)
    };
    let (bare, none) = (artifact(&[]), artifact(&[("layers", json!([]))]));
    let inner = made.index(&[mine.clone(), theirs.clone()]);
    let outer = made.index(&[inner.clone(), none.clone(), bare.clone()]);
    for (root, name) in [(&outer, "outer"), (&none, "none"), (&bare, "bare")] {
        made.name(root, name);
    }
    for name in ["outer", "none", "bare"] {
        let root = [("outer", &outer), ("none", &none), ("bare", &bare)].into_iter().find(|(it, _)| *it == name);
        let (_, root) = root.unwrap();
        let from = format!("oci:{}:{name}", sandbox.at("made"));
        let mut places = vec![format!("docker://{}", own.name(&format!("nested/{name}:v1")))];
        // Docker's registry wants layers to be there, be they none.
        if name == "none" {
            places.push(format!("docker://{}", docker.name(&format!("nested/{name}:v1"))));
        }
        places.extend([
            format!("oci-archive:{}:v1", sandbox.at(&format!("{name}.tar"))),
            format!("dir:{}", sandbox.at(&format!("{name}.dir"))),
            format!("nested/{name}:v1"),
        ]);
        for place in &places {
            copy(&sandbox, &["-q", "--all"], &from, place, &root.digest);
            copy(&sandbox, &["-q", "--all"], place, &format!("oci:{}:{name}", sandbox.at("back")), &root.digest);
            fs::remove_dir_all(sandbox.path("back")).unwrap();
        }
    }
    // Everything under it is there, as crane sees it.
    let nested = own.name("nested/outer:v1");
    assert_eq!(say("crane", &["digest", "--insecure", &nested]), outer.digest.to_string());
    for what in [&inner, &mine, &theirs, &none, &bare] {
        say("crane", &["manifest", "--insecure", &own.name(&format!("nested/outer@{}", what.digest))]);
    }
    let copied = own.name("crane/outer:v1");
    say("crane", &["copy", "--insecure", &nested, &copied]);
    let fresh = Sandbox::new();
    fresh.sealos(&["pull", "-q", "--all-platforms", &copied]).fine();
    assert_eq!(digest(&fresh, &copied), outer.digest.to_string());
    assert_eq!(
        fresh.sealos(&["push", "-q", "--all", &copied, &own.name("again/outer:v1")]).fine().trim(),
        outer.digest.to_string()
    );
    // An artifact is looked at, and is no image.
    fresh.sealos(&["pull", "-q", &own.name("nested/bare:v1")]).fine();
    let shown = fresh.sealos(&["inspect", "-f", "{{.MediaType}}", &own.name("nested/bare:v1")]).fine();
    assert_eq!(shown.trim(), MediaType::OCI_MANIFEST);
}
