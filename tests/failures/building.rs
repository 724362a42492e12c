//! Builds that cannot succeed, and say why.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::sandbox::{Bounded, Sandbox, noise};

#[test]
fn mistakes_in_a_kubefile_are_shown_where_they_are() {
    for (kubefile, parts) in [
        ("FROM scratch\nCOYP . /\n", &["Kubefile:2", "COYP . /", "^", "did you mean `COPY`"][..]),
        ("FROM scratch\nCOPY --chwon=1 . /\n", &["Kubefile:2", "--chown"]),
        ("FROM scratch\nLABEL a=\"b\n", &["Kubefile:2"]),
        ("COPY . /\n", &["Kubefile:1", "FROM"]),
        ("FROM scratch\nRUN <<EOF\necho\n", &["Kubefile:2", "EOF"]),
        ("FROM scratch AS a\nFROM scratch AS a\n", &["Kubefile:2", "`a`"]),
        ("FROM scratch\nCOPY --from=nowhere /a /b\n", &["nowhere"]),
        ("FROM scratch\nCOPY --from=0 /a /b\n", &["Kubefile:2", "stage", "`0`"]),
        ("FROM scratch\nCOPY missing /\n", &["Kubefile:2", "missing"]),
        ("FROM scratch\nCOPY ../outside /\n", &["outside"]),
        ("FROM no-such-image:v1\nCOPY . /\n", &["no-such-image:v1"]),
    ] {
        let sandbox = Sandbox::new();
        fs::write(sandbox.path("outside"), "secret").unwrap();
        let context = sandbox.context("app", kubefile, &[]);
        let said = sandbox.sealos(&["build", "-t", "app:v1", "--pull=never", &context]);
        said.refused(parts);
        assert_eq!(said.stdout, "", "{kubefile}");
        assert_eq!(sandbox.sealos(&["images", "-q"]).fine().trim(), "", "{kubefile}");
    }
}

#[test]
fn a_symlink_does_not_lead_out_of_the_context() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("outside")).unwrap();
    fs::write(sandbox.path("outside/secret"), "hunter2").unwrap();
    let context = sandbox.context("app", "FROM scratch\nCOPY link/secret /\n", &[]);
    symlink("../outside", sandbox.path("app/link")).unwrap();
    sandbox.sealos(&["build", "-t", "app:v1", &context]).refused(&["link"]);
    symlink("/etc/passwd", sandbox.path("app/absolute")).unwrap();
    let context = sandbox.context("app", "FROM scratch\nCOPY absolute/x /\n", &[]);
    sandbox.sealos(&["build", "-t", "app:v1", &context]).refused(&["absolute"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY . /\n", &[("locked", b"x")]);
    fs::set_permissions(sandbox.path("app/locked"), fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything; nobody does not.
    for path in ["", "app"] {
        fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let binary = sandbox.path("sealos");
    fs::copy(env!("CARGO_BIN_EXE_sealos"), &binary).unwrap();
    let store = tempfile::tempdir().unwrap();
    fs::set_permissions(store.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let output = Command::new("runuser")
        .args(["-u", "nobody", "--"])
        .arg(&binary)
        .arg("--root")
        .arg(store.path().join("store"))
        .args(["build", "-t", "app:v1", &context])
        .bounded()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("locked") && stderr.to_lowercase().contains("permission denied"), "{stderr}");
}

#[test]
fn a_file_that_grows_while_it_is_read_does_not_slip_in() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY data /\n", &[("data", &noise(30_000_000, 1))]);
    let path = sandbox.path("app/data");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        let mut length = 30_000_000;
        while !flag.load(std::sync::atomic::Ordering::SeqCst) {
            length = if length == 30_000_000 { 20_000_000 } else { 30_000_000 };
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        }
    });
    let mut refused = 0;
    for _ in 0..10 {
        let said = sandbox.sealos(&["build", "-q", "--no-cache", "-t", "app:v1", &context]);
        if said.code != Some(0) {
            said.refused(&["data"]);
            refused += 1;
        }
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    writer.join().unwrap();
    assert!(refused > 0, "ten builds of a file that changes all the time, and none noticed");
}

#[test]
fn a_full_disk_is_said_and_leaves_the_store_usable() {
    let sandbox = Sandbox::new();
    let mount = sandbox.path("small");
    fs::create_dir(&mount).unwrap();
    let status =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&mount).bounded().unwrap().status;
    assert!(status.success(), "the test needs root to mount a small tmpfs");
    let context = sandbox.context("big", "FROM scratch\nCOPY data /\n", &[("data", &noise(20_000_000, 1))]);
    let small = sandbox.context("little", "FROM scratch\nCOPY data /\n", &[("data", b"little")]);
    let store = mount.join("store");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sealos")).arg("--root").arg(&store).args(args).bounded().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let big = run(&["build", "-t", "app:v1", &context]);
    let images = run(&["images", "-q"]);
    let pruned = run(&["prune"]);
    let little = run(&["build", "-q", "-t", "app:v2", &small]);
    let unmounted = Command::new("umount").arg(&mount).bounded().unwrap().status;
    assert!(unmounted.success());
    assert_eq!(big.0, Some(1), "{}", big.1);
    assert!(big.1.contains("No space left on device") && big.1.contains("sealos prune"), "{}", big.1);
    assert_eq!((images.0, images.1.trim()), (Some(0), ""));
    assert_eq!(pruned.0, Some(0), "{}", pruned.1);
    assert_eq!(little.0, Some(0), "{}", little.1);
}

#[test]
fn a_wrong_command_line_is_two() {
    let sandbox = Sandbox::new();
    for args in [&["build", "--no-such-flag"][..], &["no-such-command"], &["tag", "only-one"], &["save"]] {
        assert_eq!(sandbox.sealos(args).code, Some(2), "{args:?}");
    }
}

#[test]
fn a_store_that_one_may_only_read_can_be_read() {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", "FROM scratch\nCOPY data /\n", &[("data", b"x")]);
    sandbox.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
    fs::set_permissions(sandbox.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = sandbox.path("sealos");
    fs::copy(env!("CARGO_BIN_EXE_sealos"), &binary).unwrap();
    for args in [&["images"][..], &["inspect", "app:v1"], &["history", "app:v1"], &["save", "app:v1"]] {
        let output = Command::new("runuser")
            .args(["-u", "nobody", "--"])
            .arg(&binary)
            .arg("--root")
            .arg(sandbox.path("store"))
            .args(args)
            .bounded()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        assert!(!output.stdout.is_empty(), "{args:?}");
    }
}
