//! Collecting garbage, scrubbing, and being killed: nothing that was acknowledged is lost.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oci::Digest;
use registry::backend::{Collected, Distribution, GcOptions, Leftovers, Pruning, Untagged};
use registry::options::ServeOptions;
use registry::service::Registry;

use crate::client::{Client, is_whole};
use crate::deadline::{Killed, race};
use crate::server::Server;

const NOW: GcOptions = GcOptions {
    grace: Duration::ZERO,
    pruning: Pruning::Remove,
    untagged: Untagged::Keep,
    leftovers: Leftovers::Older(Duration::from_secs(3600)),
    keep: None,
};

fn blob_path(directory: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    directory.join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
}

/// Waits until everything that was written so far is older than the cutoff of a collection without grace.
fn age() {
    std::thread::sleep(Duration::from_millis(150));
}

#[test]
fn what_no_manifest_needs_goes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Arc::new(Distribution::open(directory.path()).unwrap());
    let server = Server::with(Registry::new(Arc::clone(&tree) as _, ServeOptions::default()));
    let mut client = Client::new(&server.address);
    client.push_image("a", "stays", b"needed").unwrap();
    client.push_image("a", "goes", b"not needed").unwrap();
    let (lone, _) = client.push_blob("a", b"of no image").unwrap();
    assert_eq!(client.ask("DELETE", "/v2/a/manifests/goes", &[], b"").unwrap().status, 202);
    age();
    let dry = tree.collect(&GcOptions { pruning: Pruning::DryRun, ..NOW }, &mut |_| ()).unwrap();
    assert_eq!((dry.blobs, dry.bytes), (1, 11), "an untagged manifest keeps what it needs");
    assert!(blob_path(directory.path(), &lone).exists(), "a dry run removes nothing");
    assert_eq!(tree.collect(&NOW, &mut |_| ()).unwrap(), Collected { links: 1, ..dry });
    assert!(!blob_path(directory.path(), &lone).exists());
    assert_eq!(client.get(&format!("/v2/a/blobs/{lone}")).status, 404);
    let untagged = tree.collect(&GcOptions { untagged: Untagged::Remove, ..NOW }, &mut |_| ()).unwrap();
    assert_eq!((untagged.manifests, untagged.blobs), (1, 2), "the manifest and its layer");
    is_whole(&server.address, "a", "stays").unwrap();
    let grace = GcOptions { grace: Duration::from_secs(3600), ..NOW };
    client.push_blob("a", b"of no image").unwrap();
    assert_eq!(tree.collect(&grace, &mut |_| ()).unwrap(), Collected::default(), "what is young stays");
    assert_eq!(tree.collect(&GcOptions { keep: Some(0), ..grace }, &mut |_| ()).unwrap().tags, 0);
    age();
    assert_eq!(tree.collect(&GcOptions { keep: Some(0), ..NOW }, &mut |_| ()).unwrap().tags, 1);
}

#[test]
fn what_has_just_begun_or_been_pushed_again_stays() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Arc::new(Distribution::open(directory.path()).unwrap());
    let server = Server::with(Registry::new(Arc::clone(&tree) as _, ServeOptions::default()));
    let mut client = Client::new(&server.address);
    client.push_image("a", "first", b"one").unwrap();
    age();
    client.push_image("a", "second", b"two").unwrap();
    age();
    client.push_image("a", "first", b"one").unwrap();
    age();
    // An upload whose files are about to be made.
    let begun =
        directory.path().join("docker/registry/v2/repositories/a/_uploads/0f4b2a3c-0000-4000-8000-000000000000");
    fs::create_dir_all(&begun).unwrap();
    let at_once = GcOptions { leftovers: Leftovers::Older(Duration::ZERO), ..NOW };
    assert_eq!(tree.collect(&at_once, &mut |_| ()).unwrap().uploads, 0);
    assert!(begun.exists());
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    fs::write(begun.join("data"), b"half").unwrap();
    for path in [begun.join("data"), begun.clone()] {
        fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
    }
    let collected = tree.collect(&NOW, &mut |_| ()).unwrap();
    assert_eq!((collected.uploads, collected.bytes), (1, 4), "what was given up goes");
    assert!(!begun.exists());
    // The first tag is the newer one, though its image is not.
    assert_eq!(tree.collect(&GcOptions { keep: Some(1), ..NOW }, &mut |_| ()).unwrap().tags, 1);
    is_whole(&server.address, "a", "first").unwrap();
    assert!(is_whole(&server.address, "a", "second").is_err());
}

/// A tag that is pushed while it, or what it pointed at, is deleted ends up as one of the two, and no request fails.
#[test]
fn pushes_and_deletes_of_the_same_tag_do_not_disturb_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Arc::new(Distribution::open(directory.path()).unwrap());
    let server = Server::with(Registry::new(Arc::clone(&tree) as _, ServeOptions::default()));
    let address = &server.address;
    let (doomed, _) = Client::new(address).push_image("a", "doomed", b"doomed").unwrap();
    for round in 0..40 {
        // The tag points at what is deleted, or at nothing.
        Client::new(address).push_image("a", "t", b"doomed").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (_, status) = Client::new(address).push_image("a", "t", format!("new {round}").as_bytes()).unwrap();
                assert_eq!(status, 201, "{round}");
            });
            scope.spawn(|| {
                let target = format!("/v2/a/manifests/{doomed}");
                assert_eq!(Client::new(address).ask("DELETE", &target, &[], b"").unwrap().status, 202, "{round}");
            });
        });
        // Whichever came first, the push was not a push of what was deleted.
        is_whole(address, "a", "t").unwrap_or_else(|error| panic!("{round}: {error}"));
        std::thread::scope(|scope| {
            for number in 0..2 {
                scope.spawn(move || {
                    let layer = format!("new {number}");
                    let (_, status) = Client::new(address).push_image("a", "u", layer.as_bytes()).unwrap();
                    assert_eq!(status, 201, "{round}");
                });
                scope.spawn(|| {
                    let deleted = Client::new(address).ask("DELETE", "/v2/a/manifests/u", &[], b"").unwrap();
                    assert!(matches!(deleted.status, 202 | 404), "{round}: {}", deleted.text());
                });
            }
        });
    }
}

#[test]
fn referrers_stay_with_what_they_refer_to() {
    let tree = Arc::new(Distribution::in_memory());
    let server = Server::with(Registry::new(Arc::clone(&tree) as _, ServeOptions::default()));
    let mut client = Client::new(&server.address);
    let (subject, _) = client.push_image("a", "v1", b"layer").unwrap();
    let (config, _) = client.push_blob("a", b"{}").unwrap();
    let text = serde_json::json!({
        "schemaVersion": 2, "mediaType": oci::MediaType::OCI_MANIFEST, "artifactType": "application/x.signature",
        "config": { "mediaType": oci::MediaType::OCI_EMPTY, "digest": config, "size": 2 }, "layers": [],
        "subject": { "mediaType": oci::MediaType::OCI_MANIFEST, "digest": subject, "size": 1 },
    })
    .to_string();
    let signature = Digest::of(text.as_bytes());
    let target = format!("/v2/a/manifests/{signature}");
    let put = client.ask("PUT", &target, &[("Content-Type", oci::MediaType::OCI_MANIFEST)], text.as_bytes()).unwrap();
    assert_eq!((put.status, put.header("oci-subject")), (201, Some(subject.to_string().as_str())));
    age();
    let options = GcOptions { untagged: Untagged::Remove, ..NOW };
    assert_eq!(tree.collect(&options, &mut |_| ()).unwrap().manifests, 0);
    assert!(client.get(&format!("/v2/a/referrers/{subject}")).text().contains(&signature.to_string()));
    client.ask("DELETE", "/v2/a/manifests/v1", &[], b"").unwrap();
    assert_eq!(tree.collect(&options, &mut |_| ()).unwrap().manifests, 2);
    assert!(!client.get(&format!("/v2/a/referrers/{subject}")).text().contains(&signature.to_string()));
}

#[test]
fn damaged_blobs_are_put_aside_and_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Arc::new(Distribution::open(directory.path()).unwrap());
    let server = Server::with(Registry::new(Arc::clone(&tree) as _, ServeOptions::default()));
    let mut client = Client::new(&server.address);
    client.push_image("a", "v1", b"a layer that will be damaged").unwrap();
    let layer = Digest::of(b"a layer that will be damaged");
    assert_eq!(tree.scrub(None, &mut |_| ()).unwrap().corrupt, []);
    fs::write(blob_path(directory.path(), &layer), b"a layer that has been damaged").unwrap();
    assert_eq!(tree.scrub(None, &mut |_| ()).unwrap().corrupt, [layer]);
    assert_eq!(client.get(&format!("/v2/a/blobs/{layer}")).status, 404, "wrong bytes are not served");
    let wrong =
        |_: &Digest, _: &[registry::names::Name]| Ok(Box::new(&b"something else"[..]) as Box<dyn std::io::Read>);
    let scrubbed = tree.scrub(Some(&wrong), &mut |_| ()).unwrap();
    assert_eq!((scrubbed.repaired.len(), scrubbed.odd.len()), (0, 1), "{scrubbed:?}");
    let right = |digest: &Digest, names: &[registry::names::Name]| {
        assert_eq!((*digest, names[0].as_str()), (layer, "a"));
        Ok(Box::new(&b"a layer that will be damaged"[..]) as Box<dyn std::io::Read>)
    };
    assert_eq!(tree.scrub(Some(&right), &mut |_| ()).unwrap().repaired, [layer]);
    is_whole(&server.address, "a", "v1").unwrap();
}

/// Raises a flag when it is dropped, by a panic too.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Pushes, deletes, collects and scrubs at once. `SEALOS_RACE_SECONDS` makes it longer.
#[test]
fn images_stay_whole_while_garbage_is_collected() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Arc::new(Distribution::open(directory.path()).unwrap());
    let server = Server::with(Registry::new(Arc::clone(&tree) as _, ServeOptions::default()));
    let (address, over, pushed) = (&server.address, AtomicBool::new(false), AtomicU64::new(0));
    let end = Instant::now() + race();
    std::thread::scope(|scope| {
        for pusher in 0..3 {
            let (over, pushed) = (&over, &pushed);
            scope.spawn(move || {
                let mut client = Client::new(address);
                for round in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    // Few different layers, so that what is deleted by one is pushed by another.
                    let layer = format!("layer {}", round % 5);
                    let tag = format!("{pusher}-{}", round % 7);
                    let (_, status) = client.push_image("race/a", &tag, layer.as_bytes()).unwrap();
                    // A blob may have gone between its push and its manifest; then the push fails and says so.
                    assert!(matches!(status, 201 | 400), "{status}");
                    if status == 201 {
                        pushed.fetch_add(1, Ordering::Relaxed);
                        is_whole(address, "race/a", &tag).unwrap();
                    }
                    if round % 3 == 2 {
                        client.ask("DELETE", &format!("/v2/race/a/manifests/{tag}"), &[], b"").unwrap();
                    }
                }
            });
        }
        scope.spawn(|| {
            // Whatever happens here, the others end, and so does the test.
            let _over = Raise(&over);
            while Instant::now() < end {
                tree.collect(&GcOptions { untagged: Untagged::Remove, ..NOW }, &mut |_| ()).unwrap();
                assert_eq!(tree.scrub(None, &mut |_| ()).unwrap().corrupt, []);
            }
        });
    });
    assert!(pushed.load(Ordering::Relaxed) > 10);
    let mut client = Client::new(address);
    let tags: serde_json::Value = serde_json::from_str(&client.get("/v2/race/a/tags/list").text()).unwrap();
    for tag in tags["tags"].as_array().unwrap() {
        is_whole(address, "race/a", tag.as_str().unwrap()).unwrap();
    }
}

/// The process that is killed: this test program itself, told by a variable to be a registry.
#[test]
fn an_acknowledged_push_survives_being_killed() {
    if let Some(directory) = std::env::var_os("SEALOS_TEST_REGISTRY") {
        let server = Server::with(Registry::new(
            Arc::new(Distribution::open(Path::new(&directory)).unwrap()),
            ServeOptions::default(),
        ));
        println!("address {}", server.address);
        std::thread::sleep(crate::deadline::LONG);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(String, Digest)> = Vec::new();
    for round in 0u64..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "keeping::an_acknowledged_push_survives_being_killed"])
            .env("SEALOS_TEST_REGISTRY", directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let mut child = Killed::new(child);
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("address ").map(|(_, address)| address.to_owned()));
        let address = address.unwrap();
        for (tag, digest) in &acknowledged {
            is_whole(&address, "kill/a", tag).unwrap();
            assert_eq!(
                Client::new(&address).get(&format!("/v2/kill/a/manifests/{tag}")).header("docker-content-digest"),
                Some(digest.to_string().as_str())
            );
        }
        // The moments differ from round to round, and begin with the first push that was acknowledged.
        let (begun, begins) = std::sync::mpsc::channel();
        let killer = std::thread::spawn(move || {
            begins.recv_timeout(crate::deadline::LONG).ok();
            std::thread::sleep(Duration::from_millis(40 + round * 37));
            child.kill();
            child.wait()
        });
        let mut client = Client::new(&address);
        for number in 0.. {
            let tag = format!("{round}-{number}");
            let layer = vec![u8::try_from(number % 251).unwrap(); 200_000 + number];
            match client.push_image("kill/a", &tag, &layer) {
                Some((digest, 201)) => {
                    acknowledged.push((tag, digest));
                    begun.send(()).ok();
                }
                Some((_, status)) => panic!("{tag}: {status}"),
                None => break,
            }
        }
        assert_eq!(killer.join().unwrap().signal(), Some(9));
    }
    assert!(!acknowledged.is_empty());
    // What lies there without a name is either whole or no blob.
    let tree = Distribution::open(directory.path()).unwrap();
    assert_eq!(tree.scrub(None, &mut |_| ()).unwrap().corrupt, []);
}
