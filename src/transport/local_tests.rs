//! What acting on this machine promises, with real processes.

use std::env::vars_os;
use std::time::{Duration, Instant};

use super::*;
use crate::transport::conformance::{check, shell};

fn local() -> Local {
    Local::new(vars_os(), Interrupt::default())
}

#[test]
fn this_machine_conforms() {
    check(&local(), tempfile::tempdir().unwrap().path());
}

#[test]
fn commands_get_a_chosen_part_of_the_environment() {
    let given = ["PATH", "HTTPS_PROXY", "no_proxy", "LC_ALL", "KUBECONFIG", "SECRET_OF_THE_TERMINAL"];
    let given = given.map(|name| (name.into(), if name == "PATH" { "/usr/bin:/bin" } else { "v" }.into()));
    let host = Local::new(given, Interrupt::default());
    let (_, out, _) = shell(&host, "env", |command| drop(command.env.insert("KUBECONFIG".into(), "mine".into())));
    let mut names: Vec<_> = out.lines().filter(|line| !line.starts_with("PWD=")).collect();
    names.sort_unstable();
    assert_eq!(names, ["HTTPS_PROXY=v", "KUBECONFIG=mine", "LC_ALL=v", "PATH=/usr/bin:/bin", "no_proxy=v"]);
}

#[test]
fn something_left_in_the_background_is_not_waited_for_and_lives_on() {
    let started = Instant::now();
    let (status, out, _) = shell(&local(), "sleep 60 & echo $!", |_| ());
    assert_eq!(status, Status::Exited(0));
    assert!(started.elapsed() < Duration::from_secs(20));
    let left = Pid::from_raw(out.trim().parse().unwrap()).unwrap();
    assert!(rustix::process::test_kill_process(left).is_ok());
    rustix::process::kill_process(left, Signal::KILL).unwrap();
}

#[test]
fn an_interruption_ends_the_command_and_all_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::default();
    let host = Local::new(vars_os(), interrupt.clone());
    let mut command = Command {
        argv: ["/bin/sh", "-c", "(sleep 2; touch late) & echo up; wait"].map(str::to_owned).to_vec(),
        cwd: Some(directory.path().to_owned()),
        ..Command::default()
    };
    let result = host.run(&command, &mut |_, line| {
        assert_eq!(line, b"up\n");
        interrupt.wish();
    });
    assert!(matches!(result, Err(TransportError::Interrupted)), "{result:?}");
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!directory.path().join("late").exists());
    command.argv[2] = "touch late".to_owned();
    assert!(matches!(host.run(&command, &mut |_, _| ()), Err(TransportError::Interrupted)), "nothing starts after it");
    assert!(!directory.path().join("late").exists());
}

#[test]
fn what_an_interrupted_command_started_may_clean_up() {
    let directory = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::default();
    let text = "(trap 'sleep 0.5; touch clean; exit' TERM; echo up; while :; do sleep 0.1; done) & wait";
    let argv = ["/bin/sh", "-c", text].map(str::to_owned).to_vec();
    let command = Command { argv, cwd: Some(directory.path().to_owned()), ..Command::default() };
    let result = Local::new(vars_os(), interrupt.clone()).run(&command, &mut |_, _| interrupt.wish());
    assert!(matches!(result, Err(TransportError::Interrupted)), "{result:?}");
    assert!(directory.path().join("clean").exists());
}

#[test]
fn a_caller_that_panics_leaves_nothing_running() {
    let directory = tempfile::tempdir().unwrap();
    let argv = ["/bin/sh", "-c", "echo up; sleep 1; touch late"].map(str::to_owned).to_vec();
    let command = Command { argv, cwd: Some(directory.path().to_owned()), ..Command::default() };
    let run = std::panic::AssertUnwindSafe(|| local().run(&command, &mut |_, _| panic!("the caller's defect")));
    assert!(std::panic::catch_unwind(run).is_err());
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!directory.path().join("late").exists());
}

#[test]
fn a_program_that_asks_the_terminal_fails_at_once() {
    let (status, ..) = shell(&local(), "read x < /dev/tty", |_| ());
    assert!(!status.success());
}
