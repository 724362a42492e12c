//! What is said about an answered request.

use std::time::{Duration, SystemTime};

use crate::http::{Method, Peer, Status};

/// The kinds of requests, for figures and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `/v2/`
    Base,
    /// `/v2/NAME/blobs/DIGEST`
    Blob,
    /// `/v2/NAME/blobs/uploads/…`
    Upload,
    /// `/v2/NAME/manifests/REFERENCE`
    Manifest,
    /// `/v2/NAME/tags/list`
    Tags,
    /// `/v2/NAME/referrers/DIGEST`
    Referrers,
    /// `/v2/_catalog`
    Catalog,
    /// Beside `/v2/`.
    Route,
    /// Not understood.
    Unknown,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Base,
        Self::Blob,
        Self::Upload,
        Self::Manifest,
        Self::Tags,
        Self::Referrers,
        Self::Catalog,
        Self::Route,
        Self::Unknown,
    ];

    /// The word for it in figures and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Blob => "blob",
            Self::Upload => "upload",
            Self::Manifest => "manifest",
            Self::Tags => "tags",
            Self::Referrers => "referrers",
            Self::Catalog => "catalog",
            Self::Route => "route",
            Self::Unknown => "unknown",
        }
    }
}

/// An answered request.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// When its head was complete.
    pub begun: SystemTime,
    /// From then to the last byte of the answer.
    pub took: Duration,
    /// Who asked.
    pub peer: Peer,
    /// As whom; none when the request was refused before.
    pub identity: Option<&'a str>,
    /// What was to be done.
    pub method: Method,
    /// The target as it was sent. It can hold anything that HTTP allows in a target.
    pub target: &'a str,
    /// What kind of request it was.
    pub kind: Kind,
    /// The repository, if it was understood.
    pub repository: Option<&'a str>,
    /// `User-Agent`.
    pub agent: Option<&'a str>,
    /// The status.
    pub status: Status,
    /// The error's code in the body, such as `MANIFEST_UNKNOWN`.
    pub code: Option<&'a str>,
    /// What went wrong inside, for the operator only: the client was told less.
    pub reason: Option<&'a str>,
    /// The bytes of the request's body that were read.
    pub received: u64,
    /// The bytes of the response's body that were sent.
    pub sent: u64,
    /// Whether the response was sent whole.
    pub is_complete: bool,
}

/// Who is told of answered requests, by many threads at once.
pub trait Log: Send + Sync {
    /// Takes a record; it must not block for long.
    fn record(&self, record: &Record<'_>);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl Log for NoLog {
    fn record(&self, _record: &Record<'_>) {}
}
