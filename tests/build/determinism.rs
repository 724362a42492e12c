//! The same inputs give the same bytes.

use std::fs;
use std::time::{Duration, SystemTime};

use sealos::build::{CacheUse, build};

use super::support::Lab;

const KUBEFILE: &str = "FROM scratch\nCOPY . /\nWORKDIR /w\nADD x /y\nENV A=b\nLABEL l=m n=o\nCMD [\"x\"]\n";

fn filled(names: &[&str]) -> Lab {
    let lab = Lab::new();
    for name in names {
        lab.file(name, format!("content of {name}"));
        let file = fs::File::options().write(true).open(lab.context().join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(names.len() as u64 * 1000)).unwrap();
    }
    lab
}

#[test]
fn order_times_and_stores_do_not_matter() {
    let one = filled(&["x", "a/b", "a/c", "z"]);
    let other = filled(&["z", "a/c", "extra", "a/b", "x"]);
    fs::remove_file(other.context().join("extra")).unwrap();
    let (one, other) = (one.build(KUBEFILE).unwrap(), other.build(KUBEFILE).unwrap());
    assert_eq!(one.outcome, other.outcome);
    assert!(one.layers.iter().flatten().all(|(entry, _)| entry.mtime == 0 && entry.uid == 0 && entry.gid == 0));
}

#[test]
fn the_build_s_time_is_everywhere() {
    let lab = filled(&["x"]);
    let built = lab.build_with(KUBEFILE, |request| request.timestamp = Some(86_400)).unwrap();
    assert!(built.layers.iter().flatten().all(|(entry, _)| entry.mtime == 86_400));
    assert_eq!(built.config().created.as_deref(), Some("1970-01-02T00:00:00Z"));
    assert!(built.config().history.iter().all(|step| step.created.as_deref() == Some("1970-01-02T00:00:00Z")));
    let mut world = lab.world();
    world.environment.insert("SOURCE_DATE_EPOCH".to_owned(), "86400".to_owned());
    assert_eq!(build(&lab.request(), &world).unwrap(), built.outcome);
    world.environment.insert("SOURCE_DATE_EPOCH".to_owned(), "yesterday".to_owned());
    assert!(build(&lab.request(), &world).is_err());
}

#[test]
fn the_cache_and_threads_do_not_change_the_result() {
    let lab = filled(&["x", "a/b"]);
    let first = lab.build(KUBEFILE).unwrap().outcome;
    let again = lab.build(KUBEFILE).unwrap().outcome;
    let anew = lab.build_with(KUBEFILE, |request| {
        request.cache = CacheUse::Ignore;
        request.threads = 1;
    });
    assert_eq!(first, again);
    assert_eq!(first, anew.unwrap().outcome);
}
