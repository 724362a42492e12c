//! `login` and `logout`, and the files that other tools read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::peers::{build, say};
use crate::registry::Registry;
use crate::sandbox::{Said, Sandbox};

/// Runs a command with something on stdin.
fn with_stdin(sandbox: &Sandbox, args: &[&str], text: &str) -> Said {
    let mut command = sandbox.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Said::from(child.wait_with_output().unwrap())
}

/// All files below the home, which is where logins are kept.
fn kept(sandbox: &Sandbox) -> Vec<PathBuf> {
    let (mut files, mut todo) = (Vec::new(), vec![sandbox.path("home")]);
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { todo.push(path) } else { files.push(path) }
        }
    }
    files.retain(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("auths")));
    files
}

#[test]
fn a_login_is_checked_kept_used_and_forgotten() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    build(&sandbox);
    let (host, certs) = (registry.name("").trim_end_matches('/').to_owned(), registry.at("certs"));
    let login = ["login", "--cert-dir", &certs, "-u", "me", "--password-stdin", &host];
    let said = with_stdin(&sandbox, &login, "hunter3\n");
    let stderr = said.refused(&["did not accept"]);
    assert!(!stderr.contains("hunter3"));
    assert_eq!(kept(&sandbox), Vec::<PathBuf>::new(), "what was refused is not kept");
    sandbox.sealos(&["login", "--get-login", &host]).refused(&["nobody is logged in", "sealos login"]);

    let said = with_stdin(&sandbox, &login, "hunter2\n");
    assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
    assert_eq!(said.fine(), "Login Succeeded!\n");
    let [file] = &kept(&sandbox)[..] else { panic!("one file: {:?}", kept(&sandbox)) };
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(sandbox.sealos(&["login", "--get-login", &host]).fine(), "me\n");
    // Who is logged in need not say so again.
    assert_eq!(sandbox.sealos(&["login", "--cert-dir", &certs, &host]).fine(), "Login Succeeded!\n");

    let name = registry.name("team/one:v1");
    sandbox.sealos(&["push", "-q", "--cert-dir", &certs, "one:v1", &name]).fine();
    let file = file.to_str().unwrap();
    let args = ["inspect", "--authfile", file, "--cert-dir", &certs, "--format", "{{.Digest}}"];
    let theirs = say("skopeo", &[&args[..], &[&format!("docker://{name}")]].concat());
    assert_eq!(theirs, crate::peers::digest(&sandbox, "one:v1"));

    assert_eq!(sandbox.sealos(&["logout", &host]).fine(), format!("Removed login credentials for {host}\n"));
    sandbox.sealos(&["logout", &host]).refused(&["nobody is logged in"]);
    sandbox.sealos(&["push", "-q", "--cert-dir", &certs, "one:v1", &name]).refused(&["did not accept"]);
}

#[test]
fn logins_of_others_are_used_and_all_are_forgotten_at_once() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    build(&sandbox);
    let (host, certs) = (registry.name("").trim_end_matches('/').to_owned(), registry.at("certs"));
    let file = sandbox.at("theirs.json");
    let args = ["login", "--authfile", &file, "--cert-dir", &certs, "-u", "me", "-p", "hunter2", &host];
    say("skopeo", &args);
    let name = registry.name("team/one:v1");
    sandbox.sealos(&["push", "-q", "--authfile", &file, "--cert-dir", &certs, "one:v1", &name]).fine();
    assert_eq!(sandbox.sealos(&["login", "--get-login", "--authfile", &file, &host]).fine(), "me\n");

    let path = format!("{host}/team");
    let login = ["login", "-v", "--cert-dir", &certs, "-u", "me", "-p", "hunter2", &path];
    let said = sandbox.sealos(&login);
    assert!(said.stderr.contains("can be seen by others") && !said.stderr.contains("hunter2"), "{}", said.stderr);
    assert!(said.fine().contains("Used: "));
    sandbox.sealos(&["push", "-q", "--cert-dir", &certs, "one:v1", &name]).fine();
    let other = registry.name("other/one:v1");
    sandbox.sealos(&["push", "-q", "--cert-dir", &certs, "one:v1", &other]).refused(&["did not accept"]);
    assert_eq!(sandbox.sealos(&["logout", "--all"]).fine(), format!("Removed login credentials for {path}\n"));
    sandbox.sealos(&["push", "-q", "--cert-dir", &certs, "one:v1", &name]).refused(&["did not accept"]);
}
