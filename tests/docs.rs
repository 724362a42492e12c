//! Every command block of the README and of docs/ is run, as a reader would type it.
//!
//! A block that is marked `sh` runs in bash, in a directory with a copy of `Kubefile-examples` and with `sealos` on the
//! path; blocks of one file run in order in one directory. Blocks marked `text` are not commands to try (the two of the
//! README that set a machine up are what `.ci/run` itself runs).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

#[path = "sandbox/bounded.rs"]
mod bounded;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use bounded::Bounded;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The `sh` blocks of a document, with the lines they begin at.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line) {
            (None, "```sh") => open = Some((number + 2, String::new())),
            (Some(_), "```") => found.extend(open.take()),
            (Some((_, block)), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// The processes of blocks; what a block left running for the next ones ends with the document.
#[derive(Default)]
struct Groups(Vec<Pid>);

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            // Most have ended already.
            kill_process_group(*group, Signal::KILL).ok();
        }
    }
}

fn run(document: &str) {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let blocks = blocks(&text);
    assert!(!blocks.is_empty(), "{document} has no command block");
    let dir = tempfile::tempdir().unwrap();
    let copied =
        Command::new("cp").arg("-r").arg(root().join("Kubefile-examples")).arg(dir.path()).bounded().unwrap().status;
    assert!(copied.success());
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_sealos"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut groups = Groups::default();
    for (line, block) in blocks {
        // What a server of the block before has said would be read as what the next one says, if that is slow to start.
        for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_some_and(|extension| extension == "url") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        // Killed when it does not end. Not a pipe: what a block leaves running may hold its output open.
        let said = dir.path().join(".said");
        let file = fs::File::create(&said).unwrap();
        let mut child = Command::new("timeout")
            .process_group(0)
            .args(["--kill-after=1", "300", "bash", "-euo", "pipefail", "-c", &block])
            .current_dir(dir.path())
            .env("PATH", &path)
            .env("HOME", dir.path())
            .env("SEALOS_STORAGE_ROOT", dir.path().join("storage"))
            .env("SEALOS_DATA_ROOT", dir.path().join("data"))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        groups.0.push(Pid::from_child(&child));
        let status = child.wait().unwrap();
        let said = fs::read(said).unwrap();
        assert!(status.success(), "{document}:{line}: {status}\n{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn the_blocks_of_the_readme_run() {
    run("README.md");
}

#[test]
fn the_blocks_of_the_build_guide_run() {
    run("docs/build.md");
}

#[test]
fn the_blocks_of_the_image_guide_run() {
    run("docs/images.md");
}

#[test]
fn the_blocks_of_the_transfer_guide_run() {
    run("docs/transfer.md");
}

#[test]
fn the_blocks_of_the_run_guide_run() {
    run("docs/run.md");
}

#[test]
fn the_blocks_of_the_cluster_guide_run() {
    run("docs/clusters.md");
}

#[test]
fn the_blocks_of_the_registry_guide_run() {
    run("docs/registry.md");
}

#[test]
fn the_blocks_of_the_guide_to_carried_images_run() {
    run("docs/carried-images.md");
}

#[test]
fn the_blocks_of_the_guide_to_access_run() {
    run("docs/registry-access.md");
}

#[test]
fn the_blocks_of_the_guide_to_mirrors_run() {
    run("docs/registry-mirror.md");
}

#[test]
fn the_set_up_commands_of_the_readme_are_what_ci_runs() {
    let (readme, ci) =
        (fs::read_to_string(root().join("README.md")).unwrap(), fs::read_to_string(root().join(".ci/run")).unwrap());
    for command in ["bash tests/run", "cargo run --release -- run Kubefile-examples/hello"] {
        assert!(readme.contains(&format!("\n{command}\n")), "the README has `{command}`");
        assert!(ci.contains(command), ".ci/run runs `{command}`");
    }
}
