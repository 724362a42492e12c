//! What goes wrong with hosts and on the way to them.

use std::fs;
use std::process::Stdio;

use crate::lab::{Lab, PASSWORD, until};
use crate::sandbox::{Said, waited};

const WAIT: &str = "FROM scratch\nCOPY . /\nCMD [\"echo before >> /var/log/story\", \
    \"touch /var/log/there; while [ ! -e /var/log/go ]; do sleep 0.1; done; echo waited >> /var/log/story\", \
    \"echo after >> /var/log/story\"]\n";

#[test]
fn all_that_is_wrong_is_said_at_once_and_nothing_is_changed() {
    let mut lab = Lab::new(3);
    lab.image("app:v1", "FROM scratch\nCOPY . /\nCMD [\"touch /var/log/ran\"]\n", &[("a", "x")]);
    let key = lab.key();
    let login = ["--pk", &key];
    let run = ["run", "app:v1", "--masters", "10.77.0.11", "--nodes", "10.77.0.12,10.77.0.13"];
    lab.sealos(&["run", "app:v1", "--cluster", "first", "--masters", "10.77.0.12", "--pk", &key]).fine();
    // Now one host has another key, one is dead, and one belongs to somebody else.
    let known = lab.sandbox.path("home/.ssh/known_hosts");
    let other = fs::read_to_string(format!("{key}.pub")).unwrap();
    let other: Vec<&str> = other.split_whitespace().take(2).collect();
    let text = fs::read_to_string(&known).unwrap();
    fs::write(&known, format!("{text}10.77.0.11 {}\n", other.join(" "))).unwrap();
    lab.kill(3);
    let said = lab.sealos(&[&run[..], &login].concat());
    said.refused(&[
        "nothing was changed",
        "10.77.0.11:22: the key of 10.77.0.11 is not the one that is known",
        "10.77.0.12:22: it belongs to another cluster: first",
        "10.77.0.13:22: cannot reach 10.77.0.13",
        "help: if 10.77.0.11 was installed anew, remove line 2 of ",
    ]);
    assert_eq!(lab.on(1, "ls -A /var/lib/sealos; ls /var/log/ran 2>&1 || true").fine().lines().count(), 1);
    assert!(!lab.sandbox.path("home/.sealos/default/Clusterfile").exists());
    fs::write(&known, text).unwrap();
    lab.boot(3);
    lab.sealos(&["reset", "--cluster", "first", "--yes"]).fine();
    lab.sealos(&[&run[..], &login].concat()).fine();
}

#[test]
fn a_user_with_sudo_and_a_password_is_enough_and_a_wrong_one_is_not() {
    let lab = Lab::new(2);
    lab.image(
        "app:v1",
        "FROM scratch\nCOPY . /\nCMD [\"id -u > /var/log/who; echo it\\\\'s done >> /var/log/who\"]\n",
        &[("a", "x")],
    );
    let run = ["run", "app:v1", "--masters", "10.77.0.11", "--nodes", "10.77.0.12", "--user", "admin"];
    fs::write(lab.sandbox.path("wrong"), "not it").unwrap();
    fs::write(lab.sandbox.path("right"), format!("{PASSWORD}\n")).unwrap();
    let said = lab.sealos(&[&run[..], &["--passwd-file", "wrong"]].concat());
    said.refused(&[
        "2 problems with the hosts",
        "10.77.0.11 does not let `admin` in",
        "10.77.0.12 does not let `admin` in",
    ]);
    // A key opens the door, but sudo wants the password.
    let key = lab.key();
    let said = lab.sealos(&[&run[..], &["--pk", &key]].concat());
    said.refused(&["`admin` cannot become root on 10.77.0.11"]);
    let said = lab.sealos(&[&run[..], &["--passwd-file", "right"]].concat());
    assert!(!said.stderr.contains("it's a"), "{}", said.stderr);
    said.fine();
    assert_eq!(lab.read(1, "/var/log/who"), "0\nit's done\n");
    let stored = fs::read_to_string(lab.sandbox.path("home/.sealos/default/Clusterfile")).unwrap();
    assert!(stored.contains("passwd: sealed:") && !stored.contains("it's a"), "{stored}");
    // The stored password is enough from now on.
    assert_eq!(lab.sealos(&["exec", "--roles", "node", "id -un"]).fine(), "10.77.0.12:22: root\n");
    lab.sealos(&["reset", "--yes"]).fine();
}

#[test]
fn a_controller_that_is_killed_is_continued_and_two_do_not_meet() {
    let lab = Lab::new(2);
    lab.image("app:v1", WAIT, &[("a", "x")]);
    let key = lab.key();
    let run = ["run", "app:v1", "--masters", "10.77.0.11", "--nodes", "10.77.0.12", "--pk", &key];
    let mut first = lab.command(&run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the command runs", || {
        lab.read(1, "/var/log/story") == "before\n" && !lab.on(1, "ls /var/log/there").stdout.is_empty()
    });
    // Another machine, which knows nothing of the first.
    let second = |lab: &Lab| {
        let mut command = lab.command(&run);
        command.env("SEALOS_RUNTIME_ROOT", lab.sandbox.path("second")).stdout(Stdio::piped()).stderr(Stdio::piped());
        Said::from(waited(command.spawn().unwrap()))
    };
    second(&lab).refused(&["another run works on the cluster: ", ", process ", "wait until it has ended"]);
    // This machine says so even without asking the hosts.
    lab.sealos(&run).refused(&["another command works on the cluster"]);
    first.kill().unwrap();
    first.wait().unwrap();
    // What ran goes on to its end, once.
    lab.on(1, "touch /var/log/go").fine();
    until("the command ends", || lab.read(1, "/var/log/story") == "before\nwaited\n");
    until("the second machine can go on", || {
        let said = second(&lab);
        assert!(said.code == Some(0) || said.stderr.contains("another run works"), "{}", said.stderr);
        said.code == Some(0)
    });
    assert_eq!(lab.read(1, "/var/log/story"), "before\nwaited\nafter\n");
    // The first one learns what the second did.
    let again = lab.sealos(&run);
    assert!(again.stderr.contains("nothing is left to do"), "{}", again.stderr);
    again.fine();
}

#[test]
fn a_host_that_dies_in_the_middle_and_returns_is_finished() {
    let mut lab = Lab::new(2);
    lab.image("app:v1", WAIT, &[("a", "x")]);
    let key = lab.key();
    let run = ["run", "app:v1", "--masters", "10.77.0.11", "--nodes", "10.77.0.12", "--pk", &key];
    let child = lab.command(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the command runs", || !lab.on(1, "ls /var/log/there 2>/dev/null || true").fine().is_empty());
    lab.kill(1);
    let said = Said::from(waited(child));
    said.refused(&[
        "on 10.77.0.11:22: app:v1: run command 2 of 3",
        "the same command again continues there",
        "3 steps were done",
    ]);
    lab.boot(1);
    lab.on(1, "touch /var/log/go").fine();
    lab.sealos(&run).fine();
    assert_eq!(lab.read(1, "/var/log/story"), "before\nwaited\nafter\n");
}
