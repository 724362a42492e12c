//! What is kept of a cluster on this machine: its file, the key of its secrets, logs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::seal::Sealer;
use crate::cli::error::CommandError;
use crate::cli::whole_file;
use crate::cluster::ClusterName;
use crate::clusterfile::Clusterfile;

/// What is kept of one cluster.
pub(crate) struct State {
    directory: PathBuf,
    root: PathBuf,
    sealer: Sealer,
}

impl State {
    /// Of a cluster, below `SEALOS_RUNTIME_ROOT` or `~/.sealos`.
    pub(crate) fn of(cluster: &ClusterName) -> Result<Self, CommandError> {
        let root = root().ok_or(CommandError::NoRuntimeRoot)?;
        let key = root.join("seal.key");
        let sealer = Sealer::of(&key).map_err(CommandError::io(format!("read the key {}", key.display())))?;
        Ok(Self { directory: root.join(cluster.to_string()), root, sealer })
    }

    /// Whether there is a cluster of this name.
    pub(crate) fn is_there(cluster: &ClusterName) -> bool {
        root().is_some_and(|root| root.join(cluster.to_string()).join("Clusterfile").is_file())
    }

    /// The file of the cluster.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("Clusterfile")
    }

    /// Where it is kept what is in layers.
    pub(crate) fn indexes(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// Reads a text that was stored.
    pub(crate) fn parse(&self, text: &str, from: &str) -> Result<Clusterfile, CommandError> {
        let parsed = Clusterfile::parse(text, &|sealed| self.sealer.open(sealed));
        parsed.map_err(|source| CommandError::Clusterfile { path: from.to_owned(), source })
    }

    /// The cluster as it was stored, if it was.
    pub(crate) fn load(&self) -> Result<Option<Clusterfile>, CommandError> {
        let path = self.path();
        match fs::read_to_string(&path) {
            Ok(text) => self.parse(&text, &path.display().to_string()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CommandError::io(format!("read {}", path.display()))(error)),
        }
    }

    /// The cluster as it was stored, which it has to be.
    pub(crate) fn needed(&self, cluster: &ClusterName) -> Result<Clusterfile, CommandError> {
        self.load()?.ok_or_else(|| CommandError::NoCluster { cluster: cluster.clone() })
    }

    /// The text to store, secrets sealed.
    pub(crate) fn text(&self, file: &Clusterfile) -> Result<String, CommandError> {
        let failure = std::cell::RefCell::new(None);
        let seal = |text: &str| match self.sealer.seal(text) {
            Ok(sealed) => sealed,
            Err(error) => {
                failure.replace(Some(error));
                String::new()
            }
        };
        let path = || self.path().display().to_string();
        let text = file.to_text(&seal).map_err(|source| CommandError::Clusterfile { path: path(), source })?;
        match failure.into_inner() {
            Some(error) => Err(CommandError::io("seal a secret")(error)),
            None => Ok(text),
        }
    }

    /// Stores the cluster, whole or not at all; only its owner can read it.
    pub(crate) fn save(&self, file: &Clusterfile) -> Result<String, CommandError> {
        let text = self.text(file)?;
        let path = self.path();
        let directory = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        directory.map_err(CommandError::io(format!("write {}", path.display())))?;
        whole_file::write_private(&path, text.as_bytes())?;
        Ok(text)
    }

    /// Puts the cluster's file aside: there is no such cluster any more.
    pub(crate) fn retire(&self) -> Result<(), CommandError> {
        let path = self.path();
        let aside = path.with_file_name(format!("Clusterfile.{}", seconds()));
        match fs::rename(&path, aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CommandError::io(format!("put {} aside", path.display()))(error))
            }
            _ => Ok(()),
        }
    }

    /// A new log, and its path.
    pub(crate) fn log(&self) -> Result<(File, PathBuf), CommandError> {
        let directory = self.directory.join("logs");
        let path = directory.join(format!("{}-{}.log", seconds(), std::process::id()));
        let open = || -> io::Result<File> {
            DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            OpenOptions::new().append(true).create(true).mode(0o600).open(&path)
        };
        let file = open().map_err(CommandError::io(format!("write {}", path.display())))?;
        Ok((file, path))
    }

    /// Locks the cluster against other commands on this machine, until this is dropped.
    pub(crate) fn lock(&self) -> Result<File, CommandError> {
        let path = self.directory.join("lock");
        let doing = || format!("lock {}", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).map_err(CommandError::io(doing()))?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(CommandError::io(doing()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(CommandError::Running { path }),
            Err(fs::TryLockError::Error(error)) => Err(CommandError::io(doing())(error)),
        }
    }
}

/// Where clusters are kept on this machine.
fn root() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("SEALOS_RUNTIME_ROOT").or_else(|| variable("HOME").map(|home| home.join(".sealos")))
}

/// Seconds since 1970.
pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
