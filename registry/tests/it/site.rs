//! A registry with users, rules, certificates and a log, as a site would run it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use registry::access::watched::{Keeper, Nudge};
use registry::access::{AccessOptions, Certificates, ExternalTokens, Guard, OwnTokens, TokenRoute};
use registry::access_log::{AccessLog, Destination, Format};
use registry::listener::Listener;
use registry::options::ServeOptions;
use registry::service::Registry;
use registry::tls::{Clients, Tls, TlsOptions};

use crate::deadline::Bounded;
use crate::server::Server;
use crate::shelf::Shelf;

/// Nobody else's password is like it, so that it is found wherever it should not be.
pub(crate) const PASSWORD: &str = "correct-horse:battery";

/// How clients show who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A password, without TLS.
    Plain,
    /// A password.
    Password,
    /// A token of the registry's own.
    Token,
    /// A token of distribution's token server.
    Foreign,
    /// A certificate.
    Certificate,
}

/// A running registry, and the files around it.
pub(crate) struct Site {
    pub(crate) way: Way,
    pub(crate) shelf: Shelf,
    pub(crate) server: Server,
    pub(crate) dir: tempfile::TempDir,
    log: Arc<AccessLog>,
    keeper: Keeper,
    _issuer: Option<Issuer>,
}

pub(crate) fn run(program: &str, args: &[&str], dir: &Path) {
    let output = Command::new(program).args(args).current_dir(dir).stdin(Stdio::null()).bounded();
    let output = output.unwrap_or_else(|error| panic!("{program} is not installed (tests/run does it): {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Site {
    /// Users anna (who may do everything below `anna/`) and ben (who may read there), with an image `anna/app:v1`.
    pub(crate) fn new(way: Way) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let shelf = Shelf::new();
        shelf.real_image("anna/app", "v1");
        authority(at);
        certificate(at, "server", "server");
        users(at);
        fs::write(at.join("policy"), RULES).unwrap();
        let issuer = (way == Way::Foreign).then(|| Issuer::start(at));
        let options = options(way, at, issuer.as_ref());
        let mut registry = Registry::new(Arc::clone(&shelf.0) as _, ServeOptions::default());
        let guard = Arc::new(Guard::open(options, Arc::clone(&registry.counters)).unwrap());
        let log = Arc::new(AccessLog::start(Format::Json, &Destination::File(at.join("log"))).unwrap());
        registry.access = Arc::clone(&guard) as _;
        registry.log = Arc::clone(&log) as _;
        registry.routes = vec![Arc::new(TokenRoute(Arc::clone(&guard)))];
        let mut listener = Listener::tcp("127.0.0.1:0").unwrap();
        let mut watched = guard.watched();
        if way != Way::Plain {
            let clients = match way {
                Way::Certificate => Clients::Required(at.join("certs/ca.crt")),
                _ => Clients::NotAsked,
            };
            let tls = TlsOptions { certificate: at.join("server.crt"), key: at.join("server.key"), clients };
            let tls = Arc::new(Tls::open(tls).unwrap());
            watched.push(tls.watched());
            listener = listener.secured(tls);
        }
        let keeper = Keeper::start(watched, |_, _| {}).unwrap();
        let server = Server::on(listener, registry);
        Self { way, shelf, server, dir, log, keeper, _issuer: issuer }
    }

    pub(crate) fn at(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// An image as clients name it.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.server.address)
    }

    pub(crate) fn nudge(&self) -> Nudge {
        self.keeper.nudge()
    }

    /// The log, whole.
    pub(crate) fn logged(self) -> String {
        drop(self.server);
        self.log.end();
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

const RULES: &str = "
groups: {readers: [ben]}
rules:
- {who: [anna], may: [pull, push, delete], in: [anna/]}
- {who: ['@readers'], may: [pull], in: [anna/, ben/]}
";

fn options(way: Way, at: &Path, issuer: Option<&Issuer>) -> AccessOptions {
    let htpasswd = || Some(at.join("htpasswd"));
    let base = AccessOptions { policy: Some(at.join("policy")), ..AccessOptions::default() };
    match way {
        Way::Plain | Way::Password => AccessOptions { htpasswd: htpasswd(), ..base },
        Way::Token => {
            let tokens = Some(OwnTokens { key: Some(at.join("token.key")), ..OwnTokens::default() });
            AccessOptions { htpasswd: htpasswd(), tokens, ..base }
        }
        Way::Foreign => {
            let external = ExternalTokens {
                keys: at.join("issuer.pub"),
                issuer: "the-issuer".to_owned(),
                service: "the-service".to_owned(),
                realm: issuer.map(|issuer| issuer.realm.clone()),
                leeway: 60,
            };
            AccessOptions { external: Some(external), ..base }
        }
        Way::Certificate => AccessOptions { certificates: Certificates::Accepted, ..base },
    }
}

fn users(at: &Path) {
    run("htpasswd", &["-cbB", "-C", "4", "htpasswd", "anna", PASSWORD], at);
    run("htpasswd", &["-bB", "-C", "4", "htpasswd", "ben", PASSWORD], at);
}

/// An authority, in a directory as podman and containerd want it: `ca.crt`, and the client's `client.cert` and
/// `client.key`, which are anna's; ben's are beside it.
fn authority(at: &Path) {
    fs::create_dir(at.join("certs")).unwrap();
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    run("openssl", &[&new[..], &["-subj", "/CN=ca", "-keyout", "ca.key", "-out", "certs/ca.crt"]].concat(), at);
    certificate(at, "anna", "certs/client");
    fs::rename(at.join("certs/client.crt"), at.join("certs/client.cert")).unwrap();
    fs::create_dir(at.join("ben")).unwrap();
    fs::copy(at.join("certs/ca.crt"), at.join("ben/ca.crt")).unwrap();
    certificate(at, "ben", "ben/client");
    fs::rename(at.join("ben/client.crt"), at.join("ben/client.cert")).unwrap();
}

/// A certificate for a name, as `FILE.crt` and `FILE.key`.
pub(crate) fn certificate(at: &Path, name: &str, file: &str) {
    let (key, request, out) = (format!("{file}.key"), format!("{file}.csr"), format!("{file}.crt"));
    let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    run("openssl", &[&new[..], &["-subj", &format!("/CN={name}"), "-keyout", &key, "-out", &request]].concat(), at);
    fs::write(at.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    let sign = ["x509", "-req", "-days", "2", "-CA", "certs/ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
    run("openssl", &[&sign[..], &["-extfile", "names", "-in", &request, "-out", &out]].concat(), at);
    fs::remove_file(at.join(request)).unwrap();
}

/// The token server of the distribution project, for the users of the htpasswd file.
struct Issuer {
    child: Child,
    realm: String,
}

impl Issuer {
    fn start(at: &Path) -> Self {
        run("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "issuer.key"], at);
        run("openssl", &["pkey", "-in", "issuer.key", "-pubout", "-out", "issuer.pub"], at);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new("token-server")
            .args(["-addr", &address, "-issuer", "the-issuer", "-key", "issuer.key", "-passwd", "htpasswd"])
            .args(["-realm", "issuer", "-tlscert", "server.crt", "-tlskey", "server.key"])
            .current_dir(at)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("token-server is installed (tests/run does it)");
        let end = Instant::now() + crate::deadline::LONG;
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < end, "the token server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, realm: format!("https://{address}/token/") }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A file of the site.
pub(crate) fn path(site: &Site, name: &str) -> PathBuf {
    site.dir.path().join(name)
}
