//! A real registry on loopback, filled by skopeo with images that sealos built and saved.

#![allow(dead_code, reason = "each test program uses the part that it needs")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Bounded, Sandbox, run};

/// A docker-registry, ended when dropped.
pub(crate) struct Registry {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
    push: Vec<&'static str>,
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a server that was just started listens.
pub(crate) fn wait_for(port: u16) {
    let end = Instant::now() + Duration::from_secs(240);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server's certificate for 127.0.0.1 and its key, as paths.
pub(crate) struct Certificates {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Certificates {
    /// Makes them in a directory, signed by an authority whose own is `certs/ca.crt` there.
    pub(crate) fn make(directory: &Path) -> Self {
        let at = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        fs::create_dir(at("certs")).unwrap();
        fs::write(at("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        let (ca, ca_key, key) = (at("certs/ca.crt"), at("ca.key"), at("server.key"));
        let (request, certificate, names) = (at("server.csr"), at("server.crt"), at("names"));
        let new = ["req", "-newkey", "rsa:2048", "-nodes"];
        let own = ["-x509", "-days", "2", "-subj", "/CN=test", "-keyout", &ca_key, "-out", &ca];
        run("openssl", &[&new[..], &own].concat());
        run("openssl", &[&new[..], &["-subj", "/CN=127.0.0.1", "-keyout", &key, "-out", &request]].concat());
        let sign = ["x509", "-req", "-days", "2", "-CAcreateserial", "-extfile", &names, "-in", &request];
        run("openssl", &[&sign[..], &["-CA", &ca, "-CAkey", &ca_key, "-out", &certificate]].concat());
        Self { certificate, key }
    }
}

impl Registry {
    /// Without TLS and open to everybody.
    pub(crate) fn plain() -> Self {
        Self::start(tempfile::tempdir().unwrap(), "http: {addr: \"ADDRESS\"}\n", Vec::new())
    }

    /// With TLS of an authority that nobody knows (`certs/ca.crt` in [`Self::at`]), for `me` with `hunter2` only.
    pub(crate) fn secured() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let Certificates { certificate, key } = Certificates::make(directory.path());
        run("htpasswd", &["-Bbc", &at("htpasswd"), "me", "hunter2"]);
        let extra = format!(
            "http:\n  addr: ADDRESS\n  tls: {{certificate: {certificate}, key: {key}}}\nauth:\n  htpasswd: {{realm: test, path: {}}}\n",
            at("htpasswd")
        );
        Self::start(directory, &extra, vec!["--dest-creds", "me:hunter2"])
    }

    /// With this configuration beside the storage (ADDRESS is where it has to listen), its files in a directory.
    pub(crate) fn start(directory: tempfile::TempDir, extra: &str, push: Vec<&'static str>) -> Self {
        let port = free_port();
        let config = directory.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n{}",
            directory.path().join("data").display(),
            extra.replace("ADDRESS", &format!("127.0.0.1:{port}")),
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("docker-registry is installed (tests/run does it)");
        wait_for(port);
        Self { child, port, directory, push }
    }

    /// A name in this registry.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/{rest}", self.port)
    }

    /// A path in the registry's directory.
    pub(crate) fn at(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Builds a Kubefile, saves the image and pushes it under `rest`.
    pub(crate) fn publish(&self, rest: &str, kubefile: &str, files: &[(&str, &[u8])], more: &[&str]) {
        let maker = Sandbox::new();
        let (context, archive) = (maker.context("app", kubefile, files), maker.at("app.tar"));
        maker.sealos(&[&["build", "-q", "-t", "made:v1", &context], more].concat()).fine();
        maker.sealos(&["save", "-q", "--format", "oci-archive", "-o", &archive, "made:v1"]).fine();
        let (from, to) = (format!("oci-archive:{archive}"), format!("docker://{}", self.name(rest)));
        let copy = ["copy", "-q", "--all", "--dest-tls-verify=false"];
        run("skopeo", &[&copy[..], &self.push, &[&from, &to]].concat());
    }

    /// The digest of what a name of this registry stands for.
    pub(crate) fn digest(&self, rest: &str) -> String {
        let name = format!("docker://{}", self.name(rest));
        let args = ["inspect", "--tls-verify=false", "--raw", &name];
        let output = Command::new("skopeo").args(args).bounded().unwrap();
        assert!(output.status.success(), "{output:?}");
        oci::Digest::of(&output.stdout).to_string()
    }

    /// Builds and pushes an image with one file, `base`, that holds `text`.
    pub(crate) fn publish_text(&self, rest: &str, text: &str) {
        self.publish(rest, "FROM scratch\nCOPY base /\n", &[("base", text.as_bytes())], &[]);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
