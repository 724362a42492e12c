//! `containers-storage:` and `docker-daemon:`, both ways, through skopeo: podman's store and podman as the Docker daemon.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::peers::{build, config_at, digest, layer_types, manifest, say, validate};
use crate::registry::Registry;
use crate::sandbox::{Bounded, Said, Sandbox};

/// A store of podman's in a directory of the test.
struct Podman {
    root: String,
    run: String,
}

impl Podman {
    fn in_(sandbox: &Sandbox) -> Self {
        Self { root: sandbox.at("podman"), run: sandbox.at("podman-run") }
    }

    /// An image there, as a location.
    fn at(&self, name: &str) -> String {
        format!("containers-storage:[vfs@{}+{}]{name}", self.root, self.run)
    }

    #[track_caller]
    fn podman(&self, args: &[&str]) -> String {
        let store = ["--root", &self.root, "--runroot", &self.run, "--storage-driver", "vfs"];
        say("podman", &[&store[..], args].concat())
    }

    /// podman as a Docker daemon on a socket.
    fn daemon(&self, socket: &Path) -> Daemon {
        let child = Command::new("podman")
            .args(["--root", &self.root, "--runroot", &self.run, "--storage-driver", "vfs"])
            .args(["system", "service", "--time", "0", &format!("unix://{}", socket.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while !socket.exists() {
            assert!(Instant::now() < end, "podman does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Daemon { child, host: format!("unix://{}", socket.display()) }
    }
}

struct Daemon {
    child: Child,
    host: String,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn images_of_podman_come_and_go() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    build(&sandbox);
    let podman = Podman::in_(&sandbox);
    let there = podman.at("localhost/one:v1");
    sandbox.sealos(&["copy", "-q", "one:v1", &there]).fine();
    let store = |name: &str| config_at(&format!("oci:{}:{name}", sandbox.at("store")));
    let config = store("one:v1");
    assert_eq!(podman.podman(&["image", "inspect", "-f", "{{index .Config.Env 1}}", "localhost/one:v1"]), "who=me");

    // Back again: podman keeps layers unpacked, and the image is the same image all the same.
    sandbox.sealos(&["copy", "-q", &there, "back:v1"]).fine();
    assert_eq!(store("back:v1"), config);
    let created = |name: &str| sandbox.sealos(&["create", "--short", "-c", "x", name]).fine();
    assert_eq!(fs::read_to_string(Path::new(created("back:v1").trim()).join("a")).unwrap(), "first");

    let remote = registry.name("podman/one:v1");
    sandbox.sealos(&["copy", "-q", &there, &format!("docker://{remote}")]).fine();
    assert_eq!(config_at(&format!("docker://{remote}")), config);
    assert!(layer_types(&manifest(&remote)).iter().all(|layer| layer.ends_with("gzip")), "compressed on the way");
    validate(&remote);

    let from = format!("docker://{remote}");
    sandbox.sealos(&["copy", "-q", &from, &podman.at("localhost/again:v1")]).fine();
    assert!(podman.podman(&["images", "--format", "{{.Tag}} {{.Repository}}"]).contains("localhost/again"));
    sandbox.sealos(&["pull", "-q", &there]).fine();
    sandbox.sealos(&["inspect", "localhost/one:v1"]).fine();
    sandbox.sealos(&["copy", &podman.at("localhost/absent:v1"), "x:v1"]).refused(&["localhost/absent"]);
    let said = sandbox.sealos(&["copy", "-q", "--all", "both:v1", &podman.at("localhost/both:v1")]);
    said.refused(&["one platform", "--platform"]);
    sandbox.sealos(&["copy", "-q", "both:v1", &podman.at("localhost/both:v1")]).fine();
}

#[test]
fn images_of_the_docker_daemon_come_and_go() {
    let sandbox = Sandbox::new();
    build(&sandbox);
    let podman = Podman::in_(&sandbox);
    let daemon = podman.daemon(&sandbox.path("docker.sock"));
    let sealos = |args: &[&str]| Said::from(sandbox.command(args).env("DOCKER_HOST", &daemon.host).bounded().unwrap());
    sealos(&["copy", "-q", "one:v1", "docker-daemon:localhost/one:v1"]).fine();
    assert!(podman.podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).contains("localhost/one:v1"));
    sealos(&["copy", "-q", "docker-daemon:localhost/one:v1", "back:v1"]).fine();
    let store = |name: &str| config_at(&format!("oci:{}:{name}", sandbox.at("store")));
    assert_eq!(store("back:v1"), store("one:v1"));
    sealos(&["copy", "docker-daemon:localhost/absent:v1", "x:v1"]).refused(&["docker-daemon:localhost/absent:v1"]);
}

#[test]
fn without_skopeo_it_is_said_what_is_missing() {
    let sandbox = Sandbox::new();
    build(&sandbox);
    for args in [
        ["copy", "containers-storage:localhost/x:v1", "x:v1"],
        ["copy", "one:v1", "containers-storage:localhost/x:v1"],
        ["copy", "docker-daemon:x:v1", "x:v1"],
    ] {
        let output = sandbox.command(&args).env("PATH", sandbox.path("home")).bounded().unwrap();
        Said::from(output).refused(&["skopeo", "not installed", "install skopeo"]);
    }
    assert_eq!(digest(&sandbox, "one:v1").len(), 71);
}
