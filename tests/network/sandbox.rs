//! A directory with a store, and the binary run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    /// Fails unless the command failed with exit code 1 and a message that holds all of `parts`; the message.
    #[track_caller]
    pub(crate) fn refused(self, parts: &[&str]) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in:\n{}", self.stderr);
        }
        self.stderr
    }

    /// Fails unless the command succeeded; its stdout.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }
}

impl Sandbox {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        let sandbox = Self { dir: tempfile::tempdir().unwrap() };
        // Nothing of whoever runs the tests may be found: no credentials, no trust.
        fs::create_dir(sandbox.path("home")).unwrap();
        sandbox
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text.
    pub(crate) fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The path `out`, where nothing is: the files of a build are written only to a new directory.
    pub(crate) fn out(&self) -> String {
        let out = self.path("out");
        if out.exists() {
            fs::remove_dir_all(&out).unwrap();
        }
        self.at("out")
    }

    /// Builds and writes the files of the image to `out`; the id of the image.
    #[track_caller]
    pub(crate) fn build(&self, args: &[&str]) -> String {
        let out = self.out();
        self.sealos(&[&["build", "-q", "-t", "app:v1", "-o", &out], args].concat()).fine()
    }

    /// Runs sealos to its end.
    pub(crate) fn sealos(&self, args: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_sealos"))
            .args(["--root", &self.at("store"), "--progress", "plain"])
            .args(args)
            .current_dir(self.dir.path())
            .env("SEALOS_DATA_ROOT", self.path("data"))
            .env("HOME", self.path("home"))
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("DOCKER_CONFIG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Writes a context of a Kubefile and files, and returns its path.
    pub(crate) fn context(&self, name: &str, kubefile: &str, files: &[(&str, &[u8])]) -> String {
        let dir = self.path(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("Kubefile"), kubefile).unwrap();
        for (path, bytes) in files {
            fs::write(dir.join(path), bytes).unwrap();
        }
        dir.to_str().unwrap().to_owned()
    }

    /// Fails unless the store shows no image and holds no blob that somebody could mistake for one.
    #[track_caller]
    pub(crate) fn shows_nothing(&self) {
        assert_eq!(self.sealos(&["images", "-q", "-a"]).fine().trim(), "");
    }

    /// The names of the blobs in the store, sorted.
    pub(crate) fn blobs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("store/blobs/sha256")) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Runs a program that has to succeed.
#[track_caller]
pub(crate) fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The text of a file below a directory that a build wrote.
#[track_caller]
pub(crate) fn text(directory: &str, name: &str) -> String {
    let path = Path::new(directory).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
