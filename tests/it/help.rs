//! The help screens, version, completions and manual pages.

use crate::sandbox::{Said, Sandbox, golden};

const VERBS: [&str; 39] = [
    "add",
    "apply",
    "apps",
    "build",
    "completion",
    "convert",
    "copy",
    "create",
    "delete",
    "diff",
    "env",
    "exec",
    "gen",
    "history",
    "images",
    "inspect",
    "load",
    "login",
    "logout",
    "man",
    "manifest",
    "merge",
    "plan",
    "prune",
    "pull",
    "push",
    "registry",
    "reset",
    "rmi",
    "run",
    "save",
    "schema",
    "scp",
    "search",
    "status",
    "sync",
    "tag",
    "tags",
    "version",
];

#[test]
fn every_help_screen_is_as_reviewed() {
    let sandbox = Sandbox::new();
    golden("sealos.txt", &sandbox.sealos(&["--help"]).stdout);
    for verb in VERBS {
        let said = sandbox.sealos(&[verb, "--help"]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{verb}");
        assert!(said.stdout.contains("Examples:"), "{verb} shows examples");
        golden(&format!("{verb}.txt"), &said.stdout);
    }
}

/// Commands below commands.
const NESTED: [[&str; 2]; 13] = [
    ["images", "list"],
    ["images", "why"],
    ["images", "update"],
    ["images", "diff"],
    ["registry", "ls"],
    ["registry", "rm"],
    ["registry", "gc"],
    ["registry", "scrub"],
    ["registry", "passwd"],
    ["registry", "save"],
    ["registry", "sync"],
    ["registry", "copy"],
    ["registry", "unit"],
];

#[test]
fn help_screens_of_nested_commands_are_as_reviewed() {
    let sandbox = Sandbox::new();
    for [verb, nested] in NESTED {
        let said = sandbox.sealos(&[verb, nested, "--help"]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{verb} {nested}");
        golden(&format!("{verb}-{nested}.txt"), &said.stdout);
    }
}

#[test]
fn every_command_has_a_help_screen_that_is_reviewed() {
    let help = Sandbox::new().sealos(&["--help"]).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let listed: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, [&VERBS[..], &["help"]].concat());
}

#[test]
fn the_version_is_told_in_four_ways() {
    let sandbox = Sandbox::new();
    let (version, platform) = (env!("CARGO_PKG_VERSION"), oci::Platform::host());
    for (args, want) in [
        (&["version", "--short"][..], format!("{version}\n")),
        (&["version", "-o", "short"], format!("{version}\n")),
        (&["version", "-o", "yaml"], format!("version: {version}\nplatform: {platform}\n")),
        (
            &["version", "-o", "json"],
            format!("{{\n    \"version\": \"{version}\",\n    \"platform\": \"{platform}\"\n}}\n"),
        ),
        (&["version"], format!("VERSION   PLATFORM\n{version}     {platform}\n")),
        (&["--version"], format!("sealos {version}\n")),
    ] {
        assert_eq!(sandbox.sealos(args), Said::only(&want), "{args:?}");
    }
}

#[test]
fn completions_know_every_command() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = sandbox.sealos(&["completion", shell]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{shell}");
        for verb in VERBS {
            assert!(said.stdout.contains(verb), "{shell} does not know {verb}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.sealos(&["man", "pages/man1"]), Said::only(""));
    for verb in VERBS {
        let page = std::fs::read_to_string(sandbox.path(&format!("pages/man1/sealos-{verb}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{verb}");
    }
    assert!(sandbox.sealos(&["man"]).stdout.contains(".TH sealos 1"));
}
