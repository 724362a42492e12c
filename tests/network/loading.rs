//! Archives from a web server.

use std::fs;

use crate::sandbox::Sandbox;
use crate::web::{Framing, Web, cutting};

/// An archive of `app:v1`.
fn archive() -> Vec<u8> {
    let maker = Sandbox::new();
    let context = maker.context("app", "FROM scratch\nCOPY data /\n", &[("data", &[7; 300_000])]);
    maker.sealos(&["build", "-q", "--compression", "none", "-t", "app:v1", &context]).fine();
    let archive = maker.at("app.tar");
    maker.sealos(&["save", "-q", "-o", &archive, "app:v1"]).fine();
    fs::read(archive).unwrap()
}

#[test]
fn an_archive_behind_a_url_is_loaded_whole_or_not_at_all() {
    let (sandbox, web, archive) = (Sandbox::new(), Web::new(), archive());
    let context = sandbox.context("old", "FROM scratch\nCOPY old /\n", &[("old", b"old")]);
    sandbox.sealos(&["build", "-q", "-t", "old:v1", &context]).fine();
    let images = || sandbox.sealos(&["images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}", "--no-trunc"]).fine();
    let before = images();

    for framing in [Framing::Length, Framing::Chunks] {
        let url = cutting(&archive, framing, "app.tar");
        let said = sandbox.sealos(&["load", "-i", &url]);
        said.refused(&[&url]);
        assert_eq!(images(), before, "{framing:?}");
    }
    let absent = web.url("absent.tar");
    sandbox.sealos(&["load", "-i", &absent]).refused(&[&absent, "does not have"]);
    let half = web.serve("half.tar", &archive[..archive.len() / 2]);
    sandbox.sealos(&["load", "-i", &half]).refused(&[&half]);
    let page = web.serve("page.tar", b"<html>please log in</html>");
    sandbox.sealos(&["load", "-i", &page]).refused(&[&page]);
    assert_eq!(images(), before);

    let whole = web.serve("app.tar", &archive);
    assert!(sandbox.sealos(&["load", "-i", &whole]).fine().contains("app:v1"));
    assert!(images().contains("app"));
    sandbox.sealos(&["save", "-q", "-o", &sandbox.at("again.tar"), "app:v1"]).fine();
}

#[test]
fn a_server_with_a_private_authority_and_a_password_takes_the_flags_of_registries() {
    let (sandbox, web, archive) = (Sandbox::new(), Web::secured(), archive());
    fs::write(web.at("app.tar"), archive).unwrap();
    let (url, certs) = (web.secured_url("app.tar"), web.at("certs"));
    let load = |flags: &[&str]| sandbox.sealos(&[&["load", "-i", &url][..], flags].concat());
    for (flags, part) in [
        (&[][..], "certificate"),
        (&["--cert-dir", &certs], "did not accept anonymous access"),
        (&["--cert-dir", &certs, "--creds", "me:hunter3"], "did not accept"),
        (&["--cert-dir", "absent", "--creds", "me:hunter2"], "absent"),
    ] {
        let said = load(flags).refused(&[part]);
        assert!(!said.contains("hunter"), "{flags:?}: {said}");
        sandbox.is_empty();
    }
    for flags in
        [&["--cert-dir", &certs, "--creds", "me:hunter2"][..], &["--tls-verify=false", "--creds", "me:hunter2"]]
    {
        assert_eq!(load(flags).fine(), "Loaded image: app:v1\n", "{flags:?}");
    }
}
