//! `login` and `logout`, and the files that other tools read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::peers::{build, say};
use crate::registry::Registry;
use crate::sandbox::{Bounded, Said, Sandbox, waited};

/// Runs a command with something on stdin.
fn with_stdin(sandbox: &Sandbox, args: &[&str], text: &str) -> Said {
    let mut command = sandbox.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Said::from(waited(child))
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

/// A credential helper that keeps what it is given in files of its own, and the path that it is found on.
fn keeper(sandbox: &Sandbox) -> String {
    let script = r#"#!/bin/sh
cd "$(dirname "$0")" && mkdir -p kept
case $1 in
    store) python3 -c 'import json,sys
one = json.load(sys.stdin)
open("kept/" + one["ServerURL"].replace("/", "%"), "w").write(json.dumps(one))' ;;
    get) read -r host; cat "kept/$(echo "$host" | tr / %)" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
    erase) read -r host; rm "kept/$(echo "$host" | tr / %)" ;;
    list) python3 -c 'import json,os
print(json.dumps({name.replace("%", "/"): json.load(open("kept/" + name))["Username"] for name in os.listdir("kept")}))' ;;
esac
"#;
    let program = sandbox.path("bin/docker-credential-kept");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", sandbox.at("bin"), std::env::var("PATH").unwrap())
}

#[test]
fn a_helper_keeps_logins_where_a_file_names_one() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    build(&sandbox);
    let path = keeper(&sandbox);
    let (host, certs) = (registry.name("").trim_end_matches('/').to_owned(), registry.at("certs"));
    let sealos = |args: &[&str]| Said::from(sandbox.command(args).env("PATH", &path).bounded().unwrap());
    fs::create_dir_all(sandbox.path("home/.config/containers")).unwrap();
    let file = sandbox.path("home/.config/containers/auth.json");
    let conf = sandbox.at("registries.conf");
    for (place, text, conf_text) in [
        ("credsStore", r#"{"credsStore":"kept"}"#.to_owned(), ""),
        ("credHelpers", format!(r#"{{"credHelpers":{{"{host}":"kept"}}}}"#), ""),
        ("registries.conf", "{}".to_owned(), "credential-helpers = ['kept', 'containers-auth.json']\n"),
    ] {
        fs::write(&file, text).unwrap();
        fs::write(&conf, conf_text).unwrap();
        let conf = ["--registries-conf", &conf];
        let login = ["login", "-v", "--cert-dir", &certs, "-u", "me", "-p", "hunter2", &host];
        let said = sealos(&[&login[..], &conf].concat()).fine();
        assert!(said.contains("Used: docker-credential-kept"), "{place}: {said}");
        let kept = fs::read_to_string(&file).unwrap();
        assert!(!kept.contains("hunter2") && !kept.contains("bWU6aHVudGVyMg"), "{place}: {kept}");
        assert_eq!(sealos(&[&["login", "--get-login", &host][..], &conf].concat()).fine(), "me\n", "{place}");
        let push = ["push", "-q", "--cert-dir", &certs, "one:v1", &registry.name("team/one:v1")];
        sealos(&[&push[..], &conf].concat()).fine();
        let gone = format!("Removed login credentials for {host}\n");
        assert_eq!(sealos(&[&["logout", "--all"][..], &conf].concat()).fine(), gone, "{place}");
        assert_eq!(fs::read_dir(sandbox.path("bin/kept")).unwrap().count(), 0, "{place}");
        sealos(&[&["logout", &host][..], &conf].concat()).refused(&["nobody is logged in"]);
        sealos(&[&push[..], &conf].concat()).refused(&["did not accept"]);
    }
}

#[test]
fn the_file_with_logins_is_its_owners_alone_and_a_link_stays_one() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    let (host, certs) = (registry.name("").trim_end_matches('/').to_owned(), registry.at("certs"));
    let login = |file: &str| {
        sandbox.sealos(&["login", "--authfile", file, "--cert-dir", &certs, "-u", "me", "-p", "hunter2", &host])
    };
    let mode = |name: &str| fs::symlink_metadata(sandbox.path(name)).unwrap().permissions().mode() & 0o777;
    // One that others could read can be read by nobody else afterwards; what else it holds stays.
    fs::write(sandbox.path("open.json"), r#"{"auths":{},"HttpHeaders":{"X":"y"}}"#).unwrap();
    fs::set_permissions(sandbox.path("open.json"), fs::Permissions::from_mode(0o644)).unwrap();
    login("open.json").fine();
    assert_eq!(mode("open.json"), 0o600);
    assert!(fs::read_to_string(sandbox.path("open.json")).unwrap().contains("HttpHeaders"));
    // A directory that has to be made is for its owner, too.
    login("deep/er/auth.json").fine();
    assert_eq!((mode("deep"), mode("deep/er"), mode("deep/er/auth.json")), (0o700, 0o700, 0o600));
    // People keep their settings elsewhere, and link to them.
    fs::create_dir(sandbox.path("settings")).unwrap();
    for (link, target) in [("there.json", "settings/there.json"), ("new.json", "settings/new.json")] {
        if link == "there.json" {
            fs::write(sandbox.path(target), "{}").unwrap();
        }
        std::os::unix::fs::symlink(target, sandbox.path(link)).unwrap();
        login(link).fine();
        assert!(fs::symlink_metadata(sandbox.path(link)).unwrap().is_symlink(), "{link}");
        assert_eq!(mode(target), 0o600);
        assert_eq!(sandbox.sealos(&["login", "--authfile", link, "--get-login", &host]).fine(), "me\n");
    }
    let left: Vec<_> =
        fs::read_dir(sandbox.path("settings")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // What cannot be written or read says so, and holds no secret.
    fs::create_dir(sandbox.path("directory.json")).unwrap();
    let stderr = login("directory.json").refused(&["directory.json"]);
    assert!(!stderr.contains("hunter2") || stderr.contains("can be seen by others"), "{stderr}");
    fs::write(sandbox.path("broken.json"), r#"{"auths": {"x": {"auth": "bWU6aHVudGVyMg"#).unwrap();
    let stderr = login("broken.json").refused(&["broken.json", "not an auth file"]);
    assert!(!stderr.contains("bWU6"), "{stderr}");
}

#[test]
fn logins_are_looked_for_in_the_order_that_the_guide_says() {
    let (sandbox, registry) = (Sandbox::new(), Registry::secured());
    build(&sandbox);
    let (host, certs) = (registry.name("").trim_end_matches('/').to_owned(), registry.at("certs"));
    let name = registry.name("team/one:v1");
    // Below each other in the guide: the first that has something counts, and what is behind it is not looked at.
    let places = ["run/containers/auth.json", "config/containers/auth.json", "docker/config.json"];
    let write = |place: &str, password: &str| {
        let auth = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("me:{password}"));
        let path = sandbox.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#)).unwrap();
    };
    let push = |more: &[&str]| {
        let mut command = sandbox.command(&[&["push", "-q", "--cert-dir", &certs, "one:v1", &name], more].concat());
        let variables = [("XDG_RUNTIME_DIR", "run"), ("XDG_CONFIG_HOME", "config"), ("DOCKER_CONFIG", "docker")];
        let variables = variables.map(|(variable, directory)| (variable, sandbox.at(directory)));
        Said::from(command.envs(variables).bounded().unwrap())
    };
    push(&[]).refused(&["did not accept anonymous access"]);
    for right in (0..places.len()).rev() {
        // Nothing before it, and wrong ones behind.
        places[right + 1..].iter().for_each(|place| write(place, "hunter3"));
        write(places[right], "hunter2");
        push(&[]).fine();
        write(places[right], "hunter3");
        push(&[]).refused(&["did not accept our credentials"]);
    }
    write("own.json", "hunter2");
    push(&["--authfile", "own.json"]).fine();
    write("own.json", "hunter3");
    push(&["--authfile", "own.json", "--creds", "me:hunter2"]).fine();
    write(places[0], "hunter2");
    push(&["--authfile", "own.json"]).refused(&["did not accept our credentials"]);
    push(&["--authfile", "absent.json"]).refused(&["absent.json"]);
}
