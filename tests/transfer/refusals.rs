//! What registries refuse: the message, the exit code, and that nothing wrong becomes visible.

use std::fs;

use crate::peers::{build, published};
use crate::registry::Registry;
use crate::sandbox::Sandbox;
use crate::wire::refusing;

#[test]
fn every_refusal_says_who_and_what_and_where_it_is_known_what_to_do() {
    let sandbox = Sandbox::new();
    build(&sandbox);
    let denied = r#"{"errors":[{"code":"DENIED","message":"not for you"}]}"#;
    let unknown = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"never heard of it"}]}"#;
    for (status, document, pulled, pushed) in [
        ("401 Unauthorized", denied, &["did not accept", "sealos login"][..], &["did not accept", "sealos login"][..]),
        ("403 Forbidden", denied, &["denies access", "sealos login"], &["denies access", "sealos login"]),
        ("404 Not Found", unknown, &["has no image", "sealos tags"], &["404", "team/app"]),
        ("429 Too Many Requests", denied, &["too many requests"], &["too many requests"]),
        ("500 Internal Server Error", denied, &["answered 500"], &["answered 500"]),
        ("503 Service Unavailable", "<html>", &["answered 503"], &["answered 503"]),
    ] {
        let host = refusing(status, document);
        let name = format!("{host}/team/app:v1");
        let patience = ["--retry", "1", "--retry-delay", "1ms"];
        let said = sandbox.sealos(&[&["pull", &name], &patience[..]].concat());
        said.refused(&[&["cannot pull", &name, &host], pulled].concat());
        let said = sandbox.sealos(&[&["push", "one:v1", &name], &patience[..]].concat());
        said.refused(&[&["cannot push", "one:v1", &host], pushed].concat());
        let said = sandbox.sealos(&[&["inspect", &format!("docker://{name}")], &patience[..]].concat());
        said.refused(&[&host]);
        let said = sandbox.sealos(&[&["copy", &format!("docker://{name}"), "dir:never"], &patience[..]].concat());
        said.refused(&[&host]);
        assert!(!sandbox.path("never").exists(), "{status}");
        sandbox.sealos(&["inspect", &name]).refused(&["no image"]);
    }
}

#[test]
fn a_registry_that_nobody_answers_for_is_named() {
    let sandbox = Sandbox::new();
    build(&sandbox);
    let name = format!("127.0.0.1:{}/app:v1", crate::registry::free_port());
    for args in [
        &["pull", &name][..],
        &["push", "one:v1", &name],
        &["tags", &name],
        &["search", name.trim_end_matches("/app:v1")],
    ] {
        let said = sandbox.sealos(&[args, &["--retry", "1", "--retry-delay", "1ms"]].concat());
        assert_eq!(said.code, Some(1), "{args:?}");
        assert!(said.stderr.contains("cannot reach") && said.stderr.contains("127.0.0.1"), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn only_who_knows_the_password_and_the_authority_may_push() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    build(&sandbox);
    let (name, certs) = (registry.name("team/one:v1"), registry.at("certs"));
    for (flags, parts) in [
        (&[][..], &["certificate", "--cert-dir"][..]),
        (&["--cert-dir", &certs], &["did not accept", "sealos login"]),
        (&["--cert-dir", &certs, "--creds", "me:hunter3"], &["did not accept our credentials"]),
    ] {
        let stderr = sandbox.sealos(&[&["push", "one:v1", &name], flags].concat()).refused(parts);
        assert!(!stderr.contains("hunter3"), "{stderr}");
    }
    let flags = ["--cert-dir", &certs, "--creds", "me:hunter2"];
    sandbox.sealos(&[&["push", "-q", "one:v1", &name], &flags[..]].concat()).fine();
    sandbox.sealos(&[&["push", "-q", "one:v1", &name, "--tls-verify=false"], &flags[2..]].concat()).fine();
    let fresh = Sandbox::new();
    fresh.sealos(&[&["pull", "-q", &name], &flags[..]].concat()).fine();
    let copy = ["copy", "-q", "--src-creds", "me:hunter2", "--dest-tls-verify=false", "--cert-dir", &certs];
    let plain = Registry::plain();
    let (from, to) = (format!("docker://{name}"), format!("docker://{}", plain.name("team/one:v1")));
    fresh.sealos(&[&copy[..], &[&from, &to]].concat()).fine();
    let args = ["copy", "--creds", "me:hunter2", &from, &to];
    let said = fresh.sealos(&args);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("--src-creds") && !said.stderr.contains("hunter2"), "{}", said.stderr);
    let said = fresh.sealos(&["pull", "--creds", "me:hunter2", &name, &plain.name("team/one:v1")]);
    assert_eq!((said.code, said.stderr.contains("hunter2")), (Some(2), false), "{}", said.stderr);
    // A list has credentials of its own, which skopeo has in the same place.
    let host = registry.name("");
    let list = format!(
        "{}:\n  images: {{team/one: [v1]}}\n  cert-dir: {certs}\n  credentials: {{username: me, password: hunter2}}\n",
        host.trim_end_matches('/')
    );
    fs::write(fresh.path("list.yaml"), list).unwrap();
    fresh.sealos(&["sync", "-q", "list.yaml", &plain.name("mirror")]).fine();
}

#[test]
fn what_is_no_place_is_a_wrong_command_line() {
    let (sandbox, ..) = published();
    for args in [
        &["copy", "one:v1", "ostree://x"][..],
        &["copy", "one:v1", "oci:"],
        &["copy", "docker://A", "x:v1"],
        &["pull", "A"],
        &["push", "one:v1", "A"],
        &["pull", "--limit-rate", "fast", "x"],
        &["pull", "--retry-delay", "soon", "x"],
        &["sync", "a", "b", "--filter", "x=y"],
        &["sync", "only-one"],
        &["tags", "A"],
        &["login", "a b"],
    ] {
        let said = sandbox.sealos(args);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn a_path_alone_is_no_place_to_write_to() {
    let sandbox = Sandbox::new();
    build(&sandbox);
    fs::write(sandbox.path("precious"), "x").unwrap();
    let precious = sandbox.at("precious");
    for args in [
        ["copy", "one:v1", &precious],
        ["copy", "one:v1", "./one.tar"],
        ["copy", "one:v1", "one.tar"],
        ["push", "one:v1", "one.tar"],
        ["sync", "store:", "one.tar"],
    ] {
        let said = sandbox.sealos(&args);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{args:?}: {}", said.stderr);
        for part in ["error: ", args[2], "does not say what", "help: ", &format!("oci-archive:{}", args[2])] {
            assert!(said.stderr.contains(part), "{args:?}: `{part}` is not in:\n{}", said.stderr);
        }
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "x");
    sandbox.sealos(&["inspect", "one.tar"]).refused(&["no image"]);
    for args in [&["copy", "./absent.tar", "x:v1"][..], &["inspect", "/absent.tar"], &["push", "./absent", "x:v1"]] {
        sandbox.sealos(args).refused(&["there is no file", "help: "]);
    }
}
