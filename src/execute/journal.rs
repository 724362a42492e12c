//! The record of what was done in a cluster: `journal.jsonl` in the cluster's directory, one JSON document a line.
//!
//! It only grows, every line is on the disk before the next step begins, and it is its writer's alone (`lock`). Values
//! of the environment are not in it; the id of a step depends on them, so it is readable by its owner only. A last
//! line that is torn, because we or the machine died, is cut off: what it told counts as not done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::cluster::ImageKind;
use crate::execute::ExecuteError;
use crate::plan::{PlannedStep, Step, StepId};

/// No line is longer, in bytes; a longer one is damage.
const LINE_LIMIT: u64 = 16 << 20;

/// How far a step came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// It began.
    Started,
    /// It is done.
    Done {
        /// How long it took, in milliseconds.
        milliseconds: u64,
    },
    /// It failed.
    Failed {
        /// The exit code of its command, if that is what failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<u8>,
    },
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in milliseconds since 1970 UTC.
    pub time: u64,
    /// By which process.
    pub pid: u32,
    /// The name of the image in the cluster.
    pub mount: String,
    /// The image as its user calls it.
    pub image: String,
    /// The image's manifest.
    pub digest: Digest,
    /// The step's id.
    pub step: StepId,
    /// The step's place among those of the mount, from 0.
    pub ordinal: usize,
    /// The step in words.
    pub what: String,
    /// The directory it is about.
    pub directory: PathBuf,
    /// Whether it takes away what others put into the directory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
    /// What the image is in the cluster, on the step that records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<ImageKind>,
    /// How far it came.
    #[serde(flatten)]
    pub state: State,
}

/// What the journal says is done and still holds: by mount, the ends of steps by their place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done(BTreeMap<String, BTreeMap<usize, Entry>>);

impl Done {
    /// A step that begins undoes what came after it, and one that replaces a directory all that is in there.
    fn take(&mut self, entry: Entry) {
        if entry.replaces && entry.state == State::Started {
            self.0.retain(|_, steps| !steps.values().any(|step| step.directory == entry.directory));
        }
        let steps = self.0.entry(entry.mount.clone()).or_default();
        match entry.state {
            State::Started => steps.retain(|ordinal, _| *ordinal < entry.ordinal),
            State::Done { .. } => drop(steps.insert(entry.ordinal, entry)),
            State::Failed { .. } => {}
        }
    }

    /// The ids of the steps that are done.
    pub(crate) fn ids(&self) -> BTreeMap<String, BTreeSet<StepId>> {
        let ids = |steps: &BTreeMap<usize, Entry>| steps.values().map(|entry| entry.step.clone()).collect();
        self.0.iter().map(|(mount, steps)| (mount.clone(), ids(steps))).collect()
    }

    /// The records of images, oldest first.
    pub(crate) fn recorded(&self) -> Vec<Entry> {
        let all = self.0.values().flat_map(BTreeMap::values);
        let mut records: Vec<_> = all.filter(|entry| entry.records.is_some()).cloned().collect();
        records.sort_by_key(|entry| entry.time);
        records
    }
}

/// The journal of a cluster, open for writing: the cluster is ours until this is dropped.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    done: Done,
    lock: File,
}

impl Journal {
    /// Locks a cluster by its directory, which is made if need be, and reads its journal.
    ///
    /// # Errors
    /// [`ExecuteError::Locked`] when another run is on; when the journal cannot be read or is damaged.
    pub fn open(directory: &Path) -> Result<Self, ExecuteError> {
        std::fs::create_dir_all(directory).map_err(ExecuteError::io("make the directory", directory))?;
        let lock = lock(directory)?;
        let path = directory.join("journal.jsonl");
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(&path).map_err(ExecuteError::io("open", &path))?;
        let (done, good) = replay(&mut file, &path)?;
        file.set_len(good).map_err(ExecuteError::io("cut the torn end of", &path))?;
        let parent = File::open(directory).and_then(|parent| parent.sync_all());
        parent.map_err(ExecuteError::io("sync", directory))?;
        Ok(Self { path, file, done, lock })
    }

    /// Reads the journal of a cluster that another run may be working on.
    pub(crate) fn read(directory: &Path) -> Result<Done, ExecuteError> {
        let path = directory.join("journal.jsonl");
        match File::open(&path) {
            Ok(mut file) => Ok(replay(&mut file, &path)?.0),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Done::default()),
            Err(error) => Err(ExecuteError::io("open", &path)(error)),
        }
    }

    /// What was done when the journal was opened.
    pub(crate) fn done(&self) -> &Done {
        &self.done
    }

    /// Writes down how far a step came; on return it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record(&mut self, step: &PlannedStep, state: State) -> Result<(), ExecuteError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let entry = Entry {
            time: u64::try_from(now).unwrap_or(u64::MAX),
            pid: std::process::id(),
            mount: step.mount.clone(),
            image: step.image.clone(),
            digest: step.digest,
            step: step.id.clone(),
            ordinal: step.ordinal,
            what: step.step.to_string(),
            directory: step.step.directory().clone(),
            replaces: step.step.replaces(),
            records: if let Step::Record { kind, .. } = step.step { Some(kind) } else { None },
            state,
        };
        let mut write = || {
            let mut line = serde_json::to_vec(&entry)?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            self.file.sync_data()
        };
        write().map_err(ExecuteError::io("write to the journal", &self.path))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Closing would do, but for a process that is being started at this moment by another thread and still has the
        // open file.
        self.lock.unlock().ok();
    }
}

/// Locks a cluster's directory. The lock goes with the process, however that ends.
fn lock(directory: &Path) -> Result<File, ExecuteError> {
    let path = directory.join("lock");
    let failed = || ExecuteError::io("lock", &path);
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.take(32).read_to_string(&mut text).map_err(failed())?;
            return Err(ExecuteError::Locked { directory: directory.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(failed()(error)),
    }
    file.set_len(0).map_err(failed())?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(failed())?;
    Ok(file)
}

/// Reads all lines; returns what is done and how many bytes hold whole lines.
fn replay(file: &mut File, path: &Path) -> Result<(Done, u64), ExecuteError> {
    file.seek(SeekFrom::Start(0)).map_err(ExecuteError::io("read", path))?;
    let (mut done, mut good, mut number) = (Done::default(), 0, 0);
    let mut reader = BufReader::new(file);
    let mut damaged: Option<(usize, serde_json::Error)> = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line);
        let length = read.map_err(ExecuteError::io("read", path))?;
        if length == 0 {
            return Ok((done, good));
        }
        if let Some((line, source)) = damaged {
            return Err(ExecuteError::Journal { path: path.to_owned(), line, source });
        }
        number += 1;
        match serde_json::from_slice(&line) {
            Ok(entry) if line.ends_with(b"\n") => {
                done.take(entry);
                good += length as u64;
            }
            // Only the end can be torn: what comes behind damage shows that it is not the end.
            Ok(_) => return Ok((done, good)),
            Err(source) => damaged = Some((number, source)),
        }
    }
}
