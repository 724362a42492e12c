//! What a controller and its program on a host say to each other, over that program's input and output.
//!
//! ```text
//! controller ─▶ Request (one line)              ◀─ Said::Fetch (one line) ─ host
//!            ─▶ Given (one line), the bytes     ◀─ Said::Output, Said::Done | Said::Failed
//! ```
//!
//! Nothing listens anywhere: what the host fetches goes the way that its orders came. One document a line; the bytes of
//! what was fetched follow the line that promises them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

use oci::{Descriptor, DiffId, Digest};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::plan::hosts::HostStep;
use crate::transport::Stream;

/// No line is longer, in bytes.
const LINE_LIMIT: u64 = 16 << 20;
/// Bytes that are moved at a time.
pub(super) const PIECE: usize = 256 << 10;

/// Files that are to be brought to a directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Wares {
    /// The digest of the list of files, and its size in bytes.
    pub(super) manifest: (Digest, u64),
    /// The layers that have their bytes, by the numbers in the list.
    pub(super) layers: Vec<(Descriptor, DiffId)>,
}

/// One order. Its text is never shown: it holds the environment.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Request {
    /// The directory of the cluster on the host.
    pub(super) cluster: PathBuf,
    /// What to do.
    pub(super) step: HostStep,
    /// The environment of templates and commands; none leaves the one that was kept.
    pub(super) environment: Option<BTreeMap<String, String>>,
    /// Files, where the step is about them.
    pub(super) wares: Option<Wares>,
    /// Do it though it was done.
    pub(super) again: bool,
    /// How long a command may take, in seconds.
    pub(super) timeout: Option<u64>,
}

/// What a host says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
pub(super) enum Said {
    /// It wants bytes.
    Fetch {
        /// Of what.
        digest: Digest,
        /// From which byte on.
        from: u64,
    },
    /// A command printed a line.
    Output {
        /// Where to.
        stream: Stream,
        /// The line, without its end.
        text: String,
    },
    /// Something could not be kept though the step goes on.
    Warning {
        /// What.
        text: String,
    },
    /// It is done and recorded.
    Done {
        /// Whether it was so before.
        already: bool,
        /// What moved, in words; empty where nothing did.
        note: String,
    },
    /// It failed.
    Failed {
        /// Why, with its causes.
        error: String,
        /// What to do, if known.
        help: Option<String>,
        /// The exit code of the command that failed.
        code: Option<u8>,
        /// The last lines that it printed.
        tail: Vec<String>,
    },
}

/// What a controller answers to a fetch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Given {
    /// So many bytes follow.
    Bytes(u64),
    /// There are none, for this reason.
    Nothing(String),
}

/// Reads a document; none at the end.
pub(super) fn read<T: DeserializeOwned>(from: &mut dyn BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(LINE_LIMIT).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if !line.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// A document as a line.
pub(super) fn line<T: Serialize>(what: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(line)
}

/// Passes on exactly as many bytes as were promised; `early` says what an early end means.
pub(super) fn pass_on(from: &mut dyn Read, size: u64, to: &mut dyn Write, early: &'static str) -> io::Result<()> {
    let (mut left, mut buffer) = (size, vec![0; PIECE]);
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let count = from.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, early));
        }
        to.write_all(&buffer[..count])?;
        left -= count as u64;
    }
    Ok(())
}
