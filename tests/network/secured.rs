//! A registry with TLS and passwords.

use std::fs;

use crate::registry::Registry;
use crate::sandbox::{Sandbox, text};

/// A file with the credentials (`user:password` in base64) for a registry.
fn auths(sandbox: &Sandbox, registry: &Registry, name: &str, credentials: &str) -> String {
    let host = registry.name("");
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"{credentials}"}}}}}}"#, host.trim_end_matches('/'));
    fs::write(sandbox.path(name), text).unwrap();
    sandbox.at(name)
}

#[test]
fn only_who_knows_the_password_and_the_authority_gets_an_image() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    let kubefile = "FROM scratch\nCOPY base /\nCMD [\"cat base\"]\n";
    registry.publish("team/base:v1", kubefile, &[("base", b"secret")], &[]);
    let name = registry.name("team/base:v1");
    let context = sandbox.context("app", &format!("FROM {name}\n"), &[]);
    let right = auths(&sandbox, &registry, "right.json", "bWU6aHVudGVyMg==");
    let wrong = auths(&sandbox, &registry, "wrong.json", "bWU6aHVudGVyMw==");
    let certs = registry.at("certs");

    for (flags, parts) in [
        (&["--authfile", &right][..], &["certificate"][..]),
        (&["--cert-dir", &certs], &["did not accept anonymous access"]),
        (&["--cert-dir", &certs, "--authfile", &wrong], &["did not accept our credentials"]),
        (&["--cert-dir", &certs, "--creds", "me:hunter3"], &["did not accept our credentials"]),
        (&["--cert-dir", &certs, "--authfile", "absent.json"], &["absent.json"]),
        (&["--cert-dir", "absent", "--authfile", &right], &["absent"]),
    ] {
        for verb in [&["build", "-t", "app:v1", &context][..], &["run", &name]] {
            let args = [verb, flags].concat();
            let stderr = sandbox.sealos(&args).refused(parts);
            assert!(stderr.contains(&name), "{args:?}: {stderr}");
            for secret in ["hunter3", "bWU6aHVudGVyMw", "hunter2", "bWU6aHVudGVyMg"] {
                assert!(!stderr.contains(secret), "{args:?}: {stderr}");
            }
        }
        sandbox.shows_nothing();
    }

    for flags in [
        &["--cert-dir", &certs, "--authfile", &right][..],
        &["--cert-dir", &certs, "--creds", "me:hunter2"],
        &["--tls-verify=false", "--authfile", &right],
    ] {
        let sandbox = Sandbox::new();
        sandbox.build(&[&[context.as_str()], flags].concat());
        assert_eq!(text(&sandbox.at("out"), "base"), "secret", "{flags:?}");
        let fresh = Sandbox::new();
        assert_eq!(fresh.sealos(&[&["run", &name], flags].concat()).fine(), format!("{name}: secret\n"), "{flags:?}");
    }
}
