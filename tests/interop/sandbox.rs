//! A directory with a store of ours, and a store of podman's and buildah's beside it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::bounded::Bounded;

/// One test's directory.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text.
    pub(crate) fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Runs sealos with the store of this sandbox; it must succeed. Returns its stdout.
    pub(crate) fn sealos(&self, args: &[&str]) -> String {
        let store = self.at("store");
        self.run(env!("CARGO_BIN_EXE_sealos"), &[&["--root", &store], args].concat())
    }

    /// Runs a peer; it must succeed. Returns its stdout.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        let output = output(program, args, self.dir.path());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{program} {}: {}\n{}{}",
            args.join(" "),
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs podman or buildah with a store of their own in this sandbox.
    pub(crate) fn with_store(&self, program: &str, args: &[&str]) -> String {
        let (root, run) = (self.at("peer-store"), self.at("peer-run"));
        self.run(program, &[&["--root", &root, "--runroot", &run, "--storage-driver", "vfs"], args].concat())
    }
}

/// Runs a program to its end.
fn output(program: &str, args: &[&str], dir: &Path) -> Output {
    let command = Command::new(program).args(args).current_dir(dir).env("TMPDIR", dir).bounded();
    command.unwrap_or_else(|error| panic!("{program}: {error} (tests/run installs what the tests drive)"))
}
