//! What goes wrong on the way: for each fault the message, the exit code, and that nothing wrong became visible; what is
//! only temporary is survived.

use std::time::Instant;

use crate::faulty::{Fault, Faulty};
use crate::peers::{digest, digest_at, validate};
use crate::registry::Registry;
use crate::sandbox::{Sandbox, noise};

/// Bytes of the layer.
const LAYER: usize = 3_000_000;
const PATIENCE: [&str; 4] = ["--retry", "2", "--retry-delay", "1ms"];
const ALWAYS: usize = usize::MAX;

/// A registry with `app:v1`, and its digest and that of its layer.
fn filled() -> (Registry, String, String) {
    let registry = Registry::plain();
    registry.publish("app:v1", "FROM scratch\nCOPY a /\n", &[("a", &noise(LAYER, 1))], &[]);
    let layer = crate::peers::manifest(&registry.name("app:v1"))["layers"][0]["digest"].as_str().unwrap().to_owned();
    let digest = digest_at(&format!("docker://{}", registry.name("app:v1")));
    (registry, digest, layer)
}

/// A sandbox with the registry's image under its short name.
fn holding(registry: &Registry) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sealos(&["pull", "-q", &registry.name("app:v1")]).fine();
    sandbox.sealos(&["tag", &registry.name("app:v1"), "app:v1"]).fine();
    sandbox
}

fn host(registry: &Registry) -> String {
    registry.name("").trim_end_matches('/').to_owned()
}

#[test]
fn a_pull_through_a_fault_that_stays_fails_and_shows_nothing() {
    let (registry, _, layer) = filled();
    let answer = |status, headers: &str| Fault::Answer(status, headers.to_owned(), "{}");
    let blob = format!("/blobs/{layer}");
    let itself = format!("Location: /v2/app{blob}\r\n");
    let nothing = format!("sha256:{}", "0".repeat(64));
    for (method, path, fault, parts) in [
        ("GET", blob.as_str(), Fault::Cut(0), &["ended early"][..]),
        ("GET", &blob, Fault::Corrupt(1_000_000), &["corrupt", &layer]),
        ("GET", &blob, Fault::Header("Content-Length", "100".to_owned()), &["100 bytes", &layer]),
        ("GET", &blob, Fault::Header("Content-Length", "99999999".to_owned()), &["99999999 bytes", &layer]),
        ("GET", &blob, answer("401 Unauthorized", ""), &["did not accept", "sealos login"]),
        ("GET", &blob, answer("403 Forbidden", ""), &["denies access", "sealos login"]),
        ("GET", &blob, answer("404 Not Found", ""), &["lacks the blob", &layer]),
        ("GET", &blob, answer("429 Too Many Requests", "Retry-After: 0\r\n"), &["too many requests", "wait a while"]),
        ("GET", &blob, answer("500 Internal Server Error", ""), &["answered 500"]),
        ("GET", &blob, answer("503 Service Unavailable", ""), &["answered 503"]),
        ("GET", &blob, answer("307 Temporary Redirect", "Location: /v2/\r\n"), &["should have"]),
        ("GET", &blob, answer("307 Temporary Redirect", &itself), &["redirects too often"]),
        ("GET", &blob, answer("307 Temporary Redirect", ""), &["no usable Location"]),
        ("GET", &blob, answer("307 Temporary Redirect", "Location: ftp://x/y\r\n"), &["neither http nor https"]),
        ("GET", "/manifests/", Fault::Corrupt(20), &["corrupt"]),
        ("HEAD", "/manifests/", Fault::Header("Docker-Content-Digest", nothing), &["00000000"]),
        ("HEAD", "/manifests/", Fault::Header("Content-Length", "5".to_owned()), &["should have 5"]),
    ] {
        let (sandbox, proxy) = (Sandbox::new(), Faulty::before(&host(&registry), method, path, ALWAYS, fault.clone()));
        let name = proxy.name("app:v1");
        let said = sandbox.sealos(&[&["pull", &name], &PATIENCE[..]].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{fault:?}: {}", said.stderr);
        for part in [&["cannot pull", &name][..], parts].concat() {
            assert!(said.stderr.contains(part), "{fault:?}: `{part}` is not in:\n{}", said.stderr);
        }
        sandbox.shows_nothing();
        let target = format!("oci-archive:{}", sandbox.at("out.tar"));
        let said = sandbox.sealos(&[&["copy", &format!("docker://{name}"), &target], &PATIENCE[..]].concat());
        assert_eq!(said.code, Some(1), "{fault:?}: {}", said.stderr);
        assert!(!sandbox.path("out.tar").exists(), "{fault:?}");
    }
}

#[test]
fn a_pull_survives_what_is_temporary() {
    let (registry, want, layer) = filled();
    let blob = format!("/blobs/{layer}");
    let answer = |status, headers: &str| Fault::Answer(status, headers.to_owned(), "");
    let elsewhere = format!("Location: http://localhost:{}{}\r\n", host(&registry).rsplit(':').next().unwrap(), {
        format!("/v2/app{blob}")
    });
    for (path, times, fault) in [
        (blob.as_str(), 2, Fault::Cut(100_000)),
        (&blob, ALWAYS, Fault::Cut(1_000_000)),
        (&blob, 2, answer("429 Too Many Requests", "Retry-After: 0\r\n")),
        (&blob, 2, answer("500 Internal Server Error", "")),
        (&blob, 2, answer("503 Service Unavailable", "Retry-After: 0\r\n")),
        (&blob, 1, answer("408 Request Timeout", "")),
        (&blob, ALWAYS, answer("307 Temporary Redirect", &elsewhere)),
        ("/manifests/", 2, answer("503 Service Unavailable", "")),
        ("/v2/", 1, answer("502 Bad Gateway", "")),
    ] {
        let (sandbox, proxy) = (Sandbox::new(), Faulty::before(&host(&registry), "GET", path, times, fault.clone()));
        let name = proxy.name("app:v1");
        let said = sandbox.sealos(&[&["pull", "-q", &name], &PATIENCE[..]].concat());
        assert_eq!(said.code, Some(0), "{fault:?}: {}", said.stderr);
        assert_eq!(digest(&sandbox, &name), want, "{fault:?}");
    }
}

#[test]
fn a_push_through_a_fault_that_stays_fails_and_shows_nothing() {
    let (registry, _, layer) = filled();
    let sandbox = holding(&registry);
    let answer = |status| Fault::Answer(status, String::new(), r#"{"errors":[{"code":"X","message":"because"}]}"#);
    for (method, path, fault, parts) in [
        ("PUT", "digest=", Fault::CutRequest(100_000), &["cannot reach"][..]),
        ("PUT", "digest=", Fault::CorruptRequest(1_000), &["refuses the blob", "on the way"]),
        ("PUT", "digest=", answer("403 Forbidden"), &["denies access", "because"]),
        ("PUT", "digest=", answer("500 Internal Server Error"), &["answered 500", "because"]),
        ("PUT", "digest=", answer("507 Insufficient Storage"), &["answered 507", "because"]),
        ("POST", "/blobs/uploads/", answer("429 Too Many Requests"), &["too many requests"]),
        ("POST", "/blobs/uploads/", answer("503 Service Unavailable"), &["answered 503"]),
        ("POST", "/blobs/uploads/", answer("202 Accepted"), &["no Location"]),
        ("PUT", "/manifests/", answer("400 Bad Request"), &["answered 400", "because"]),
        ("PUT", "/manifests/", answer("503 Service Unavailable"), &["answered 503"]),
    ] {
        let empty = Registry::plain();
        let proxy = Faulty::before(&host(&empty), method, path, ALWAYS, fault.clone());
        let said = sandbox.sealos(&[&["push", "app:v1", &proxy.name("to:v1")], &PATIENCE[..]].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{method} {fault:?}: {}", said.stderr);
        for part in [&["cannot push", "app:v1", &proxy.host()][..], parts].concat() {
            assert!(said.stderr.contains(part), "{method} {fault:?}: `{part}` is not in:\n{}", said.stderr);
        }
        sandbox.sealos(&["inspect", &format!("docker://{}", empty.name("to:v1"))]).refused(&["no image"]);
        if matches!(fault, Fault::CutRequest(_) | Fault::CorruptRequest(_)) {
            let blob = format!("http://{}/v2/to/blobs/{layer}", host(&empty));
            let status =
                crate::peers::say("curl", &["-sI", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", &blob]);
            assert_eq!(status, "404", "{fault:?}");
        }
    }
}

#[test]
fn a_push_survives_what_is_temporary() {
    let (registry, want, _) = filled();
    let sandbox = holding(&registry);
    let answer = |status| Fault::Answer(status, "Retry-After: 0\r\n".to_owned(), "");
    for (method, path, fault) in [
        ("PUT", "digest=", Fault::CutRequest(100_000)),
        ("PUT", "digest=", answer("503 Service Unavailable")),
        ("PUT", "digest=", answer("413 Content Too Large")),
        // A token that ended meanwhile.
        ("PUT", "digest=", answer("401 Unauthorized")),
        ("POST", "/blobs/uploads/", answer("429 Too Many Requests")),
        ("HEAD", "/blobs/", answer("500 Internal Server Error")),
        ("PUT", "/manifests/", answer("502 Bad Gateway")),
    ] {
        let empty = Registry::plain();
        let proxy = Faulty::before(&host(&empty), method, path, 1, fault.clone());
        let said = sandbox.sealos(&[&["push", "-q", "app:v1", &proxy.name("to:v1")], &PATIENCE[..]].concat());
        assert_eq!((said.code, said.stdout.trim()), (Some(0), want.as_str()), "{method} {fault:?}: {}", said.stderr);
        validate(&empty.name("to:v1"));
    }
}

#[test]
fn who_wants_us_to_wait_is_waited_for_but_not_for_ever() {
    let (registry, want, layer) = filled();
    let wait = |seconds: &str| Fault::Answer("429 Too Many Requests", format!("Retry-After: {seconds}\r\n"), "");
    let (sandbox, proxy) = (Sandbox::new(), Faulty::before(&host(&registry), "GET", &layer, 1, wait("2")));
    let begun = Instant::now();
    sandbox.sealos(&[&["pull", "-q", &proxy.name("app:v1")], &PATIENCE[..]].concat()).fine();
    assert!(begun.elapsed().as_secs() >= 2, "nobody waited");
    assert_eq!(digest(&sandbox, &proxy.name("app:v1")), want);
    let (sandbox, proxy) = (Sandbox::new(), Faulty::before(&host(&registry), "GET", &layer, ALWAYS, wait("86400")));
    let said = sandbox.sealos(&[&["pull", &proxy.name("app:v1")], &PATIENCE[..]].concat());
    said.refused(&["too many requests", "86400 s", "log in"]);
    assert_eq!(proxy.seen().iter().filter(|head| head.contains(&layer)).count(), 1, "it was asked again");
}

#[test]
fn a_mirror_that_stalls_lies_or_is_not_there_is_left_for_the_next_one() {
    let (registry, want, layer) = filled();
    let blob = format!("/blobs/{layer}");
    let stalling = Faulty::before(&host(&registry), "GET", &blob, ALWAYS, Fault::Stall(1_000_000));
    let lying = Faulty::before(&host(&registry), "GET", &blob, ALWAYS, Fault::Corrupt(2_000_000));
    let next = Faulty::before(&host(&registry), "GET", "", 0, Fault::Cut(0));
    for (first, said_to_user) in [
        (stalling.host(), "no byte came for 10 s"),
        (lying.host(), "wrong bytes"),
        (format!("127.0.0.1:{}", crate::registry::free_port()), "going on with"),
    ] {
        let sandbox = Sandbox::new();
        let conf = format!(
            "[[registry]]\nlocation = 'hub.example/team'\n[[registry.mirror]]\nlocation = '{first}'\ninsecure = true\n[[registry.mirror]]\nlocation = '{}'\ninsecure = true\n",
            next.host()
        );
        std::fs::write(sandbox.path("registries.conf"), conf).unwrap();
        let said = sandbox.sealos(&["pull", "--registries-conf", "registries.conf", "hub.example/team/app:v1"]);
        assert!(said.stderr.contains(said_to_user), "{first}: {}", said.stderr);
        said.fine();
        assert_eq!(digest(&sandbox, "hub.example/team/app:v1"), want, "{first}");
    }
    // What had come before it stalled does not come again.
    let seen = next.seen();
    let ranges: Vec<&String> = seen.iter().filter(|head| head.to_lowercase().contains("\nrange: bytes=")).collect();
    assert_eq!(ranges.len(), 1, "{seen:?}");
    assert!(ranges[0].contains(&layer), "{seen:?}");
}

#[test]
fn warnings_of_registries_are_shown_once() {
    let (registry, ..) = filled();
    let warning = Fault::Header("Warning", r#"299 - "this repository moves in May""#.to_owned());
    let (sandbox, proxy) = (Sandbox::new(), Faulty::before(&host(&registry), "GET", "/v2/app", ALWAYS, warning));
    let said = sandbox.sealos(&["pull", &proxy.name("app:v1")]);
    assert_eq!(said.stderr.matches("says: this repository moves in May").count(), 1, "{}", said.stderr);
    said.fine();
}

#[test]
fn transfers_keep_to_the_rate() {
    let (registry, ..) = filled();
    let begun = Instant::now();
    Sandbox::new().sealos(&["pull", "-q", "--limit-rate", "1M", &registry.name("app:v1")]).fine();
    assert!(begun.elapsed().as_secs() >= 2, "3 MB came in {:?}", begun.elapsed());
}

#[test]
fn pieces_of_an_upload_are_as_small_as_a_proxy_wants_and_as_large_as_the_registry_wants() {
    let (registry, want, _) = filled();
    let sandbox = holding(&registry);
    // The registry says what it takes when the upload begins, and the proxy refuses what is larger than it likes.
    for (least, most) in [(0, 600_000), (2_000_000, 2_500_000)] {
        let empty = Registry::plain();
        let says = Fault::Header("OCI-Chunk-Min-Length", least.to_string());
        let registry = Faulty::before(&host(&empty), "POST", "/blobs/uploads/", ALWAYS, says);
        let proxy = Faulty::before(&registry.host(), "P", "_state=", ALWAYS, Fault::TooLarge(most));
        let said = sandbox.sealos(&["push", "-q", "--retry", "0", "app:v1", &proxy.name("to:v1")]);
        assert_eq!((said.code, said.stdout.trim()), (Some(0), want.as_str()), "{least}: {}", said.stderr);
        validate(&empty.name("to:v1"));
        let pieces: Vec<usize> = registry.seen().iter().filter_map(|head| range(head)).collect();
        let [pieces @ .., last] = &pieces.into_iter().filter(|length| *length > 10_000).collect::<Vec<_>>()[..] else {
            panic!("there are no pieces")
        };
        assert!(!pieces.is_empty(), "{least}: there is one piece");
        assert!(pieces.iter().chain([last]).all(|length| *length <= most), "{least}: {pieces:?} {last}");
        assert!(pieces.iter().all(|length| *length >= least), "{least}: {pieces:?} {last}");
        assert!(pieces.iter().chain([last]).sum::<usize>() >= LAYER, "{least}: {pieces:?} {last}");
    }
    // What takes nothing at all is given up.
    let (empty, sandbox) = (Registry::plain(), holding(&registry));
    let proxy = Faulty::before(&host(&empty), "P", "_state=", ALWAYS, Fault::TooLarge(300_000));
    let said = sandbox.sealos(&["push", "--retry", "0", "app:v1", &proxy.name("to:v1")]);
    said.refused(&["answered 413", "client_max_body_size"]);
}

/// The bytes that a piece of an upload has, as its head says.
fn range(head: &str) -> Option<usize> {
    let line = head.lines().find(|line| line.to_lowercase().starts_with("content-range:"))?;
    let (first, last) = line.split_once(':')?.1.trim().split_once('-')?;
    Some(last.parse::<usize>().ok()? + 1 - first.parse::<usize>().ok()?)
}
