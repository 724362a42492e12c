//! What a host keeps: the record of the steps that are done there, the environments they had, and a lock.
//!
//! The record only grows while steps are done, and each line is on the disk before the next step begins. A lock keeps two
//! steps apart, also one that a lost connection left running.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::plan::hosts::{Done, HostStep, Reach};
use crate::probe::{Entry, State, done, record_in};

/// How often we look whether another step has ended.
const LOOK: Duration = Duration::from_millis(200);

/// The record of a host, ours until this is dropped.
pub(super) struct HostRecord {
    cluster: PathBuf,
    file: File,
    done: Vec<Done>,
    _lock: File,
}

impl HostRecord {
    /// Waits until no other step runs, at most `patience`, and reads the record.
    pub(super) fn open(cluster: &Path, patience: Duration) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(cluster)?;
        let lock = lock(&cluster.join("steps.lock"), patience)?;
        let path = record_in(cluster);
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        if !text.is_empty() && !text.ends_with('\n') {
            // A line that a crash tore tells nothing, and must not swallow the next.
            file.write_all(b"\n")?;
        }
        let lines: Vec<&str> = text.lines().collect();
        Ok(Self { cluster: cluster.to_owned(), file, done: done(&lines), _lock: lock })
    }

    /// Whether a step is done, under the same name.
    pub(super) fn has(&self, step: &HostStep) -> bool {
        let same = |done: &Done| (&done.step.chain, &done.step.id) == (&step.chain, &step.id);
        self.done.iter().any(|done| done.reach == Reach::Done && same(done))
    }

    /// Writes down how far a step came; on return it is on the disk.
    pub(super) fn note(&mut self, step: &HostStep, state: State) -> io::Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let time = u64::try_from(time).unwrap_or(u64::MAX);
        let mut line = serde_json::to_vec(&Entry { state, time, step: step.clone() })?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }

    fn environment_file(&self, chain: &str) -> PathBuf {
        self.cluster.join("environments").join(format!("{chain}.json"))
    }

    /// The environment that a chain's steps had last.
    pub(super) fn environment(&self, chain: &str) -> io::Result<BTreeMap<String, String>> {
        match fs::read(self.environment_file(chain)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Keeps the environment of a chain, for what takes its steps away again. Only root can read it.
    pub(super) fn keep_environment(&self, chain: &str, environment: &BTreeMap<String, String>) -> io::Result<()> {
        let path = self.environment_file(chain);
        let staged = path.with_extension("new");
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(&serde_json::to_vec(environment)?)?;
        file.sync_data()?;
        fs::rename(staged, path)
    }

    /// Removes all that is kept; the record goes last, so that what was interrupted can be done again.
    pub(super) fn sweep(&mut self) -> io::Result<()> {
        let record = record_in(&self.cluster);
        for entry in fs::read_dir(&self.cluster)? {
            let path = entry?.path();
            if path != record {
                if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
            }
        }
        fs::remove_file(&record)?;
        fs::remove_dir(&self.cluster)
    }
}

fn lock(path: &Path, patience: Duration) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let end = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "a step of an earlier run still runs there"));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
        }
    }
}
