//! What is found again, and what must not be.

use std::fs;
use std::time::{Duration, SystemTime};

use sealos::build::CacheUse;

use super::support::{Lab, name};

const KUBEFILE: &str = "FROM scratch\nCOPY a /a\nCOPY b /b\n";

fn sample() -> Lab {
    let lab = Lab::new();
    lab.file("a", "1").file("b", "2");
    lab
}

#[test]
fn an_unchanged_build_is_found_again() {
    let lab = sample();
    for (what, want) in [("first", (0, 2)), ("second", (2, 2))] {
        lab.build(KUBEFILE).unwrap();
        assert_eq!(lab.cached(), want, "{what}");
    }
    lab.build_with(KUBEFILE, |request| request.cache = CacheUse::Ignore).unwrap();
    assert_eq!(lab.cached(), (0, 2), "--no-cache");
}

#[test]
fn a_fresh_checkout_is_found_by_its_contents() {
    let lab = sample();
    let first = lab.build(KUBEFILE).unwrap().outcome;
    lab.cached();
    for name in ["a", "b"] {
        let content = fs::read(lab.context().join(name)).unwrap();
        fs::remove_file(lab.context().join(name)).unwrap();
        lab.file(name, content);
        let file = fs::File::options().write(true).open(lab.context().join(name)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(77)).unwrap();
    }
    assert_eq!(lab.build(KUBEFILE).unwrap().outcome, first);
    assert_eq!(lab.cached(), (2, 2));
}

#[test]
fn changes_are_seen_even_those_that_hide() {
    let lab = sample();
    lab.build(KUBEFILE).unwrap();
    lab.cached();
    // Same size, same time, written at once: only the content differs.
    let path = lab.context().join("a");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "9").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let built = lab.build(KUBEFILE).unwrap();
    assert_eq!(built.plain(), ["a=9", "b=2"]);
    assert_eq!(lab.cached(), (1, 2));
    // And back again: the older variant is still known.
    fs::write(&path, "1").unwrap();
    lab.build(KUBEFILE).unwrap();
    assert_eq!(lab.cached(), (2, 2));
}

#[test]
fn settled_files_are_not_opened_again() {
    let lab = sample();
    // Old enough for times to be trusted.
    std::thread::sleep(Duration::from_millis(3_200));
    lab.build(KUBEFILE).unwrap();
    lab.cached();
    let accessed = |name: &str| fs::metadata(lab.context().join(name)).unwrap().accessed().unwrap();
    let before = (accessed("a"), accessed("b"));
    let built = lab.build(KUBEFILE).unwrap();
    assert_eq!(lab.cached(), (2, 2));
    assert_eq!(before, (accessed("a"), accessed("b")));
    assert_eq!(built.plain(), ["a=1", "b=2"]);
}

#[test]
fn a_record_without_its_blob_or_in_pieces_is_no_record() {
    let lab = sample();
    let built = lab.build(KUBEFILE).unwrap();
    lab.cached();
    fs::remove_file(lab.store.blob_path(&built.image.layers[0].descriptor.digest)).unwrap();
    assert_eq!(lab.build(KUBEFILE).unwrap().outcome, built.outcome);
    assert_eq!(lab.cached(), (1, 2), "a blob is gone");
    for record in fs::read_dir(lab.store.cache_dir().join("build")).unwrap() {
        fs::write(record.unwrap().path(), "{").unwrap();
    }
    assert_eq!(lab.build(KUBEFILE).unwrap().outcome, built.outcome);
    assert_eq!(lab.cached(), (0, 2), "records are in pieces");
}

#[test]
fn what_decides_about_a_layer_is_in_its_key() {
    let lab = sample();
    lab.build(KUBEFILE).unwrap();
    lab.cached();
    lab.build_with(KUBEFILE, |request| request.timestamp = Some(5)).unwrap();
    assert_eq!(lab.cached(), (0, 2), "timestamp");
    lab.build_with(KUBEFILE, |request| request.compression = Some(oci::Compression::Gzip)).unwrap();
    assert_eq!(lab.cached(), (0, 2), "compression");
    lab.build_with(KUBEFILE, |request| request.compression_level = Some(9)).unwrap();
    assert_eq!(lab.cached(), (0, 2), "level");
    lab.build("FROM scratch\nCOPY a /a\nCOPY --chmod=700 b /b\n").unwrap();
    assert_eq!(lab.cached(), (1, 2), "--chmod");
}

#[test]
fn two_builds_at_once_do_not_disturb_each_other() {
    let lab = sample();
    for number in 0..300 {
        lab.file(&format!("many/{number}"), number.to_string());
    }
    lab.file("Kubefile", "FROM scratch\nCOPY many /many\nCOPY a b /\n");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let store = lab.store.reopen().unwrap();
                    let world = sealos::build::World::offline(&store, &sealos::build::Unobserved);
                    sealos::build::build(&lab.request(), &world).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_was_done_before_a_failure_is_found_again() {
    let lab = sample();
    assert!(lab.build("FROM scratch\nCOPY a /a\nCOPY none /b\n").is_err());
    assert!(lab.store.records().unwrap().is_empty());
    lab.cached();
    lab.build(KUBEFILE).unwrap();
    assert_eq!(lab.cached(), (1, 2));
}

/// A web server that says that it was asked, and never answers.
struct Silent(std::path::PathBuf);

impl sealos::build::Fetch for Silent {
    fn fetch(&self, _url: &str) -> Result<sealos::build::Fetched, sealos::build::SeamError> {
        fs::write(&self.0, "asked").unwrap();
        loop {
            std::thread::park();
        }
    }
}

const VICTIM: &str = "BUILD_TEST_VICTIM";

#[test]
fn a_killed_build_leaves_nothing_visible_and_is_taken_up() {
    if let Some(place) = std::env::var_os(VICTIM).map(std::path::PathBuf::from) {
        let store = content::Disk::open(place.join("store")).unwrap();
        let silent = Silent(place.join("asked"));
        let mut world = sealos::build::World::offline(&store, &sealos::build::Unobserved);
        world.fetch = &silent;
        let context = sealos::build::ContextPlace::Directory(place.join("context"));
        let mut request = sealos::build::BuildRequest::new(context);
        request.tags = vec!["killed:v1".parse().unwrap()];
        unreachable!("{:?}", sealos::build::build(&request, &world));
    }
    let lab = sample();
    lab.file("Kubefile", "FROM scratch\nCOPY a /a\nADD https://x.example/f /f\n");
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache::a_killed_build_leaves_nothing_visible_and_is_taken_up"])
        .env(VICTIM, lab.place.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let asked = lab.place.path().join("asked");
    for _ in 0..600 {
        if asked.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(asked.exists(), "the build came to its second step");
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(lab.store.records().unwrap().is_empty());
    lab.build(KUBEFILE).unwrap();
    assert_eq!(lab.cached(), (1, 2));
}

#[test]
fn a_linked_layer_is_the_same_on_every_base() {
    let lab = sample();
    lab.file("dir/sub/f", "F");
    lab.link("dir/l", "sub");
    let kubefile = "FROM base\nCOPY --link a /etc/a\nCOPY --link --from=tools /dir /lib/d\nADD --link b /lib/b\n";
    lab.build_with("FROM scratch\nCOPY dir /dir\n", |it| it.tags = vec![name("tools")]).unwrap();
    let mut layers = Vec::new();
    for base in
        ["COPY b /other", "COPY dir /usr\nCOPY dir /lib", "COPY a /lib\nCOPY a /etc/b", "COPY dir/l /etc\nCOPY b /b"]
    {
        lab.build_with(&format!("FROM scratch\n{base}\n"), |it| it.tags = vec![name("base")]).unwrap();
        lab.cached();
        let built = lab.build(kubefile).unwrap();
        let own: Vec<_> = built.image.layers.iter().rev().take(3).map(|layer| layer.descriptor.digest).collect();
        let found = lab.cached().0;
        assert_eq!(found, if layers.is_empty() { 0 } else { 3 }, "{base}");
        layers.push(own);
        let files = built.files();
        let got = ["etc", "etc/a", "lib", "lib/b", "lib/d/sub/f", "lib/d/l"].map(|path| files[path].as_str());
        assert_eq!(got, ["/", "1", "/", "2", "F", "-> sub"], "{base}");
    }
    assert!(layers.windows(2).all(|pair| pair[0] == pair[1]), "{layers:?}");
}
