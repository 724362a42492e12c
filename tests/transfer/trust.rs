//! Who is believed, and who we say we are: own authorities, client certificates, token servers, credential helpers,
//! proxies of the environment, short names.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::peers::{build, digest, say};
use crate::registry::{Certificates, Registry, free_port, wait_for};
use crate::sandbox::bounded::Killed;
use crate::sandbox::{Bounded, Said, Sandbox, run, waited};

/// A registry with this TLS set-up and these further lines of its configuration.
fn with_tls(directory: tempfile::TempDir, certificate: &str, key: &str, more: &str) -> Registry {
    let extra = format!("http:\n  addr: ADDRESS\n  tls: {{certificate: {certificate}, key: {key}{more}}}\n");
    Registry::start(directory, &extra, Vec::new())
}

/// What half of all private registries have: a certificate that is its own authority.
#[test]
fn a_certificate_that_is_its_own_authority_is_taken_from_who_was_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    for (certs, name) in [("certs", "IP:127.0.0.1"), ("wrong", "DNS:hub.example")] {
        fs::create_dir(at(certs)).unwrap();
        let (key, certificate) = (at(&format!("{certs}/server.pem")), at(&format!("{certs}/ca.crt")));
        let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=self"];
        let names = format!("subjectAltName={name}");
        run("openssl", &[&new[..], &["-addext", &names, "-keyout", &key, "-out", &certificate]].concat());
    }
    let (certificate, key, certs, wrong) = (at("certs/ca.crt"), at("certs/server.pem"), at("certs"), at("wrong"));
    let registry = with_tls(directory, &certificate, &key, "");
    let sandbox = Sandbox::new();
    build(&sandbox);
    let name = registry.name("team/one:v1");
    sandbox.sealos(&["push", "one:v1", &name]).refused(&["certificate", "--cert-dir"]);
    sandbox.sealos(&["push", "--cert-dir", &wrong, "one:v1", &name]).refused(&["certificate"]);
    sandbox.sealos(&["push", "-q", "--cert-dir", &certs, "one:v1", &name]).fine();
    // As the whole machine's authority it counts as well.
    let mut command = sandbox.command(&["push", "-q", "one:v1", &name]);
    Said::from(command.env("SSL_CERT_FILE", &certificate).bounded().unwrap()).fine();
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let Certificates { certificate, key } = Certificates::make(directory.path());
    let (ca, certs, ours) = (at("certs/ca.crt"), at("certs"), at("ours"));
    fs::create_dir(&ours).unwrap();
    fs::copy(&ca, at("ours/ca.crt")).unwrap();
    let (own_key, request, own) = (at("ours/client.key"), at("client.csr"), at("ours/client.cert"));
    let new = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=me"];
    run("openssl", &[&new[..], &["-keyout", &own_key, "-out", &request]].concat());
    fs::write(at("usage"), "extendedKeyUsage=clientAuth\n").unwrap();
    let usage = at("usage");
    let sign = ["x509", "-req", "-days", "2", "-CAcreateserial", "-extfile", &usage, "-in", &request, "-out", &own];
    run("openssl", &[&sign[..], &["-CA", &ca, "-CAkey", &at("ca.key")]].concat());
    let registry = with_tls(directory, &certificate, &key, &format!(", clientcas: [{ca}]"));
    let sandbox = Sandbox::new();
    build(&sandbox);
    let name = registry.name("team/one:v1");
    let said = sandbox.sealos(&["push", "--retry", "0", "--cert-dir", &certs, "one:v1", &name]);
    said.refused(&["cannot push"]);
    sandbox.sealos(&["push", "-q", "--cert-dir", &ours, "one:v1", &name]).fine();
    fs::remove_file(&own_key).unwrap();
    sandbox.sealos(&["push", "--cert-dir", &ours, "one:v1", &name]).refused(&["client.key is missing"]);
}

/// The token server of the distribution project.
struct TokenServer {
    #[expect(dead_code, reason = "it is there to be dropped")]
    child: Killed,
    url: String,
}

/// A registry that sends its users to a token server, which knows `me` with `hunter2` and gives out what is below `me/`.
fn with_tokens() -> (Registry, TokenServer) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let Certificates { certificate, key } = Certificates::make(directory.path());
    run("htpasswd", &["-Bbc", "-C", "4", &at("htpasswd"), "me", "hunter2"]);
    run("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &at("issuer.key")]);
    let own = ["req", "-x509", "-new", "-days", "2", "-subj", "/CN=issuer"];
    run("openssl", &[&own[..], &["-key", &at("issuer.key"), "-out", &at("issuer.crt")]].concat());
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let child = Command::new("token-server")
        .args(["-addr", &address, "-issuer", "the-issuer", "-key", &at("issuer.key"), "-passwd", &at("htpasswd")])
        .args(["-realm", "issuer", "-tlscert", &certificate, "-tlskey", &key])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("token-server is installed (tests/run does it)");
    let server = TokenServer { child: Killed(child), url: format!("https://{address}/token/") };
    wait_for(port);
    let extra = format!(
        "http:\n  addr: ADDRESS\n  tls: {{certificate: {certificate}, key: {key}}}\nauth:\n  token: {{realm: 'https://{address}/token/', service: the-service, issuer: the-issuer, rootcertbundle: {}}}\n",
        at("issuer.crt")
    );
    (Registry::start(directory, &extra, Vec::new()), server)
}

#[test]
fn tokens_are_fetched_where_the_registry_says() {
    let (registry, _server) = with_tokens();
    let sandbox = Sandbox::new();
    build(&sandbox);
    let (name, certs) = (registry.name("me/one:v1"), registry.at("certs"));
    let push = |more: &[&str], name: &str| {
        sandbox.sealos(
            &[&["push", "--cert-dir", &certs, "--retry", "1", "--retry-delay", "1ms"], more, &["one:v1", name]]
                .concat(),
        )
    };
    push(&[], &name).refused(&["did not accept anonymous access", "sealos login"]);
    let stderr = push(&["--creds", "me:hunter3"], &name).refused(&["did not accept our credentials"]);
    assert!(!stderr.contains("hunter3"), "{stderr}");
    // What the token server does not give out, the registry does not either.
    push(&["--creds", "me:hunter2"], &registry.name("you/one:v1")).refused(&["cannot push"]);
    push(&["--creds", "me:hunter2", "-q"], &name).fine();
    // From one repository into another of the same registry, which takes a token for both.
    let (from, to) = (format!("docker://{name}"), format!("docker://{}", registry.name("me/two:v1")));
    sandbox.sealos(&["copy", "-q", "--cert-dir", &certs, "--creds", "me:hunter2", &from, &to]).fine();
    let other = Sandbox::new();
    other.sealos(&["pull", "-q", "--cert-dir", &certs, "--creds", "me:hunter2", &registry.name("me/two:v1")]).fine();
    assert_eq!(digest(&other, &registry.name("me/two:v1")), digest(&sandbox, "one:v1"));
    // A login is asked of the token server too.
    let host = registry.name("");
    let login = ["login", "--cert-dir", &certs, "-u", "me", "-p", "hunter2", host.trim_end_matches('/')];
    sandbox.sealos(&login).fine();
    push(&["-q"], &name).fine();
}

#[test]
fn an_identity_token_is_exchanged_for_tokens() {
    let (registry, server) = with_tokens();
    let sandbox = Sandbox::new();
    build(&sandbox);
    let (name, certs, host) = (registry.name("me/one:v1"), registry.at("certs"), registry.name(""));
    let host = host.trim_end_matches('/');
    // What docker asks for when it logs in: a token that is good for later ones.
    let ask = format!("{}?service=the-service&offline_token=true&client_id=test&account=me", server.url);
    let answer =
        say("curl", &["-sS", "--max-time", "60", "--cacert", &registry.at("certs/ca.crt"), "-u", "me:hunter2", &ask]);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let identity = answer["refresh_token"].as_str().unwrap();
    let flags = ["--cert-dir", &certs, "--retry", "0"];
    let push = |sandbox: &Sandbox, name: &str| sandbox.sealos(&[&["push", "one:v1", name], &flags[..]].concat());

    // In the file as docker writes it.
    fs::create_dir(sandbox.path("home/.docker")).unwrap();
    let file = |token: &str| {
        let auth = "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==";
        let text = format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}","identitytoken":"{token}"}}}}}}"#);
        fs::write(sandbox.path("home/.docker/config.json"), text).unwrap();
    };
    file("nobodys");
    let stderr = push(&sandbox, &name).refused(&["did not accept our credentials", "sealos login"]);
    assert!(!stderr.contains("nobodys"), "{stderr}");
    file(identity);
    assert_eq!(sandbox.sealos(&["login", "--get-login", host]).fine(), "<token>\n");
    push(&sandbox, &name).fine();
    push(&sandbox, &registry.name("you/one:v1")).refused(&["cannot push"]);

    // By a login of ours: `<token>` is the user, as credential helpers have it.
    let other = Sandbox::new();
    let login = |secret: &str| {
        let args = [&["login", "-u", "<token>", "--password-stdin", host], &flags[..2]].concat();
        let mut command = other.command(&args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
        Said::from(waited(child))
    };
    let stderr = login("nobodys").refused(&["did not accept our credentials"]);
    assert!(!stderr.contains("nobodys"), "{stderr}");
    login(identity).fine();
    let kept = fs::read_to_string(other.path("home/.config/containers/auth.json")).unwrap();
    assert!(kept.contains("\"identitytoken\""), "{kept}");
    assert_eq!(other.sealos(&["login", "--get-login", host]).fine(), "<token>\n");
    other.sealos(&[&["pull", "-q", &name], &flags[..]].concat()).fine();
    assert_eq!(digest(&other, &name), digest(&sandbox, "one:v1"));
}

#[test]
fn whoever_only_looks_needs_the_authority_too_and_brings_nothing_here() {
    let (maker, registry) = (Sandbox::new(), Registry::secured());
    build(&maker);
    let (name, certs) = (registry.name("team/one:v1"), registry.at("certs"));
    let host = registry.name("").trim_end_matches('/').to_owned();
    let known = ["--cert-dir", &certs, "--creds", "me:hunter2"];
    maker.sealos(&[&["push", "-q", "one:v1", &name], &known[..]].concat()).fine();
    let one = digest(&maker, "one:v1");
    let (sandbox, there) = (Sandbox::new(), format!("docker://{name}"));
    let repository = registry.name("team/one");
    let looks: [&[&str]; 7] = [
        &["inspect", "-f", "{{.Digest}}", &there],
        &["inspect", "--raw", &there],
        &["tags", &repository],
        &["search", &host],
        &["copy", "--dry-run", &there, "oci:never"],
        &["sync", "--dry-run", &repository, "oci:never"],
        &["history", &there],
    ];
    for args in looks {
        let with = |flags: &[&str]| sandbox.sealos(&[args, flags].concat());
        with(&[]).refused(&["certificate", "--cert-dir"]);
        with(&known[..2]).refused(&["did not accept anonymous access", "sealos login"]);
        let wrong = with(&["--cert-dir", &certs, "--creds", "me:hunter3"]).refused(&["did not accept our credentials"]);
        assert!(!wrong.contains("hunter3"), "{wrong}");
        let said = with(&known);
        if args[0] == "inspect" && args[1] == "-f" {
            assert_eq!(said.stdout.trim(), one);
        }
        assert!(!said.fine().is_empty(), "{args:?}");
    }
    // The same from where podman and docker look for certificates, and with a login.
    let directory = sandbox.path(&format!("home/.config/containers/certs.d/{host}"));
    fs::create_dir_all(&directory).unwrap();
    fs::copy(registry.at("certs/ca.crt"), directory.join("ca.crt")).unwrap();
    sandbox.sealos(&["login", "-u", "me", "-p", "hunter2", &host]).fine();
    for args in looks {
        assert!(!sandbox.sealos(args).fine().is_empty(), "{args:?}");
    }
    assert!(!sandbox.path("never").exists());
    sandbox.is_empty();
}

/// A docker's `config.json` that names a helper, and the helper on a path.
fn helper(sandbox: &Sandbox, host: &str, script: &str) -> String {
    let program = sandbox.path("bin/docker-credential-test");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(sandbox.path("auth.json"), format!(r#"{{"credHelpers":{{"{host}":"test"}}}}"#)).unwrap();
    format!("{}:{}", sandbox.at("bin"), std::env::var("PATH").unwrap())
}

#[test]
fn credential_helpers_are_asked() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    build(&sandbox);
    let host = registry.name("").trim_end_matches('/').to_owned();
    let (name, certs) = (registry.name("team/one:v1"), registry.at("certs"));
    let push = |script: &str| {
        let path = helper(&sandbox, &host, script);
        let mut command = sandbox.command(&["push", "--cert-dir", &certs, "--authfile", "auth.json", "one:v1", &name]);
        Said::from(command.env("PATH", path).bounded().unwrap())
    };
    push("read -r host; echo \"$1 $host\" > asked; echo '{\"Username\":\"me\",\"Secret\":\"hunter2\"}'").fine();
    assert_eq!(fs::read_to_string(sandbox.path("asked")).unwrap(), format!("get {host}\n"));
    let stderr =
        push("echo '{\"Username\":\"me\",\"Secret\":\"hunter3\"}'").refused(&["did not accept our credentials"]);
    assert!(!stderr.contains("hunter3"), "{stderr}");
    push("echo 'credentials not found in native keychain'; exit 1").refused(&["did not accept anonymous access"]);
    let stderr = push("echo 'locked: hunter2'; exit 1").refused(&["docker-credential-test"]);
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

/// A proxy that takes every connection to one place, and what it was asked.
fn proxy(target: String) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let (target, log) = (target.clone(), Arc::clone(&log));
            std::thread::spawn(move || {
                client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count > 0) {
                    head.push(byte[0]);
                }
                log.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                let Ok(server) = TcpStream::connect(&target) else { return };
                if client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").is_err() {
                    return;
                }
                let (mut from, mut into) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (mut back, mut out) = (server, client);
                std::thread::spawn(move || {
                    drop(std::io::copy(&mut from, &mut into));
                    drop(into.shutdown(std::net::Shutdown::Write));
                });
                drop(std::io::copy(&mut back, &mut out));
                drop(out.shutdown(std::net::Shutdown::Write));
            });
        }
    });
    (port, seen)
}

#[test]
fn proxies_of_the_environment_are_used_except_where_they_are_not_to_be() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    build(&sandbox);
    let (port, seen) = proxy(registry.name("").trim_end_matches('/').to_owned());
    let push = |name: &str, variables: &[(&str, &str)]| {
        let args = ["push", "--tls-verify=false", "--retry", "0", "--creds", "me:hunter2", "one:v1", name];
        let mut command = sandbox.command(&args);
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        Said::from(command.envs(variables.iter().copied()).bounded().unwrap())
    };
    let address = format!("http://someone:secret@127.0.0.1:{port}");
    push("registry.invalid/team/one:v1", &[("HTTPS_PROXY", &address)]).fine();
    let first = seen.lock().unwrap()[0].clone();
    assert!(first.starts_with("CONNECT registry.invalid:443 HTTP/1.1\r\n"), "{first}");
    assert!(first.contains("Basic c29tZW9uZTpzZWNyZXQ="), "{first}");
    let asked = seen.lock().unwrap().len();
    let except = [("HTTPS_PROXY", address.as_str()), ("NO_PROXY", "registry.invalid")];
    push("registry.invalid/team/two:v1", &except).refused(&["cannot reach", "registry.invalid"]);
    push(&registry.name("team/two:v1"), &[("HTTPS_PROXY", &address)]).fine();
    assert_eq!(seen.lock().unwrap().len(), asked, "neither goes through the proxy");
    let nobody = format!("http://someone:secret@127.0.0.1:{}", free_port());
    let stderr = push("registry.invalid/team/one:v1", &[("HTTPS_PROXY", &nobody)]).refused(&["proxy"]);
    assert!(!stderr.contains("secret"), "{stderr}");
}

#[test]
fn short_names_mirrors_and_blocks_are_those_of_registries_conf() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    build(&sandbox);
    sandbox.sealos(&["push", "-q", "one:v1", &registry.name("team/one:v1")]).fine();
    let host = registry.name("").trim_end_matches('/').to_owned();
    let conf = format!(
        "unqualified-search-registries = ['{host}']\n[aliases]\n'short' = '{host}/team/one'\n[[registry]]\nprefix = '*.moved.example'\nlocation = '{host}/team'\ninsecure = true\n[[registry]]\nlocation = 'bad.example'\nblocked = true\n"
    );
    let other = Sandbox::new();
    fs::write(other.path("registries.conf"), conf).unwrap();
    let pull = |name: &str| other.sealos(&["pull", "-q", "--registries-conf", "registries.conf", name]);
    for name in ["short:v1", "team/one:v1", "a.moved.example/one:v1"] {
        pull(name).fine();
    }
    assert_eq!(digest(&other, "a.moved.example/one:v1"), digest(&sandbox, "one:v1"));
    pull("bad.example/one:v1").refused(&["blocked", "bad.example"]);
    pull("absent:v1").refused(&["absent"]);
    fs::write(other.path("registries.conf"), "[[registry]\n").unwrap();
    pull("short:v2").refused(&["registries.conf"]);
}

#[test]
fn nobody_but_this_machine_is_spoken_to_in_plain_http_without_being_told_so() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    build(&sandbox);
    // What has a name elsewhere and does not speak TLS: the proxy leads there.
    let (port, seen) = proxy(registry.name("").trim_end_matches('/').to_owned());
    let push = |more: &[&str]| {
        let args = [&["push", "--retry", "0", "--creds", "me:hunter2", "one:v1", "registry.invalid/team/one:v1"], more];
        let mut command = sandbox.command(&args.concat());
        Said::from(
            command.env("HTTPS_PROXY", format!("http://127.0.0.1:{port}")).env_remove("NO_PROXY").bounded().unwrap(),
        )
    };
    push(&[]).refused(&["registry.invalid", "does not speak TLS", "--tls-verify=false"]);
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty() && seen.iter().all(|head| head.starts_with("CONNECT registry.invalid:443 ")), "{seen:?}");
    // The machine's own registry needs no flag.
    sandbox.sealos(&["push", "-q", "one:v1", &registry.name("team/one:v1")]).fine();
}
