//! Other tools, with passwords, tokens and certificates: each copies an image, and is refused what it may not do.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use registry::backend::{Backend, Distribution, PullThrough};
use registry::names::Which;
use registry::options::ServeOptions;
use registry::service::Registry;
use registry_client::ClientOptions;

use crate::deadline::{Bounded, Killed};
use crate::server::Server;
use crate::shelf::Shelf;
use crate::site::{PASSWORD, Site, Way, path, run};

const ALL: [Way; 5] = [Way::Plain, Way::Password, Way::Token, Way::Foreign, Way::Certificate];

/// Somebody with a password, right or wrong; with certificates the name alone counts.
#[derive(Clone, Copy, Debug)]
struct Who {
    name: &'static str,
    password: &'static str,
}

const ANNA: Who = Who { name: "anna", password: PASSWORD };
const BEN: Who = Who { name: "ben", password: PASSWORD };
const LIAR: Who = Who { name: "anna", password: "wrong-password" };

impl Who {
    fn creds(self) -> String {
        format!("{}:{}", self.name, self.password)
    }

    /// The directory with the authority and, where they are wanted, the client's own certificate.
    fn certs(self, site: &Site) -> String {
        if site.way == Way::Certificate {
            return site.at(if self.name == "ben" { "ben" } else { "certs" });
        }
        let only = path(site, "only-ca");
        fs::create_dir_all(&only).unwrap();
        fs::copy(path(site, "certs/ca.crt"), only.join("ca.crt")).unwrap();
        only.to_str().unwrap().to_owned()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn output(program: &str, args: &[String], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).envs(environment.iter().copied());
    command.bounded().unwrap_or_else(|error| panic!("{program} is not installed (tests/run does it): {error}"))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Copies `anna/app:v1` to another name, as somebody.
type Copy = fn(&Site, Who, &str) -> Output;

fn skopeo(site: &Site, who: Who, to: &str) -> Output {
    let mut args = words("copy -q");
    for side in ["src", "dest"] {
        match site.way {
            Way::Plain => args.push(format!("--{side}-tls-verify=false")),
            _ => args.extend([format!("--{side}-cert-dir"), who.certs(site)]),
        }
        if site.way != Way::Certificate {
            args.extend([format!("--{side}-creds"), who.creds()]);
        }
    }
    args.extend([format!("docker://{}", site.name("anna/app:v1")), format!("docker://{}", site.name(to))]);
    output("skopeo", &args, &[])
}

/// podman and buildah take the same arguments.
fn engine(program: &str, site: &Site, who: Who, to: &str) -> Output {
    let storage = tempfile::tempdir().unwrap();
    let (root, state) = (storage.path().join("root"), storage.path().join("run"));
    let global = ["--root", root.to_str().unwrap(), "--runroot", state.to_str().unwrap(), "--storage-driver", "vfs"];
    let global: Vec<String> = global.iter().map(|word| (*word).to_owned()).collect();
    let mut access = match site.way {
        Way::Plain => words("--tls-verify=false"),
        _ => vec!["--cert-dir".to_owned(), who.certs(site)],
    };
    if site.way != Way::Certificate {
        access.extend(["--creds".to_owned(), who.creds()]);
    }
    let name = site.name("anna/app:v1");
    let pull = [&global[..], &words("pull -q"), &access, std::slice::from_ref(&name)].concat();
    let pulled = output(program, &pull, &[]);
    if !pulled.status.success() {
        return pulled;
    }
    let push = [&global[..], &words("push -q"), &access, &[name, format!("docker://{}", site.name(to))]].concat();
    output(program, &push, &[])
}

fn podman(site: &Site, who: Who, to: &str) -> Output {
    engine("podman", site, who, to)
}

fn buildah(site: &Site, who: Who, to: &str) -> Output {
    engine("buildah", site, who, to)
}

fn crane(site: &Site, who: Who, to: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let auth = base64::engine::general_purpose::STANDARD.encode(who.creds());
    let config = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", site.server.address);
    fs::write(home.path().join("config.json"), config).unwrap();
    let environment = [("DOCKER_CONFIG", home.path().to_str().unwrap()), ("SSL_CERT_FILE", &site.at("certs/ca.crt"))];
    output("crane", &[words("copy"), vec![site.name("anna/app:v1"), site.name(to)]].concat(), &environment)
}

fn oras(site: &Site, who: Who, to: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut args = words("copy");
    for side in ["from", "to"] {
        match site.way {
            Way::Plain => args.push(format!("--{side}-plain-http")),
            _ => args.extend([format!("--{side}-ca-file"), site.at("certs/ca.crt")]),
        }
        match site.way {
            Way::Certificate => {
                let own = who.certs(site);
                args.extend([format!("--{side}-cert-file"), format!("{own}/client.cert")]);
                args.extend([format!("--{side}-key-file"), format!("{own}/client.key")]);
            }
            _ => args.extend([
                format!("--{side}-username"),
                who.name.to_owned(),
                format!("--{side}-password"),
                who.password.to_owned(),
            ]),
        }
    }
    args.extend([site.name("anna/app:v1"), site.name(to)]);
    output("oras", &args, &[("HOME", home.path().to_str().unwrap())])
}

fn copied(site: &Site, to: &str) -> bool {
    let (name, tag) = to.split_once(':').unwrap();
    let which = Which::Tag(tag.parse().unwrap());
    site.shelf.0.manifest(&name.parse().unwrap(), &which).unwrap().is_some()
}

/// One client on one site: who may copy does, who may not is told why.
fn try_client(site: &Site, client: &str, copy: Copy) {
    let way = site.way;
    let to = format!("anna/by-{client}:v1");
    let output = copy(site, ANNA, &to);
    assert!(output.status.success() && copied(site, &to), "{client} {way:?}: {}", said(&output));
    for (who, to) in [(BEN, "anna/by-ben:v1"), (ANNA, "carl/app:v1"), (LIAR, "anna/by-a-liar:v1")] {
        if way == Way::Certificate && who.password != PASSWORD {
            continue;
        }
        let output = copy(site, who, to);
        let said = said(&output).to_lowercase();
        assert!(!output.status.success() && !copied(site, to), "{client} {way:?} {who:?} {to}: {said}");
        let reasons = ["denied", "unauthorized", "authentication", "may not", "forbidden", "401", "403"];
        assert!(reasons.iter().any(|reason| said.contains(reason)), "{client} {way:?} {who:?} {to}: {said}");
    }
}

#[test]
fn skopeo_crane_and_oras_do_what_their_users_may() {
    for way in ALL {
        let site = Site::new(way);
        try_client(&site, "skopeo", skopeo);
        try_client(&site, "oras", oras);
        if way != Way::Certificate {
            // It has no client certificates.
            try_client(&site, "crane", crane);
        }
        let log = site.logged();
        // The foreign token server grants ben nothing, and without a grant he may not even be told from others.
        for user in if way == Way::Foreign { &["anna"][..] } else { &["anna", "ben"] } {
            assert!(log.contains(&format!("\"user\":\"{user}\"")), "{way:?} {user}");
        }
        let encoded = base64::engine::general_purpose::STANDARD.encode(ANNA.creds());
        for secret in [PASSWORD, LIAR.password, &encoded, "eyJ", "Bearer"] {
            assert!(!log.contains(secret), "{way:?}: {secret} is in the log");
        }
    }
}

#[test]
fn podman_and_buildah_do_what_their_users_may() {
    for way in ALL {
        let site = Site::new(way);
        for (client, copy) in [("podman", podman as Copy), ("buildah", buildah)] {
            let to = format!("anna/by-{client}:v1");
            let output = copy(&site, ANNA, &to);
            assert!(output.status.success() && copied(&site, &to), "{client} {way:?}: {}", said(&output));
            let output = copy(&site, BEN, "anna/by-ben:v1");
            assert!(
                !output.status.success() && !copied(&site, "anna/by-ben:v1"),
                "{client} {way:?}: {}",
                said(&output)
            );
        }
    }
}

/// containerd, ended when dropped.
struct Containerd {
    child: Child,
    dir: tempfile::TempDir,
}

impl Containerd {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \
             \"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.zfs\", \"io.containerd.snapshotter.v1.devmapper\", \
             \"io.containerd.snapshotter.v1.aufs\", \"io.containerd.internal.v1.opt\"]\n[grpc]\n  address = \"{}\"\n[ttrpc]\n  address = \"{}\"\n",
            at("root"),
            at("state"),
            at("sock"),
            at("ttrpc")
        );
        fs::write(at("config.toml"), config).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let child =
            Command::new("containerd").args(["-c", &at("config.toml")]).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.expect("containerd is installed (tests/run does it)");
        let containerd = Self { child, dir };
        let end = Instant::now() + crate::deadline::LONG;
        while UnixStream::connect(containerd.at("sock")).is_err() {
            assert!(Instant::now() < end, "{}", fs::read_to_string(containerd.at("log")).unwrap());
            std::thread::sleep(Duration::from_millis(30));
        }
        containerd
    }

    fn at(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn ctr(&self, site: &Site, who: Who, args: &[&str]) -> Output {
        let mut all = vec!["--address".to_owned(), self.at("sock")];
        let (verb, names) = args.split_at(2);
        all.extend(verb.iter().map(|word| (*word).to_owned()));
        match site.way {
            Way::Plain => all.push("--plain-http".to_owned()),
            _ => all.extend(["--hosts-dir".to_owned(), hosts(site, who)]),
        }
        if site.way != Way::Certificate {
            all.extend(["--user".to_owned(), who.creds()]);
        }
        all.extend(names.iter().map(|word| (*word).to_owned()));
        output("ctr", &all, &[])
    }
}

/// A directory that tells containerd how to reach a registry: without it, it takes loopback addresses for plain HTTP.
fn hosts(site: &Site, who: Who) -> String {
    let url = format!("https://{}", site.server.address);
    let mut text = format!("server = \"{url}\"\n[host.\"{url}\"]\n  ca = \"{}\"\n", site.at("certs/ca.crt"));
    if site.way == Way::Certificate {
        let own = who.certs(site);
        text.push_str(&format!("  client = [[\"{own}/client.cert\", \"{own}/client.key\"]]\n"));
    }
    let directory = path(site, &format!("hosts-{}", who.name)).join(&site.server.address);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("hosts.toml"), text).unwrap();
    directory.parent().unwrap().to_str().unwrap().to_owned()
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn containerd_does_what_its_users_may() {
    let containerd = Containerd::start();
    for way in ALL {
        let site = Site::new(way);
        let (from, to) = (site.name("anna/app:v1"), site.name("anna/by-ctr:v1"));
        let pulled = containerd.ctr(&site, LIAR, &["content", "fetch", &from]);
        assert!(!pulled.status.success() || way == Way::Certificate, "{way:?}: {}", said(&pulled));
        // The foreign token server gives nobody what does not bear their name.
        let reader = if way == Way::Foreign { ANNA } else { BEN };
        let pulled = containerd.ctr(&site, reader, &["content", "fetch", &from]);
        assert!(pulled.status.success(), "{way:?}: {}", said(&pulled));
        let pushed = containerd.ctr(&site, BEN, &["images", "push", &to, &from]);
        assert!(!pushed.status.success() && !copied(&site, "anna/by-ctr:v1"), "{way:?}: {}", said(&pushed));
        let pushed = containerd.ctr(&site, ANNA, &["images", "push", &to, &from]);
        assert!(pushed.status.success() && copied(&site, "anna/by-ctr:v1"), "{way:?}: {}", said(&pushed));
    }
}

/// What a node of a cluster is told: images of a host come from here (`?ns=` says of which).
#[test]
fn containerd_pulls_images_of_another_host_through_a_mirror() {
    let containerd = Containerd::start();
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new();
    shelf.real_image("team/app", "v1");
    let there = Server::with(Registry::new(Arc::clone(&shelf.0) as _, ServeOptions::default()));
    let upstream = format!("hub.example=http://{}", there.address).parse().unwrap();
    let local = Arc::new(Distribution::in_memory());
    let backend = PullThrough::new(local, vec![upstream], &ClientOptions::default(), Arc::default());
    let mirror = Server::with(Registry::new(Arc::new(backend), ServeOptions::default()));
    let hosts = dir.path().join("hub.example");
    fs::create_dir_all(&hosts).unwrap();
    let text = format!(
        "server = \"https://hub.example\"\n[host.\"http://{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
        mirror.address
    );
    fs::write(hosts.join("hosts.toml"), text).unwrap();
    let fetch = |name: &str| {
        let socket = containerd.at("sock");
        let hosts = dir.path().to_str().unwrap();
        let args = ["--address", &socket, "content", "fetch", "--hosts-dir", hosts, name];
        output("ctr", &args.map(str::to_owned), &[])
    };
    let pulled = fetch("hub.example/team/app:v1");
    assert!(pulled.status.success(), "{}", said(&pulled));
    drop(there);
    let other = Containerd::start();
    let args = ["--address", &other.at("sock"), "content", "fetch", "--hosts-dir", dir.path().to_str().unwrap()];
    let again = [&args[..], &["hub.example/team/app:v1"]].concat();
    let again = output("ctr", &again.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), &[]);
    assert!(again.status.success(), "the upstream is gone: {}", said(&again));
}

/// The status, the header fields and the body that curl gets.
fn curl(site: &Site, args: &[&str], target: &str) -> String {
    let scheme = if site.way == Way::Plain { "http" } else { "https" };
    let mut all = words("-si --max-time 20 --cacert");
    all.push(site.at("certs/ca.crt"));
    all.extend(args.iter().map(|word| (*word).to_owned()));
    all.push(format!("{scheme}://{}{target}", site.server.address));
    said(&output("curl", &all, &[]))
}

#[test]
fn answers_say_how_to_log_in_and_why_not() {
    let site = Site::new(Way::Token);
    let refused = curl(&site, &[], "/v2/anna/app/manifests/v1");
    assert!(refused.starts_with("HTTP/1.1 401 ") && refused.contains("\"code\":\"UNAUTHORIZED\""), "{refused}");
    let realm = format!("https://{}/token", site.server.address);
    let offer = format!(
        "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"sealos-registry\",scope=\"repository:anna/app:pull\"\r\n"
    );
    assert!(refused.contains(&offer), "{refused}");
    let creds = BEN.creds();
    let token = curl(&site, &["-u", &creds], "/token?service=sealos-registry&scope=repository:anna/app:pull,push");
    let token: serde_json::Value = serde_json::from_str(token.split_once("\r\n\r\n").unwrap().1).unwrap();
    let header = format!("Authorization: Bearer {}", token["token"].as_str().unwrap());
    let got = curl(&site, &["-H", &header], "/v2/anna/app/manifests/v1");
    assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
    let denied = curl(&site, &["-H", &header, "-X", "POST"], "/v2/anna/app/blobs/uploads/");
    assert!(
        denied.starts_with("HTTP/1.1 403 ")
            && denied.contains("\"code\":\"DENIED\"")
            && denied.contains("`ben` may not push to `anna/app`"),
        "{denied}"
    );
    let listed = curl(&site, &["-u", &creds], "/v2/_catalog");
    assert!(listed.contains("[\"anna/app\"]"), "{listed}");

    let site = Site::new(Way::Plain);
    for _ in 0..6 {
        let wrong = curl(&site, &["-u", "anna:guess"], "/v2/");
        assert!(wrong.starts_with("HTTP/1.1 401 ") && wrong.contains("WWW-Authenticate: Basic realm="), "{wrong}");
    }
    let later = curl(&site, &["-u", "anna:guess"], "/v2/");
    assert!(
        later.starts_with("HTTP/1.1 429 ") && later.contains("Retry-After: ") && later.contains("TOOMANYREQUESTS"),
        "{later}"
    );
}

#[test]
fn a_new_certificate_is_used_while_old_connections_go_on() {
    let site = Site::new(Way::Password);
    let serial = |file: &str| {
        let output = Command::new("openssl").args(["x509", "-noout", "-serial", "-in", file]).bounded().unwrap();
        said(&output).trim().trim_start_matches("serial=").to_owned()
    };
    let shown = || {
        let args =
            ["s_client", "-connect", &site.server.address, "-CAfile", &site.at("certs/ca.crt"), "-verify_return_error"];
        let output = Command::new("openssl").args(args).stdin(Stdio::null()).bounded().unwrap();
        fs::write(path(&site, "shown.crt"), &output.stdout).unwrap();
        serial(&site.at("shown.crt"))
    };
    let old = serial(&site.at("server.crt"));
    assert_eq!(shown(), old);
    // A connection that is open while the certificate changes.
    let mut held = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &site.server.address, "-CAfile", &site.at("certs/ca.crt")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut input, answers) = (held.stdin.take().unwrap(), held.stdout.take().unwrap());
    let mut held = Killed::new(held);
    let request = format!("GET /v2/ HTTP/1.1\r\nHost: {}\r\n", site.server.address);
    std::io::Write::write_all(&mut input, format!("{request}\r\n").as_bytes()).unwrap();
    let mut answers = std::io::BufReader::new(answers);
    let first = next_answer(&mut answers);
    assert!(first.starts_with("HTTP/1.1 401 "), "{first}");
    // A key that does not belong to the certificate changes nothing.
    fs::write(path(&site, "server.key.new"), fs::read(path(&site, "certs/client.key")).unwrap()).unwrap();
    fs::rename(path(&site, "server.key.new"), path(&site, "server.key")).unwrap();
    site.nudge().now();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(shown(), old);
    crate::site::certificate(site.dir.path(), "server", "next");
    fs::rename(path(&site, "next.key"), path(&site, "server.key")).unwrap();
    fs::rename(path(&site, "next.crt"), path(&site, "server.crt")).unwrap();
    let new = serial(&site.at("server.crt"));
    let end = Instant::now() + crate::deadline::LONG;
    while shown() != new {
        assert!(Instant::now() < end, "the new certificate is not used");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::io::Write::write_all(&mut input, format!("{request}Connection: close\r\n\r\n").as_bytes()).unwrap();
    let second = next_answer(&mut answers);
    assert!(second.starts_with("HTTP/1.1 401 "), "{second}");
    drop(input);
    held.wait();
}

#[test]
fn who_finds_no_agreement_on_tls_is_in_the_log() {
    let site = Site::new(Way::Password);
    let address = site.server.address.clone();
    // One who speaks no TLS, and one who does not trust the authority.
    let mut plain = std::net::TcpStream::connect(&address).unwrap();
    plain.set_read_timeout(Some(crate::deadline::LONG)).unwrap();
    std::io::Write::write_all(&mut plain, b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // Something comes that is no answer, or the end.
    std::io::Read::read(&mut plain, &mut [0; 100]).ok();
    let stranger = output("curl", &words(&format!("-s --max-time 60 https://{address}/v2/")), &[]);
    assert_eq!(stranger.status.code(), Some(60), "{}", said(&stranger));
    let log = site.logged();
    let failed: Vec<&str> = log.lines().filter(|line| line.contains("TLS failed: ")).collect();
    assert_eq!(failed.len(), 2, "{log}");
    assert!(failed[1].contains("UnknownCA") && failed[1].contains("127.0.0.1"), "{log}");
}

/// The head of the next answer, with its body taken off.
fn next_answer(reader: &mut impl std::io::BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the connection is gone: {head}");
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    head
}

#[test]
fn the_users_of_an_htpasswd_file_change_while_it_is_served() {
    let site = Site::new(Way::Plain);
    let status = |who: Who| curl(&site, &["-u", &who.creds()], "/v2/").split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!((status(ANNA), status(BEN)), ("200".to_owned(), "200".to_owned()));
    run("htpasswd", &["-D", "htpasswd", "ben"], Path::new(site.dir.path()));
    let end = Instant::now() + crate::deadline::LONG;
    while status(BEN) != "401" {
        assert!(Instant::now() < end, "ben is still known");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(status(ANNA), "200");
}
