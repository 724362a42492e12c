//! Reading from a real registry (`docker-registry`), filled by skopeo: plain, with TLS and passwords, and behind a
//! connection that breaks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

#[path = "../../../../tests/sandbox/bounded.rs"]
mod bounded;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use content::{ContentError, Source, fetch_document};
use oci::{Digest, ImageManifest, MediaType, Raw, Reference};
use registry_client::{Client, ClientOptions, Credentials, Secret, Tls};

use bounded::Bounded;

/// A docker-registry on loopback, ended when dropped.
struct Server {
    child: Child,
    port: u16,
    _storage: tempfile::TempDir,
}

impl Server {
    fn start(extra: &str) -> Self {
        let storage = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = storage.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n{}",
            storage.path().join("data").display(),
            extra.replace("ADDRESS", &format!("127.0.0.1:{port}")),
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed (tests/run does it)");
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "the registry did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port, _storage: storage }
    }

    fn plain() -> Self {
        Self::start("http: {addr: \"ADDRESS\"}\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).bounded().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A layout with one image of one layer of 3 MB, made by umoci; its directory.
fn layout(dir: &Path) -> PathBuf {
    let layout = dir.join("layout");
    let at = layout.to_str().unwrap();
    run("umoci", &["init", "--layout", at]);
    run("umoci", &["new", "--image", &format!("{at}:1")]);
    let files = dir.join("files");
    std::fs::create_dir(&files).unwrap();
    let mut noise = Vec::new();
    let mut state = 1u32;
    while noise.len() < 3_000_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.extend_from_slice(&state.to_be_bytes());
    }
    std::fs::write(files.join("noise"), noise).unwrap();
    run("umoci", &["insert", "--rootless", "--image", &format!("{at}:1"), files.to_str().unwrap(), "/"]);
    layout
}

fn push(layout: &Path, port: u16, more: &[&str]) {
    let from = format!("oci:{}:1", layout.display());
    let to = format!("docker://127.0.0.1:{port}/team/app:v1");
    let mut args = vec!["copy", "-q", "--dest-tls-verify=false"];
    args.extend(more);
    args.extend([from.as_str(), to.as_str()]);
    run("skopeo", &args);
}

fn quick() -> ClientOptions {
    ClientOptions { retry_delay: Duration::from_millis(20), ..ClientOptions::default() }
}

fn reference(port: u16, rest: &str) -> Reference {
    format!("127.0.0.1:{port}/{rest}").parse().unwrap()
}

/// Reads the image of `name` wholly and checks every digest; returns the number of layer bytes.
fn read_whole(source: &dyn Source, name: &Reference) -> Result<u64, ContentError> {
    let root = source.resolve(name)?;
    let manifest = Raw::<ImageManifest>::parse(fetch_document(source, &root)?).unwrap();
    fetch_document(source, &manifest.value().config)?;
    let mut total = 0;
    for layer in &manifest.value().layers {
        let mut bytes = Vec::new();
        source.fetch(layer, 0)?.read_to_end(&mut bytes).map_err(ContentError::io("read a layer"))?;
        assert_eq!(Digest::of(&bytes), layer.digest);
        total += bytes.len() as u64;
        let mut tail = Vec::new();
        source.fetch(layer, layer.size - 10)?.read_to_end(&mut tail).map_err(ContentError::io("read a tail"))?;
        assert_eq!(tail, bytes[bytes.len() - 10..]);
    }
    Ok(total)
}

#[test]
fn an_image_is_read_by_tag_and_by_digest() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::plain();
    push(&layout(dir.path()), server.port, &[]);
    let client = Client::new(quick());
    let name = reference(server.port, "team/app:v1");
    let repository = client.repository(&name).unwrap();
    let root = repository.resolve(&name).unwrap();
    assert!(root.media_type.is_image_manifest(), "{root:?}");
    assert!(read_whole(&repository, &name).unwrap() > 2_900_000);
    let by_digest = name.with_digest(root.digest);
    assert_eq!(repository.resolve(&by_digest).unwrap().digest, root.digest);
}

#[test]
fn what_is_not_there_is_said_to_be_unknown() {
    let server = Server::plain();
    let client = Client::new(quick());
    let name = reference(server.port, "team/none:v1");
    let repository = client.repository(&name).unwrap();
    let error = repository.resolve(&name).unwrap_err();
    assert!(matches!(error, ContentError::UnknownImage { .. }), "{error}");
    let missing = oci::Descriptor::of(MediaType::OCI_LAYER_GZIP, b"not there");
    let error = repository.fetch(&missing, 0).map(drop).unwrap_err();
    assert!(matches!(error, ContentError::MissingBlob { .. }), "{error}");
}

#[test]
fn nobody_there_is_an_error_that_names_the_host() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = Client::new(quick());
    let name = reference(port, "team/app:v1");
    let error = client.repository(&name).unwrap().resolve(&name).unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
}

/// An authority (`certs/ca.crt`), a certificate of it for 127.0.0.1, and a password file with `me:hunter2`.
fn secure(dir: &Path) -> Server {
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(dir.join("certs")).unwrap();
    let (ca_key, ca, key, request, crt) =
        (at("ca.key"), at("certs/ca.crt"), at("server.key"), at("server.csr"), at("server.crt"));
    let new = ["req", "-newkey", "rsa:2048", "-nodes"];
    run(
        "openssl",
        &[&new[..], &["-x509", "-days", "2", "-subj", "/CN=test", "-keyout", &ca_key, "-out", &ca]].concat(),
    );
    run("openssl", &[&new[..], &["-subj", "/CN=127.0.0.1", "-keyout", &key, "-out", &request]].concat());
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let names = at("names");
    let sign = ["x509", "-req", "-days", "2", "-CAcreateserial", "-extfile", &names, "-in", &request, "-out", &crt];
    run("openssl", &[&sign[..], &["-CA", &ca, "-CAkey", &ca_key]].concat());
    run("htpasswd", &["-Bbc", &at("htpasswd"), "me", "hunter2"]);
    Server::start(&format!(
        "http:\n  addr: ADDRESS\n  tls: {{certificate: {crt}, key: {key}}}\nauth:\n  htpasswd: {{realm: test, path: {}}}\n",
        at("htpasswd")
    ))
}

#[test]
fn tls_is_verified_and_passwords_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let server = secure(dir.path());
    push(&layout(dir.path()), server.port, &["--dest-creds", "me:hunter2"]);
    let name = reference(server.port, "team/app:v1");

    // Unknown authority: refused, and not tried without TLS.
    let error = Client::new(quick()).repository(&name).unwrap().resolve(&name).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");

    let trusting = ClientOptions { cert_dir: Some(dir.path().join("certs")), ..quick() };
    let nobody = dir.path().join("empty.json");
    std::fs::write(&nobody, "{}").unwrap();
    let anonymous = Client::new(ClientOptions { authfile: Some(nobody), ..trusting.clone() });
    let error = anonymous.repository(&name).unwrap().resolve(&name).unwrap_err();
    assert!(error.to_string().contains("did not accept anonymous access"), "{error}");

    let wrong = Credentials::Password { user: "me".to_owned(), password: Secret::new("hunter3") };
    let host = name.registry().to_owned();
    let client = Client::new(ClientOptions { credentials: Some((host.clone(), wrong)), ..trusting.clone() });
    let error = client.repository(&name).unwrap().resolve(&name).unwrap_err().to_string();
    assert!(error.contains("did not accept our credentials") && !error.contains("hunter3"), "{error}");

    let auths = dir.path().join("auth.json");
    std::fs::write(&auths, format!(r#"{{"auths":{{"{host}":{{"auth":"bWU6aHVudGVyMg=="}}}}}}"#)).unwrap();
    let known = Client::new(ClientOptions { authfile: Some(auths.clone()), ..trusting });
    assert!(read_whole(&known.repository(&name).unwrap(), &name).unwrap() > 2_900_000);

    let careless = Client::new(ClientOptions { authfile: Some(auths), tls: Tls::Skip, ..quick() });
    assert!(read_whole(&careless.repository(&name).unwrap(), &name).unwrap() > 2_900_000);
}

/// Passes bytes between clients and a registry, and cuts every connection after `limit` bytes of answer.
fn cutting_proxy(to: u16, limit: usize, cuts: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let cuts = Arc::clone(&cuts);
            std::thread::spawn(move || relay(client, to, limit, &cuts));
        }
    });
    port
}

fn relay(client: TcpStream, to: u16, limit: usize, cuts: &AtomicUsize) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
    let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let upward = std::thread::spawn(move || std::io::copy(&mut from, &mut into).map_or(0, |count| count));
    let mut buffer = [0; 16 << 10];
    let (mut server, mut client, mut sent) = (server, client, 0);
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        if sent + count > limit {
            cuts.fetch_add(1, Ordering::SeqCst);
            break;
        }
        if client.write_all(&buffer[..count]).is_err() {
            break;
        }
        sent += count;
    }
    for side in [&client, &server] {
        // A side that is closed already cannot be shut down; that is what was wanted.
        let closed = side.shutdown(std::net::Shutdown::Both);
        drop(closed);
    }
    upward.join().unwrap();
}

#[test]
fn a_transfer_that_is_cut_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::plain();
    push(&layout(dir.path()), server.port, &[]);
    let cuts = Arc::new(AtomicUsize::new(0));
    let port = cutting_proxy(server.port, 700_000, Arc::clone(&cuts));
    let client = Client::new(quick());
    let name = reference(port, "team/app:v1");
    let total = read_whole(&client.repository(&name).unwrap(), &name).unwrap();
    assert!(total > 2_900_000);
    assert!(cuts.load(Ordering::SeqCst) >= 4, "the proxy did cut");
}

/// Answers every request with a fixed text; keeps the requests.
fn scripted(answers: Vec<String>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut buffer = vec![0; 8192];
            let count = stream.read(&mut buffer).unwrap_or(0);
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if !text.starts_with(['G', 'H', 'P']) {
                continue; // a TLS hello of the first probe
            }
            if text.starts_with("GET /v2/ ") {
                // The question whether anybody is there.
                stream.write_all(answer("200 OK", "", "").as_bytes()).unwrap();
                continue;
            }
            log.lock().unwrap().push(text);
            let Some(answer) = answers.next() else { return };
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (port, seen)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn temporary_refusals_are_tried_again_and_final_ones_are_not() {
    let fine = answer("200 OK", "", "hello");
    let busy = answer("503 Service Unavailable", "", "");
    let many = answer("429 Too Many Requests", "retry-after: 0\r\n", "");
    let (port, seen) = scripted(vec![busy, many, fine]);
    let client = Client::new(quick());
    let mut text = String::new();
    client.download(&format!("http://127.0.0.1:{port}/x")).unwrap().body.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), seen.lock().unwrap().len()), ("hello", 3));

    let denied = answer("403 Forbidden", "", r#"{"errors":[{"code":"DENIED","message":"no entry"}]}"#);
    let (port, seen) = scripted(vec![denied]);
    let error = client.download(&format!("http://127.0.0.1:{port}/x?token=hunter2")).map(drop).unwrap_err().to_string();
    assert!(error.contains("DENIED: no entry") && !error.contains("hunter2"), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let (other, at_other) = scripted(vec![answer("200 OK", "", "blob")]);
    let challenge = answer("401 Unauthorized", "www-authenticate: Basic realm=\"x\"\r\n", "");
    let away = answer("307 Temporary Redirect", &format!("location: http://localhost:{other}/blob\r\n"), "");
    let (port, at_first) = scripted(vec![challenge, away]);
    let credentials = Credentials::Password { user: "me".to_owned(), password: Secret::new("hunter2") };
    let host = format!("127.0.0.1:{port}");
    let client = Client::new(ClientOptions { credentials: Some((host, credentials)), ..quick() });
    let name = reference(port, "team/app:v1");
    let repository = client.repository(&name).unwrap();
    let mut text = String::new();
    let blob = oci::Descriptor::of(MediaType::OCI_LAYER, b"blob");
    repository.fetch(&blob, 0).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "blob");
    assert!(at_first.lock().unwrap()[1].to_lowercase().contains("authorization: basic"));
    assert!(!at_other.lock().unwrap()[0].to_lowercase().contains("authorization"));
}

#[test]
fn a_body_shorter_than_promised_is_an_error() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nshort".to_owned();
    let (port, _) = scripted(vec![short]);
    let client = Client::new(quick());
    let mut bytes = Vec::new();
    let result = client.download(&format!("http://127.0.0.1:{port}/x")).unwrap().body.read_to_end(&mut bytes);
    assert!(result.is_err());
}

#[test]
fn hosts_toml_leads_to_a_mirror() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::plain();
    push(&layout(dir.path()), server.port, &[]);
    let hosts = dir.path().join("hosts/hub.invalid");
    std::fs::create_dir_all(&hosts).unwrap();
    let text = format!(
        "server = 'https://hub.invalid'\n[host.'http://127.0.0.1:{}']\ncapabilities = ['pull', 'resolve']\n",
        server.port
    );
    std::fs::write(hosts.join("hosts.toml"), text).unwrap();
    let client = Client::new(ClientOptions { hosts_dirs: vec![dir.path().join("hosts")], ..quick() });
    let name: Reference = "hub.invalid/team/app:v1".parse().unwrap();
    assert!(read_whole(&client.repository(&name).unwrap(), &name).unwrap() > 2_900_000);
}

#[test]
fn a_registry_keeps_the_promises_of_a_place() {
    let server = Server::plain();
    let state = tempfile::tempdir().unwrap();
    let client = Client::new(ClientOptions { state_dir: Some(state.path().to_owned()), ..quick() });
    let count = AtomicUsize::new(0);
    let fresh = || {
        let name = format!("kit/r{}", count.fetch_add(1, Ordering::SeqCst));
        client.repository(&reference(server.port, &name)).unwrap()
    };
    content::kit::place(fresh).unwrap();
}
