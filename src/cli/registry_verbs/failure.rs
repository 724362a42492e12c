//! What the verbs of `sealos registry` can fail with.

use std::io;
use std::path::PathBuf;

use registry::ServeError;
use registry::access::GuardError;
use registry::access::watched::LoadError;
use registry::backend::BackendError;

/// Why a verb of `sealos registry` failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryFailure {
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: io::Error },
    #[error("`{0}` is neither a registry nor an image layout, a content store or an archive")]
    NoPlace(PathBuf),
    #[error("`{0}` needs a directory behind it")]
    NoDirectory(String),
    #[error("{0} would be open to everybody who can reach it: there is neither TLS nor any authentication")]
    Unprotected(String),
    #[error("there is no `{0}` in the registry")]
    Unknown(String),
    #[error("`{text}` is wrong: {reason}")]
    Wrong { text: String, reason: String },
    #[error("{corrupt} of {blobs} blobs are damaged, {repaired} of them are repaired")]
    Damaged { corrupt: usize, blobs: u64, repaired: usize },
    #[error("{0} is not kept by this command")]
    NotKept(PathBuf),
}

impl RegistryFailure {
    /// What to do about it, if that is known.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Backend(error) => error.help(),
            Self::Unprotected(_) => Some(
                "give it `--tls-cert` and `--tls-key`, or `--htpasswd`; or say `--unprotected` if that is meant"
                    .to_owned(),
            ),
            Self::NoPlace(path) => {
                Some(format!("`sealos registry serve filesystem {}` makes a new registry there", path.display()))
            }
            Self::NoDirectory(_) => Some("such as `sealos registry serve filesystem /var/lib/registry`".to_owned()),
            Self::Unknown(_) => Some("`sealos registry ls` lists what there is".to_owned()),
            Self::NotKept(_) => Some("this machine's images are tidied with `sealos prune`".to_owned()),
            Self::Damaged { .. } => Some("give `--repair URL` of a registry that has the images".to_owned()),
            _ => None,
        }
    }

    /// Whether the command line was wrong.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::NoDirectory(_) | Self::Unprotected(_) | Self::Wrong { .. })
    }
}
