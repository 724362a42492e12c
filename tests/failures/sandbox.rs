//! A directory with a store, and the binary run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One test's directory.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Fails unless the command failed with exit code 1 and a message that holds all of `parts`.
    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in:\n{}", self.stderr);
        }
    }

    /// Fails unless the command succeeded; returns its stdout.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }
}

impl Sandbox {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// The directory.
    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text.
    pub(crate) fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The command line with the store of this sandbox.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealos"));
        command
            .arg("--root")
            .arg(self.path("store"))
            .args(args)
            .current_dir(self.root())
            .env("SEALOS_DATA_ROOT", self.path("data"))
            .stdin(Stdio::null());
        command
    }

    /// Runs sealos to its end.
    pub(crate) fn sealos(&self, args: &[&str]) -> Said {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts sealos and leaves it running.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Writes a context of a Kubefile and files, and returns its path.
    pub(crate) fn context(&self, name: &str, kubefile: &str, files: &[(&str, &[u8])]) -> String {
        let dir = self.path(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("Kubefile"), kubefile).unwrap();
        for (path, bytes) in files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir.to_str().unwrap().to_owned()
    }

    /// Builds `app:v1` of one file and saves it; the archive's path.
    pub(crate) fn archive(&self, format: &str) -> String {
        let context = self.context("app", "FROM scratch\nCOPY data /\n", &[("data", &noise(300_000, 1))]);
        self.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
        let archive = self.at("app.tar");
        self.sealos(&["save", "-q", "--format", format, "-o", &archive, "app:v1"]).fine();
        self.sealos(&["rmi", "app:v1"]).fine();
        self.sealos(&["prune", "--all"]).fine();
        archive
    }

    /// Fails unless the store holds neither images nor blobs.
    #[track_caller]
    pub(crate) fn is_empty(&self) {
        assert_eq!(self.sealos(&["images", "-q", "-a"]).fine().trim(), "");
        let blobs: Vec<_> = fs::read_dir(self.path("store/blobs/sha256")).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(blobs.is_empty(), "{blobs:?}");
    }
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}
