//! A registry in a bucket of versitygw, beside docker's registry on the same bucket.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oci::Digest;
use registry::backend::Distribution;
use registry::options::ServeOptions;
use registry::service::Registry;
use registry_client::{Bucket, Client as Speaker, ClientOptions};

use crate::client::{Client, is_whole};
use crate::docker::{Docker, LONG};
use crate::server::Server;

const KEY: &str = "the-key";
const SECRET: &str = "the-secret";

/// An S3 server over a directory, until it is dropped.
struct Store {
    child: Child,
    address: String,
}

impl Store {
    fn start(directory: &Path) -> Self {
        let (objects, side) = (directory.join("objects"), directory.join("side"));
        fs::create_dir_all(objects.join("images")).unwrap();
        fs::create_dir_all(&side).unwrap();
        // It cannot be told to take a free port and say which.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = Command::new("versitygw");
        command.args(["--port", &address, "--access", KEY, "--secret", SECRET, "posix", "--sidecar"]).arg(&side);
        command.arg(&objects).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("`versitygw` is installed by tests/run");
        let store = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(&store.address).is_err() {
            assert!(begun.elapsed() < LONG, "versitygw does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        store
    }

    fn registry(&self) -> Server {
        let endpoint = format!("http://{}", self.address);
        let client = Speaker::new(ClientOptions::default());
        let bucket = Bucket::with_keys("s3://images/hub", client, &endpoint, KEY, SECRET).unwrap();
        Server::with(Registry::new(Arc::new(Distribution::in_bucket(bucket)), ServeOptions::default()))
    }

    /// Docker's registry over the same part of the bucket.
    fn docker(&self, directory: &Path) -> Docker {
        let storage = format!(
            "  s3:\n    accesskey: {KEY}\n    secretkey: {SECRET}\n    region: us-east-1\n    regionendpoint: http://{}\n    \
             bucket: images\n    rootdirectory: /hub\n    secure: false\n    v4auth: true\n",
            self.address
        );
        Docker::over(&directory.join("docker"), &storage)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_bucket_holds_a_registry_and_docker_reads_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let server = store.registry();
    let mut client = Client::new(&server.address);
    // Larger than two parts.
    let large: Vec<u8> = (0..20 << 20).map(|at: u32| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
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
    assert_eq!(client.ask("DELETE", "/v2/team/app/manifests/v2", &[], b"").unwrap().status, 202);
    assert_eq!(Client::new(&docker.address).get("/v2/team/app/manifests/v2").status, 404);
    is_whole(&docker.address, "team/app", "v1").unwrap();
}

#[test]
fn an_upload_that_is_broken_off_leaves_nothing_that_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let server = store.registry();
    let mut client = Client::new(&server.address);
    let wrong = client.ask("POST", "/v2/a/blobs/uploads/", &[], b"").unwrap();
    let location = wrong.header("location").unwrap().to_owned();
    let large = vec![7; 18 << 20];
    let target = format!("{location}?digest={}", Digest::of(b"something else"));
    assert_eq!(client.ask("PUT", &target, &[], &large).unwrap().status, 400, "not what was promised");
    let digest = Digest::of(&large);
    assert_eq!(client.get(&format!("/v2/a/blobs/{digest}")).status, 404);
    drop((client, server));
    let server = store.registry();
    assert_eq!(Client::new(&server.address).push_image("a", "v1", &large).unwrap().1, 201);
    is_whole(&server.address, "a", "v1").unwrap();
    let objects = dir.path().join("objects/images/hub/docker/registry/v2/repositories/a/_uploads");
    assert!(fs::read_dir(objects).into_iter().flatten().flatten().all(|entry| !entry.path().join("data").exists()));
}

#[test]
fn what_is_wrong_with_a_bucket_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::start(dir.path());
    let endpoint = format!("http://{}", store.address);
    let open = |location: &str, secret: &str| {
        Bucket::with_keys(location, Speaker::new(ClientOptions::default()), &endpoint, KEY, secret)
    };
    for location in ["s3://", "s3:///x", "s3://a/../b", "s3://a b", "/a"] {
        assert!(open(location, SECRET).is_err(), "{location}");
    }
    let refused = open("s3://images", "hunter2").unwrap().get("a", 10).unwrap_err().to_string();
    assert!(refused.contains("denies access to `s3://images/`") && !refused.contains("hunter2"), "{refused}");
    let absent = open("s3://nothing", SECRET).unwrap().get("a", 10).unwrap_err().to_string();
    assert!(absent.contains("NoSuchBucket"), "{absent}");
}
