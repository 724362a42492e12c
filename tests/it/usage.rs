//! Wrong command lines: exit code 2, a message on stderr, nothing on stdout.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::bounded::{LONG, waited, within};
use crate::sandbox::{Said, Sandbox};

#[test]
fn a_wrong_command_line_exits_with_2_and_says_what_is_wrong() {
    let sandbox = Sandbox::new();
    for (args, part) in [
        (&["nonsense"][..], "unrecognized subcommand 'nonsense'"),
        (&["imags"], "'images'"),
        (&["images", "--nonsense"], "unexpected argument '--nonsense'"),
        (&["images", "-q", "--format", "x"], "cannot be used with"),
        (&["images", "-q", "--json"], "cannot be used with"),
        (&["inspect"], "<NAMES>..."),
        (&["inspect", "-t", "container", "a"], "invalid value 'container'"),
        (&["history"], "<NAME>"),
        (&["tag", "a"], "<NEW>..."),
        (&["rmi"], "<NAMES>..."),
        (&["rmi", "-a", "x"], "cannot be used with"),
        (&["save"], "<NAMES>..."),
        (&["save", "--format", "zip", "a"], "invalid value 'zip'"),
        (&["load", "-i", "a", "b"], "cannot be used with"),
        (&["prune", "x"], "unexpected argument 'x'"),
        (&["create"], "<IMAGE>"),
        (&["create", "-c", "../x", "a"], "invalid value '../x'"),
        (&["diff", "a"], "<B>"),
        (&["version", "-o", "xml"], "invalid value 'xml'"),
        (&["completion", "tcsh"], "invalid value 'tcsh'"),
        (&["build", "a", "b"], "unexpected argument 'b'"),
        (&["build", "--platform", "linux"], "`linux` is not a platform"),
        (&["build", "--build-arg", "=x"], "the name is missing"),
        (&["build", "--env", ""], "the name is missing"),
        (&["build", "--compression", "xz"], "expected zstd, gzip or none"),
        (&["run"], "<IMAGE|ARCHIVE|DIR>..."),
        (&["run", "-e", "novalue", "a"], "expected NAME=VALUE"),
        (&["run", "-c", "a/b", "a"], "invalid value 'a/b'"),
        (&["--progress", "loud", "images"], "invalid value 'loud'"),
    ] {
        let said = sandbox.sealos(args);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{args:?}: {}", said.stderr);
        assert!(said.stderr.starts_with("error: ") && said.stderr.contains(part), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn hosts_that_cannot_be_are_refused_before_anything_is_done() {
    let sandbox = Sandbox::new();
    for (args, part) in [
        (&["gen", "a", "--masters", "10.0.0.300"][..], "`10.0.0.300` is no host"),
        (&["gen", "a", "--masters", "10.0.0.1", "--nodes", "10.0.0.1"], "10.0.0.1:22 cannot be a master and a node"),
        (&["gen", "a", "--masters", "10.0.0.1,10.0.0.1:22"], "`10.0.0.1:22` is listed twice"),
        (&["gen", "a", "--port", "0"], "invalid value '0'"),
        (&["add"], "no host is named"),
        (&["delete"], "no host is named"),
        (&["scp", "a", "b"], "b is no absolute path"),
        (&["exec"], "<COMMAND>..."),
        (&["exec", "true", "--parallel", "0"], "expected a number from 1"),
    ] {
        let said = sandbox.sealos(args);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{args:?}: {}", said.stderr);
        assert!(said.stderr.contains(part), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn a_cluster_that_there_is_not_is_named() {
    let sandbox = Sandbox::new();
    for args in [
        &["status", "-c", "test"][..],
        &["apps", "-c", "test"],
        &["exec", "-c", "test", "true"],
        &["scp", "-c", "test", "a", "/b"],
        &["reset", "-c", "test", "--yes"],
        &["add", "-c", "test", "--nodes", "10.0.0.1"],
        &["delete", "-c", "test", "--nodes", "10.0.0.1", "--yes"],
    ] {
        let said = sandbox.sealos(args);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{args:?}: {}", said.stderr);
        assert!(said.stderr.starts_with("error: there is no cluster `test` here\nhelp: "), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn a_written_clusterfile_says_what_was_typed() {
    let sandbox = Sandbox::new();
    let args = ["gen", "a:v1", "b", "--masters", "10.0.0.1", "--nodes", "10.0.0.2-10.0.0.3,node-4:2222", "-u", "admin"];
    let said = sandbox.sealos(&args);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    for part in ["kind: Cluster", "- a:v1", "10.0.0.1:22", "10.0.0.3:22", "node-4:2222", "user: admin"] {
        assert!(said.stdout.contains(part), "`{part}` is not in:\n{}", said.stdout);
    }
    let twice = sandbox.sealos(&[&args[..], &["-o", "Clusterfile"]].concat());
    assert_eq!(twice, Said::only(""));
    assert_eq!(std::fs::read_to_string(sandbox.path("Clusterfile")).unwrap(), said.stdout);
}

#[test]
fn without_a_command_the_help_is_shown_and_the_exit_code_is_2() {
    let said = Sandbox::new().sealos(&[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    assert!(said.stderr.contains("Usage: sealos"), "{}", said.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    for args in [&["completion", "bash"][..], &["--help"], &["man"], &["version"]] {
        let mut child = sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = waited(child);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{args:?}");
    }
}

#[test]
fn a_program_that_does_not_end_is_killed_with_what_it_started() {
    let (mut held, holds) = std::io::pipe().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 1000 & wait"]).process_group(0).stdout(Stdio::piped()).stderr(holds);
    let child = command.spawn().unwrap();
    drop(command);
    let waited = std::panic::catch_unwind(|| within(Duration::from_millis(200), child));
    assert!(waited.is_err(), "it was waited for");
    // The pipe ends when nobody has it any more.
    let (ended, hears) = mpsc::channel();
    std::thread::spawn(move || ended.send(held.read_to_end(&mut Vec::new()).unwrap()));
    assert_eq!(hears.recv_timeout(LONG), Ok(0), "something lives on");
}
