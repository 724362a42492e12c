//! Pulling through: docker's registry behind this one, on a good wire and a bad one.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use oci::Digest;
use registry::backend::{Distribution, PullThrough};
use registry::counters::Counters;
use registry::options::{Mode, ServeOptions};
use registry::service::Registry;
use registry_client::ClientOptions;

use crate::client::{Client, is_whole};
use crate::deadline::Killed;
use crate::disks::Disk;
use crate::docker::{Docker, LONG, Wire};
use crate::server::Server;
use crate::site::run;

/// Larger than what sockets hold back.
const LARGE: usize = 24 << 20;

/// A registry with another behind it.
struct Mirror {
    server: Server,
    counters: Arc<Counters>,
}

impl Mirror {
    /// Keeps in a directory what it gets from an address for the host `hub.example`.
    fn new(directory: &Path, upstream: &str, authfile: Option<PathBuf>) -> Self {
        let counters = Arc::new(Counters::new());
        let local = Arc::new(Distribution::open(directory).unwrap());
        let upstreams = vec![format!("hub.example=http://{upstream}").parse().unwrap()];
        let (delay, none) = (Duration::from_millis(50), PathBuf::from("/nonexistent/auth.json"));
        let options =
            ClientOptions { authfile: authfile.or(Some(none)), retry_delay: delay, ..ClientOptions::default() };
        let backend = PullThrough::new(local, upstreams, &options, Arc::clone(&counters));
        let mut registry =
            Registry::new(Arc::new(backend), ServeOptions { mode: Mode::ReadOnly, ..Default::default() });
        registry.counters = Arc::clone(&counters);
        Self { server: Server::with(registry), counters }
    }

    fn client(&self) -> Client {
        Client::new(&self.server.address)
    }
}

/// Noise that is the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An image with one large layer in docker's registry, behind a wire, and a place for a mirror of it.
struct Scene {
    here: PathBuf,
    wire: Wire,
    layer: Vec<u8>,
    /// What a mirror is asked for to get the layer.
    target: String,
    _docker: Docker,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let docker = Docker::start(&dir.path().join("there"), None);
        let layer = noise(LARGE);
        Client::new(&docker.address).push_image("team/app", "v1", &layer).unwrap();
        let target = format!("/v2/hub.example/team/app/blobs/{}", Digest::of(&layer));
        let (here, wire) = (dir.path().join("here"), Wire::to(&docker.address));
        Self { here, wire, layer, target, _docker: docker, dir }
    }

    fn mirror(&self) -> Mirror {
        Mirror::new(&self.here, &self.wire.address, None)
    }

    /// A mirror that knows nothing, neither the manifest nor the size of the blob, gets the rest of an interrupted fetch.
    fn is_gone_on_with(&self) -> Mirror {
        self.wire.asked("");
        self.wire.allow(u64::MAX);
        let mirror = self.mirror();
        let (mut stream, mut got) = begin(&mirror.server.address, &self.target);
        read(&mut stream, &mut got, LARGE);
        assert!(got == self.layer, "all of it");
        assert_eq!(self.wire.asked("range: bytes="), 1, "what was there was not fetched again");
        mirror
    }
}

/// The blobs that lie in a directory.
fn blobs(directory: &Path) -> Vec<String> {
    let root = directory.join("docker/registry/v2/blobs/sha256");
    let inside = |path: PathBuf| fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> =
        inside(root).flat_map(inside).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Begins to read a blob: the connection behind the head, and what has been read of the body.
fn begin(address: &str, target: &str) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "it hung up: {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&buffer[..count]);
        if let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&got[..end]).into_owned();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            return (stream, got.split_off(end + 4));
        }
    }
}

/// Reads until there are at least so many bytes, or all there are.
fn read(stream: &mut TcpStream, got: &mut Vec<u8>, at_least: usize) {
    let mut buffer = vec![0; 64 << 10];
    while got.len() < at_least {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => got.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn an_image_comes_with_the_credentials_and_stays_when_the_upstream_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (there, here, users) = (dir.path().join("there"), dir.path().join("here"), dir.path().join("users"));
    let docker = Docker::start(&there, None);
    let mut client = Client::new(&docker.address);
    for tag in ["v1", "other"] {
        assert_eq!(client.push_image("team/app", tag, format!("layer of {tag}").as_bytes()).unwrap().1, 201);
    }
    drop(docker);
    run("htpasswd", &["-cbB", "-C", "4", "users", "anna", "secret-of-anna"], dir.path());
    let docker = Docker::start(&there, Some(&users));
    let auth = base64::engine::general_purpose::STANDARD.encode("anna:secret-of-anna");
    let authfile = dir.path().join("auth.json");
    fs::write(&authfile, format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", docker.address)).unwrap();
    let stranger = Mirror::new(&dir.path().join("stranger"), &docker.address, None);
    assert_eq!(stranger.client().get("/v2/hub.example/team/app/manifests/v1").status, 502, "without credentials");

    let mirror = Mirror::new(&here, &docker.address, Some(authfile.clone()));
    let image = format!("docker://{}/hub.example/team/app:v1", mirror.server.address);
    let copied = dir.path().join("copied");
    run("skopeo", &["copy", "-q", "--src-tls-verify=false", &image, &format!("dir:{}", copied.display())], dir.path());
    assert_eq!(blobs(&here).len(), 3, "a manifest, its configuration and its layer, and nothing of the other image");
    let first = mirror.client().get("/v2/hub.example/team/app/manifests/other");
    assert_eq!(first.header("x-sealos-origin"), Some("upstream hub.example"), "{}", first.head);
    let spaced = mirror.client().get("/v2/team/app/manifests/v1?ns=hub.example");
    assert_eq!((spaced.status, spaced.header("oci-namespace")), (200, Some("hub.example")), "{}", spaced.head);
    assert_eq!(mirror.client().get("/v2/team/app/manifests/v1?ns=else.example").status, 404, "another host's image");
    assert_eq!(mirror.client().get("/v2/hub.example/team/app/tags/list").status, 200);
    assert_eq!(mirror.client().get("/v2/hub.example/team/app/manifests/none").status, 404);
    let absent = Digest::of(b"nobody has it");
    assert_eq!(mirror.client().get(&format!("/v2/hub.example/team/app/blobs/{absent}")).status, 404);

    drop((docker, mirror));
    let mirror = Mirror::new(&here, "127.0.0.1:1", Some(authfile));
    is_whole(&mirror.server.address, "hub.example/team/app", "v1").unwrap();
    let stale = mirror.client().get("/v2/hub.example/team/app/manifests/v1");
    assert_eq!(stale.header("x-sealos-origin"), Some("cache of hub.example"), "{}", stale.head);
    assert!(stale.header("warning").is_some_and(|text| text.contains("does not answer")), "{}", stale.head);
    assert_eq!(mirror.counters.upstream_stale.get(), 2);
    assert!(mirror.counters.upstream_failures.get() > 0);
    assert_eq!(mirror.client().get("/v2/hub.example/team/app/manifests/new").status, 502, "it may be there");
}

#[test]
fn a_tag_follows_the_upstream_and_what_that_has_lost_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (there, here) = (dir.path().join("there"), dir.path().join("here"));
    let docker = Docker::start(&there, None);
    let (old, _) = Client::new(&docker.address).push_image("app", "v1", b"old").unwrap();
    let of = |mirror: &Mirror| {
        let answer = mirror.client().get("/v2/hub.example/app/manifests/v1");
        (answer.header("docker-content-digest").unwrap().to_owned(), answer)
    };
    // Each one is a process that has asked for nothing yet.
    assert_eq!(of(&Mirror::new(&here, &docker.address, None)).0, old.to_string());
    let (new, _) = Client::new(&docker.address).push_image("app", "v1", b"new").unwrap();
    assert_eq!(of(&Mirror::new(&here, &docker.address, None)).0, new.to_string());
    fs::remove_dir_all(there.join("docker/registry/v2/repositories/app")).unwrap();
    let (digest, answer) = of(&Mirror::new(&here, &docker.address, None));
    assert_eq!(digest, new.to_string());
    assert!(answer.header("warning").is_some_and(|text| text.contains("any more")), "{}", answer.head);
}

#[test]
fn many_ask_and_one_fetch_answers_them_while_it_comes() {
    let scene = Scene::new();
    let Scene { here, wire, layer, target, .. } = &scene;
    let mirror = scene.mirror();
    assert_eq!(mirror.client().get("/v2/hub.example/team/app/manifests/v1").status, 200);
    wire.asked("");
    wire.allow(LARGE as u64 / 2);
    // The upstream is held half-way: whatever comes comes while the blob does.
    let (mut leaving, mut got) = begin(&mirror.server.address, target);
    read(&mut leaving, &mut got, LARGE / 4);
    assert_eq!(got[..LARGE / 4], layer[..LARGE / 4], "the first asker");
    let mut others: Vec<_> = (0..8).map(|_| begin(&mirror.server.address, target)).collect();
    for (stream, got) in &mut others {
        read(stream, got, LARGE / 4);
        assert_eq!(got[..LARGE / 4], layer[..LARGE / 4], "another");
    }
    let part = mirror.client().ask("GET", target, &[("Range", "bytes=1000-1999")], b"").unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &layer[1000..2000]));
    drop(leaving);
    let kept = Distribution::open(here).unwrap();
    let kept = Server::with(Registry::new(Arc::new(kept), ServeOptions::default()));
    assert_eq!(Client::new(&kept.address).ask("HEAD", target, &[], b"").unwrap().status, 404, "not whole yet");
    wire.allow(u64::MAX);
    for (stream, got) in &mut others {
        read(stream, got, LARGE);
        assert!(got == layer, "whoever stays gets all of it");
    }
    assert_eq!(wire.asked(&format!("GET /v2/team/app/blobs/{}", Digest::of(layer))), 1, "one fetch");
    assert_eq!(Client::new(&kept.address).ask("HEAD", target, &[], b"").unwrap().status, 200);
}

#[test]
fn an_interrupted_fetch_is_gone_on_with() {
    let scene = Scene::new();
    let Scene { here, wire, layer, target, .. } = &scene;
    let mirror = scene.mirror();
    assert_eq!(mirror.client().get("/v2/hub.example/team/app/manifests/v1").status, 200);
    wire.allow(LARGE as u64 / 2);
    let (mut stream, mut got) = begin(&mirror.server.address, target);
    read(&mut stream, &mut got, LARGE / 4);
    wire.cut();
    read(&mut stream, &mut got, LARGE);
    assert!(got.len() < LARGE && got[..] == layer[..got.len()], "a part, and the connection was cut");
    assert!(!blobs(here).contains(&Digest::of(layer).hex().to_owned()), "a part is not there");
    drop(mirror);
    let mirror = scene.is_gone_on_with();
    is_whole(&mirror.server.address, "hub.example/team/app", "v1").unwrap();
}

#[test]
fn what_is_corrupt_there_is_never_here() {
    let dir = tempfile::tempdir().unwrap();
    let (there, here) = (dir.path().join("there"), dir.path().join("here"));
    let docker = Docker::start(&there, None);
    Client::new(&docker.address).push_image("app", "v1", b"what was pushed").unwrap();
    let digest = Digest::of(b"what was pushed");
    let path = format!("docker/registry/v2/blobs/sha256/{}/{}/data", &digest.hex()[..2], digest.hex());
    fs::write(there.join(&path), b"what was stolen").unwrap();
    let mirror = Mirror::new(&here, &docker.address, None);
    assert_eq!(mirror.client().get("/v2/hub.example/app/manifests/v1").status, 200);
    let target = format!("/v2/hub.example/app/blobs/{digest}");
    for _ in 0..2 {
        // It is refused when that is known before the first byte, and cut off otherwise.
        let answer = mirror.client().ask("GET", &target, &[], b"");
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 502), "{answer:?}");
    }
    assert!(!here.join(&path).exists());
    assert_eq!(mirror.counters.corrupt.get(), 2);
    fs::write(there.join(&path), b"what was pushed").unwrap();
    is_whole(&mirror.server.address, "hub.example/app", "v1").unwrap();
}

/// The process that is killed: this test program itself, told by a variable to be a mirror.
#[test]
fn a_mirror_that_is_killed_goes_on_where_it_was() {
    if let Ok(directory) = std::env::var("SEALOS_TEST_MIRROR") {
        let mirror = Mirror::new(Path::new(&directory), &std::env::var("SEALOS_TEST_UPSTREAM").unwrap(), None);
        fs::write(format!("{directory}.tmp"), &mirror.server.address).unwrap();
        fs::rename(format!("{directory}.tmp"), format!("{directory}.address")).unwrap();
        std::thread::sleep(LONG);
        return;
    }
    let scene = Scene::new();
    let Scene { here, wire, target, dir, .. } = &scene;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "upstream::a_mirror_that_is_killed_goes_on_where_it_was", "--nocapture"]);
    command.env("SEALOS_TEST_MIRROR", here).env("SEALOS_TEST_UPSTREAM", &wire.address);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut child = Killed::new(child);
    let begun = Instant::now();
    let address = loop {
        assert!(begun.elapsed() < LONG, "the mirror did not start");
        match fs::read_to_string(dir.path().join("here.address")) {
            Ok(address) => break address,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(Client::new(&address).get("/v2/hub.example/team/app/manifests/v1").status, 200);
    wire.allow(LARGE as u64 / 2);
    let (mut stream, mut got) = begin(&address, target);
    read(&mut stream, &mut got, LARGE / 4);
    child.kill();
    child.wait();
    scene.is_gone_on_with();
}

#[test]
fn what_cannot_be_kept_is_given_all_the_same() {
    let scene = Scene::new();
    let Scene { wire, layer, target, .. } = &scene;
    let disk = Disk::of("2m");
    let root = disk.0.path().join("registry");
    let mirror = Mirror::new(&root, &wire.address, None);
    assert_eq!(mirror.client().get("/v2/hub.example/team/app/manifests/v1").status, 200);
    for _ in 0..2 {
        let (mut stream, mut got) = begin(&mirror.server.address, target);
        read(&mut stream, &mut got, LARGE);
        assert!(got == *layer, "all of it");
    }
    let part = mirror.client().ask("GET", target, &[("Range", "bytes=5000000-5000999")], b"").unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &layer[5_000_000..5_001_000]));
    assert_eq!(mirror.counters.upstream_unkept.get(), 3);
    // What takes no space is kept, and nothing of the rest is left.
    is_whole_but_for(&mirror, layer);
    let filler = disk.0.path().join("filler");
    fs::write(filler, vec![1; 1 << 20]).expect("a part of the blob does not take the space");
}

/// The configuration is here, the layer is not.
fn is_whole_but_for(mirror: &Mirror, layer: &[u8]) {
    let config = Digest::of(b"{}");
    assert_eq!(mirror.client().get(&format!("/v2/hub.example/team/app/blobs/{config}")).status, 200);
    assert_eq!(mirror.client().get(&format!("/v2/hub.example/team/app/blobs/{}", Digest::of(layer))).status, 200);
}

#[test]
fn signatures_stay_when_the_upstream_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let there = Arc::new(Distribution::in_memory());
    let upstream = Server::with(Registry::new(there, ServeOptions::default()));
    let mut client = Client::new(&upstream.address);
    let (subject, _) = client.push_image("team/app", "v1", b"layer").unwrap();
    let (config, _) = client.push_blob("team/app", b"{}").unwrap();
    for kind in ["signature", "sbom"] {
        let text = serde_json::json!({
            "schemaVersion": 2, "mediaType": oci::MediaType::OCI_MANIFEST, "artifactType": format!("application/x.{kind}"),
            "config": { "mediaType": oci::MediaType::OCI_EMPTY, "digest": config, "size": 2 }, "layers": [],
            "subject": { "mediaType": oci::MediaType::OCI_MANIFEST, "digest": subject, "size": 1 },
        })
        .to_string();
        let target = format!("/v2/team/app/manifests/{}", Digest::of(text.as_bytes()));
        let fields = [("Content-Type", oci::MediaType::OCI_MANIFEST)];
        assert_eq!(client.ask("PUT", &target, &fields, text.as_bytes()).unwrap().status, 201);
    }
    let here = dir.path().join("here");
    let mirror = Mirror::new(&here, &upstream.address, None);
    let target = format!("/v2/hub.example/team/app/referrers/{subject}");
    assert_eq!(mirror.client().get("/v2/hub.example/team/app/manifests/v1").status, 200);
    let first = mirror.client().get(&target);
    assert!(first.text().contains("x.signature") && first.text().contains("x.sbom"), "{}", first.text());
    drop((client, upstream, mirror));
    let mirror = Mirror::new(&here, "127.0.0.1:1", None);
    assert_eq!(mirror.client().get(&target).text(), first.text());
}

#[test]
fn a_name_without_a_host_is_the_default_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let docker = Docker::start(&dir.path().join("there"), None);
    Client::new(&docker.address).push_image("library/web", "v1", b"layer").unwrap();
    let local = Arc::new(Distribution::in_memory());
    let upstreams = vec![format!("docker.io=http://{}", docker.address).parse().unwrap()];
    let counters = Arc::default();
    let backend = PullThrough::new(local, upstreams, &ClientOptions::default(), counters);
    let server = Server::with(Registry::new(Arc::new(backend), ServeOptions::default()));
    // A memory has no file that readers could follow, and gives the same all the same.
    is_whole(&server.address, "library/web", "v1").unwrap();
    assert_eq!(Client::new(&server.address).get("/v2/docker.io/library/web/manifests/v1").status, 200);
    is_whole(&server.address, "web", "v1").unwrap();
    assert_eq!(Client::new(&server.address).push_image("library/own", "v1", b"pushed").unwrap().1, 201);
    is_whole(&server.address, "library/own", "v1").unwrap();
}
