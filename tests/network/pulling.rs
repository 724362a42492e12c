//! Base images and images to run that only a registry has.

use crate::registry::Registry;
use crate::sandbox::{Sandbox, text};

#[test]
fn a_base_image_is_pulled_once_and_built_upon() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    registry.publish_text("team/base:v1", "from the registry");
    let base = registry.name("team/base:v1");
    let context = sandbox.context("app", &format!("FROM {base}\nCOPY own /\n"), &[("own", b"mine")]);
    let out = sandbox.at("out");

    sandbox.sealos(&["build", "-t", "app:v1", "--pull=never", &context]).refused(&[&base, "--pull never"]);
    sandbox.shows_nothing();
    let first = sandbox.build(&[&context]);
    assert_eq!((text(&out, "base").as_str(), text(&out, "own").as_str()), ("from the registry", "mine"));
    assert!(sandbox.sealos(&["images"]).fine().contains("team/base"), "the base has its name in the store");

    drop(registry);
    assert_eq!(sandbox.build(&[&context]), first);
    sandbox.sealos(&["build", "-q", "-t", "app:v1", "--no-cache", "--pull=never", &context]).fine();
    sandbox.sealos(&["build", "-t", "app:v1", "--pull=always", &context]).refused(&["cannot pull", &base]);
}

#[test]
fn a_tag_that_moved_is_seen_when_it_is_asked_for() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    registry.publish_text("team/base:v1", "old");
    let context = sandbox.context("app", &format!("FROM {}\n", registry.name("team/base:v1")), &[]);
    let out = sandbox.at("out");
    let build = |pull: &str| {
        sandbox.build(&[pull, &context]);
        text(&out, "base")
    };
    assert_eq!(build("--pull=missing"), "old");
    registry.publish_text("team/base:v1", "new");
    assert_eq!(build("--pull=missing"), "old");
    assert_eq!(build("--pull=always"), "new");
    assert_eq!(build("--pull=never"), "new");
    registry.publish_text("team/base:v1", "newest");
    assert_eq!(build("--pull"), "newest");
}

#[test]
fn an_image_that_nobody_has_is_named() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let absent = registry.name("team/absent:v1");
    let context = sandbox.context("app", &format!("FROM {absent}\n"), &[]);
    sandbox.sealos(&["build", "-t", "app:v1", &context]).refused(&["cannot pull", &absent]);
    sandbox.sealos(&["run", &absent]).refused(&["cannot pull", &absent]);
    sandbox.shows_nothing();
    assert!(!sandbox.path("data").exists());
}

#[test]
fn run_pulls_what_is_missing() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let kubefile = "FROM scratch\nCOPY base /\nCMD [\"cat base\"]\n";
    registry.publish("app:v1", kubefile, &[("base", b"it runs\n")], &[]);
    let name = registry.name("app:v1");
    assert_eq!(sandbox.sealos(&["run", &name]).fine(), format!("{name}: it runs\n"));
    assert!(sandbox.sealos(&["images"]).fine().contains("/app"), "it has its name in the store");
    drop(registry);
    assert_eq!(sandbox.sealos(&["run", "--force", &name]).fine(), format!("{name}: it runs\n"));
}

#[test]
fn run_does_not_ask_registries_for_what_is_no_name() {
    let sandbox = Sandbox::new();
    for text in ["./absent.tar", "/absent", "Absent:v1"] {
        sandbox.sealos(&["run", text]).refused(&["the store", text]);
    }
}
