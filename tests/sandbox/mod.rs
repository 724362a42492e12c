//! A directory with a store, the real binary run in it, and what it said: shared by the test programs.
//!
//! Nothing of whoever runs the tests is found in it: no store, no credentials, no home.

#![allow(dead_code, reason = "each test program uses the part that it needs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

#[allow(unused_imports, reason = "each test program uses the part that it needs")]
pub(crate) use bounded::{Bounded, ended, waited};

pub(crate) mod bounded;

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
    /// What a program that ended has said.
    pub(crate) fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Fails unless the command failed with exit code 1, no result, and a message that holds all of `parts`; the
    /// message.
    #[track_caller]
    pub(crate) fn refused(&self, parts: &[&str]) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in:\n{}", self.stderr);
        }
        self.stderr.clone()
    }

    /// Fails unless the command succeeded; its stdout.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Fails unless `what` succeeded; its stdout without the last line feed.
    #[track_caller]
    pub(crate) fn fine_for(self, what: &str) -> String {
        assert_eq!(self.code, Some(0), "{what}: {}\n{}", self.stdout, self.stderr);
        self.stdout.trim_end().to_owned()
    }
}

impl Sandbox {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        let sandbox = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(sandbox.path("home")).unwrap();
        sandbox
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
            .args(["--root", &self.at("store"), "--progress", "plain"])
            .args(args)
            .current_dir(self.root())
            .env("SEALOS_DATA_ROOT", self.path("data"))
            .env("HOME", self.path("home"))
            .stdin(Stdio::null());
        for variable in ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs sealos to its end.
    pub(crate) fn sealos(&self, args: &[&str]) -> Said {
        Said::from(finished(&mut self.command(args)))
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

    /// The path `out`, where nothing is.
    pub(crate) fn out(&self) -> String {
        let out = self.path("out");
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
        self.at("out")
    }

    /// Builds `app:v1` and writes the files of the image to `out`; the id of the image.
    #[track_caller]
    pub(crate) fn build(&self, args: &[&str]) -> String {
        let out = self.out();
        self.sealos(&[&["build", "-q", "-t", "app:v1", "-o", &out], args].concat()).fine()
    }

    /// Builds `app:v1` of one file, saves it and removes it from the store; the archive's path.
    pub(crate) fn archive(&self, format: &str) -> String {
        let context = self.context("app", "FROM scratch\nCOPY data /\n", &[("data", &noise(300_000, 1))]);
        self.sealos(&["build", "-q", "-t", "app:v1", &context]).fine();
        let archive = self.at("app.tar");
        self.sealos(&["save", "-q", "--format", format, "-o", &archive, "app:v1"]).fine();
        self.sealos(&["rmi", "app:v1"]).fine();
        self.sealos(&["prune", "--all"]).fine();
        archive
    }

    /// The names of the blobs in the store, sorted.
    pub(crate) fn blobs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("store/blobs/sha256")) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Fails unless the store shows no image.
    #[track_caller]
    pub(crate) fn shows_nothing(&self) {
        assert_eq!(self.sealos(&["images", "-q", "-a"]).fine().trim(), "");
    }

    /// Fails unless the store holds neither images nor blobs.
    #[track_caller]
    pub(crate) fn is_empty(&self) {
        self.shows_nothing();
        assert_eq!(self.blobs(), [""; 0]);
    }
}

/// Runs a program to its end.
#[track_caller]
pub(crate) fn finished(command: &mut Command) -> Output {
    command.bounded().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a program that has to succeed.
#[track_caller]
pub(crate) fn run(program: &str, args: &[&str]) {
    let output = finished(Command::new(program).args(args));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The text of a file below a directory that a build wrote.
#[track_caller]
pub(crate) fn text(directory: &str, name: &str) -> String {
    let path = Path::new(directory).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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
