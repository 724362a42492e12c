//! The registry that images come from: docker-registry on loopback, with images that sealos built.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Bounded, Sandbox, bounded, noise, run};

/// A docker-registry, ended when dropped.
pub(crate) struct Upstream {
    child: Option<Child>,
    port: u16,
    directory: tempfile::TempDir,
    data: PathBuf,
    is_closed: bool,
}

impl Upstream {
    /// One that is open to everybody.
    pub(crate) fn open() -> Self {
        Self::start(None, false)
    }

    /// One over a directory that is there.
    pub(crate) fn over(data: PathBuf) -> Self {
        Self::start(Some(data), false)
    }

    /// One for `me` with `hunter2` only.
    pub(crate) fn closed() -> Self {
        Self::start(None, true)
    }

    fn start(data: Option<PathBuf>, is_closed: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = data.unwrap_or_else(|| directory.path().join("data"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut upstream = Self { child: None, port, directory, data, is_closed };
        let auth = match is_closed {
            true => {
                let users = upstream.at("users");
                run("htpasswd", &["-Bbc", &users, "me", "hunter2"]);
                format!("auth: {{htpasswd: {{realm: test, path: {users}}}}}\n")
            }
            false => String::new(),
        };
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n{auth}",
            upstream.data.display()
        );
        fs::write(upstream.at("config.yml"), config).unwrap();
        upstream.go();
        upstream
    }

    /// Starts it again.
    pub(crate) fn go(&mut self) {
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(self.at("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("docker-registry is installed (tests/run does it)"));
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "nobody listens on {}", self.port);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it; its content stays.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// A path in its directory.
    pub(crate) fn at(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A name in it.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address())
    }

    /// Puts an image of one file there, for the platforms.
    pub(crate) fn image(&self, rest: &str, seed: u64, platforms: &str) {
        let maker = Sandbox::new();
        let context = maker.context("made", "FROM scratch\nCOPY data /\n", &[("data", &noise(60_000, seed))]);
        let name = self.name(rest);
        maker.sealos(&["build", "-q", "--no-carry", "--platform", platforms, "-t", &name, &context]).fine();
        let login = if self.is_closed { &["--creds", "me:hunter2"][..] } else { &[] };
        maker.sealos(&[&["push", "-q", "--all"][..], login, &[&name]].concat()).fine();
    }

    /// Images of one file each for this machine and one other, called so.
    pub(crate) fn images(&self, names: &[&str]) {
        for (seed, rest) in (1..).zip(names) {
            self.image(rest, seed, "linux/amd64,linux/arm64");
        }
    }

    /// The bytes that a name stands for.
    pub(crate) fn raw(&self, rest: &str) -> Vec<u8> {
        let name = format!("docker://{}", self.name(rest));
        let output = Command::new("skopeo").args(["inspect", "--tls-verify=false", "--raw", &name]).bounded().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// The digest that a name stands for.
    pub(crate) fn digest(&self, rest: &str) -> String {
        oci::Digest::of(&self.raw(rest)).to_string()
    }

    /// The blobs that it has, with their sizes in bytes.
    pub(crate) fn blobs(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        let top = self.data.join("docker/registry/v2/blobs/sha256");
        for directory in fs::read_dir(top).into_iter().flatten() {
            for blob in fs::read_dir(directory.unwrap().path()).unwrap() {
                let path = blob.unwrap().path();
                let size = fs::metadata(path.join("data")).unwrap().len();
                found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), size));
            }
        }
        found.sort();
        found
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A manifest of one pod.
pub(crate) fn pod(image: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: c\n    image: {image}\n")
}

/// Builds a Go program of a module below `tests/oracles`, whose `go.sum` pins every version.
pub(crate) fn go_program(module: &str, package: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles").join(module);
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("carry-{module}"));
    let installed = Path::new("/usr/local/go/bin/go");
    let building = Command::new(if installed.exists() { installed } else { Path::new("go") })
        .args([
            "build",
            "-tags",
            "containers_image_openpgp containers_image_storage_stub containers_image_docker_daemon_stub",
            "-o",
        ])
        .arg(&binary)
        .arg(package)
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        .spawn()
        .expect("go is installed (tests/run does it)");
    let built = bounded::within(bounded::BUILDING, building);
    assert!(built.status.success(), "go build of {package} failed");
    binary.to_str().unwrap().to_owned()
}

/// A program that tests/run installs as a Go module.
pub(crate) fn installed(program: &str) -> String {
    let cache = std::env::var("XDG_CACHE_HOME").ok().filter(|cache| !cache.is_empty());
    let cache = cache.unwrap_or_else(|| format!("{}/.cache", std::env::var("HOME").unwrap()));
    let path = format!("{cache}/sealos-ci/bin/{program}");
    assert!(Path::new(&path).exists(), "{program} is installed (tests/run does it)");
    path
}
