//! Clients that are broken, slow or malicious.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use registry::backend::Distribution;
use registry::options::{Mode, ServeOptions};
use registry::service::Registry;

use crate::client::Client;
use crate::deadline::until;
use crate::server::Server;

fn server(options: ServeOptions) -> Server {
    Server::with(Registry::new(Arc::new(Distribution::in_memory()), options))
}

#[test]
fn what_cannot_be_a_request_is_refused_and_the_next_client_is_served() {
    let server = server(ServeOptions::default());
    for (bytes, status) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"[..], 400),
        (b"GET /v2/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /v2/ HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PUT /v2/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"PUT /v2/ HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417),
    ] {
        let mut client = Client::new(&server.address);
        client.send(bytes).unwrap();
        assert_eq!(client.answer(false).map(|answer| answer.status), Some(status), "{bytes:?}");
        assert!(client.answer(false).is_none(), "the connection is closed after {bytes:?}");
    }
    let mut client = Client::new(&server.address);
    client.send(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n").unwrap();
    let long = format!("X: {}\r\n", "x".repeat(8000));
    let sent = (0..20).try_for_each(|_| client.send(long.as_bytes()));
    let answer = client.answer(false);
    assert!(sent.is_err() || answer.is_some_and(|answer| answer.status == 431));
    assert_eq!(Client::new(&server.address).get("/v2/").status, 200);
}

#[test]
fn paths_stay_inside() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), "secret").unwrap();
    let tree = Distribution::open(&directory.path().join("registry")).unwrap();
    let server = Server::with(Registry::new(Arc::new(tree), ServeOptions::default()));
    let mut client = Client::new(&server.address);
    for target in [
        "/v2/../../secret/manifests/x",
        "/v2/a/../../../../../secret/manifests/x",
        "/v2/%2e%2e/%2e%2e/secret/manifests/x",
        "/v2/a/manifests/..%2f..%2f..%2fsecret",
        "/v2/a/manifests/%2e%2e",
        "/v2/a/blobs/uploads/..%2f..%2fsecret",
        "/v2/a/blobs/sha256:..%2f..",
        "/../secret",
        "/v2/.a/tags/list",
    ] {
        let answer = client.get(target);
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
        assert!(!answer.text().contains("\"secret\""), "{target}");
    }
}

#[test]
fn requests_that_come_together_are_answered_in_order() {
    let server = server(ServeOptions::default());
    let mut client = Client::new(&server.address);
    let mut all = Vec::new();
    for number in 0..50 {
        all.extend_from_slice(format!("GET /v2/a{number}/tags/list HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        all.extend_from_slice(b"POST /v2/a/blobs/uploads/?digest=x HTTP/1.1\r\nHost: a\r\n");
        all.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    }
    client.send(&all).unwrap();
    for number in 0..50 {
        assert_eq!(client.answer(false).unwrap().status, 404, "{number}");
        assert_eq!(client.answer(false).unwrap().status, 400, "{number}");
    }
}

#[test]
fn who_is_slow_does_not_keep_others_waiting() {
    let options = ServeOptions {
        head_time: Duration::from_millis(700),
        stall: Duration::from_millis(700),
        connections: 64,
        ..ServeOptions::default()
    };
    let server = server(options);
    // More than there are places: half of a head each, and half of a body.
    let mut slow: Vec<Client> = (0..60).map(|_| Client::new(&server.address)).collect();
    for (number, client) in slow.iter_mut().enumerate() {
        let head: &[u8] = if number % 2 == 0 {
            b"GET /v2/ HTTP/1.1\r\nHost"
        } else {
            b"POST /v2/a/blobs/uploads/?digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 \
              HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx"
        };
        client.send(head).unwrap();
    }
    for _ in 0..100 {
        assert_eq!(Client::new(&server.address).get("/v2/").status, 200);
    }
    for client in &mut slow {
        assert!(client.answer(false).is_none_or(|answer| answer.status == 408), "the slow are cut");
    }
}

#[test]
fn a_body_that_ends_early_leaves_nothing_behind() {
    let server = server(ServeOptions::default());
    let digest = oci::Digest::of(b"0123456789");
    let mut client = Client::new(&server.address);
    let begun = client.ask("POST", "/v2/a/blobs/uploads/", &[], b"").unwrap();
    let location = begun.header("location").unwrap().to_owned();
    let mut broken = Client::new(&server.address);
    let head = format!("PUT {location}?digest={digest} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    broken.send(head.as_bytes()).unwrap();
    drop(broken);
    assert_eq!(client.get(&format!("/v2/a/blobs/{digest}")).status, 404);
    // What came is there, and the client can go on.
    until("the half that came", || client.get(&location).header("range") == Some("0-4"));
    let rest = client.ask("PATCH", &location, &[("Content-Range", "5-9")], b"56789").unwrap();
    assert_eq!(rest.status, 202, "{}", rest.text());
    let done = client.ask("PUT", &format!("{location}?digest={digest}"), &[], b"").unwrap();
    assert_eq!(done.status, 201, "{}", done.text());
    assert_eq!(client.get(&format!("/v2/a/blobs/{digest}")).body, b"0123456789");
}

#[test]
fn limits_are_said_in_the_words_of_the_specification() {
    let options = ServeOptions { upload_sessions: 2, manifest_limit: 1000, ..ServeOptions::default() };
    let small = server(options);
    let mut client = Client::new(&small.address);
    for want in [202, 202, 429] {
        let begun = client.ask("POST", "/v2/a/blobs/uploads/", &[], b"").unwrap();
        assert_eq!(begun.status, want);
        assert_eq!(begun.text().contains("TOOMANYREQUESTS"), want == 429);
    }
    let large = client.ask("PUT", "/v2/a/manifests/x", &[], &[b' '; 1001]).unwrap();
    assert_eq!(large.status, 413);
    let read_only = server(ServeOptions { mode: Mode::ReadOnly, ..ServeOptions::default() });
    let mut client = Client::new(&read_only.address);
    for (method, target) in
        [("POST", "/v2/a/blobs/uploads/"), ("PUT", "/v2/a/manifests/x"), ("DELETE", "/v2/a/manifests/x")]
    {
        let refused = client.ask(method, target, &[], b"").unwrap();
        assert_eq!(refused.status, 405, "{method} {target}");
        assert!(refused.text().contains("UNSUPPORTED"));
    }
}

#[test]
fn the_same_path_on_two_hosts_is_told_apart() {
    let server = server(ServeOptions::default());
    let mut client = Client::new(&server.address);
    let (hub, _) = client.push_image("docker.io/library/nginx", "1", b"hub").unwrap();
    let (quay, _) = client.push_image("quay.io/library/nginx", "1", b"quay").unwrap();
    let (own, _) = client.push_image("quay.io/only/here", "1", b"own").unwrap();
    let (plain, _) = client.push_image("team/app", "1", b"plain").unwrap();
    for (target, digest, warns) in [
        ("/v2/docker.io/library/nginx/manifests/1", Some(hub), false),
        ("/v2/quay.io/library/nginx/manifests/1", Some(quay), false),
        ("/v2/library/nginx/manifests/1?ns=quay.io", Some(quay), false),
        ("/v2/library/nginx/manifests/1?ns=docker.io", Some(hub), false),
        ("/v2/library/nginx/manifests/1", Some(hub), true),
        ("/v2/only/here/manifests/1", Some(own), false),
        ("/v2/only/here/manifests/1?ns=docker.io", None, false),
        ("/v2/team/app/manifests/1?ns=hub.example:5000", Some(plain), false),
        ("/v2/hub.example/team/app/manifests/1", Some(plain), false),
    ] {
        let answer = client.get(target);
        let want = digest.map(|digest| digest.to_string());
        assert_eq!(answer.header("docker-content-digest"), want.as_deref(), "{target}");
        assert_eq!(answer.header("warning").is_some(), warns, "{target}: {}", answer.head);
    }
    let answer = client.get("/v2/library/nginx/manifests/1?ns=quay.io");
    assert_eq!(answer.header("oci-namespace"), Some("quay.io"));
}

/// A client that goes on to use the connection gets no answer; what is said to it is not to.
#[test]
fn who_is_refused_before_its_body_has_come_is_told_that_the_connection_ends() {
    let server = server(ServeOptions { mode: Mode::ReadOnly, ..ServeOptions::default() });
    let mut client = Client::new(&server.address);
    client.send(b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").unwrap();
    let answer = client.answer(false).unwrap();
    assert_eq!((answer.status, answer.header("connection")), (405, Some("close")), "{}", answer.head);
    // With its body it is known where the next request begins.
    let all = b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nlayerGET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = Client::new(&server.address);
    client.send(all).unwrap();
    let first = client.answer(false).unwrap();
    assert_eq!((first.status, first.header("connection")), (405, None), "{}", first.head);
    assert_eq!(client.answer(false).unwrap().status, 200);
}

/// `docker pull HOST/hello` asks for `hello`; what was built or carried as `hello` is `docker.io/library/hello`.
#[test]
fn what_everybody_calls_by_its_last_name_is_found_by_it() {
    let server = server(ServeOptions::default());
    let mut client = Client::new(&server.address);
    let (hello, _) = client.push_image("library/hello", "v1", b"hello").unwrap();
    let (nginx, _) = client.push_image("docker.io/library/nginx", "v1", b"nginx").unwrap();
    for (target, want) in [
        ("/v2/hello/manifests/v1", Some(hello)),
        ("/v2/library/hello/manifests/v1", Some(hello)),
        ("/v2/library/hello/manifests/v1?ns=docker.io", Some(hello)),
        ("/v2/docker.io/library/hello/manifests/v1", Some(hello)),
        ("/v2/nginx/manifests/v1", Some(nginx)),
        ("/v2/hello/manifests/v2", None),
        ("/v2/team/hello/manifests/v1", None),
    ] {
        let answer = client.get(target);
        let digest = want.map(|digest| digest.to_string());
        assert_eq!(answer.header("docker-content-digest"), digest.as_deref(), "{target}");
    }
    assert!(client.get("/v2/hello/tags/list").text().contains("\"v1\""));
    // Whoever pushes an image of that name is told of blobs that are here under the other, and need not send them.
    let blob = oci::Digest::of(b"hello");
    assert_eq!(client.ask("HEAD", &format!("/v2/hello/blobs/{blob}"), &[], b"").unwrap().status, 200);
    let text = crate::client::manifest(&[(oci::Digest::of(b"{}"), 2), (blob, 5)]).replace("\"layers\"", " \"layers\"");
    let fields = [("Content-Type", oci::MediaType::OCI_MANIFEST)];
    let put = client.ask("PUT", "/v2/hello/manifests/own", &fields, text.as_bytes()).unwrap();
    assert_eq!(put.status, 201, "{}", put.text());
    crate::client::is_whole(&server.address, "hello", "own").unwrap();
    // From then on it has a repository of its own, and what is only in the other is still found.
    assert_eq!(client.get("/v2/hello/manifests/v1").status, 200);
    let absent = oci::Digest::of(b"nobody has it");
    let text = crate::client::manifest(&[(oci::Digest::of(b"{}"), 2), (absent, 13)]);
    let put = client.ask("PUT", "/v2/hello/manifests/v3", &fields, text.as_bytes()).unwrap();
    assert!(put.status == 400 && put.text().contains("MANIFEST_BLOB_UNKNOWN"), "{}", put.text());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_target_and_no_body_brings_it_down(
        method in "GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|X",
        path in "[/a-z0-9:%._~-]{0,60}",
        query in "[a-z=&%0-9:,-]{0,40}",
        range in "[ -~]{0,30}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        use std::sync::LazyLock;
        static SERVER: LazyLock<Server> = LazyLock::new(|| server(ServeOptions::default()));
        let mut client = Client::new(&SERVER.address);
        let fields = [("Range", range.as_str()), ("Content-Range", &range), ("Content-Type", &range)];
        for prefix in ["", "/v2/a/manifests", "/v2/a/blobs", "/v2/a/blobs/uploads", "/v2/a/referrers"] {
            let target = format!("{prefix}/{path}?{query}");
            let Some(answer) = client.ask(&method, &target, &fields, &body) else {
                client = Client::new(&SERVER.address);
                continue;
            };
            prop_assert!(answer.status < 500, "{} {}: {}", method, target, answer.status);
        }
        prop_assert_eq!(Client::new(&SERVER.address).get("/v2/").status, 200);
    }
}
