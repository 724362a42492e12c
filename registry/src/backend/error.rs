//! What can go wrong with a place that a registry reads or writes.

use std::io;

use oci::Digest;

/// What can go wrong with a place that a registry reads or writes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The system refused.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A manifest needs blobs that are not in its repository.
    #[error("the repository lacks {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Missing(Vec<Digest>),
    /// The bytes are not what they were said to be.
    #[error("the bytes have the digest {actual}, not {expected}")]
    Mismatch {
        /// What was promised.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// What is kept is damaged.
    #[error("{place} is damaged: {reason}")]
    Damaged {
        /// Where.
        place: String,
        /// How.
        reason: String,
    },
    /// The place does not take anything.
    #[error("{0} is read only")]
    ReadOnly(String),
    /// Another server could not answer.
    #[error("{upstream} could not answer: {reason}")]
    Upstream {
        /// Which.
        upstream: String,
        /// Why.
        reason: String,
    },
}

impl BackendError {
    /// For `map_err`: an I/O error with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
