//! A registry in a bucket of versitygw, beside docker's registry on the same bucket.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oci::{Algorithm, Digest, Hasher};
use registry::backend::{Distribution, GcOptions, Leftovers, Pruning, Untagged};
use registry::options::{Mode, Redirects, ServeOptions};
use registry::service::Registry;
use registry_client::{Bucket, Client as Speaker, ClientOptions};

use crate::client::{Client, is_whole};
use crate::deadline::{Bounded, Killed, LONG, until};
use crate::docker::Docker;
use crate::process::{Process, serves};
use crate::server::Server;

const KEY: &str = "the-key";
const SECRET: &str = "the-secret";

/// An S3 server over a directory, until it is dropped.
pub(crate) struct Store {
    _child: Killed,
    address: String,
}

impl Store {
    pub(crate) fn start(directory: &Path) -> Self {
        fs::create_dir_all(directory.join("objects/images")).unwrap();
        fs::create_dir_all(directory.join("side")).unwrap();
        // It cannot be told to take a free port and say which; somebody else may take the one that was free.
        (0..10).find_map(|_| Self::start_at(directory, &free())).expect("versitygw finds a port")
    }

    /// None when the port is taken.
    fn start_at(directory: &Path, address: &str) -> Option<Self> {
        let mut command = Command::new("versitygw");
        command.args(["--port", address, "--access", KEY, "--secret", SECRET, "posix", "--sidecar"]);
        command.arg(directory.join("side")).arg(directory.join("objects"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("`versitygw` is installed by tests/run");
        let mut has_ended = false;
        until("versitygw listens", || {
            has_ended = child.try_wait().unwrap().is_some();
            // Whoever else may have got the port is no store.
            has_ended || TcpStream::connect(address).is_ok() && bucket(address).check().is_ok()
        });
        let store = Self { _child: Killed::new(child), address: address.to_owned() };
        (!has_ended).then_some(store)
    }

    fn bucket(&self) -> Bucket {
        bucket(&self.address)
    }

    pub(crate) fn tree(&self) -> Distribution {
        Distribution::in_bucket(self.bucket()).unwrap()
    }

    fn registry(&self) -> Server {
        Server::with(Registry::new(Arc::new(self.tree()), ServeOptions::default()))
    }

    /// Docker's registry over the same part of the bucket.
    fn docker(&self, directory: &Path) -> Docker {
        let storage = format!(
            "  s3:\n    accesskey: {KEY}\n    secretkey: {SECRET}\n    region: us-east-1\n    regionendpoint: http://{}\n    \
             bucket: images\n    rootdirectory: /hub\n    secure: false\n    v4auth: true\n  redirect:\n    \
             disable: true\n",
            self.address
        );
        Docker::over(&directory.join("docker"), &storage)
    }
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn bucket(address: &str) -> Bucket {
    let client = Speaker::new(ClientOptions::default());
    Bucket::with_keys("s3://images/hub", client, &format!("http://{address}"), KEY, SECRET).unwrap()
}

/// Makes everything in the store as old as if it had been written yesterday.
fn age(directory: &Path) {
    let mut command = Command::new("find");
    command.args([directory.join("objects"), directory.join("side")]);
    let aged = command.args(["-exec", "touch", "-d", "yesterday", "{}", "+"]).bounded().unwrap();
    assert!(aged.status.success());
}

/// Bytes that are no repetition of each other.
fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect()
}

#[test]
fn a_bucket_holds_a_registry_and_docker_reads_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let server = store.registry();
    let mut client = Client::new(&server.address);
    // Larger than two parts.
    let large = bytes(20 << 20);
    assert_eq!(client.push_image("team/app", "v1", &large).unwrap().1, 201);
    assert_eq!(client.push_image("team/app", "v2", b"small").unwrap().1, 201);
    for tag in ["v1", "v2"] {
        is_whole(&server.address, "team/app", tag).unwrap();
    }
    let target = format!("/v2/team/app/blobs/{}", Digest::of(&large));
    let part = client.ask("GET", &target, &[("Range", "bytes=9000000-9000099")], b"").unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &large[9_000_000..9_000_100]));
    assert_eq!(client.get("/v2/team/app/tags/list").text(), r#"{"name":"team/app","tags":["v1","v2"]}"#);
    assert_eq!(client.get("/v2/_catalog").text(), r#"{"repositories":["team/app"]}"#);
    assert_eq!(client.get("/v2/team/app/manifests/none").status, 404);

    let docker = store.docker(dir.path());
    for tag in ["v1", "v2"] {
        is_whole(&docker.address, "team/app", tag).unwrap();
    }
    Client::new(&docker.address).push_image("team/other", "v1", b"by docker").unwrap();
    is_whole(&server.address, "team/other", "v1").unwrap();
    let all = client.get("/v2/_catalog").text();
    assert_eq!(Client::new(&docker.address).get("/v2/_catalog").text().trim(), all);
    assert_eq!(client.ask("DELETE", "/v2/team/app/manifests/v2", &[], b"").unwrap().status, 202);
    assert_eq!(Client::new(&docker.address).get("/v2/team/app/manifests/v2").status, 404);
    is_whole(&docker.address, "team/app", "v1").unwrap();
}

#[test]
fn other_tools_push_to_a_bucket_and_pull_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let server = store.registry();
    let (_, status) = Client::new(&server.address).push_image("team/a", "v1", &bytes(9 << 20)).unwrap();
    assert_eq!(status, 201);
    let name = |path: &str| format!("{}/{path}", server.address);
    let layout = format!("oci:{}:v1", dir.path().join("layout").display());
    let (from, to) = (format!("docker://{}", name("team/a:v1")), format!("docker://{}", name("team/b:v1")));
    let pulled = ["copy", "-q", "--src-tls-verify=false", &from, &layout];
    let pushed = ["copy", "-q", "--dest-tls-verify=false", &layout, &to];
    for args in [&pulled[..], &pushed] {
        let copied = Command::new("skopeo").args(args).bounded().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    }
    let copied = Command::new("crane").args(["copy", &name("team/b:v1"), &name("team/c:v1")]).bounded().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    for repository in ["team/a", "team/b", "team/c"] {
        is_whole(&server.address, repository, "v1").unwrap();
    }
}

#[test]
fn an_upload_that_is_broken_off_leaves_nothing_that_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let server = store.registry();
    let mut client = Client::new(&server.address);
    let begun = client.ask("POST", "/v2/a/blobs/uploads/", &[], b"").unwrap();
    let location = begun.header("location").unwrap().to_owned();
    let large = bytes(18 << 20);
    let target = format!("{location}?digest={}", Digest::of(b"something else"));
    assert_eq!(client.ask("PUT", &target, &[], &large).unwrap().status, 400, "not what was promised");
    let digest = Digest::of(&large);
    assert_eq!(client.get(&format!("/v2/a/blobs/{digest}")).status, 404);
    assert_eq!(store.bucket().unfinished("").unwrap(), []);
    assert_eq!(client.push_image("a", "v1", &large).unwrap().1, 201);
    is_whole(&server.address, "a", "v1").unwrap();
    let objects = dir.path().join("objects/images/hub/docker/registry/v2/repositories/a/_uploads");
    assert!(fs::read_dir(objects).into_iter().flatten().flatten().all(|entry| !entry.path().join("data").exists()));
}

/// By then its parts are in the store, which gives none of them back.
#[test]
fn a_blob_is_named_by_another_digest_when_all_of_it_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let server = store.registry();
    let mut client = Client::new(&server.address);
    let large = bytes(18 << 20);
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&large);
    let digest = hasher.finish();
    let begun = client.ask("POST", "/v2/a/blobs/uploads/", &[], b"").unwrap();
    let location = begun.header("location").unwrap().to_owned();
    for piece in large.chunks(5 << 20) {
        assert_eq!(client.ask("PATCH", &location, &[], piece).unwrap().status, 202);
    }
    let done = client.ask("PUT", &format!("{location}?digest={digest}"), &[], b"").unwrap();
    assert_eq!(done.status, 201, "{}", done.text());
    let got = client.get(&format!("/v2/a/blobs/{digest}"));
    assert!(got.status == 200 && got.body == large);
    assert_eq!(store.bucket().unfinished("").unwrap(), []);
}

#[test]
fn a_bucket_is_kept_while_it_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let server = store.registry();
    let mut client = Client::new(&server.address);
    for (tag, layer) in [("stays", "needed"), ("goes", "not needed"), ("again", "needed again")] {
        assert_eq!(client.push_image("a", tag, layer.as_bytes()).unwrap().1, 201, "{tag}");
    }
    let (lone, _) = client.push_blob("a", b"of no image").unwrap();
    // Somebody else has begun to push, and gone away.
    let own = store.bucket();
    let key = "docker/registry/v2/repositories/a/_uploads/0f4b2a3c-0000-4000-8000-000000000000/data";
    let mut parts = own.begin(key).unwrap();
    own.part(&mut parts, b"half of it").unwrap();
    for tag in ["goes", "again"] {
        assert_eq!(client.ask("DELETE", &format!("/v2/a/manifests/{tag}"), &[], b"").unwrap().status, 202);
    }
    let options = GcOptions {
        grace: Duration::ZERO,
        pruning: Pruning::Remove,
        untagged: Untagged::Remove,
        leftovers: Leftovers::Older(Duration::from_secs(3600)),
        keep: None,
    };
    // As another process does it.
    let collect = |options: &GcOptions| store.tree().collect(options, &mut |_| ()).unwrap();
    let young = collect(&options);
    assert_eq!((young.manifests, young.blobs, young.uploads), (0, 0, 0), "what was used just now stays");
    age(dir.path());
    // One who comes later relies on what lies there.
    let second = store.registry();
    assert_eq!(Client::new(&second.address).push_image("a", "again", b"needed again").unwrap().1, 201);
    let dry = collect(&GcOptions { pruning: Pruning::DryRun, ..options });
    assert_eq!((dry.manifests, dry.blobs, dry.uploads), (1, 3, 1), "{dry:?}");
    assert_eq!(own.unfinished("").unwrap().len(), 1, "a dry run removes nothing");
    assert_eq!(client.get(&format!("/v2/a/blobs/{lone}")).status, 200);
    age(dir.path());
    let done = collect(&options);
    assert_eq!((done.manifests, done.blobs, done.uploads), (1, 3, 1), "{done:?}");
    assert_eq!(own.unfinished("").unwrap(), []);
    assert_eq!(client.get(&format!("/v2/a/blobs/{lone}")).status, 404);
    for tag in ["stays", "again"] {
        is_whole(&second.address, "a", tag).unwrap();
    }
    let tree = store.tree();
    assert_eq!(tree.scrub(None, &mut |_| ()).unwrap().corrupt, []);
    let layer = Digest::of(b"needed");
    let hex = layer.hex();
    let path = format!("objects/images/hub/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
    fs::write(dir.path().join(path), b"deeded").unwrap();
    assert_eq!(tree.scrub(None, &mut |_| ()).unwrap().corrupt, [layer]);
    assert_eq!(client.get(&format!("/v2/a/blobs/{layer}")).status, 404, "wrong bytes are not served");
}

/// Whoever relies on a blob that is about to be removed waits until it is known what becomes of it.
#[test]
fn nobody_relies_on_what_another_process_is_removing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let server = store.registry();
    let own = store.bucket();
    let layer = Digest::of(b"layer");
    let hex = layer.hex();
    let path = format!("blobs/sha256/{}/{hex}/data", &hex[..2]);
    let (blob, mark) = (format!("docker/registry/v2/{path}"), format!("docker/registry/sealos/doomed/{path}"));
    Client::new(&server.address).push_blob("a", b"layer").unwrap();
    own.put(&mark, b"").unwrap();
    std::thread::scope(|scope| {
        // It knows nothing of what the other has marked.
        let second = store.registry();
        let pushed = scope.spawn(move || Client::new(&second.address).push_image("b", "v1", b"layer").unwrap().1);
        until("it says that it uses it", || {
            own.head(&format!("docker/registry/sealos/used/{path}")).unwrap().is_some()
        });
        own.delete(&blob).unwrap();
        own.delete(&mark).unwrap();
        assert_eq!(pushed.join().unwrap(), 201);
    });
    is_whole(&server.address, "b", "v1").unwrap();
}

/// The process that is killed: this test program itself, told by a variable to be a registry.
#[test]
fn an_acknowledged_push_to_a_bucket_survives_being_killed() {
    if serves("SEALOS_TEST_BUCKET", |address| Arc::new(Distribution::in_bucket(bucket(address)).unwrap())) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0_u64..4 {
        let name = "bucket::an_acknowledged_push_to_a_bucket_survives_being_killed";
        let mut process = Process::start(&[], name, "SEALOS_TEST_BUCKET", store.address.as_ref());
        let address = process.address.clone();
        for tag in &acknowledged {
            is_whole(&address, "kill/a", tag).unwrap();
        }
        let (begun, begins) = std::sync::mpsc::channel();
        let killer = std::thread::spawn(move || {
            begins.recv_timeout(LONG).ok();
            std::thread::sleep(Duration::from_millis(60 + round * 83));
            process.kill()
        });
        let mut client = Client::new(&address);
        for number in 0.. {
            let tag = format!("{round}-{number}");
            // Every other one is in parts.
            let size = if number % 2 == 0 { 9 << 20 } else { 300_000 };
            let mut layer = bytes(size + number);
            layer[0] = u8::try_from(round).unwrap();
            match client.push_image("kill/a", &tag, &layer) {
                Some((_, 201)) => {
                    acknowledged.push(tag);
                    begun.send(()).ok();
                }
                Some((_, status)) => panic!("{tag}: {status}"),
                None => break,
            }
        }
        assert_eq!(killer.join().unwrap().signal(), Some(9));
    }
    let tree = store.tree();
    assert_eq!(tree.scrub(None, &mut |_| ()).unwrap().corrupt, []);
    let server = store.registry();
    for tag in &acknowledged {
        is_whole(&server.address, "kill/a", tag).unwrap();
    }
}

#[test]
fn clients_are_sent_to_the_bucket_if_they_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let options = ServeOptions { redirects: Redirects::ToStore, ..ServeOptions::default() };
    let server = Server::with(Registry::new(Arc::new(store.tree()), options));
    let mut client = Client::new(&server.address);
    client.push_image("a", "v1", b"layer").unwrap();
    let target = format!("/v2/a/blobs/{}", Digest::of(b"layer"));
    let sent = client.get(&target);
    let url = sent.header("location").unwrap().to_owned();
    assert!(sent.status == 307 && !url.contains(SECRET), "{url}");
    assert_eq!(client.ask("HEAD", &target, &[], b"").unwrap().status, 200);
    let fetch = |url: &str| {
        let got = Command::new("curl").args(["-sf", "--max-time", "60", url]).bounded().unwrap();
        got.status.success().then_some(got.stdout)
    };
    assert_eq!(fetch(&url).as_deref(), Some(&b"layer"[..]));
    assert_eq!(fetch(&url.replace("X-Amz-Expires=1200", "X-Amz-Expires=9999")), None, "forged");
    let from = format!("docker://{}/a:v1", server.address);
    let to = format!("oci:{}:v1", dir.path().join("layout").display());
    let pulled = Command::new("skopeo").args(["copy", "-q", "--src-tls-verify=false", &from, &to]).bounded().unwrap();
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
}

#[test]
fn a_store_that_is_away_is_said_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let tree = Distribution::in_bucket_to_read(store.bucket()).unwrap();
    let options = ServeOptions { mode: Mode::ReadOnly, ..ServeOptions::default() };
    let reader = Server::with(Registry::new(Arc::new(tree), options));
    let server = store.registry();
    Client::new(&server.address).push_image("a", "v1", b"layer").unwrap();
    is_whole(&reader.address, "a", "v1").unwrap();
    let address = store.address.clone();
    drop(store);
    for method in ["GET", "PUT"] {
        let refused = Client::new(&server.address).ask(method, "/v2/a/manifests/v1", &[], b"{}").unwrap();
        assert!(refused.status == 500 || (method == "PUT" && refused.status == 400), "{method}: {}", refused.text());
        assert!(!refused.text().contains(&address), "{}", refused.text());
    }
    let (_, status) = Client::new(&server.address).push_blob("a", b"new").unwrap();
    assert_eq!(status, 500);
    // The port is this test's own, unless somebody has taken it meanwhile.
    if let Some(_store) = Store::start_at(dir.path(), &address) {
        is_whole(&server.address, "a", "v1").unwrap();
        assert_eq!(Client::new(&server.address).push_blob("a", b"new").unwrap().1, 201);
    }
}

#[test]
fn what_is_wrong_with_a_bucket_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let endpoint = format!("http://{}", store.address);
    let open = |location: &str, endpoint: &str, key: &str, secret: &str| {
        Bucket::with_keys(location, Speaker::new(ClientOptions::default()), endpoint, key, secret)
    };
    for location in ["s3://", "s3:///x", "s3://a/../b", "s3://a b", "s3://a/b//c", "/a"] {
        assert!(open(location, &endpoint, KEY, SECRET).is_err(), "{location}");
    }
    for (location, endpoint, key, secret, said, help) in [
        ("s3://images", endpoint.as_str(), KEY, "hunter2", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ("s3://images", &endpoint, "nobody", SECRET, "access key ID", "AWS_ACCESS_KEY_ID"),
        ("s3://nothing", &endpoint, KEY, SECRET, "NoSuchBucket", "make the bucket first"),
        ("s3://images", "http://127.0.0.1:1", KEY, SECRET, "cannot reach `127.0.0.1:1`", "check the name and port"),
    ] {
        let error = Distribution::in_bucket(open(location, endpoint, key, secret).unwrap()).err().unwrap();
        let (text, advice) = (error.to_string(), error.help().unwrap_or_default());
        assert!(text.contains(said) && advice.contains(help), "{text}\n{advice}");
        assert!(!text.contains("hunter2") && !text.contains(SECRET), "{text}");
    }
}
