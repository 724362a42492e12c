//! A directory with a store, the binary run in it, and texts compared with files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bounded::Bounded;

/// One test's directory.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
}

/// What a command said and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// What a command says that succeeds without a word on stderr.
    pub(crate) fn only(stdout: &str) -> Self {
        Self { code: Some(0), stdout: stdout.to_owned(), stderr: String::new() }
    }

    /// What a command says that fails.
    pub(crate) fn failure(code: i32, stderr: &str) -> Self {
        Self { code: Some(code), stdout: String::new(), stderr: stderr.to_owned() }
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command line, with the store of this sandbox and nothing of our own environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealos"));
        command
            .env_clear()
            .env("COLUMNS", "100")
            .env("HOME", self.dir.path())
            .env("SEALOS_STORAGE_ROOT", self.path("store"))
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs sealos to its end. The sandbox's path is shown as `DIR`.
    pub(crate) fn sealos(&self, args: &[&str]) -> Said {
        let output = self.command(args).bounded().unwrap();
        let dir = self.dir.path().to_str().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(dir, "DIR");
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Compares with a file in `testdata/cli/`; `BLESS=1` rewrites the file for review in the diff.
#[track_caller]
pub(crate) fn golden(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cli").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, got).expect("testdata is writable");
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, want, "{} differs; if this is intended, run with BLESS=1", path.display());
}
