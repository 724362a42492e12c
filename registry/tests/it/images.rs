//! Archives and layouts, served where they lie; and tools that pull and push.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use oci::Digest;
use registry::backend::{Backend, Distribution, Images, Layered};
use registry::names::Which;
use registry::options::ServeOptions;
use registry::service::Registry;

use crate::client::{Client, is_whole};
use crate::deadline::Bounded;
use crate::server::Server;

fn serve(backend: Arc<dyn Backend>) -> Server {
    Server::with(Registry::new(backend, ServeOptions::default()))
}

/// Runs a tool; it must succeed. Returns what it says on stdout.
#[track_caller]
fn run(program: &str, arguments: &[&str], home: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .stdin(Stdio::null())
        .bounded()
        .unwrap_or_else(|error| panic!("{program} is installed by tests/run: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A gzip layer with one file, and the digest of its tar.
fn layer(home: &Path, text: &str) -> (Vec<u8>, Digest) {
    std::fs::write(home.join("file"), text).unwrap();
    let at = home.display().to_string();
    run("tar", &["-C", &at, "-cf", &format!("{at}/layer.tar"), "file"], home);
    let tar = std::fs::read(home.join("layer.tar")).unwrap();
    run("gzip", &["-nkf", &format!("{at}/layer.tar")], home);
    (std::fs::read(home.join("layer.tar.gz")).unwrap(), Digest::of(&tar))
}

/// Pushes an image that every tool takes.
fn push_real_image(address: &str, repository: &str, tag: &str, home: &Path) -> Digest {
    let (layer, diff_id) = layer(home, &format!("{repository}:{tag}"));
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    })
    .to_string();
    let mut client = Client::new(address);
    let (config_digest, _) = client.push_blob(repository, config.as_bytes()).unwrap();
    let (layer_digest, _) = client.push_blob(repository, &layer).unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": oci::MediaType::OCI_MANIFEST,
        "config": { "mediaType": oci::MediaType::OCI_CONFIG, "digest": config_digest, "size": config.len() },
        "layers": [{ "mediaType": oci::MediaType::OCI_LAYER_GZIP, "digest": layer_digest, "size": layer.len() }],
    })
    .to_string();
    let fields = [("Content-Type", oci::MediaType::OCI_MANIFEST)];
    let target = format!("/v2/{repository}/manifests/{tag}");
    assert_eq!(client.ask("PUT", &target, &fields, manifest.as_bytes()).unwrap().status, 201);
    Digest::of(manifest.as_bytes())
}

/// What an archive of skopeo's holds, served by us and pulled by skopeo.
fn is_served_in_place(transport: &str) {
    let home = tempfile::tempdir().unwrap();
    let source = serve(Arc::new(Distribution::in_memory()));
    push_real_image(&source.address, "team/app", "v1", home.path());
    let archive = home.path().join("image.tar");
    let from = format!("docker://{}/team/app:v1", source.address);
    let to = format!("{transport}:{}:docker.io/team/app:v1", archive.display());
    run("skopeo", &["copy", "-q", "--src-tls-verify=false", &from, &to], home.path());
    let images = Arc::new(Images::open(&archive).unwrap());
    let server = serve(Arc::clone(&images) as _);
    for name in ["docker.io/team/app", "team/app"] {
        is_whole(&server.address, name, "v1").unwrap();
    }
    let back = home.path().join("back");
    let from = format!("docker://{}/team/app:v1", server.address);
    run("skopeo", &["copy", "-q", "--src-tls-verify=false", &from, &format!("oci:{}:x", back.display())], home.path());
    // The suite's tests for registries that take nothing.
    let stored = images.manifest(&"docker.io/team/app".parse().unwrap(), &Which::Tag("v1".parse().unwrap()));
    let stored = stored.unwrap().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&stored.bytes).unwrap();
    let layer = document["layers"][0]["digest"].as_str().unwrap().to_owned();
    let suite = Command::new("conformance")
        .envs([("OCI_REGISTRY", server.address.as_str()), ("OCI_TLS", "disabled"), ("OCI_VERSION", "dev")])
        .envs([("OCI_API_PUSH", "false"), ("OCI_REPO1", "docker.io/team/app"), ("OCI_RO_DATA_TAGS", "v1")])
        .env("OCI_RO_DATA_MANIFESTS", stored.digest.to_string())
        // For manifests whose bytes it does not know the suite looks for the header in an answer that it did not keep.
        .env("OCI_API_MANIFESTS_DIGEST_HEADER", "false")
        .env("OCI_RO_DATA_REFERRERS", stored.digest.to_string())
        .env("OCI_RO_DATA_BLOBS", &layer)
        .env("OCI_RESULTS_DIR", home.path())
        .current_dir(home.path())
        .bounded()
        .unwrap();
    let said = String::from_utf8_lossy(&suite.stdout).into_owned() + &String::from_utf8_lossy(&suite.stderr);
    // Not its exit code: in this mode it falls over its own report, after it has said what came out.
    assert!(said.contains("OCI Conformance Result: Pass"), "{said}");
    assert!(said.contains("Read Only Inputs..............:       Pass"), "{said}");
    let mut client = Client::new(&server.address);
    let tagged = client.get("/v2/team/app/manifests/v1");
    assert_eq!(tagged.header("docker-content-digest"), Some(stored.digest.to_string().as_str()));
    assert_eq!(client.ask("DELETE", "/v2/team/app/manifests/v1", &[], b"").unwrap().status, 405);
    assert_eq!(client.ask("POST", "/v2/team/app/blobs/uploads/", &[], b"").unwrap().status, 405);
    let part = client.ask("GET", &format!("/v2/team/app/blobs/{layer}"), &[("Range", "bytes=1-4")], b"").unwrap();
    assert_eq!(part.body, &client.get(&format!("/v2/team/app/blobs/{layer}")).body[1..5]);
}

#[test]
fn an_oci_archive_is_served_where_it_lies() {
    is_served_in_place("oci-archive");
}

#[test]
fn a_docker_archive_is_served_where_it_lies() {
    is_served_in_place("docker-archive");
}

#[test]
fn an_archive_that_is_compressed_as_a_whole_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("image.tar.gz");
    std::fs::write(&path, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).unwrap();
    let error = Images::open(&path).err().unwrap();
    assert!(error.to_string().contains("is compressed with gzip as a whole"), "{error}");
    assert!(error.help().unwrap().contains("gzip -d"));
}

#[test]
fn a_layout_that_changes_is_served_as_it_is_now() {
    let home = tempfile::tempdir().unwrap();
    let source = serve(Arc::new(Distribution::in_memory()));
    let layout = home.path().join("layout");
    let copy = |tag: &str| {
        push_real_image(&source.address, "team/app", tag, home.path());
        let from = format!("docker://{}/team/app:{tag}", source.address);
        let to = format!("oci:{}:docker.io/team/app:{tag}", layout.display());
        run("skopeo", &["copy", "-q", "--src-tls-verify=false", &from, &to], home.path());
    };
    copy("v1");
    let server = serve(Arc::new(Images::open(&layout).unwrap()));
    is_whole(&server.address, "team/app", "v1").unwrap();
    let mut client = Client::new(&server.address);
    assert_eq!(client.get("/v2/team/app/manifests/v2").status, 404);
    copy("v2");
    is_whole(&server.address, "team/app", "v2").unwrap();
    assert_eq!(client.get("/v2/team/app/tags/list").text(), r#"{"name":"team/app","tags":["v1","v2"]}"#);
    // A blob that lies there but belongs to no image is nobody's business.
    let stray = Digest::of(b"stray");
    std::fs::write(layout.join("blobs/sha256").join(stray.hex()), b"stray").unwrap();
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{stray}")).status, 404);
}

#[test]
fn of_several_places_the_first_answers_and_the_first_that_can_takes() {
    let home = tempfile::tempdir().unwrap();
    let below = Arc::new(Distribution::in_memory());
    let source = serve(Arc::clone(&below) as _);
    push_real_image(&source.address, "team/app", "v1", home.path());
    let archive = home.path().join("image.tar");
    let from = format!("docker://{}/team/app:v1", source.address);
    let to = format!("oci-archive:{}:docker.io/team/app:v1", archive.display());
    run("skopeo", &["copy", "-q", "--src-tls-verify=false", &from, &to], home.path());
    let upper = Arc::new(Distribution::in_memory());
    let layers: Vec<Arc<dyn Backend>> = vec![Arc::new(Images::open(&archive).unwrap()), Arc::clone(&upper) as _];
    let server = serve(Arc::new(Layered::new(layers)));
    let mut client = Client::new(&server.address);
    client.push_image("other/app", "v1", b"pushed").unwrap();
    is_whole(&server.address, "team/app", "v1").unwrap();
    is_whole(&server.address, "other/app", "v1").unwrap();
    let catalog = client.get("/v2/_catalog").text();
    assert_eq!(catalog, r#"{"repositories":["docker.io/team/app","other/app"]}"#);
    assert_eq!(upper.repositories().unwrap().len(), 1);
}

#[test]
fn tools_push_and_pull() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("registry");
    let server = serve(Arc::new(Distribution::open(&directory).unwrap()));
    let address = server.address.as_str();
    let digest = push_real_image(address, "team/app", "v1", home.path());
    let path = |name: &str| home.path().join(name).display().to_string();
    let image = |name: &str| format!("{address}/{name}");
    // skopeo: by way of a directory, with everything that it checks.
    run(
        "skopeo",
        &[
            "copy",
            "-q",
            "--src-tls-verify=false",
            &format!("docker://{}", image("team/app:v1")),
            &format!("dir:{}", path("dir")),
        ],
        home.path(),
    );
    run(
        "skopeo",
        &[
            "copy",
            "-q",
            "--dest-tls-verify=false",
            &format!("dir:{}", path("dir")),
            &format!("docker://{}", image("skopeo/app:v1")),
        ],
        home.path(),
    );
    // crane: from repository to repository, which mounts.
    run("crane", &["copy", "--insecure", &image("team/app:v1"), &image("crane/app:v1")], home.path());
    assert_eq!(run("crane", &["digest", "--insecure", &image("crane/app:v1")], home.path()).trim(), digest.to_string());
    run("crane", &["validate", "--insecure", "--remote", &image("crane/app:v1")], home.path());
    // oras: an artifact that refers to the image, found by what it refers to.
    std::fs::write(home.path().join("note.txt"), "note").unwrap();
    let attach = ["attach", "--plain-http", "--artifact-type", "application/x.note", "--disable-path-validation"];
    run("oras", &[&attach[..], &[&image("team/app:v1"), &path("note.txt")]].concat(), home.path());
    let found = run("oras", &["discover", "--plain-http", "--format", "json", &image("team/app:v1")], home.path());
    assert!(found.contains("application/x.note"), "{found}");
    run(
        "oras",
        &["cp", "-r", "--from-plain-http", "--to-plain-http", &image("team/app:v1"), &image("oras/app:v1")],
        home.path(),
    );
    // buildah and podman: with a storage of their own.
    let storage = ["--root", &path("storage"), "--runroot", &path("run"), "--storage-driver", "vfs"];
    run("buildah", &[&storage[..], &["pull", "-q", "--tls-verify=false", &image("team/app:v1")]].concat(), home.path());
    run(
        "buildah",
        &[
            &storage[..],
            &[
                "push",
                "-q",
                "--tls-verify=false",
                &image("team/app:v1"),
                &format!("docker://{}", image("buildah/app:v1")),
            ],
        ]
        .concat(),
        home.path(),
    );
    run(
        "podman",
        &[&storage[..], &["pull", "-q", "--tls-verify=false", &image("buildah/app:v1")]].concat(),
        home.path(),
    );
    run(
        "podman",
        &[&storage[..], &["push", "-q", "--tls-verify=false", &image("buildah/app:v1"), &image("podman/app:v1")]]
            .concat(),
        home.path(),
    );
    for name in ["team/app", "skopeo/app", "crane/app", "oras/app", "buildah/app", "podman/app"] {
        is_whole(address, name, "v1").unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
