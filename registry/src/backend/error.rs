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
    /// An archive that has to be read from its beginning for every byte.
    #[error("{path} is compressed with {packing} as a whole: it cannot be served where it lies")]
    Packed {
        /// The archive.
        path: String,
        /// How.
        packing: &'static str,
    },
    /// What lies there is not what it should be.
    #[error(transparent)]
    Content(Box<content::ContentError>),
    /// The place does not take anything.
    #[error("{0} is read only")]
    ReadOnly(String),
    /// Another server turned out not to have it.
    #[error("{upstream} does not have {digest}")]
    Absent {
        /// Which.
        upstream: String,
        /// What.
        digest: Digest,
    },
    /// Another server could not answer.
    #[error("{upstream} could not answer: {reason}")]
    Upstream {
        /// Which.
        upstream: String,
        /// Why.
        reason: String,
    },
}

impl From<content::ContentError> for BackendError {
    fn from(error: content::ContentError) -> Self {
        Self::Content(Box::new(error))
    }
}

impl BackendError {
    /// What to do about it, if that is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Packed { path, packing } => {
                let program = if *packing == "zstd" { "zstd" } else { *packing };
                Some(format!("unpack it first: `{program} -d {path}`"))
            }
            Self::Content(error) => error.help(),
            Self::Damaged { .. } => Some("`sealos registry scrub` finds and repairs what is damaged".to_owned()),
            _ => None,
        }
    }

    /// For `map_err`: an I/O error with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
