//! Killed or interrupted in the middle, and a disk that is full: the same command goes on afterwards.

use std::fs;
use std::process::{Command, Stdio};

use crate::own::Own;
use crate::peers::{digest, digest_at, validate};
use crate::registry::Registry;
use crate::sandbox::bounded::Killed;
use crate::sandbox::{Bounded, Said, Sandbox, noise, run, waited};
use crate::wire::{Relay, wait_until};

/// Bytes of the layer that is interrupted.
const LAYER: usize = 48_000_000;
/// What may travel twice, and everything around the layer.
const TWICE: u64 = 20_000_000;

/// A registry with `big:v1`, an image of one large layer, and its digest.
fn big() -> (Registry, String) {
    let registry = Registry::plain();
    registry.publish("big:v1", "FROM scratch\nCOPY a /\n", &[("a", &noise(LAYER, 1))], &[]);
    let digest = digest_at(&format!("docker://{}", registry.name("big:v1")));
    (registry, digest)
}

#[test]
fn a_killed_pull_goes_on_where_it_ended() {
    let (registry, want) = big();
    let (sandbox, relay) = (Sandbox::new(), Relay::to(registry.name("").trim_end_matches('/')));
    let name = relay.name("big:v1");
    for part in [1, 2] {
        killed(&sandbox, &["pull", "-q", &name], || relay.down() > part * LAYER as u64 / 3);
        sandbox.shows_nothing();
    }
    relay.hurry();
    sandbox.sealos(&["pull", "-q", &name]).fine();
    assert_eq!(digest(&sandbox, &name), want);
    assert!(relay.down() < LAYER as u64 + TWICE, "{} bytes came", relay.down());
}

/// Runs sealos and kills it in the middle: as soon as so much has moved.
fn killed(sandbox: &Sandbox, args: &[&str], is_far: impl FnMut() -> bool) {
    let _child = Killed(sandbox.start(args));
    wait_until("a part of it", is_far);
}

/// A sandbox with the large image under this name, and its digest.
fn pulled() -> (Sandbox, &'static str, String) {
    let (registry, want) = big();
    let sandbox = Sandbox::new();
    sandbox.sealos(&["pull", "-q", &registry.name("big:v1")]).fine();
    sandbox.sealos(&["tag", &registry.name("big:v1"), "big:v1"]).fine();
    (sandbox, "big:v1", want)
}

#[test]
fn a_killed_push_goes_on_where_it_ended() {
    let (sandbox, image, want) = pulled();
    let own = Own::new();
    let relay = Relay::to(own.host());
    let to = relay.name("pushed/big:v1");
    for part in [1, 2] {
        killed(&sandbox, &["push", "-q", image, &to], || relay.up() > part * LAYER as u64 / 3);
    }
    relay.hurry();
    assert_eq!(sandbox.sealos(&["push", "-q", image, &to]).fine().trim(), want);
    validate(&own.name("pushed/big:v1"));
    assert!(relay.up() < LAYER as u64 + TWICE, "{} bytes went", relay.up());
}

/// Docker's registry forgets an upload whose request broke, but not one whose sender ended it.
#[test]
fn an_interrupted_push_ends_with_130_and_goes_on_where_it_ended() {
    let (sandbox, image, want) = pulled();
    let registry = Registry::plain();
    let relay = Relay::to(registry.name("").trim_end_matches('/'));
    let to = relay.name("pushed/big:v1");
    for (part, signal) in [(1, "-INT"), (2, "-TERM")] {
        let mut child = sandbox.command(&["push", "-q", image, &to]).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("a part of it", || relay.up() > part * LAYER as u64 / 3);
        run("kill", &[signal, &child.id().to_string()]);
        wait_until("the end of it", || child.try_wait().unwrap().is_some());
        let said = Said::from(waited(child));
        assert_eq!((said.code, said.stdout.as_str()), (Some(130), ""), "{}", said.stderr);
        assert!(said.stderr.contains("the same command goes on where it ended"), "{}", said.stderr);
    }
    relay.hurry();
    assert_eq!(sandbox.sealos(&["push", "-q", image, &to]).fine().trim(), want);
    validate(&registry.name("pushed/big:v1"));
    assert!(relay.up() < LAYER as u64 + TWICE, "{} bytes went", relay.up());
}

#[test]
fn a_killed_push_to_dockers_registry_can_be_repeated() {
    let (sandbox, image, want) = pulled();
    let registry = Registry::plain();
    let relay = Relay::to(registry.name("").trim_end_matches('/'));
    let to = relay.name("pushed/big:v1");
    killed(&sandbox, &["push", "-q", image, &to], || relay.up() > LAYER as u64 / 3);
    sandbox.sealos(&["inspect", &format!("docker://{}", registry.name("pushed/big:v1"))]).refused(&["no image"]);
    relay.hurry();
    assert_eq!(sandbox.sealos(&["push", "-q", image, &to]).fine().trim(), want);
    validate(&registry.name("pushed/big:v1"));
}

#[test]
fn a_killed_copy_into_a_file_goes_on_where_it_ended() {
    let (registry, want) = big();
    for (target, file) in
        [("oci-archive:out.tar:v1", "out.tar"), ("dir:out.dir", "out.dir"), ("oci:out:v1", "out/index.json")]
    {
        let (sandbox, relay) = (Sandbox::new(), Relay::to(registry.name("").trim_end_matches('/')));
        let source = format!("docker://{}", relay.name("big:v1"));
        let args = ["copy", "-q", &source, target];
        killed(&sandbox, &args, || relay.down() > LAYER as u64 / 2);
        let is_whole = sandbox.path(file).exists() && file != "out/index.json";
        assert!(!is_whole, "{target} looks whole");
        relay.hurry();
        assert_eq!(sandbox.sealos(&args).fine().trim(), want, "{target}");
        let (transport, rest) = target.split_once(':').unwrap();
        assert_eq!(digest_at(&format!("{transport}:{}", sandbox.at(rest))), want);
        assert!(relay.down() < LAYER as u64 + TWICE, "{target}: {} bytes came", relay.down());
        sandbox.shows_nothing();
    }
}

#[test]
fn a_full_disk_is_named_and_after_it_was_freed_the_pull_goes_on() {
    let registry = Registry::plain();
    registry.publish("big:v1", "FROM scratch\nCOPY a /\n", &[("a", &noise(12_000_000, 1))], &[]);
    let (sandbox, name) = (Sandbox::new(), registry.name("big:v1"));
    let store = sandbox.path("store");
    fs::create_dir(&store).unwrap();
    let mount = |options: &str| {
        let args = ["-t", "tmpfs", "-o", options, "tmpfs"];
        assert!(
            Command::new("mount").args(args).arg(&store).bounded().unwrap().status.success(),
            "the test needs root"
        );
    };
    struct Mounted<'a>(&'a std::path::Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            assert!(Command::new("umount").arg(self.0).bounded().unwrap().status.success());
        }
    }
    mount("size=8m");
    let mounted = Mounted(&store);
    let said = sandbox.sealos(&["pull", &name]);
    said.refused(&["No space left", "free some space"]);
    sandbox.shows_nothing();
    let more = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&store).bounded().unwrap().status;
    assert!(more.success());
    sandbox.sealos(&["pull", "-q", &name]).fine();
    assert_eq!(digest(&sandbox, &name), digest_at(&format!("docker://{name}")));
    drop(mounted);
}
