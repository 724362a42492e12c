//! The registry as it is run: who gets in, what the service manager is told, how it ends, what it says of itself.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::registry::{free_port, wait_for};
use crate::sandbox::{Said, Sandbox};

/// A registry that runs, ended when dropped.
pub(crate) struct Served {
    child: Child,
    url: String,
    /// While it is there the process may run, for a while.
    _watched: mpsc::Sender<()>,
}

/// What a test of a registry may take. Then it is killed, and whoever waits for it goes on.
const LONG: Duration = Duration::from_secs(240);

impl Served {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let watched = watch(&child);
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        Self { child, url, _watched: watched }
    }

    /// Serves the directory `registry` on a free port.
    pub(crate) fn of(sandbox: &Sandbox, args: &[&str]) -> Self {
        Self::in_directory(sandbox, "registry", args)
    }

    /// Serves another directory on a free port.
    pub(crate) fn in_directory(sandbox: &Sandbox, directory: &str, args: &[&str]) -> Self {
        Self::start(Self::command(sandbox, directory, args))
    }

    fn command(sandbox: &Sandbox, directory: &str, args: &[&str]) -> Command {
        fs::create_dir_all(sandbox.path(directory)).unwrap();
        let all = [&["registry", "serve", "filesystem", directory, "--port", "0"], args].concat();
        let mut command = sandbox.command(&all);
        let said = if directory == "registry" { "stderr".to_owned() } else { format!("{directory}.stderr") };
        command.stderr(fs::File::create(sandbox.path(&said)).unwrap());
        command
    }

    pub(crate) fn host(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub(crate) fn curl(&self, args: &[&str], target: &str) -> String {
        let url = format!("{}{target}", self.url);
        let output = Command::new("curl").args(["-si", "--max-time", "30"]).args(args).arg(url).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Kills a process that runs too long, unless what is returned is dropped before.
fn watch(child: &Child) -> mpsc::Sender<()> {
    let (watched, ended) = mpsc::channel::<()>();
    let process = child.id().to_string();
    std::thread::spawn(move || {
        if ended.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
            Command::new("kill").args(["-KILL", &process]).status().ok();
        }
    });
    watched
}

fn with_password(sandbox: &Sandbox, args: &[&str], password: &str) -> Said {
    let mut child =
        sandbox.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    Said::from(child.wait_with_output().unwrap())
}

#[test]
fn nobody_from_elsewhere_gets_in_unless_it_is_meant() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("users"), "").unwrap();
    for (args, part, help) in [
        (&[][..], "neither TLS nor authentication", "`--tls-cert FILE --tls-key FILE` and `--htpasswd FILE`"),
        (&["--htpasswd", "users"], "no TLS", "help: add `--tls-cert FILE --tls-key FILE`; or say `--unprotected`"),
    ] {
        for address in ["0.0.0.0:0", "[::]:0", ":0"] {
            let all = [&["registry", "serve", "filesystem", "registry", "--listen", address], args].concat();
            let said = sandbox.sealos(&all);
            assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{}", said.stderr);
            assert!(said.stderr.contains(part) && said.stderr.contains(help), "{}", said.stderr);
        }
    }
    assert!(!sandbox.path("registry").exists(), "nothing was made");
    fs::create_dir(sandbox.path("registry")).unwrap();
    let served = Served::start(sandbox.command(&[
        "registry",
        "serve",
        "filesystem",
        "registry",
        "--listen",
        "0.0.0.0:0",
        "--unprotected",
    ]));
    assert!(served.url.starts_with("http://0.0.0.0:"));
    // By default who has no credentials can read and not write.
    let served = Served::of(&sandbox, &[]);
    assert!(served.curl(&[], "/v2/").starts_with("HTTP/1.1 200 "));
    let denied = served.curl(&["-X", "POST"], "/v2/a/blobs/uploads/");
    assert!(denied.starts_with("HTTP/1.1 403 ") && denied.contains("nobody may push to `a`"), "{denied}");
    let served = Served::of(&sandbox, &["--anonymous", "push"]);
    assert!(served.curl(&["-X", "POST"], "/v2/a/blobs/uploads/").starts_with("HTTP/1.1 202 "));
}

#[test]
fn passwords_are_set_checked_and_taken_away() {
    let sandbox = Sandbox::new();
    let passwd = ["registry", "passwd", "-p", "users"];
    let set = |user: &str, more: &[&str], password: &str| {
        with_password(&sandbox, &[&passwd[..], &[user, "--password-stdin"], more].concat(), password)
    };
    assert_eq!(set("anna", &[], "hunter2-secret\n").fine(), "anna was added\n");
    assert_eq!(set("robot", &["--kind", "argon2"], &"long".repeat(30)).fine(), "robot was added\n");
    assert_eq!(set("anna", &["--cost", "5"], "hunter3-secret").fine(), "anna has a new password\n");
    assert_eq!(fs::metadata(sandbox.path("users")).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(sandbox.path("users")).unwrap();
    assert!(text.starts_with("anna:$2y$05$") && text.contains("\nrobot:$argon2id$"), "{text}");
    assert_eq!(set("anna", &["--verify"], "hunter3-secret\n").fine(), "the password is right\n");
    set("anna", &["--verify"], "hunter2-secret").refused(&["that is not the password of `anna`"]);
    set("carl", &["--verify"], "x").refused(&["there is no user `carl`"]);
    set("anna", &[], &"long".repeat(30)).refused(&["reads the first 72", "--kind argon2"]);
    set("anna", &[], "").refused(&["empty"]);
    for name in ["anonymous", "*", "@ops", "cert:a", "a:b", " a"] {
        assert_eq!(set(name, &[], "x").code, Some(2), "{name}");
    }
    sandbox.sealos(&[&passwd[..], &["anna"]].concat()).refused(&["--password-stdin"]);

    let served = Served::of(&sandbox, &["--htpasswd", "users"]);
    let status = |creds: &str| served.curl(&["-u", creds], "/v2/").split_whitespace().nth(1).unwrap().to_owned();
    assert_eq!((status("anna:hunter3-secret"), status("anna:hunter2-secret")), ("200".into(), "401".into()));
    assert_eq!(status(&format!("robot:{}", "long".repeat(30))), "200");
    // skopeo keeps what it logged in with, and so pulls and pushes.
    let auth = sandbox.at("auth.json");
    let skopeo = |args: &[&str]| Said::from(Command::new("skopeo").args(args).output().unwrap());
    let login = ["login", "--tls-verify=false", "--authfile", &auth, "-u", "anna", "-p"];
    assert_ne!(skopeo(&[&login[..], &["hunter2-secret", served.host()]].concat()).code, Some(0));
    skopeo(&[&login[..], &["hunter3-secret", served.host()]].concat()).fine();
    let archive = sandbox.archive("oci-archive");
    let to = format!("docker://{}/team/app:v1", served.host());
    let copy = ["copy", "-q", "--dest-tls-verify=false"];
    let from = format!("oci-archive:{archive}");
    assert_ne!(skopeo(&[&copy[..], &[&from, &to]].concat()).code, Some(0), "without credentials");
    skopeo(&[&copy[..], &["--authfile", &auth, &from, &to]].concat()).fine();

    assert_eq!(sandbox.sealos(&[&passwd[..], &["--delete", "anna"]].concat()).fine(), "anna is gone\n");
    sandbox.sealos(&[&passwd[..], &["--delete", "anna"]].concat()).refused(&["there is no user `anna`"]);
    let end = Instant::now() + LONG;
    while status("anna:hunter3-secret") != "401" {
        assert!(Instant::now() < end, "anna still gets in");
        std::thread::sleep(Duration::from_millis(100));
    }
    // A file that cannot be used changes nothing, and is complained about.
    fs::write(sandbox.path("users"), "old:$apr1$a$b\n").unwrap();
    let said = || fs::read_to_string(sandbox.path("stderr")).unwrap();
    while !said().contains("not used") {
        assert!(Instant::now() < end, "nothing is said");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(status(&format!("robot:{}", "long".repeat(30))), "200");
    served.signal("TERM");
    assert_eq!(served.ended(), Some(0));
    for secret in ["hunter2", "hunter3", "longlong", "aHVudGVy"] {
        assert!(!said().contains(secret), "{secret}");
    }
    sandbox.sealos(&["registry", "serve", "filesystem", "registry", "--port", "0", "--htpasswd", "users"]).refused(&[
        "`users` cannot be used: line 1: user `old`: the password is kept as MD5 (apr1)",
        "help: set such passwords anew with `sealos registry passwd",
    ]);
}

#[test]
fn the_service_manager_hears_of_readiness_life_and_end() {
    let sandbox = Sandbox::new();
    let socket = UnixDatagram::bind(sandbox.path("notify")).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    fs::create_dir(sandbox.path("registry")).unwrap();
    let mut command =
        sandbox.command(&["registry", "serve", "filesystem", "registry", "--port", "0", "--access-log", "log"]);
    command.env("NOTIFY_SOCKET", sandbox.path("notify")).env("WATCHDOG_USEC", "200000").stderr(Stdio::null());
    let served = Served::start(command);
    let next = || {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let first = next();
    assert!(first.starts_with("READY=1\nSTATUS=serving "), "{first}");
    assert_eq!((next(), next(), next()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    assert!(served.curl(&[], "/v2/").starts_with("HTTP/1.1 200 "));

    // SIGHUP opens the log anew.
    let end = Instant::now() + LONG;
    let lines = |name: &str| fs::read_to_string(sandbox.path(name)).unwrap_or_default().lines().count();
    while lines("log") < 1 {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::rename(sandbox.path("log"), sandbox.path("log.1")).unwrap();
    served.signal("HUP");
    while !sandbox.path("log").exists() {
        assert!(Instant::now() < end, "it is not opened anew");
        std::thread::sleep(Duration::from_millis(20));
    }
    served.curl(&[], "/v2/_catalog");
    served.signal("TERM");
    let mut told = next();
    while told == "WATCHDOG=1" {
        told = next();
    }
    assert_eq!(told, "STOPPING=1\nSTATUS=finishing answers");
    assert_eq!(served.ended(), Some(0));
    let log = fs::read_to_string(sandbox.path("log")).unwrap();
    let line: serde_json::Value = serde_json::from_str(log.trim()).unwrap();
    assert_eq!(
        (&line["path"], &line["status"], &line["user"]),
        (&"/v2/_catalog".into(), &200.into(), &"anonymous".into())
    );
    assert_eq!(lines("log.1"), 1);
}

#[test]
fn an_answer_that_is_being_given_is_finished() {
    let sandbox = Sandbox::new();
    let served = Served::of(&sandbox, &["--anonymous", "push"]);
    let blob = crate::sandbox::noise(8 << 20, 3);
    fs::write(sandbox.path("blob"), &blob).unwrap();
    let sum = Command::new("sha256sum").arg(sandbox.path("blob")).output().unwrap().stdout;
    let digest = format!("sha256:{}", &String::from_utf8_lossy(&sum)[..64]);
    let body = format!("@{}", sandbox.at("blob"));
    let stored = served.curl(
        &["-X", "POST", "-H", "Expect:", "--data-binary", &body],
        &format!("/v2/a/blobs/uploads/?digest={digest}"),
    );
    assert!(stored.contains("HTTP/1.1 201 "), "{stored}");
    let mut socket = TcpStream::connect(served.host()).unwrap();
    write!(socket, "GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut begun = vec![0; 1000];
    socket.read_exact(&mut begun).unwrap();
    served.signal("INT");
    // Long enough that it has heard it: nobody new is let in.
    let end = Instant::now() + LONG;
    while TcpStream::connect(served.host()).is_ok_and(|mut new| {
        new.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        write!(new, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").is_ok()
            && new.read(&mut [0; 10]).is_ok_and(|count| count > 0)
    }) {
        assert!(Instant::now() < end, "it still answers");
    }
    socket.read_to_end(&mut begun).unwrap();
    let head = begun.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(begun[head..] == blob[..], "{} bytes of {}", begun.len() - head, blob.len());
    assert_eq!(served.ended(), Some(0));
}

#[test]
fn systemd_hands_over_its_socket() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("registry")).unwrap();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new("systemd-socket-activate");
    command
        .args(["-l", &address, "--fdname=http", env!("CARGO_BIN_EXE_sealos")])
        .args(["--root", &sandbox.at("store"), "registry", "serve", "filesystem", "registry", "--access-log", "log"])
        .current_dir(sandbox.root())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn().expect("systemd-socket-activate is installed (tests/run does it)");
    wait_for(port);
    let served = Served { _watched: watch(&child), child, url: format!("http://{address}") };
    let ready = served.curl(&[], "/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains("\"ready\":true"), "{ready}");
    served.signal("TERM");
    assert_eq!(served.ended(), Some(0));
}

#[test]
fn it_says_how_it_is() {
    let sandbox = Sandbox::new();
    let served = Served::of(&sandbox, &["--access-log-format", "combined"]);
    assert!(served.curl(&[], "/healthz").ends_with("\r\n\r\nok\n"));
    served.curl(&["-A", "some\"agent"], "/v2/nothing/manifests/v1");
    let figures = served.curl(&[], "/metrics");
    for line in [
        "sealos_registry_requests_total{kind=\"manifest\",method=\"GET\",status=\"404\"} 1",
        "sealos_registry_repositories 0",
        "sealos_registry_log_dropped_total 0",
        "sealos_registry_build_info{version=\"",
    ] {
        assert!(figures.contains(line), "{line}\n{figures}");
    }
    let page = served.curl(&["-H", "Accept: text/html"], "/");
    assert!(page.contains("<!doctype html>"), "{page}");
    // What cannot be read is not ready.
    fs::remove_dir_all(sandbox.path("registry")).unwrap();
    fs::write(sandbox.path("registry"), "no directory").unwrap();
    let ready = served.curl(&[], "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("the content cannot be read"), "{ready}");
    served.signal("TERM");
    assert_eq!(served.ended(), Some(0));
    let log = fs::read_to_string(sandbox.path("stderr")).unwrap();
    let line = log.lines().find(|line| line.contains("/v2/nothing")).unwrap();
    assert!(
        line.starts_with("127.0.0.1 - anonymous [")
            && line.contains("\"GET /v2/nothing/manifests/v1 HTTP/1.1\" 404 ")
            && line.contains("\"some\\\"agent\""),
        "{line}"
    );
}

#[test]
fn a_registry_behind_it_is_asked_with_the_credentials_of_a_file() {
    let sandbox = Sandbox::new();
    let archive = sandbox.archive("oci-archive");
    with_password(&sandbox, &["registry", "passwd", "-p", "users", "anna", "--password-stdin"], "hunter2-secret")
        .fine();
    let there = Served::of(&sandbox, &["--htpasswd", "users", "--anonymous", "none"]);
    let (host, creds) = (there.host().to_owned(), "anna:hunter2-secret");
    let to = format!("docker://{host}/team/app:v1");
    let push = ["copy", "-q", "--dest-tls-verify=false", "--dest-creds", creds, &format!("oci-archive:{archive}"), &to];
    crate::sandbox::run("skopeo", &push);
    let auth = "YW5uYTpodW50ZXIyLXNlY3JldA==";
    fs::write(sandbox.path("auth.json"), format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"{auth}\"}}}}}}")).unwrap();
    let upstream = format!("hub.example=http://{host}");
    let more = ["--read-only", "--upstream", &upstream, "--authfile", "auth.json"];
    let mirror = Served::in_directory(&sandbox, "mirror", &more);
    let first = mirror.curl(&[], "/v2/team/app/manifests/v1?ns=hub.example");
    assert!(first.starts_with("HTTP/1.1 200 ") && first.contains("X-Sealos-Origin: upstream hub.example"), "{first}");
    assert!(mirror.curl(&[], "/v2/team/app/manifests/v2?ns=hub.example").starts_with("HTTP/1.1 404 "));
    assert!(
        mirror.curl(&["-X", "POST"], "/v2/a/blobs/uploads/").starts_with("HTTP/1.1 403 "),
        "only the mirror writes"
    );
    drop(there);
    let again = mirror.curl(&[], "/v2/hub.example/team/app/manifests/v1");
    assert!(again.starts_with("HTTP/1.1 200 "), "{again}");
    let figures = mirror.curl(&[], "/metrics");
    assert!(figures.contains("sealos_registry_upstream_misses_total 1"), "{figures}");
    let log = fs::read_to_string(sandbox.path("mirror.stderr")).unwrap();
    assert!(!log.contains("hunter2") && !log.contains(auth), "{log}");
    // Where nothing can be kept, and what names no upstream.
    let nowhere = ["registry", "serve", &archive, "--port", "0", "--upstream", &upstream];
    let said = sandbox.sealos(&nowhere);
    let parts = ["`--upstream` has nothing to keep images in", "filesystem DIR"];
    assert!(said.code == Some(2) && parts.iter().all(|part| said.stderr.contains(part)), "{}", said.stderr);
    let wrong = ["registry", "serve", "memory", "--port", "0", "--upstream", "docker.io=ftp://me:hunter2@hub.example"];
    let said = sandbox.sealos(&wrong);
    let is_said = said.code == Some(2) && said.stderr.contains("is not HOST=URL") && !said.stderr.contains("hunter2");
    assert!(is_said, "{}", said.stderr);
}

#[test]
fn units_are_what_systemd_takes() {
    let sandbox = Sandbox::new();
    let unit = |args: &[&str]| sandbox.sealos(&[&["registry", "unit"], args].concat());
    let flags = [
        "filesystem",
        "/srv/registry",
        "--listen",
        "0.0.0.0:443",
        "--htpasswd",
        "/etc/registry/users",
        "--unprotected",
    ];
    let printed = unit(&flags).fine();
    assert!(
        printed.contains("registry serve filesystem /srv/registry --listen 0.0.0.0:443")
            && printed.contains("ReadWritePaths=-/srv/registry\n"),
        "{printed}"
    );
    fs::create_dir(sandbox.path("units")).unwrap();
    let written = unit(&[&["-o", "units", "--name", "hub", "--user", "daemon"], &flags[..]].concat()).fine();
    assert_eq!(written, "units/hub.service\nunits/hub.socket\n");
    let verified: Output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "units/hub.service", "units/hub.socket"])
        .current_dir(sandbox.root())
        .output()
        .expect("systemd-analyze is installed (tests/run does it)");
    let said = Said::from(verified);
    assert!(said.code == Some(0) && !said.stderr.contains("hub."), "{}", said.stderr);
    for (args, part) in [
        (&["filesystem", "registry"][..], "`registry` is relative"),
        (&["--bogus"], "--bogus"),
        (&["--name", "../x", "memory"], "expected letters"),
    ] {
        let said = unit(args);
        assert!(said.code == Some(2) && said.stderr.contains(part), "{}", said.stderr);
    }
}
