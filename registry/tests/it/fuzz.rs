//! Names, digests, ranges, header fields and manifests that nobody in their right mind would send: every request is
//! answered, none with a failure of the registry's own, and nothing is written outside of its directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use oci::Digest;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use registry::backend::Distribution;
use registry::options::ServeOptions;
use registry::service::Registry;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::server::Server;

/// What the specification allows as codes, and what other registries say where it has none.
const CODES: [&str; 17] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "TAG_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
    "UNKNOWN",
    "RANGE_INVALID",
];

/// A registry in a directory of its own, with a file beside it that nobody may get at.
struct Target {
    parent: tempfile::TempDir,
    server: Server,
}

impl Target {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("secret"), "a secret beside the registry").unwrap();
        let tree = Distribution::open(&parent.path().join("root")).unwrap();
        // Begun uploads are not ended here.
        let options = ServeOptions { upload_sessions: usize::MAX, ..ServeOptions::default() };
        let server = Server::with(Registry::new(Arc::new(tree), options));
        Client::new(&server.address).push_image("a", "v1", &blob()).unwrap();
        Self { parent, server }
    }

    /// What lies where it should not.
    fn strangers(&self) -> Vec<String> {
        let listed = |path: &Path| -> BTreeSet<String> {
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut found = Vec::new();
        for (path, allowed) in [
            ("", &["root", "secret"][..]),
            ("root", &["docker"]),
            ("root/docker", &["registry"]),
            ("root/docker/registry", &["v2", "sealos"]),
            ("root/docker/registry/v2", &["blobs", "repositories"]),
            ("root/docker/registry/v2/blobs", &["sha256", "sha512"]),
            ("root/docker/registry/sealos", &["locks", "aliases", "quarantine"]),
        ] {
            let inside = listed(&self.parent.path().join(path));
            found.extend(
                inside.iter().filter(|name| !allowed.contains(&name.as_str())).map(|name| format!("{path}/{name}")),
            );
        }
        if fs::read(self.parent.path().join("secret")).unwrap() != b"a secret beside the registry" {
            found.push("the secret was written to".to_owned());
        }
        found
    }
}

fn blob() -> Vec<u8> {
    (0..2048_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect()
}

/// A request without its body's length.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// One of the words, or something that looks like one.
fn like(words: &'static [&'static str], noise: &'static str) -> BoxedStrategy<String> {
    prop_oneof![2 => proptest::sample::select(words).prop_map(str::to_owned), 1 => noise].boxed()
}

fn name() -> BoxedStrategy<String> {
    let odd = &[
        "a",
        "a/b",
        "library/a",
        "docker.io/library/a",
        "localhost_5000/a",
        "a__b",
        "a--b",
        "a.b",
        "..",
        "a/..",
        "../../secret",
        "%2e%2e",
        "%2e%2e/%2e%2e/secret",
        "a/%2e%2e%2f%2e%2e%2fsecret",
        "_a",
        "a_",
        "A",
        "a//b",
        "/a",
        "a/",
        "",
        ".",
        "a%00b",
        "a%0d%0ab",
        "%c3%a4",
        "%ff",
        "a/_uploads/x",
        "a/_manifests/tags",
        "v2",
        "blobs/uploads",
        "manifests",
    ];
    prop_oneof![3 => like(odd, "[a-zA-Z0-9/._%~-]{0,40}"), 1 => "[a-z]{1,4}(/[a-z]{1,60}){0,8}"].boxed()
}

fn digest() -> BoxedStrategy<String> {
    prop_oneof![
        Just(Digest::of(&blob()).to_string()),
        Just(Digest::of(b"{}").to_string()),
        "sha256:[0-9a-f]{64}",
        "sha256:[0-9a-fA-F]{62,66}",
        "sha512:[0-9a-f]{128}",
        "sha512:[0-9a-f]{127,129}",
        "(sha256|sha384|md5|blake3|sha256\\+b64|..)(:|%3a|::)[0-9a-z./%]{0,70}",
        "sha256:(\\.\\./){1,9}secret",
        "sha256:%2e%2e%2f%2e%2e%2fsecret",
    ]
    .boxed()
}

fn tag() -> BoxedStrategy<String> {
    like(
        &["v1", "latest", "..", ".v1", "_", "-", "", "v1%00", "%2e%2e", "v1/", "current/link"],
        "[a-zA-Z0-9._%-]{0,140}",
    )
}

fn query() -> BoxedStrategy<String> {
    let keys =
        &["n", "last", "digest", "mount", "from", "tag", "ns", "artifactType", "digest-algorithm", "_state", "x"];
    let value = prop_oneof![
        "[ -~&&[^#\\\\ ]]{0,20}",
        digest(),
        name(),
        tag(),
        proptest::sample::select(&["0", "-1", "1", "18446744073709551616", "1e9", "sha256", "sha512", "docker.io"][..])
            .prop_map(str::to_owned),
    ];
    let pair = (like(keys, "[a-z%]{0,6}"), value).prop_map(|(key, value)| format!("{key}={value}"));
    proptest::collection::vec(pair, 0..4).prop_map(|pairs| pairs.join("&")).boxed()
}

fn target() -> BoxedStrategy<String> {
    let path = prop_oneof![
        (name(), prop_oneof![tag(), digest()])
            .prop_map(|(name, reference)| format!("/v2/{name}/manifests/{reference}")),
        (name(), digest()).prop_map(|(name, digest)| format!("/v2/{name}/blobs/{digest}")),
        (name(), digest()).prop_map(|(name, digest)| format!("/v2/{name}/referrers/{digest}")),
        name().prop_map(|name| format!("/v2/{name}/blobs/uploads/")),
        (name(), "[0-9a-f.%/-]{0,40}").prop_map(|(name, id)| format!("/v2/{name}/blobs/uploads/{id}")),
        name().prop_map(|name| format!("/v2/{name}/tags/list")),
        Just("/v2/_catalog".to_owned()),
        Just("/v2/_oci/ext/discover".to_owned()),
        "/[!-~&&[^#?\\\\]]{0,60}",
    ];
    (path, query())
        .prop_map(|(path, query)| if query.is_empty() { path } else { format!("{path}?{query}") })
        .prop_map(|target| target.replace(' ', "%20"))
        .boxed()
}

fn range() -> BoxedStrategy<String> {
    let number = || like(&["0", "1", "500", "2047", "2048", "99999999999999999999999", "-1", "", " 3"], "[0-9]{0,5}");
    let one = (number(), number()).prop_map(|(first, last)| format!("{first}-{last}"));
    let several = proptest::collection::vec(one, 1..4).prop_map(|parts| format!("bytes={}", parts.join(",")));
    prop_oneof![4 => several, 1 => "[!-~]{0,30}", 1 => "bytes[ =:][ -~]{0,20}"].boxed()
}

fn field() -> BoxedStrategy<(String, String)> {
    let visible = "[!-~][ -~]{0,60}";
    prop_oneof![
        (Just("Range".to_owned()), range()),
        (Just("Content-Range".to_owned()), prop_oneof![range(), "[0-9]{0,4}-[0-9]{0,4}(/[0-9*]{0,4})?".boxed()]),
        (
            Just("If-None-Match".to_owned()),
            prop_oneof![visible.boxed(), digest().prop_map(|text| format!("\"{text}\""))]
        ),
        (Just("If-Range".to_owned()), visible.boxed()),
        (Just("Accept".to_owned()), visible.boxed()),
        (Just("Authorization".to_owned()), like(&["Basic", "Basic YTpi", "Bearer x.y.z", "Basic ===="], visible)),
        (Just("Content-Type".to_owned()), media_type()),
        (Just("User-Agent".to_owned()), "[\\x21-\\xff]{0,80}".boxed()),
        (Just("Cookie".to_owned()), visible.boxed()),
        ("X-[A-Za-z0-9-]{1,20}", visible).boxed(),
    ]
    .boxed()
}

fn media_type() -> BoxedStrategy<String> {
    like(
        &[
            oci::MediaType::OCI_MANIFEST,
            oci::MediaType::OCI_INDEX,
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "application/vnd.oci.artifact.manifest.v1+json",
            "application/json; charset=utf-8",
        ],
        "[a-z]{0,8}/[!-~]{0,20}",
    )
}

/// Any JSON, with the words of manifests in it.
fn document() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        Just(json!(2)),
        ".{0,20}".prop_map(Value::from),
        digest().prop_map(Value::from),
        media_type().prop_map(Value::from),
    ];
    let keys = &[
        "schemaVersion",
        "mediaType",
        "config",
        "layers",
        "manifests",
        "subject",
        "artifactType",
        "annotations",
        "digest",
        "size",
        "data",
        "urls",
        "platform",
        "blobs",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((like(keys, ".{0,6}"), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
    .boxed()
}

/// A manifest in which some things are right.
fn manifest() -> BoxedStrategy<Vec<u8>> {
    let known = || {
        let right = json!({"mediaType": oci::MediaType::OCI_LAYER, "digest": Digest::of(&blob()), "size": 2048});
        prop_oneof![2 => Just(right), 1 => document()]
    };
    let list = || prop_oneof![2 => proptest::collection::vec(known(), 0..4).prop_map(Value::from), 1 => document()];
    let whole = (known(), list(), list(), known(), media_type(), document(), any::<u8>()).prop_map(
        |(config, layers, manifests, subject, media_type, annotations, which)| {
            let all = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers,
                "manifests": manifests, "subject": subject, "artifactType": "x", "annotations": annotations});
            let Value::Object(mut fields) = all else { return Vec::new() };
            let mut bit = 0;
            fields.retain(|_, _| {
                bit += 1;
                which & (1 << (bit - 1)) != 0
            });
            serde_json::to_vec(&fields).unwrap()
        },
    );
    let cut = whole.clone().prop_flat_map(|bytes| (0..=bytes.len()).prop_map(move |end| bytes[..end].to_vec()));
    prop_oneof![
        4 => whole,
        1 => cut,
        1 => document().prop_map(|value| value.to_string().into_bytes()),
        1 => Just(b"[".repeat(20_000)),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
    ]
    .boxed()
}

fn asked() -> BoxedStrategy<Asked> {
    let method = like(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], "[A-Z]{1,8}");
    let fields = proptest::collection::vec(field(), 0..4);
    let body = prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(any::<u8>(), 0..300), 1 => manifest()];
    (method, target(), fields, body)
        .prop_map(|(method, target, fields, body)| Asked { method, target, fields, body })
        .boxed()
}

/// What is wrong with an answer.
fn complaint(asked: &Asked, answer: &Answer) -> Option<String> {
    let Answer { status, body, .. } = answer;
    if *status >= 500 {
        return Some(format!("{status}: {}", answer.text()));
    }
    if body.windows(8).any(|part| part == b"a secret") {
        return Some("the secret".to_owned());
    }
    if *status < 400 || asked.method == "HEAD" {
        return None;
    }
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        return Some(format!("{status} without a document: {}", answer.text()));
    };
    let errors = document["errors"].as_array().filter(|errors| !errors.is_empty());
    let is_said = errors.is_some_and(|errors| {
        errors.iter().all(|error| {
            let code = error["code"].as_str().unwrap_or_default();
            CODES.contains(&code) && error["message"].as_str().is_some_and(|message| !message.is_empty())
        })
    });
    (!is_said).then(|| format!("{status}: {document}"))
}

/// Runs a property so many times, in the same way every time.
fn check<T: std::fmt::Debug>(cases: u32, strategy: &BoxedStrategy<T>, property: impl Fn(T) -> Result<(), String>) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let seed = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, seed);
    let run = runner.run(strategy, |value| property(value).map_err(TestCaseError::fail));
    run.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_request_is_answered_and_nothing_leaves_the_directory() {
    let target = Target::new();
    let strategy = proptest::collection::vec(asked(), 1..6).boxed();
    check(1500, &strategy, |all| {
        let mut client = Client::new(&target.server.address);
        for asked in &all {
            let fields: Vec<(&str, &str)> =
                asked.fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let answer = client.ask(&asked.method, &asked.target, &fields, &asked.body);
            let answer = answer.ok_or_else(|| format!("no answer to {asked:?}"))?;
            if let Some(complaint) = complaint(asked, &answer) {
                return Err(format!("{complaint}\n{asked:?}"));
            }
        }
        Ok(())
    });
    assert_eq!(target.strangers(), Vec::<String>::new());
    crate::client::is_whole(&target.server.address, "a", "v1").unwrap();
}

#[test]
fn a_manifest_is_taken_whole_or_refused_with_a_reason() {
    let target = Target::new();
    let strategy = (manifest(), media_type(), tag()).boxed();
    check(1500, &strategy, |(body, media_type, tag)| {
        let mut client = Client::new(&target.server.address);
        let path = format!("/v2/a/manifests/{tag}");
        let asked = Asked { method: "PUT".to_owned(), target: path.clone(), fields: Vec::new(), body };
        let fields = [("Content-Type", media_type.as_str())];
        let answer = client.ask("PUT", &path, &fields, &asked.body).ok_or("no answer")?;
        if let Some(complaint) = complaint(&asked, &answer) {
            return Err(complaint);
        }
        if answer.status == 201 {
            let got = Client::new(&target.server.address).get(&path);
            let digest = Digest::of(&asked.body).to_string();
            if got.body != asked.body || got.header("docker-content-digest") != Some(&digest) {
                return Err(format!("it came back as {} {}", got.head, got.text()));
            }
            // What refers to something is among its referrers, whatever it is.
            if let Some(subject) = answer.header("oci-subject") {
                let list = Client::new(&target.server.address).get(&format!("/v2/a/referrers/{subject}"));
                if list.status != 200 || !list.text().contains(&digest) {
                    return Err(format!("not among the referrers of {subject}: {} {}", list.status, list.text()));
                }
            }
        }
        Ok(())
    });
    let mut client = Client::new(&target.server.address);
    assert_eq!(client.get("/v2/a/tags/list").status, 200);
    assert_eq!(target.strangers(), Vec::<String>::new());
}

#[test]
fn a_range_is_answered_with_that_range_or_not_at_all() {
    let target = Target::new();
    let whole = blob();
    let path = format!("/v2/a/blobs/{}", Digest::of(&whole));
    check(1500, &range(), |range| {
        let mut client = Client::new(&target.server.address);
        let answer = client.ask("GET", &path, &[("Range", range.as_str())], b"").ok_or("no answer")?;
        let is_right = match answer.status {
            200 => answer.body == whole,
            206 => {
                let said = answer.header("content-range").and_then(|text| text.strip_prefix("bytes "));
                let (part, size) = said.and_then(|text| text.split_once('/')).ok_or("no range in the answer")?;
                let (first, last) = part.split_once('-').ok_or("no range in the answer")?;
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                size == "2048" && whole.get(first..=last) == Some(&answer.body[..])
            }
            416 => answer.header("content-range") == Some("bytes */2048"),
            _ => false,
        };
        if is_right { Ok(()) } else { Err(format!("{range}: {}", answer.head)) }
    });
    for (range, status) in [
        ("bytes=500-1499", 206),
        ("bytes=500-", 206),
        ("bytes=-500", 206),
        ("bytes=2000-5000", 206),
        ("bytes=500-0", 416),
        ("bytes=5000-10000", 416),
    ] {
        let answer = Client::new(&target.server.address).ask("GET", &path, &[("Range", range)], b"").unwrap();
        assert_eq!(answer.status, status, "{range}");
    }
}
