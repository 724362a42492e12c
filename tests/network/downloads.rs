//! Kubefiles, contexts and files that a build gets from a web server.

use crate::sandbox::{Sandbox, run, text};
use crate::web::{Framing, Web, cutting};

#[test]
fn a_kubefile_and_a_context_may_be_behind_urls() {
    let (sandbox, web) = (Sandbox::new(), Web::new());
    let context = sandbox.context("app", "FROM scratch\nCOPY data /here\n", &[("data", b"content")]);
    run("tar", &["-C", &context, "-czf", &web.at("context.tar.gz"), "."]);
    let kubefile = web.serve("Kubefile", b"FROM scratch\nCOPY data /there\n");
    let (archive, out) = (web.url("context.tar.gz"), sandbox.at("out"));
    for (args, name) in [
        (&["-f", &kubefile, &context][..], "there"),
        (&[archive.as_str()], "here"),
        (&["-f", &kubefile, &archive], "there"),
    ] {
        sandbox.build(args);
        assert_eq!(text(&out, name), "content", "{args:?}");
    }
}

#[test]
fn a_kubefile_or_context_that_does_not_come_whole_is_refused() {
    let (sandbox, web) = (Sandbox::new(), Web::new());
    let context = sandbox.context("app", "FROM scratch\nCOPY data /\n", &[("data", &[7; 100_000])]);
    let archive = sandbox.at("context.tar");
    run("tar", &["-C", &context, "-cf", &archive, "."]);
    let archive = std::fs::read(archive).unwrap();
    let kubefile = b"FROM scratch\nCOPY data /\nCOPY data /twice\n";
    let (no_file, no_context) = (web.url("absent"), web.url("absent.tar"));
    sandbox.sealos(&["build", "-t", "app:v1", "-f", &no_file, &context]).refused(&[&no_file, "does not have"]);
    sandbox.sealos(&["build", "-t", "app:v1", &no_context]).refused(&[&no_context, "does not have"]);
    for framing in [Framing::Length, Framing::Chunks] {
        let (file, tar) = (cutting(kubefile, framing, "Kubefile"), cutting(&archive, framing, "context.tar"));
        sandbox.sealos(&["build", "-t", "app:v1", "-f", &file, &context]).refused(&[&file]);
        sandbox.sealos(&["build", "-t", "app:v1", &tar]).refused(&[&tar]);
    }
    let page = web.serve("page.tar", b"<html>please log in</html>");
    sandbox.sealos(&["build", "-t", "app:v1", &page]).refused(&[&page]);
    sandbox.shows_nothing();
}

#[test]
fn a_file_is_added_only_with_its_checksum_and_then_found_in_the_cache() {
    let (sandbox, web) = (Sandbox::new(), Web::new());
    let url = web.serve("tool", b"a tool");
    let (right, wrong) = (oci::Digest::of(b"a tool").to_string(), oci::Digest::of(b"another").to_string());
    let kubefile = |checksum: &str| format!("FROM scratch\nADD --checksum={checksum} {url} /bin/\n");
    let bad = sandbox.context("bad", &kubefile(&wrong), &[]);
    sandbox.sealos(&["build", "-t", "app:v1", &bad]).refused(&[&url, &right, &wrong]);
    sandbox.shows_nothing();

    let (good, out) = (sandbox.context("good", &kubefile(&right), &[]), sandbox.at("out"));
    let first = sandbox.build(&[&good]);
    assert_eq!(text(&out, "bin/tool"), "a tool");
    drop(web);
    assert_eq!(sandbox.build(&[&good]), first, "the checksum says all there is to know");
}

#[test]
fn a_file_without_a_checksum_is_asked_for_every_time() {
    let (sandbox, web) = (Sandbox::new(), Web::new());
    let url = web.serve("tool", b"old");
    let (context, out) = (sandbox.context("app", &format!("FROM scratch\nADD {url} /\n"), &[]), sandbox.at("out"));
    sandbox.build(&[&context]);
    assert_eq!(text(&out, "tool"), "old");
    web.serve("tool", b"new");
    sandbox.build(&[&context]);
    assert_eq!(text(&out, "tool"), "new");
    drop(web);
    sandbox.sealos(&["build", "-t", "app:v1", &context]).refused(&[&url]);
}

#[test]
fn a_file_that_is_not_there_or_ends_early_is_named_and_nothing_is_kept() {
    let (sandbox, web) = (Sandbox::new(), Web::new());
    let bytes = [7; 200_000];
    let absent = web.url("absent");
    let urls = [
        (absent.clone(), "does not have"),
        (cutting(&bytes, Framing::Length, "data"), "ended"),
        (cutting(&bytes, Framing::Chunks, "data"), "ended"),
    ];
    for (url, why) in urls {
        for flag in [String::new(), format!("--checksum={} ", oci::Digest::of(&bytes))] {
            let context = sandbox.context("app", &format!("FROM scratch\nADD {flag}{url} /\n"), &[]);
            sandbox.sealos(&["build", "-t", "app:v1", &context]).refused(&["Kubefile:2", &url, why]);
            sandbox.shows_nothing();
            assert_eq!(sandbox.blobs(), [""; 0], "{url}");
        }
    }
}

#[test]
fn what_stands_in_a_url_beside_the_path_is_not_told() {
    let (sandbox, web) = (Sandbox::new(), Web::new());
    let url = format!("{}?token=hunter2", web.url("none.tar")).replace("http://", "http://me:hunter2@");
    for args in [&["build", &url][..], &["load", "-i", &url], &["build", "-f", &url, "."]] {
        let said = sandbox.sealos(args).refused(&["none.tar"]);
        assert!(!said.contains("hunter2"), "{said}");
    }
}
