//! Passwords that are asked for at a terminal.

use std::fs;

use crate::peers::{build, digest, digest_at, say};
use crate::registry::Registry;
use crate::sandbox::{Bounded, Sandbox};

/// Runs a command at a terminal of its own and types an answer after each question. Prints what was shown, then the exit
/// code, then whether the terminal shows what is typed afterwards.
const AT_A_TERMINAL: &str = r#"
import os, pty, select, sys, termios, time
answers = sys.argv[1].encode().decode("unicode_escape").split("|")
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
shown = b""
end = time.time() + 30
while time.time() < end:
    if not select.select([fd], [], [], 0.1)[0]:
        continue
    try:
        piece = os.read(fd, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    if answers and shown.rstrip(b" ").endswith(b":"):
        # The echo is switched off before the question is asked.
        os.write(fd, answers.pop(0).encode())
    echo = bool(termios.tcgetattr(fd)[3] & termios.ECHO)
_, status = os.waitpid(pid, 0)
sys.stdout.write(shown.decode())
print("CODE", os.waitstatus_to_exitcode(status), "ECHO", echo)
"#;

fn at_a_terminal(sandbox: &Sandbox, answers: &str, args: &[&str]) -> String {
    fs::write(sandbox.path("terminal.py"), AT_A_TERMINAL).unwrap();
    let command = sandbox.command(args);
    let program = command.get_program().to_str().unwrap().to_owned();
    let args: Vec<String> = command.get_args().map(|arg| arg.to_str().unwrap().to_owned()).collect();
    let script = sandbox.at("terminal.py");
    let home = format!("HOME={}", sandbox.at("home"));
    let head = ["-u", "REGISTRY_AUTH_FILE", "-u", "XDG_RUNTIME_DIR", &home, "python3", &script, answers, &program];
    let args: Vec<&str> = head.into_iter().chain(args.iter().map(String::as_str)).collect();
    say("env", &args)
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    build(&sandbox);
    let (host, certs) = (registry.name("").trim_end_matches('/').to_owned(), registry.at("certs"));
    let shown = at_a_terminal(&sandbox, r"me\n|hunter2\n", &["login", "--cert-dir", &certs, &host]);
    assert!(shown.contains("Username: me") && shown.contains("Login Succeeded!"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.ends_with("CODE 0 ECHO True"), "{shown}");

    let name = registry.name("team/one:v1");
    let push = ["push", "-q", "--cert-dir", &certs, "--creds", "me", "one:v1", &name];
    let shown = at_a_terminal(&sandbox, r"hunter2\n", &push);
    assert!(shown.contains(&digest(&sandbox, "one:v1")) && !shown.contains("hunter2"), "{shown}");
    let args = ["inspect", "--creds", "me:hunter2", "--cert-dir", &certs, "--format", "{{.Digest}}"];
    assert_eq!(say("skopeo", &[&args[..], &[&format!("docker://{name}")]].concat()), digest(&sandbox, "one:v1"));
    assert_eq!(digest_at(&format!("oci:{}:one:v1", sandbox.at("store"))), digest(&sandbox, "one:v1"));
}

#[test]
fn an_interrupt_ends_the_question_and_leaves_the_terminal_as_it_was() {
    let sandbox = Sandbox::new();
    let shown = at_a_terminal(&sandbox, r"me\n|hun\x03", &["login", "hub.example"]);
    assert!(!shown.contains("hun\u{3}") && shown.ends_with("CODE 130 ECHO True"), "{shown}");
}

#[test]
fn without_a_terminal_there_is_nobody_to_ask() {
    let sandbox = Sandbox::new();
    let args = ["setsid", "--wait"];
    let mut command = std::process::Command::new(args[0]);
    let sealos = sandbox.command(&["login", "-u", "me", "hub.example"]);
    command.arg(args[1]).arg(sealos.get_program()).args(sealos.get_args()).env("HOME", sandbox.path("home"));
    let said = crate::sandbox::Said::from(command.bounded().unwrap());
    said.refused(&["nobody to ask", "--password-stdin"]);
}
