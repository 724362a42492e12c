//! `pull`: from registries that others filled.

use serde_json::Value;

use crate::peers::{BOTH, digest, digest_at, other, published, say};
use crate::registry::Registry;
use crate::sandbox::Sandbox;

#[test]
fn several_names_are_pulled_at_once_and_their_ids_printed() {
    let (_, registry, one, both) = published();
    let sandbox = Sandbox::new();
    let (a, b) = (registry.name("team/one:v1"), registry.name("team/both:v1"));
    let said = sandbox.sealos(&["pull", &a, &b]);
    let host = oci::Platform::host();
    assert!(said.stderr.contains(&format!("pull {b} for {host}")), "{}", said.stderr);
    let ids = said.fine();
    let listed: Vec<String> = [&a, &b].map(|name| sandbox.sealos(&["inspect", "-f", "{{.Id}}", name]).fine()).to_vec();
    let listed: Vec<&str> = listed.iter().map(|id| id.trim().trim_start_matches("sha256:")).collect();
    assert_eq!(ids.lines().collect::<Vec<_>>(), listed);
    assert_eq!((digest(&sandbox, &a), digest(&sandbox, &b)), (one, both));
    for id in ids.lines() {
        sandbox.sealos(&["inspect", id]).fine();
    }

    drop(registry);
    let again = sandbox.sealos(&["pull", "--json", &a]);
    assert!(again.stderr.contains("in the store already"), "{}", again.stderr);
    let rows: Value = serde_json::from_str(&again.fine()).unwrap();
    assert_eq!((rows[0]["name"].as_str(), rows[0]["pulled"].as_bool()), (Some(a.as_str()), Some(false)));
    let quiet = sandbox.sealos(&["pull", "-q", &a]);
    assert_eq!((quiet.stderr.as_str(), quiet.stdout.lines().next()), ("", ids.lines().next()));
}

#[test]
fn the_policy_says_when_the_registry_is_asked() {
    let (sandbox, registry) = (Sandbox::new(), Registry::plain());
    let name = registry.name("team/moving:v1");
    registry.publish_text("team/moving:v1", "old");
    sandbox.sealos(&["pull", "--policy", "never", &name]).refused(&[&name, "no registry may be asked"]);
    sandbox.sealos(&["pull", &name]).fine();
    let old = digest(&sandbox, &name);
    registry.publish_text("team/moving:v1", "new");
    for (policy, moves) in [("missing", false), ("never", false), ("ifnewer", true), ("always", true)] {
        sandbox.sealos(&["pull", "--policy", policy, &name]).fine();
        assert_eq!(digest(&sandbox, &name) != old, moves, "{policy}");
    }
    drop(registry);
    let retry = ["--retry", "0"];
    let newer = sandbox.sealos(&[&["pull", "--policy", "ifnewer", &name][..], &retry].concat());
    assert!(newer.stderr.contains("the image in the store is used"), "{}", newer.stderr);
    newer.fine();
    let always = sandbox.sealos(&[&["pull", "--policy", "always", &name][..], &retry].concat());
    always.refused(&["cannot pull", &name]);
}

#[test]
fn only_the_platforms_asked_for_come_and_together_they_are_the_index() {
    let (_, registry, _, both) = published();
    let (name, host, other) = (registry.name("team/both:v1"), oci::Platform::host().to_string(), other());
    let sandbox = Sandbox::new();
    sandbox.sealos(&["pull", "--platform", "linux/s390x", &name]).refused(&[&name, "linux/s390x", &host, &other]);
    sandbox.is_empty();

    sandbox.sealos(&["pull", &name]).fine();
    assert_eq!(digest(&sandbox, &name), both, "the name means what it means in the registry");
    let push =
        |args: &[&str], to: &str| sandbox.sealos(&[&["push", "-q"], args, &[&name, &registry.name(to)]].concat());
    let part = push(&[], "part/both:v1").fine();
    assert_ne!(part.trim(), both);
    push(&["--all"], "part/both:all").refused(&["not whole", &other]);

    sandbox.sealos(&["pull", "--platform", &other, &name]).fine();
    assert_eq!(push(&["--all"], "whole/both:v1").fine().trim(), both, "now all of it is there");

    for args in [&["--all-platforms"][..], &["--platform", BOTH], &["--platform", &host, "--platform", &other]] {
        let fresh = Sandbox::new();
        fresh.sealos(&[&["pull"], args, &[&name]].concat()).fine();
        let pushed = fresh.sealos(&["push", "-q", "--all", &name, &registry.name("whole/again:v1")]).fine();
        assert_eq!(pushed.trim(), both, "{args:?}");
    }
    let arch = other.split('/').next_back().unwrap();
    let fresh = Sandbox::new();
    let said = fresh.sealos(&["pull", "--arch", arch, &name]);
    assert!(said.stderr.contains(&format!("for {other}")), "{}", said.stderr);
}

#[test]
fn an_image_of_another_architecture_is_an_error_unless_it_is_asked_for() {
    let (sandbox, registry, ..) = published();
    let (name, other) = (registry.name("team/foreign:v1"), other());
    sandbox.sealos(&["push", "-q", "--platform", &other, "both:v1", &name]).fine();
    let fresh = Sandbox::new();
    fresh.sealos(&["pull", &name]).refused(&[&name, "no image for", &other, "--platform"]);
    fresh.is_empty();
    fresh.sealos(&["pull", "--platform", &other, &name]).fine();
    assert_eq!(digest(&fresh, &name), digest_at(&format!("docker://{name}")));
}

#[test]
fn one_that_is_missing_does_not_end_the_others_but_the_exit_code_tells() {
    let (_, registry, one, _) = published();
    let (good, absent, none) =
        (registry.name("team/one:v1"), registry.name("team/one:v9"), registry.name("nobody/nothing:v1"));
    let sandbox = Sandbox::new();
    let said = sandbox.sealos(&["pull", &absent, &good, &none]);
    assert_eq!((said.code, said.stdout.lines().count()), (Some(1), 1), "{}", said.stderr);
    for part in [&absent, &none, "has no image", "sealos tags"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    assert_eq!(digest(&sandbox, &good), one);
}

#[test]
fn all_tags_of_a_repository_are_pulled() {
    let (sandbox, registry, ..) = published();
    for tag in ["v2", "v3", "latest"] {
        sandbox.sealos(&["push", "-q", "one:v1", &registry.name(&format!("team/one:{tag}"))]).fine();
    }
    let fresh = Sandbox::new();
    assert_eq!(fresh.sealos(&["pull", "-a", &registry.name("team/one")]).fine().lines().count(), 4);
    let images = fresh.sealos(&["images", "--format", "{{.Tag}}"]).fine();
    let mut tags: Vec<&str> = images.lines().collect();
    tags.sort_unstable();
    assert_eq!(tags, ["latest", "v1", "v2", "v3"]);
    fresh.sealos(&["pull", "-a", &registry.name("nobody/nothing")]).refused(&["nobody/nothing"]);
}

#[test]
fn what_crane_and_oras_pushed_is_pulled() {
    let (sandbox, registry, ..) = published();
    let file = sandbox.path("notes.txt");
    std::fs::write(&file, "notes").unwrap();
    let (artifact, appended) = (registry.name("oras/notes:v1"), registry.name("crane/more:v1"));
    let here = sandbox.root().to_str().unwrap();
    let script = format!("cd {here} && oras push --plain-http {artifact} notes.txt:text/plain");
    say("bash", &["-c", &script]);
    say("tar", &["-C", here, "-cf", &sandbox.at("more.tar"), "notes.txt"]);
    let base = registry.name("team/one:v1");
    say("crane", &["append", "--insecure", "-b", &base, "-f", &sandbox.at("more.tar"), "-t", &appended]);
    let fresh = Sandbox::new();
    fresh.sealos(&["pull", &artifact, &appended]).fine();
    for name in [artifact, appended] {
        assert_eq!(digest(&fresh, &name), digest_at(&format!("docker://{name}")));
    }
}

#[test]
fn files_are_pulled_too_and_one_that_is_not_there_is_not_looked_for_elsewhere() {
    let (sandbox, _, one, _) = published();
    let archive = sandbox.at("one.tar");
    sandbox.sealos(&["save", "-q", "-o", &archive, "one:v1"]).fine();
    let fresh = Sandbox::new();
    fresh.sealos(&["pull", &format!("oci-archive:{archive}")]).fine();
    assert_eq!(digest(&fresh, "one:v1"), one);
    for text in ["oci-archive:absent.tar", "dir:absent", "oci:absent"] {
        let said = fresh.sealos(&["pull", text]);
        assert_eq!(said.code, Some(1), "{text}");
        assert!(said.stderr.contains("there is no file"), "{}", said.stderr);
        assert!(said.stderr.contains(&format!("docker://{text}")), "{}", said.stderr);
    }
}
