//! Asks hosts what they are like and what is installed on them; changes nothing.
//!
//! ```text
//! hosts ─ one shell script each, all at once ─▶ Found {facts, steps that are done, the cluster's file} | why not
//! facts + what is wanted ─ judge ─▶ all problems at once
//! ```
//!
//! Invariants: one round trip a host; a host that does not answer does not keep the others from being heard; the script
//! needs a POSIX shell and coreutils (or busybox) only.

mod judge;
mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use content::side_by_side;

use crate::cluster::{Address, HostFacts};
use crate::plan::hosts::Done;
use crate::transport::{Command, Stream, Transport, TransportError};

pub use judge::{Needs, judge};
pub(crate) use script::{Entry, State, done};

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was found on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What it is like.
    pub facts: HostFacts,
    /// The steps that are done there, oldest first.
    pub done: Vec<Done>,
    /// The cluster's file as the last run left it there; masters have one.
    pub clusterfile: Option<String>,
}

/// Why a host could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// It could not be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// It answered something else.
    #[error("{host} cannot be looked at: {reason}")]
    Answer {
        /// The host.
        host: String,
        /// What it said.
        reason: String,
    },
}

impl ProbeError {
    /// What the user can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Transport(error) => error.help(),
            Self::Answer { .. } => Some("it needs a POSIX shell and coreutils".to_owned()),
        }
    }
}

/// Where things are on every host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The directories of all clusters.
    pub root: PathBuf,
    /// The directory of this one.
    pub cluster: PathBuf,
}

impl Places {
    /// The program that acts for us.
    pub fn program(&self) -> PathBuf {
        self.cluster.join("bin/sealos")
    }

    /// The record of the steps that are done.
    pub fn record(&self) -> PathBuf {
        record_in(&self.cluster)
    }

    /// The cluster's file, on masters.
    pub fn clusterfile(&self) -> PathBuf {
        self.cluster.join("Clusterfile")
    }
}

/// The record of the steps that are done, in the directory of a cluster.
pub fn record_in(cluster: &Path) -> PathBuf {
    cluster.join("steps.jsonl")
}

/// Asks all hosts at once, at most `parallel` at a time.
pub fn probe(
    hosts: &BTreeMap<Address, Box<dyn Transport>>,
    places: &Places,
    parallel: usize,
) -> BTreeMap<Address, Result<Found, ProbeError>> {
    let list: Vec<_> = hosts.iter().collect();
    let found = side_by_side(parallel, &list, |(_, host)| ask(host.as_ref(), places));
    list.into_iter().map(|(address, _)| address.clone()).zip(found).collect()
}

/// Asks one host.
fn ask(host: &dyn Transport, places: &Places) -> Result<Found, ProbeError> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let arguments = [text(&places.root), text(&places.cluster)];
    let argv = ["/bin/sh", "-c", script::TEXT, "sh"].map(str::to_owned).into_iter().chain(arguments).collect();
    let command = Command { argv, timeout: Some(PATIENCE), ..Command::default() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut begin = now();
    let mut connected = false;
    let status = host.run(&command, &mut |stream, line| match stream {
        Stream::Stdout => {
            if !connected {
                // The first line comes when the script begins: what connecting took is no part of the answer's age.
                (begin, connected) = (now(), true);
            }
            out.extend_from_slice(line);
        }
        Stream::Stderr => err.extend_from_slice(line),
    })?;
    let answer = |reason: String| ProbeError::Answer { host: host.host(), reason };
    if !status.success() {
        return Err(answer(format!("{status}: {}", String::from_utf8_lossy(&err).trim())));
    }
    script::read(&out, begin, now()).map_err(answer)
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(now).unwrap_or(i64::MAX)
}
