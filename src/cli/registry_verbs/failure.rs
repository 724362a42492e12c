//! What the verbs of `sealos registry` can fail with.

use std::io;
use std::path::PathBuf;

use registry::ServeError;
use registry::access::GuardError;
use registry::access::htpasswd_file::EditError;
use registry::access::password::HashError;
use registry::access::watched::LoadError;
use registry::backend::BackendError;
use registry::exposure::{Authentication, Exposed, Protection, Tls};
use registry_client::RegistryError;

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
    #[error(transparent)]
    Bucket(#[from] RegistryError),
    #[error("`--upstream` has nothing to keep images in: {0} is read only")]
    NothingToKeepIn(String),
    #[error(transparent)]
    Exposed(#[from] Exposed),
    #[error(transparent)]
    Users(#[from] EditError),
    #[error("the password cannot be kept: {0}")]
    Password(#[from] HashError),
    #[error("there is no user `{0}` in the file")]
    NoUser(String),
    #[error("that is not the password of `{0}`")]
    WrongPassword(String),
    #[error("the two passwords differ; nothing was changed")]
    Differ,
    #[error("`{}` is relative, and units need absolute paths", .0.display())]
    RelativePath(PathBuf),
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
            Self::Exposed(Exposed { protection, .. }) => Some(exposed_help(*protection)),
            Self::Password(HashError::TooLong(_)) => Some("say `--kind argon2`, which reads all of it".to_owned()),
            Self::Guard(error) => error.help(),
            Self::Load(error) => error.help(),
            Self::NoPlace(path) => {
                Some(format!("`sealos registry serve filesystem {}` makes a new registry there", path.display()))
            }
            Self::NoDirectory(_) => Some("such as `sealos registry serve filesystem /var/lib/registry`".to_owned()),
            Self::Bucket(error) => error.help(),
            Self::NothingToKeepIn(_) => Some("serve `filesystem DIR` as well; what is fetched goes there".to_owned()),
            Self::Unknown(_) => Some("`sealos registry ls` lists what there is".to_owned()),
            Self::NotKept(_) => Some("this machine's images are tidied with `sealos prune`".to_owned()),
            Self::Damaged { .. } => Some("give `--repair URL` of a registry that has the images".to_owned()),
            _ => None,
        }
    }

    /// Whether the command line was wrong.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoDirectory(_)
                | Self::NothingToKeepIn(_)
                | Self::Exposed(_)
                | Self::Wrong { .. }
                | Self::RelativePath(_)
                | Self::Guard(GuardError::TokensWithoutUsers)
        )
    }
}

/// The flags that would make it safe, and the one that says that it is meant.
fn exposed_help(protection: Protection) -> String {
    let tls = (protection.tls == Tls::Off).then_some("`--tls-cert FILE --tls-key FILE`");
    let users = (protection.authentication == Authentication::Off)
        .then_some("`--htpasswd FILE`, `--tls-client-ca FILE` or `--issuer-keys FILE`");
    let flags: Vec<&str> = tls.into_iter().chain(users).collect();
    format!("add {}; or say `--unprotected` if it is meant", flags.join(" and "))
}
