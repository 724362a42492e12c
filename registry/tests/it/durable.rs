//! What is acknowledged is on the disk: the system calls of a push are looked at, since no test can cut the power.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use registry::backend::Distribution;

use crate::client::Client;
use crate::process::{Process, serves};

/// What has been done and is not safe yet.
#[derive(Default)]
struct Disk {
    /// Files whose bytes were synced under this name.
    synced: BTreeSet<String>,
    /// Directories in which something appeared.
    pending: BTreeSet<String>,
    acknowledged: usize,
    placed: usize,
    wrong: Vec<String>,
}

impl Disk {
    /// A call that has returned without an error.
    fn take(&mut self, call: &str, arguments: &str) {
        let paths: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
        match call {
            "mkdir" | "mkdirat" => self.appears(paths[0]),
            "rename" | "renameat" | "renameat2" => {
                if !self.synced.contains(paths[0]) {
                    self.wrong.push(format!("{} got its name before its bytes were synced", paths[1]));
                }
                self.placed += 1;
                self.appears(paths[1]);
            }
            "fsync" | "fdatasync" => {
                let path = arguments.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>')).unwrap().0;
                self.pending.remove(path);
                self.synced.insert(path.to_owned());
            }
            "sendmsg" if arguments.contains("HTTP/1.1 201") => {
                self.acknowledged += 1;
                if !self.pending.is_empty() {
                    self.wrong.push(format!("acknowledged before {:?} was synced", self.pending));
                }
            }
            _ => {}
        }
    }

    fn appears(&mut self, path: &str) {
        // What is of uploads may go with the power.
        if !path.split('/').any(|part| part == "_uploads" || part == "locks") {
            self.pending.insert(path.rsplit_once('/').unwrap().0.to_owned());
        }
    }
}

/// Plays what strace has written: lines of `PID call(arguments) = result`, some in two halves.
fn play(trace: &str) -> Disk {
    let mut disk = Disk::default();
    let mut halves: HashMap<&str, String> = HashMap::new();
    for line in trace.lines() {
        let (process, rest) = line.trim_start().split_once(' ').unwrap();
        let mut rest = rest.trim_start().to_owned();
        if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
            halves.insert(process, first.to_owned());
            continue;
        }
        if let Some((_, second)) = rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            rest = halves.remove(process).unwrap() + second;
        }
        // Results stand in a column.
        let parts = rest.rsplit_once(" = ").and_then(|(front, result)| {
            let (call, arguments) = front.trim_end().strip_suffix(')')?.split_once('(')?;
            Some((call, arguments, result))
        });
        if let Some((call, arguments, result)) = parts
            && !result.starts_with('-')
        {
            disk.take(call, arguments);
        }
    }
    disk
}

#[test]
fn an_answer_is_given_when_files_and_directories_are_synced() {
    if serves("SEALOS_TEST_DURABLE", |told| Arc::new(Distribution::open(Path::new(told)).unwrap())) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (root, trace) = (dir.path().join("root"), dir.path().join("trace"));
    // What was there before the server is not its business.
    drop(Distribution::open(&root).unwrap());
    let calls = "trace=mkdir,mkdirat,rename,renameat,renameat2,fsync,fdatasync,sendmsg";
    let words = ["strace", "-f", "-y", "-s", "32", "-e", calls, "-o", trace.to_str().unwrap()].map(AsRef::as_ref);
    let name = "durable::an_answer_is_given_when_files_and_directories_are_synced";
    let process = Process::start(&words, name, "SEALOS_TEST_DURABLE", root.as_os_str());
    let mut client = Client::new(&process.address);
    for (repository, tag) in [("a", "v1"), ("a", "v2"), ("team/deep/b", "v1")] {
        let layer = format!("{repository}:{tag}");
        assert_eq!(client.push_image(repository, tag, layer.as_bytes()).unwrap().1, 201);
    }
    let large = vec![7; 3 << 20];
    assert_eq!(client.push_blob("a", &large).unwrap().1, 201);
    let config = oci::Digest::of(b"{}");
    let mounted = client.ask("POST", &format!("/v2/c/blobs/uploads/?mount={config}&from=a"), &[], b"").unwrap();
    assert_eq!(mounted.status, 201);
    drop(client);
    process.end();
    let disk = play(&fs::read_to_string(trace).unwrap());
    assert!(disk.acknowledged >= 11 && disk.placed >= 20, "{} {}", disk.acknowledged, disk.placed);
    assert!(disk.wrong.is_empty(), "{:#?}", disk.wrong);
}
