//! RUN as root, in every isolation: the same image, no secret kept, a failure told, nothing left behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::lab::{BASE, Lab, User, WAYS, listing};

use crate::sandbox::Bounded;

#[test]
fn every_isolation_makes_the_same_image() {
    let lab = Lab::new();
    let kubefile = format!(
        "{BASE}ARG A=arg\nENV E=env\nWORKDIR /work\nRUN <<EOT\nset -e\necho $A $E $(pwd) > said\nln said linked\n\
         chmod 4755 said\nrm -rf /home\nEOT\nRUN [\"/bin/sh\", \"-c\", \"cat said > copy\"]\n\
         RUN --network=none <<EOT\nwhile read -r line; do\n\
         case $line in *:*) echo ${{line%%:*}};; esac\ndone < /proc/net/dev > /net\nEOT\n\
         RUN --mount=type=tmpfs,target=/mem touch /mem/x\n"
    );
    let first = lab.build(User::Root, "root0", WAYS[0], &kubefile, &["-q"]).fine_for("build");
    assert_eq!(lab.content("root0", &first, "net"), "lo\n");
    let layers = lab.layers("root0", &first);
    let entries: Vec<String> = layers.iter().flat_map(|layer| listing(layer)).collect();
    let all = entries.join("\n");
    assert!(all.contains("-rwsr-xr-x"), "{all}");
    for kept_out in ["resolv.conf", "etc/hosts", "mem/x", "proc/", "dev/"] {
        assert!(!all.contains(kept_out), "{kept_out}: {all}");
    }
    for (number, way) in WAYS.into_iter().enumerate().skip(1) {
        let id = lab.build(User::Root, &format!("root{number}"), way, &kubefile, &["-q"]).fine_for(&format!("{way:?}"));
        assert_eq!(id, first, "{way:?}");
    }
}

#[test]
fn a_secret_is_seen_by_its_command_and_kept_nowhere() {
    let lab = Lab::new();
    let secret = lab.at("secret.txt");
    fs::write(&secret, "hunter2-hunter2").unwrap();
    let kubefile = format!(
        "{BASE}RUN --mount=type=secret,id=s,required=true wc -c < /run/secrets/s > /size && cat /run/secrets/s\n"
    );
    for way in WAYS {
        let store = format!("secret-{}", way.1.replace(' ', "-"));
        let spec = format!("id=s,src={secret}");
        let id =
            lab.build(User::Root, &store, way, &kubefile, &["-q", "--secret", &spec]).fine_for(&format!("{way:?}"));
        assert_eq!(lab.content(&store, &id, "size").trim(), "15", "{way:?}");
        search(&lab.path("home").join(&store), b"hunter2-hunter2");
    }
}

/// Fails if a file under a directory holds some bytes. Layers of these tests are not compressed.
fn search(directory: &Path, bytes: &[u8]) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, bytes);
        } else if path.is_file() {
            let held = fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes);
            assert!(!held, "{} holds the secret", path.display());
        }
    }
}

#[test]
fn a_command_that_fails_is_shown_with_its_place_and_output() {
    let lab = Lab::new();
    let kubefile = format!("{BASE}RUN echo the reason >&2; exit 7\n");
    for (number, way) in WAYS.into_iter().enumerate() {
        let store = format!("failing{number}");
        let said = lab.build(User::Root, &store, way, &kubefile, &["-t", "app:v1"]);
        said.refused(&["Kubefile:", "RUN echo the reason", "the reason", "7"]);
        let images = lab.sealos(User::Root, &store, "none", &["images", "-q"]).fine_for("images");
        assert_eq!(images, "", "{way:?}");
    }
}

/// The mounts of this process's namespace, and the processes with a word in their arguments.
fn traces(marker: &str) -> (usize, Vec<String>) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        // A process that ends while it is looked at is none.
        let Ok(words) = fs::read(entry.unwrap().path().join("cmdline")) else { continue };
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        if words.contains(marker) {
            found.push(words);
        }
    }
    (mounts, found)
}

#[test]
fn a_build_that_is_killed_leaves_no_mount_and_no_process() {
    let lab = Lab::new();
    for (number, (flags, runtimes)) in WAYS.into_iter().enumerate() {
        let marker = format!("98765{number}");
        lab.file("Kubefile", &format!("{BASE}RUN sleep {marker}\n"));
        let (before, _) = traces(&marker);
        let context = lab.at("context");
        let args = [&["build", "-q"], flags, &[context.as_str()]].concat();
        let mut child = lab.command(User::Root, &format!("killed{number}"), runtimes, &args).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(120);
        while !traces(&marker).1.iter().any(|words| words.starts_with("sleep") || words.contains("sleep 98765")) {
            assert!(Instant::now() < end, "the command did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(100));
        child.kill().unwrap();
        child.wait().unwrap();
        let end = Instant::now() + Duration::from_secs(120);
        while !traces(&marker).1.is_empty() {
            assert!(Instant::now() < end, "{:?}", traces(&marker).1);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(traces(&marker).0, before, "mounts are left");
    }
}

#[test]
fn commands_may_not_make_the_calls_that_containers_may_not() {
    let lab = Lab::new();
    let kubefile = format!(
        "{BASE}RUN if unshare -U true 2> /dev/null; then echo made; else echo refused; fi > /namespace\n\
         RUN while read -r name value; do case $name in Seccomp:) echo $value;; esac; done < /proc/self/status > /mode\n"
    );
    for user in [User::Root, User::Nobody] {
        for (number, way) in WAYS.into_iter().enumerate() {
            for (flags, want) in
                [(&[][..], ("refused\n", "2\n")), (&["--security-opt", "seccomp=unconfined"], ("made\n", "0\n"))]
            {
                let (store, what) = (format!("{user:?}{number}{}", flags.len()), format!("{user:?} {way:?} {flags:?}"));
                let id =
                    lab.build(user, &store, way, &kubefile, &[&["-q", "--squash"], flags].concat()).fine_for(&what);
                let got = (lab.content(&store, &id, "namespace"), lab.content(&store, &id, "mode"));
                assert_eq!((got.0.as_str(), got.1.as_str()), want, "{what}");
            }
        }
    }
}

#[test]
fn without_a_network_no_device_of_the_machine_is_seen() {
    let lab = Lab::new();
    let kubefile =
        format!("{BASE}RUN --network=none ls /sys/class/net > /devices && test -d /sys/devices/system/cpu\n");
    for user in [User::Root, User::Nobody] {
        for (number, way) in WAYS.into_iter().enumerate() {
            let (store, what) = (format!("{user:?}{number}"), format!("{user:?} {way:?}"));
            let id = lab.build(user, &store, way, &kubefile, &["-q"]).fine_for(&what);
            assert_eq!(lab.content(&store, &id, "devices"), "lo\n", "{what}");
        }
    }
}

/// Copies a program of this machine and the libraries that it needs into the context, under `ssh`.
fn with_program(lab: &Lab, program: &str) {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}; ldd $(command -v {program})")])
        .bounded()
        .unwrap();
    let text = String::from_utf8(found.stdout).unwrap();
    for path in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = lab.context().join("ssh").join(&path[1..]);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
}

/// An ssh agent with one key, ended when dropped.
struct UserAgent {
    child: std::process::Child,
    socket: String,
}

impl UserAgent {
    fn start(lab: &Lab, uid: &str, key: &str) -> Self {
        let directory = lab.at(&format!("agent-of-{uid}"));
        fs::create_dir(&directory).unwrap();
        std::os::unix::fs::chown(&directory, uid.parse().ok(), None).unwrap();
        let socket = format!("{directory}/socket");
        let drop = ["--reuid", uid, "--regid", uid, "--clear-groups", "ssh-agent", "-D", "-a", &socket];
        let child = Command::new("setpriv").args(drop).stdout(std::process::Stdio::null()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(120);
        while !Path::new(&socket).exists() {
            assert!(Instant::now() < end, "the agent does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        let added = Command::new("ssh-add").args(["-q", key]).env("SSH_AUTH_SOCK", &socket).bounded().unwrap().status;
        assert!(added.success());
        Self { child, socket }
    }
}

impl Drop for UserAgent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn an_agent_is_asked_by_the_command_that_wants_it_and_its_keys_stay_outside() {
    let lab = Lab::new();
    with_program(&lab, "ssh-add");
    for (way, program) in ["none", "crun", "runc"].into_iter().flat_map(|way| [(way, "ssh-agent"), (way, "ssh-add")]) {
        std::os::unix::fs::symlink(Path::new("/usr/bin").join(program), lab.path("path").join(way).join(program))
            .unwrap();
    }
    let kubefile = format!(
        "{BASE}COPY ssh /\nRUN --mount=type=ssh ssh-add -L > /default && test $SSH_AUTH_SOCK = /run/buildkit/ssh_agent.0\n\
         RUN test -z \"$SSH_AUTH_SOCK\" && test ! -e /run/buildkit/ssh_agent.0\n\
         RUN mkdir -m 777 /out\nUSER user\nRUN --mount=type=ssh,id=own,required=true,uid=1000,target=/tmp/agent ssh-add -L > /out/own\n"
    );
    for (user, uid, home) in [(User::Root, "0", ""), (User::Ranged, "4242", "ranged/")] {
        let key = |name: &str| {
            let path = lab.at(&format!("{name}-{uid}"));
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", &path]).bounded();
            assert!(made.expect("openssh-client is installed (tests/run does it)").status.success());
            std::os::unix::fs::chown(&path, uid.parse().ok(), None).unwrap();
            (path.clone(), fs::read_to_string(path + ".pub").unwrap())
        };
        let ((first, first_public), (second, second_public)) = (key("first"), key("second"));
        let agent = UserAgent::start(&lab, uid, &first);
        let own = format!("own={second}");
        for (number, way) in WAYS.into_iter().enumerate() {
            let (store, what) = (format!("{user:?}{number}"), format!("{user:?} {way:?}"));
            lab.file("Kubefile", &kubefile);
            let context = lab.at("context");
            let ssh = ["-q", "--squash", "--ssh", "default", "--ssh", &own, &context];
            let args = [&["build", "--compression", "none"], way.0, &ssh].concat();
            let mut command = lab.command(user, &store, way.1, &args);
            let said = crate::sandbox::Said::from(command.env("SSH_AUTH_SOCK", &agent.socket).bounded().unwrap());
            let (id, store) = (said.fine_for(&what), format!("{home}{store}"));
            assert_eq!(lab.content(&store, &id, "default"), first_public, "{what}");
            assert_eq!(lab.content(&store, &id, "out/own"), second_public, "{what}");
        }
    }

    let build = |kubefile: &str, flags: &[&str]| {
        lab.build(User::Root, "refused", WAYS[0], &format!("{BASE}{kubefile}"), &[&["-q"], flags].concat())
    };
    let wants = "RUN --mount=type=ssh,required true\n";
    build(wants, &[]).refused(&["needs the ssh agent `default`", "help: give it with `--ssh default`"]);
    build(wants, &["--ssh", "default"]).refused(&["needs the ssh agent `default`", "SSH_AUTH_SOCK"]);
    build(wants, &["--ssh", "default=/nonexistent"]).refused(&["cannot find /nonexistent"]);
    fs::write(lab.path("home/text"), "no key").unwrap();
    let text = format!("default={}", lab.at("home/text"));
    build(wants, &["--ssh", &text]).refused(&["cannot give keys to the agent"]);
    build("RUN --mount=type=ssh true\n", &[]).fine_for("a mount that is not required");
}
