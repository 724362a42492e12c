//! Commands killed in the middle and repeated, and commands that run at once.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::sandbox::{Bounded, Sandbox, ended, noise};

/// Kills a command after each of some pauses; whether at least one was alive to be killed.
fn kill_at(sandbox: &Sandbox, args: &[&str], pauses: &[u64]) -> bool {
    let mut killed = false;
    for pause in pauses {
        let mut child = sandbox.start(args);
        std::thread::sleep(Duration::from_millis(*pause));
        killed |= child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    killed
}

const PAUSES: [u64; 8] = [3, 10, 20, 40, 70, 110, 160, 250];

#[test]
fn a_killed_build_is_repeated() {
    let sandbox = Sandbox::new();
    let context = sandbox.context(
        "app",
        "FROM scratch\nCOPY a /\nCOPY b /\n",
        &[("a", &noise(40_000_000, 1)), ("b", &noise(40_000_000, 2))],
    );
    let args = ["build", "-q", "-t", "app:v1", &context];
    assert!(kill_at(&sandbox, &args, &PAUSES), "no build was slow enough to be killed");
    let id = sandbox.sealos(&args).fine();
    let clean = Sandbox::new();
    assert_eq!(clean.sealos(&args).fine(), id, "the killed builds left no trace in the image");
    sandbox.sealos(&["save", "-q", "-o", &sandbox.at("app.tar"), "app:v1"]).fine();
    sandbox.sealos(&["prune"]).fine();
    sandbox.sealos(&["save", "-q", "-o", &sandbox.at("app.tar"), "app:v1"]).fine();
}

#[test]
fn a_killed_save_leaves_the_old_file_and_is_repeated() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY a /\n", &[("a", &noise(60_000_000, 1))]);
    sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    let file = sandbox.at("app.tar");
    let args = ["save", "-q", "-o", &file, "app:v1"];
    fs::write(&file, "the old file").unwrap();
    for pause in PAUSES {
        let mut child = sandbox.start(&args);
        std::thread::sleep(Duration::from_millis(pause / 3));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        let bytes = fs::read(&file).unwrap();
        assert!(bytes == b"the old file" || ended.success() || bytes.len() > 60_000_000, "a half file is visible");
    }
    sandbox.sealos(&args).fine();
    sandbox.sealos(&["rmi", "app:v1"]).fine();
    sandbox.sealos(&["prune", "--all"]).fine();
    assert!(sandbox.sealos(&["load", "-i", &file]).fine().contains("app:v1"));
    let left: Vec<_> = fs::read_dir(sandbox.root()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("tmp")), "{left:?}");
}

#[test]
fn a_killed_load_leaves_nothing_visible_and_is_repeated() {
    let sandbox = Sandbox::new();
    let context = sandbox.context(
        "app",
        "FROM scratch\nCOPY a /\nCOPY b /\n",
        &[("a", &noise(40_000_000, 1)), ("b", &noise(40_000_000, 2))],
    );
    sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    let file = sandbox.at("app.tar");
    sandbox.sealos(&["save", "-q", "-o", &file, "app:v1"]).fine();
    sandbox.sealos(&["rmi", "app:v1"]).fine();
    sandbox.sealos(&["prune", "--all"]).fine();
    let args = ["load", "-q", "-i", &file];
    assert!(kill_at(&sandbox, &args, &PAUSES[..6]), "no load was slow enough to be killed");
    let names = sandbox.sealos(&["images", "--format", "{{.Repository}}"]).fine();
    assert!(names.trim().is_empty() || names.trim() == "app", "{names}");
    assert!(sandbox.sealos(&args).fine().contains("app:v1"));
    sandbox.sealos(&["save", "-q", "-o", &sandbox.at("again.tar"), "app:v1"]).fine();
    assert!(
        fs::read(&file).unwrap() == fs::read(sandbox.at("again.tar")).unwrap(),
        "what was loaded is what was saved"
    );
}

#[test]
fn two_builds_and_a_prune_at_once_lose_nothing() {
    let sandbox = Sandbox::new();
    let contexts: Vec<String> = (0..2u64)
        .map(|n| {
            let files = [("a", noise(3_000_000, n)), ("shared", noise(2_000_000, 9))];
            let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
            sandbox.context(&format!("c{n}"), "FROM scratch\nCOPY shared /\nCOPY a /\n", &files)
        })
        .collect();
    for round in 0..12 {
        let tags: Vec<String> = (0..2).map(|n| format!("app{n}:v{round}")).collect();
        let mut children: Vec<_> =
            (0..2).map(|n| sandbox.start(&["build", "-q", "--no-cache", "-t", &tags[n], &contexts[n]])).collect();
        let prunes: Vec<_> = (0..4)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(15));
                sandbox.start(&["prune"])
            })
            .collect();
        for mut child in children.drain(..).chain(prunes) {
            assert!(ended(&mut child).success(), "round {round}");
        }
        for tag in &tags {
            sandbox.sealos(&["save", "-q", "-o", &sandbox.at("out.tar"), tag]).fine();
            sandbox.sealos(&["rmi", tag]).fine();
        }
    }
}

#[test]
fn an_interrupted_build_exits_with_130() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY a /\n", &[("a", &noise(150_000_000, 1))]);
    // Whoever runs the tests may have SIGINT ignored, which children inherit.
    let mut child = std::process::Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_sealos"), "--root", &sandbox.at("store")])
        .args(["build", "-q", "-t", "app:v1", &context])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(150));
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).bounded().unwrap().status;
    assert!(sent.success(), "the build had ended already");
    let status = ended(&mut child);
    // A shell shows death by SIGINT as 130.
    assert!(status.code() == Some(130) || status.signal() == Some(2), "{status}");
    assert_eq!(sandbox.sealos(&["images", "-q"]).fine().trim(), "");
}
