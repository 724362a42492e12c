//! Unpacking and running images on this machine.

use std::fs;

use crate::fixture::{Spec, layout};
use crate::sandbox::{Said, Sandbox};

use crate::bounded::Bounded;

const FILES: &[&[(&str, &str)]] =
    &[&[("etc/a", "one"), ("etc/b.tmpl", "{{ .domain }}"), ("gone", "x")], &[(".wh.gone", "")]];

fn filled() -> Sandbox {
    let sandbox = Sandbox::new();
    layout(&sandbox.path("store"), &[Spec { name: Some("app:v1"), layers: FILES, ..Spec::default() }]);
    sandbox
}

fn sealos(sandbox: &Sandbox, args: &[&str]) -> Said {
    let output = sandbox.command(args).env("SEALOS_DATA_ROOT", sandbox.path("data")).bounded().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(sandbox.path("").to_str().unwrap(), "DIR/");
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn create_prints_the_directory_of_the_files() {
    let sandbox = filled();
    for _ in 0..2 {
        assert_eq!(sandbox.sealos(&["create", "app:v1"]), Said::only("DIR/store/created/default\n"));
        let root = sandbox.path("store/created/default");
        assert_eq!(fs::read_to_string(root.join("etc/a")).unwrap(), "one");
        assert!(!root.join("gone").exists() && !root.join("etc/b").exists());
    }
    let said = sandbox.sealos(&["create", "--short", "-c", "test", "-e", "domain=a,b", "app:v1"]);
    assert_eq!(said, Said::only("DIR/store/created/test\n"));
    assert_eq!(fs::read_to_string(sandbox.path("store/created/test/etc/b")).unwrap(), "a,b");
    let said = sandbox.sealos(&["create", "-e", "other=1", "app:v1"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.starts_with("error: cannot render `etc/b.tmpl` of `app:v1`\n  caused by: "), "{}", said.stderr);
    assert_eq!(sandbox.sealos(&["create", "absent"]).code, Some(1));
}

#[test]
fn run_prints_what_the_commands_say_and_runs_nothing_twice() {
    let sandbox = filled();
    let run = ["run", "--progress", "quiet", "-e", "domain=x", "app:v1"];
    assert_eq!(sealos(&sandbox, &run), Said::only("app:v1: <hello> & you\napp:v1: one\n"));
    assert_eq!(sealos(&sandbox, &run), Said::only(""));
    let again = [&run[..], &["--force"]].concat();
    assert_eq!(sealos(&sandbox, &again), Said::only("app:v1: <hello> & you\napp:v1: one\n"));
    assert_eq!(sandbox.sealos(&["prune", "--all"]), Said::only("Freed 0 B\n"), "what is installed is kept");
}

#[test]
fn run_shows_its_steps_and_fails_with_the_status_of_the_command() {
    let sandbox = filled();
    let said =
        sealos(&sandbox, &["run", "-e", "domain=x", "--cmd", "echo out; echo err >&2; printf end; exit 7", "app:v1"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(7), "app:v1: out\napp:v1: end\n"), "{}", said.stderr);
    for part in [
        "run app:v1 in DIR/data/default/",
        "[1/4] ",
        "[3/4] failed",
        "    app:v1: err\n",
        "error: command 1 of 1 of `app:v1` failed",
    ] {
        assert!(said.stderr.contains(part), "`{part}` is not in:\n{}", said.stderr);
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    let sandbox = filled();
    let said = sealos(&sandbox, &["run", "--dry-run", "-e", "domain=x", "app:v1"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert!(said.stdout.starts_with("1. app:v1: "), "{}", said.stdout);
    assert!(!sandbox.path("data").exists());
}
