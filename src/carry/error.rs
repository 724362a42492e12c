//! Why the images of a context could not be found, locked or fetched.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use content::{ContentError, LockError, Origin};
use oci::Reference;

use crate::discover::{Mistake, RulesError};
use crate::report::causes;
use crate::rootfs::RootfsError;

/// Why the images of a context could not be found, locked or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarryError {
    /// The system refused.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The table of rules in the context is wrong.
    #[error("`{file}` is no table of rules: {source}")]
    Rules {
        /// The file.
        file: String,
        /// What is wrong.
        source: RulesError,
    },
    /// Charts, manifests or lists are wrong.
    #[error("the images of the context cannot be told:{}", lines(mistakes))]
    Mistakes {
        /// All that is wrong.
        mistakes: Vec<Mistake>,
    },
    /// The store failed.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Images that cannot be had.
    #[error("{} cannot be carried:{}", images(failures.len()), failures.iter().map(|it| format!("\n  {it}")).collect::<String>())]
    Missing {
        /// Which, and why.
        failures: Vec<Failure>,
    },
    /// Images that the lock lacks, though it binds.
    #[error("{} not in the image lock:{}", images_are(missing.len()), missing.iter().map(wanted_by).collect::<String>())]
    NotLocked {
        /// Which, and who wants them.
        missing: Vec<(Reference, Vec<Origin>)>,
    },
    /// A file of images that a list names.
    #[error("{origin}: {source}")]
    Archive {
        /// The line.
        origin: Origin,
        /// What is wrong.
        source: ContentError,
    },
    /// A file that holds several images, and one name for them.
    #[error("{origin}: the file holds several images, and one name is given")]
    SeveralInArchive {
        /// The line.
        origin: Origin,
    },
    /// A file whose image has no name.
    #[error("{origin}: the image in the file has no name")]
    NamelessArchive {
        /// The line.
        origin: Origin,
    },
    /// The files of an image could not be unpacked.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The lock beside the recipe cannot be used.
    #[error("the image lock `{}` cannot be used: {source}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: LockError,
    },
    /// A program that is needed could not be run, or failed.
    #[error("`{program}` {reason}")]
    Program {
        /// The program.
        program: String,
        /// How it failed.
        reason: String,
        /// What to do about it.
        help: Option<String>,
    },
}

impl CarryError {
    /// For `map_err`: an I/O error with what was being done.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Mistakes { mistakes } => mistakes.iter().find_map(|mistake| mistake.help.clone()),
            Self::Content(error) => error.help(),
            Self::Rootfs(error) => error.help(),
            Self::Program { help, .. } => help.clone(),
            Self::Missing { failures } => failures.iter().find_map(|failure| failure.error.help()).or_else(|| {
                Some("correct the names; leave images out in .sealignore, or pass `--ignore-missing NAME`".to_owned())
            }),
            Self::NotLocked { .. } => Some("`sealos images update` writes the lock anew".to_owned()),
            Self::Rules { .. } => Some(
                "a rule has a `name` and, most often, `for: [GROUP/KIND]` with `images: [PATH]`; without the file only the rules of the program count".to_owned(),
            ),
            Self::Archive { source, .. } => source.help(),
            Self::SeveralInArchive { .. } => Some("say which one: `oci-archive:FILE:NAME@NEWNAME`".to_owned()),
            Self::NamelessArchive { .. } => Some("name it: `oci-archive:FILE@NAME:TAG`".to_owned()),
            _ => None,
        }
    }
}

/// An image that cannot be had.
#[derive(Debug)]
pub struct Failure {
    /// Its name.
    pub name: Reference,
    /// Who wants it.
    pub origins: Vec<Origin>,
    /// Why.
    pub error: ContentError,
}

impl Failure {
    pub(crate) fn new(name: Reference, origins: Vec<Origin>, error: ContentError) -> Self {
        Self { name, origins, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, wanted by {}: {}", self.name, places(&self.origins), causes(&self.error))
    }
}

/// The first few of those that want an image.
fn places(origins: &[Origin]) -> String {
    const SHOWN: usize = 3;
    let mut shown: Vec<String> = origins.iter().take(SHOWN).map(ToString::to_string).collect();
    if origins.len() > SHOWN {
        shown.push(format!("{} more", origins.len() - SHOWN));
    }
    shown.join(", ")
}

fn wanted_by((name, origins): &(Reference, Vec<Origin>)) -> String {
    format!("\n  {name}, wanted by {}", places(origins))
}

fn images(count: usize) -> String {
    if count == 1 { "an image".to_owned() } else { format!("{count} images") }
}

fn images_are(count: usize) -> String {
    if count == 1 { "an image is".to_owned() } else { format!("{count} images are") }
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}
