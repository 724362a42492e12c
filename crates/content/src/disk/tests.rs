//! The store on disk: promises, damage, garbage collection beside builders, killed processes.

use std::fs::{self, OpenOptions};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use oci::{Descriptor, Digest, MediaType, Reference};
use tempfile::TempDir;

use super::*;
use crate::child_process::Part;
use crate::kit::{self, Sample};
use crate::{CopyOptions, Memory, Silent, copy, fetch_document, store_bytes};

fn fresh() -> (TempDir, Disk) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::open(directory.path().join("store")).unwrap();
    (directory, disk)
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn fill(store: &dyn Sink, sample: &Sample) {
    copy(&sample.source, store, std::slice::from_ref(&sample.root), &CopyOptions::default(), &Silent).unwrap();
}

fn prune(store: &Disk, scope: PruneScope) -> Pruned {
    store.prune(scope, PruneMode::Delete, &Silent).unwrap()
}

#[test]
fn the_store_in_memory_keeps_its_promises() {
    kit::store(Memory::default).unwrap();
}

#[test]
fn the_store_on_disk_keeps_its_promises() {
    let directory = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU64::new(0);
    kit::store(|| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Disk::open(directory.path().join(number.to_string())).unwrap()
    })
    .unwrap();
}

#[test]
fn an_interrupted_upload_is_taken_up_where_it_ended() {
    let (_directory, disk) = fresh();
    let content = vec![7; 3 << 20];
    let what = Descriptor::of(MediaType::OCI_LAYER, &content);
    let mut first = Ingest::begin(&disk, Some(&what)).unwrap();
    first.take(&content[..2 << 20]).unwrap();
    drop(first);
    let mut second = Ingest::begin(&disk, Some(&what)).unwrap();
    assert_eq!(second.resume_at(), 2 << 20);
    second.take(&content[2 << 20..]).unwrap();
    second.commit().unwrap();
    assert_eq!(fs::read_dir(disk.ingest()).unwrap().count(), 0, "nothing is left in ingest/");
}

#[test]
fn a_damaged_interrupted_upload_is_fetched_again() {
    let (_directory, disk) = fresh();
    let source = Memory::default();
    let content = vec![9; 2 << 20];
    let what = Descriptor::of(MediaType::OCI_LAYER, &content);
    store_bytes(&source, &what, &content).unwrap();
    fs::write(disk.upload_path(&what.digest), vec![8; 1 << 20]).unwrap();
    let manifest = format!(r#"{{"schemaVersion":2,"config":{0},"layers":[]}}"#, serde_json::to_string(&what).unwrap());
    let root = Descriptor::of(MediaType::OCI_MANIFEST, manifest.as_bytes());
    source.publish(&root, manifest.as_bytes()).unwrap();
    copy(&source, &disk, &[root], &CopyOptions::default(), &Silent).unwrap();
    assert!(disk.has(&what).unwrap());
}

#[test]
fn the_second_of_two_that_store_a_blob_waits_and_finds_it() {
    let (_directory, disk) = fresh();
    let other = disk.reopen().unwrap();
    let content = vec![3; 1 << 20];
    let what = Descriptor::of(MediaType::OCI_LAYER, &content);
    let mut first = Ingest::begin(&disk, Some(&what)).unwrap();
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            let second = Ingest::begin(&other, Some(&what)).unwrap();
            let from = second.resume_at();
            second.commit().unwrap();
            from
        });
        thread::sleep(Duration::from_millis(100));
        assert!(!second.is_finished(), "it waits");
        first.take(&content).unwrap();
        first.commit().unwrap();
        assert_eq!(second.join().unwrap(), what.size, "it has nothing to fetch");
    });
}

#[test]
fn images_are_found_by_name_and_by_id() {
    let (_directory, disk) = fresh();
    let sample = Sample::new(20).unwrap();
    fill(&disk, &sample);
    disk.tag(&name("myapp:v1"), &sample.root).unwrap();
    disk.tag(&name("localhost/other:v2"), &sample.root).unwrap();
    let hex = sample.root.digest.hex();
    let config = sample.blobs[1].digest;
    for text in [
        "myapp:v1",
        "docker.io/library/myapp:v1",
        "other:v2",
        "localhost/other:v2",
        &hex,
        &hex[..12],
        &hex[..4],
        &sample.root.digest.to_string(),
        &config.hex()[..12],
        &format!("myapp@{}", sample.root.digest),
    ] {
        let found = disk.find(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(found.root.digest, sample.root.digest, "{text}");
    }
    let age = disk.find("myapp:v1").unwrap().added.elapsed().unwrap();
    assert!(age < Duration::from_secs(60), "{age:?}");
    for (text, similar) in [("myapp:v2", Some("myapp:v1")), (&hex[..3], None), ("redis", None)] {
        match disk.find(text) {
            Err(ContentError::UnknownImage { similar: got, .. }) => {
                assert_eq!(got.first().map(String::as_str), similar, "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn an_id_that_begins_two_images_is_ambiguous() {
    let (_directory, disk) = fresh();
    let mut by_prefix: std::collections::HashMap<String, Descriptor> = std::collections::HashMap::new();
    for number in 0_u32.. {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"n":"{number}"}}}}"#);
        let what = Descriptor::of(MediaType::OCI_INDEX, text.as_bytes());
        let prefix = what.digest.hex()[..4].to_owned();
        // `dead` parses as a name too, which is no reason not to find the id.
        if let Some(first) = by_prefix.insert(prefix.clone(), what.clone()) {
            let first_text = (0..number)
                .map(|n| format!(r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"n":"{n}"}}}}"#))
                .find(|text| Digest::of(text.as_bytes()) == first.digest)
                .unwrap();
            disk.publish(&first, first_text.as_bytes()).unwrap();
            disk.publish(&what, text.as_bytes()).unwrap();
            disk.add_root(&first).unwrap();
            disk.add_root(&what).unwrap();
            let error = disk.find(&prefix).unwrap_err();
            assert!(
                matches!(&error, ContentError::AmbiguousImage { candidates, .. } if candidates.len() == 2),
                "{error}"
            );
            return;
        }
    }
}

#[test]
fn the_store_is_a_layout_that_other_tools_read() {
    let (_directory, disk) = fresh();
    let sample = Sample::new(21).unwrap();
    fill(&disk, &sample);
    disk.tag(&name("myapp:v1"), &sample.root).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&fs::read(disk.root().join("index.json")).unwrap()).unwrap();
    let annotations = &index["manifests"][0]["annotations"];
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "myapp:v1");
    assert_eq!(annotations["io.containerd.image.name"], "docker.io/library/myapp:v1");
    let layout = crate::Layout::open(disk.root()).unwrap();
    kit::source(&layout, &sample).unwrap();
    assert_eq!(layout.resolve(&name("myapp:v1")).unwrap(), sample.root);
    let skopeo = Command::new("skopeo")
        .args(["inspect", "--raw"])
        .arg(format!("oci:{}:myapp:v1", disk.root().display()))
        .output()
        .expect("skopeo is installed (tests/run does it)");
    assert!(skopeo.status.success(), "{}", String::from_utf8_lossy(&skopeo.stderr));
}

#[test]
fn what_is_damaged_is_named() {
    let (directory, disk) = fresh();
    let sample = Sample::new(22).unwrap();
    fill(&disk, &sample);
    disk.tag(&name("a:1"), &sample.root).unwrap();
    let layer = &sample.blobs[2];
    fs::remove_file(disk.blob_path(&layer.digest)).unwrap();
    let error = copy(&disk, &Memory::default(), std::slice::from_ref(&sample.root), &CopyOptions::default(), &Silent)
        .unwrap_err();
    assert_eq!(error.to_string(), format!("the store {} lacks the blob {}", disk.root().display(), layer.digest));
    assert!(error.help().is_some());
    fs::write(disk.root().join("index.json"), "not JSON").unwrap();
    for error in [
        disk.resolve(&name("a:1")).unwrap_err(),
        disk.tag(&name("b:1"), &sample.root).unwrap_err(),
        disk.prune(PruneScope::Unreferenced, PruneMode::Delete, &Silent).unwrap_err(),
    ] {
        assert!(error.to_string().contains("is not a valid OCI image layout: index.json: "), "{error}");
    }
    assert!(disk.has(&sample.root).unwrap(), "pruning without a list removes nothing");
    let strange = directory.path().join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("letter.txt"), "mine").unwrap();
    let error = Disk::open(&strange).unwrap_err();
    assert!(error.to_string().contains("holds something else"), "{error}");
}

#[test]
fn pruning_keeps_what_is_needed_and_tells_what_it_removed() {
    let (_directory, disk) = fresh();
    let (kept, dangling, used) = (Sample::new(23).unwrap(), Sample::new(24).unwrap(), Sample::new(25).unwrap());
    for (sample, tag) in [(&kept, "kept:1"), (&dangling, "moved:1"), (&used, "used:1")] {
        fill(&disk, sample);
        disk.tag(&name(tag), &sample.root).unwrap();
    }
    disk.reopen().unwrap().untag(&name("moved:1")).unwrap();
    disk.mark_used(&used.root.digest, "cluster default").unwrap();
    fs::create_dir(disk.cache_dir().join("build")).unwrap();
    let record = |sample: &Sample| format!(r#"{{"layer":{}}}"#, serde_json::to_string(&sample.blobs[0]).unwrap());
    let records = [disk.cache_dir().join("build/a.json"), disk.cache_dir().join("build/b.json")];
    fs::write(&records[0], record(&dangling)).unwrap();
    fs::write(&records[1], record(&used)).unwrap();
    let root = disk.root().to_owned();
    let protected = disk.prune(PruneScope::Dangling, PruneMode::DryRun, &Silent).unwrap();
    assert_eq!((protected.images.len(), protected.blobs), (0, 0), "the handle still relies on everything");
    drop(disk);
    let disk = Disk::open(&root).unwrap();
    let announced = disk.prune(PruneScope::Dangling, PruneMode::DryRun, &Silent).unwrap();
    assert!(disk.blob_path(&dangling.root.digest).exists(), "a dry run touches nothing");
    let pruned = prune(&disk, PruneScope::Dangling);
    assert_eq!(announced, pruned);
    assert_eq!((pruned.images.len(), pruned.blobs, pruned.cache), (1, 8, 1), "{pruned:?}");
    let bytes: u64 = dangling.all().map(|what| what.size).sum();
    assert_eq!(pruned.bytes, bytes + record(&dangling).len() as u64);
    assert!(!records[0].exists() && records[1].exists());
    let pruned = prune(&disk, PruneScope::Unreferenced);
    assert_eq!(pruned.images.iter().map(|image| image.name.clone()).collect::<Vec<_>>(), [Some(name("kept:1"))]);
    assert_eq!(disk.resolve(&name("used:1")).unwrap(), used.root);
    kit::source(&disk, &used).unwrap();
    disk.unmark_used(&used.root.digest, "cluster default").unwrap();
    drop(disk);
    let disk = Disk::open(&root).unwrap();
    prune(&disk, PruneScope::Unreferenced);
    assert!(disk.blobs().unwrap().is_empty());
    assert!(!records[1].exists());
}

#[test]
fn an_image_can_be_removed_and_collected_by_the_handle_that_found_it() {
    let (_directory, disk) = fresh();
    let sample = Sample::new(28).unwrap();
    fill(&disk, &sample);
    disk.tag(&name("a:1"), &sample.root).unwrap();
    let remover = Disk::open(disk.root()).unwrap();
    drop(disk);
    remover.find("a:1").unwrap();
    assert_eq!(prune(&remover, PruneScope::Unreferenced).blobs, 0, "what was found is kept");
    remover.forget(&sample.root.digest).unwrap();
    assert_eq!(prune(&remover, PruneScope::Dangling).blobs, 8);
}

#[test]
fn what_dead_processes_left_is_removed_and_what_live_ones_use_is_not() {
    let (_directory, disk) = fresh();
    let live = disk.scratch("build").unwrap();
    fs::write(live.path().join("file"), "x").unwrap();
    let dead = disk.root().join("work/build-1-2/inner");
    fs::create_dir_all(&dead).unwrap();
    fs::write(dead.join("file"), "12345").unwrap();
    let locked_out = disk.root().join("work/build-1-2/none");
    fs::create_dir(&locked_out).unwrap();
    fs::set_permissions(&locked_out, std::os::unix::fs::PermissionsExt::from_mode(0o0)).unwrap();
    fs::write(disk.root().join("leases/1-1"), format!("{} -\n", Digest::of(b"x"))).unwrap();
    fs::write(disk.root().join("ingest/new-1-1"), "123").unwrap();
    let recent = disk.upload_path(&Digest::of(b"recent"));
    fs::write(&recent, "1").unwrap();
    let old = disk.upload_path(&Digest::of(b"old"));
    fs::write(&old, "1").unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(25 * 3600);
    OpenOptions::new().write(true).open(&old).unwrap().set_modified(yesterday).unwrap();
    let pruned = prune(&disk, PruneScope::Dangling);
    assert_eq!((pruned.uploads, pruned.scratch, pruned.bytes), (2, 1, 9), "{pruned:?}");
    assert!(live.path().join("file").exists() && recent.exists() && !old.exists());
    assert!(!disk.root().join("work/build-1-2").exists() && !disk.root().join("leases/1-1").exists());
    assert_eq!(prune(&disk, PruneScope::Unreferenced).uploads, 1);
    let path = live.path().to_owned();
    drop(live);
    assert!(!path.exists());
}

/// Builds images in a loop: what a `sealos build` or `pull` does with the store.
fn build(root: &Path, seed: u8, rounds: u32) {
    for round in 0..rounds {
        let store = Disk::open(root).unwrap();
        let sample = Sample::new(seed.wrapping_add((round % 5) as u8)).unwrap();
        copy(&sample.source, &store, std::slice::from_ref(&sample.root), &CopyOptions::default(), &Silent)
            .unwrap_or_else(|error| panic!("builder {seed}, round {round}: {error}"));
        let tag = name(&format!("loop/{seed}:v1"));
        store.tag(&tag, &sample.root).unwrap();
        for what in sample.all() {
            assert!(store.blob_path(&what.digest).exists(), "builder {seed}, round {round}: {} is lost", what.digest);
        }
        store.untag(&tag).unwrap();
        if round % 2 == 0 {
            store.forget(&sample.root.digest).unwrap();
        }
    }
}

const PART_STORE: &str = "CONTENT_TEST_BUILD_IN_STORE";
const PART_SEED: &str = "CONTENT_TEST_BUILD_SEED";

/// Starts a process that builds: the next test, which is told by variables that it is only that.
fn spawn(root: &Path, seed: u8) -> Part {
    let seed = seed.to_string();
    let variables = [(PART_STORE, root.as_os_str()), (PART_SEED, seed.as_ref())];
    Part::start("disk::tests::no_blob_is_lost_while_threads_and_processes_build_and_prune_at_once", &variables)
}

/// Ends a loop of another thread, also when this one fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_blob_is_lost_while_threads_and_processes_build_and_prune_at_once() {
    if let Some(root) = std::env::var_os(PART_STORE) {
        return build(root.as_ref(), std::env::var(PART_SEED).unwrap().parse().unwrap(), 12);
    }
    let (_directory, disk) = fresh();
    let root = disk.root().to_owned();
    let mut children = [spawn(&root, 40), spawn(&root, 42)];
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ends = Ends(&is_over);
        let pruner = scope.spawn(|| {
            let mut removed = 0;
            while !is_over.load(Ordering::Relaxed) {
                let scope = if removed % 2 == 0 { PruneScope::Dangling } else { PruneScope::Unreferenced };
                removed += Disk::open(&root).unwrap().prune(scope, PruneMode::Delete, &Silent).unwrap().blobs;
                thread::sleep(Duration::from_millis(2));
            }
            removed
        });
        let builders: Vec<_> = [40, 41]
            .map(|seed| {
                scope.spawn({
                    let root = &root;
                    move || build(root, seed, 12)
                })
            })
            .into();
        let builders: Vec<_> = builders.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let children: Vec<_> = children.iter_mut().map(Part::succeeds).collect();
        drop(ends);
        assert!(builders.iter().all(Result::is_ok) && children.iter().all(|is_ok| *is_ok), "{builders:?} {children:?}");
        assert!(pruner.join().unwrap() > 0, "the test is none if nothing was ever removed");
    });
    drop(disk);
    let disk = Disk::open(&root).unwrap();
    prune(&disk, PruneScope::Unreferenced);
    assert!(disk.blobs().unwrap().is_empty());
    assert_eq!(fs::read_dir(root.join("leases")).unwrap().count(), 0);
}

#[test]
fn a_killed_process_leaves_a_store_that_works() {
    let (_directory, disk) = fresh();
    let root = disk.root().to_owned();
    for round in 0..8_u64 {
        let mut child = spawn(&root, 60);
        thread::sleep(Duration::from_millis(10 + 23 * round));
        child.kill();
        for (digest, size) in disk.blobs().unwrap() {
            let what = Descriptor::new("x", digest, size);
            if size < 1 << 20 {
                fetch_document(&disk, &what).unwrap_or_else(|error| panic!("round {round}: {error}"));
            }
        }
        disk.records().unwrap();
        prune(&disk, PruneScope::Dangling);
    }
    build(&root, 60, 5);
}

#[test]
fn a_store_that_may_only_be_read_is_read() {
    let (_directory, disk) = fresh();
    let sample = Sample::new(26).unwrap();
    fill(&disk, &sample);
    disk.tag(&name("a:1"), &sample.root).unwrap();
    let reader = Disk { access: Access::Read, ..disk.reopen().unwrap() };
    assert_eq!(reader.resolve(&name("a:1")).unwrap(), sample.root);
    assert!(reader.has(&sample.root).unwrap());
    kit::source(&reader, &sample).unwrap();
    assert_eq!(reader.lease_path(), None, "nothing was written");
}
