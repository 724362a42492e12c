//! RUN as root, in every isolation: the same image, no secret kept, a failure told, nothing left behind.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::lab::{BASE, Lab, User, WAYS, listing};

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
        let end = Instant::now() + Duration::from_secs(30);
        while !traces(&marker).1.iter().any(|words| words.starts_with("sleep") || words.contains("sleep 98765")) {
            assert!(Instant::now() < end, "the command did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(100));
        child.kill().unwrap();
        child.wait().unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while !traces(&marker).1.is_empty() {
            assert!(Instant::now() < end, "{:?}", traces(&marker).1);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(traces(&marker).0, before, "mounts are left");
    }
}
