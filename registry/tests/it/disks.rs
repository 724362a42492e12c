//! Disks that are full, that may not be written, and that hold what does not belong there: the answer says which, nothing
//! is half there, and when the disk is well again so is the registry.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use oci::Digest;
use registry::backend::Distribution;
use registry::options::ServeOptions;
use registry::service::Registry;

use crate::client::{Client, is_whole, manifest};
use crate::deadline::{Bounded, until};
use crate::process::{Process, serves};
use crate::server::Server;

/// A file system of its own in memory, gone when dropped.
pub(crate) struct Disk(pub(crate) tempfile::TempDir);

impl Disk {
    pub(crate) fn of(size: &str) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        disk
    }

    fn mount(&self, args: &[&str]) {
        // A program that another test is starting has this one's open files for a moment, and keeps the disk busy.
        until("a mount, for which the test needs to be root", || {
            Command::new("mount").args(args).arg(self.0.path()).bounded().unwrap().status.success()
        });
    }

    fn serve(&self) -> Server {
        let tree = Distribution::open(self.0.path()).unwrap();
        Server::with(Registry::new(Arc::new(tree), ServeOptions::default()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg("--lazy").arg(self.0.path()).bounded().unwrap();
        assert!(gone.status.success() || std::thread::panicking());
    }
}

/// Everything below a directory that is a file.
fn files(directory: &Path) -> Vec<String> {
    let found = Command::new("find").arg(directory).args(["-type", "f", "-printf", "%P\n"]).bounded().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_behind() {
    let disk = Disk::of("1m");
    let server = disk.serve();
    let mut client = Client::new(&server.address);
    assert_eq!(client.push_image("a", "small", b"small").unwrap().1, 201);
    let before = files(disk.0.path());
    let large = vec![7; 1_500_000];
    let digest = Digest::of(&large);
    for (number, how) in ["in pieces", "at once", "streamed"].into_iter().enumerate() {
        let mut client = Client::new(&server.address);
        let refused = match number {
            0 => {
                let begun = client.ask("POST", "/v2/a/blobs/uploads/", &[], b"").unwrap();
                let location = begun.header("location").unwrap().to_owned();
                let half = client.ask("PATCH", &location, &[], &large[..700_000]).unwrap();
                assert_eq!(half.status, 202, "{}", half.text());
                client.ask("PUT", &format!("{location}?digest={digest}"), &[], &large[700_000..]).unwrap()
            }
            1 => client.ask("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], &large).unwrap(),
            _ => {
                let begun = client.ask("POST", "/v2/a/blobs/uploads/", &[], b"").unwrap();
                client.ask("PATCH", begun.header("location").unwrap(), &[], &large).unwrap()
            }
        };
        assert_eq!(refused.status, 507, "{how}: {}", refused.text());
        assert!(refused.text().contains("the registry's disk is full"), "{how}: {}", refused.text());
        assert_eq!(Client::new(&server.address).get(&format!("/v2/a/blobs/{digest}")).status, 404, "{how}");
        assert_eq!(files(disk.0.path()), before, "{how}: nothing stays behind");
    }
    // A manifest for which there is no space any more.
    let mut client = Client::new(&server.address);
    let (config, _) = client.push_blob("a", b"{}").unwrap();
    let text = manifest(&[(config, 2)]);
    let filler = disk.0.path().join("filler");
    let filled = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).bounded();
    assert!(!filled.unwrap().status.success(), "until it is full");
    let fields = [("Content-Type", oci::MediaType::OCI_MANIFEST)];
    let put = |client: &mut Client| client.ask("PUT", "/v2/a/manifests/new", &fields, text.as_bytes()).unwrap();
    let refused = put(&mut client);
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!(client.get("/v2/a/tags/list").text(), r#"{"name":"a","tags":["small"]}"#);
    is_whole(&server.address, "a", "small").unwrap();
    fs::remove_file(filler).unwrap();
    assert_eq!(put(&mut client).status, 201);
    is_whole(&server.address, "a", "new").unwrap();
}

#[test]
fn a_disk_that_may_only_be_read_is_read() {
    let disk = Disk::of("4m");
    let server = disk.serve();
    let mut client = Client::new(&server.address);
    let (digest, _) = client.push_image("a", "v1", b"layer").unwrap();
    // Whoever has files open to write keeps a file system from being made read only.
    drop(server);
    disk.mount(&["-o", "remount,ro"]);
    let server = disk.serve();
    let mut client = Client::new(&server.address);
    is_whole(&server.address, "a", "v1").unwrap();
    let layer = Digest::of(b"layer");
    let refusals = [
        ("POST", format!("/v2/a/blobs/uploads/?digest={layer}"), "layer"),
        ("POST", format!("/v2/b/blobs/uploads/?mount={layer}&from=a"), ""),
        ("DELETE", "/v2/a/manifests/v1".to_owned(), ""),
        ("DELETE", format!("/v2/a/manifests/{digest}"), ""),
        ("DELETE", format!("/v2/a/blobs/{layer}"), ""),
    ];
    for (method, target, body) in &refusals {
        let refused = client.ask(method, target, &[], body.as_bytes()).unwrap();
        assert_eq!(refused.status, 405, "{method} {target}: {}", refused.text());
        assert!(refused.text().contains("UNSUPPORTED"), "{method} {target}: {}", refused.text());
    }
    is_whole(&server.address, "a", "v1").unwrap();
    // A registry that is started on it.
    let tree = Distribution::open_to_read(disk.0.path()).unwrap();
    let second = Server::with(Registry::new(Arc::new(tree), ServeOptions::default()));
    is_whole(&second.address, "a", "v1").unwrap();
    drop((second, server));
    // And back: with the next request everything is taken again, on connections that were open before as well.
    for round in 0..5 {
        let server = disk.serve();
        let mut client = Client::new(&server.address);
        assert_eq!(
            client.ask("POST", &format!("/v2/a/blobs/uploads/?digest={layer}"), &[], b"layer").unwrap().status,
            405
        );
        disk.mount(&["-o", "remount,rw"]);
        let pushed = client.push_image("a", "v1", format!("{round}").as_bytes());
        assert_eq!(pushed.map(|(_, status)| status), Some(201), "{round}");
        is_whole(&server.address, "a", "v1").unwrap();
        drop((client, server));
        disk.mount(&["-o", "remount,ro"]);
    }
}

/// The process that may not: this test program itself, told by a variable to be somebody else.
#[test]
fn files_of_somebody_else_are_served_and_not_touched() {
    let place = |told: &str| {
        // As whoever owns nothing.
        // SAFETY: these take numbers and change all threads of this process, which serves from now on and nothing else.
        assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) | libc::setgid(65_534) | libc::setuid(65_534) }, 0);
        Arc::new(Distribution::open(Path::new(told)).unwrap()) as _
    };
    if serves("SEALOS_TEST_DISK", place) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let own = Server::with(Registry::new(Arc::new(Distribution::open(dir.path()).unwrap()), ServeOptions::default()));
    let (digest, _) = Client::new(&own.address).push_image("a", "v1", b"layer").unwrap();
    Client::new(&own.address).push_image("a", "hidden", b"hidden layer").unwrap();
    drop(own);
    let hidden = Digest::of(b"hidden layer");
    let hex = hidden.hex();
    let path = dir.path().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]));
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let name = "disks::files_of_somebody_else_are_served_and_not_touched";
    let process = Process::start(&[], name, "SEALOS_TEST_DISK", dir.path().as_os_str());
    let mut client = Client::new(&process.address);
    is_whole(&process.address, "a", "v1").unwrap();
    let layer = Digest::of(b"layer");
    let new = Digest::of(b"new");
    for (method, target, body) in [
        ("POST", format!("/v2/a/blobs/uploads/?digest={new}"), &b"new"[..]),
        ("POST", format!("/v2/b/blobs/uploads/?mount={layer}&from=a"), b""),
        ("DELETE", "/v2/a/manifests/v1".to_owned(), b""),
        ("DELETE", format!("/v2/a/manifests/{digest}"), b""),
        ("DELETE", format!("/v2/a/blobs/{layer}"), b""),
        ("GET", format!("/v2/a/blobs/{hidden}"), b""),
    ] {
        let refused = client.ask(method, &target, &[], body).unwrap();
        assert_eq!(refused.status, 500, "{method} {target}: {}", refused.text());
        let said = refused.text();
        assert!(said.contains("UNKNOWN") && said.contains("may not use its own files"), "{method} {target}: {said}");
        assert!(!said.contains(dir.path().to_str().unwrap()), "{said}");
    }
    is_whole(&process.address, "a", "v1").unwrap();
    process.end();
}

#[test]
fn what_does_not_belong_there_is_an_error_and_not_an_answer() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Distribution::open(directory.path()).unwrap();
    let server = Server::with(Registry::new(Arc::new(tree), ServeOptions::default()));
    let mut client = Client::new(&server.address);
    client.push_image("a", "v1", b"layer").unwrap();
    let uploads = directory.path().join("docker/registry/v2/repositories/a/_uploads");
    fs::remove_dir_all(&uploads).unwrap();
    fs::write(&uploads, "a file").unwrap();
    let digest = Digest::of(b"new");
    let target = format!("/v2/a/blobs/uploads/?digest={digest}");
    let refused = client.ask("POST", &target, &[], b"new").unwrap();
    assert_eq!(refused.status, 500, "{}", refused.text());
    let said = refused.text();
    assert!(said.contains("UNKNOWN") && !said.contains(&directory.path().display().to_string()), "{said}");
    is_whole(&server.address, "a", "v1").unwrap();
    fs::remove_file(&uploads).unwrap();
    assert_eq!(client.ask("POST", &target, &[], b"new").unwrap().status, 201);
}
