//! Why the images of a context could not be found, locked or fetched.

use std::io;
use std::path::{Path, PathBuf};

use content::{ContentError, LockError};

use crate::discover::{Mistake, RulesError};

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
            Self::Program { help, .. } => help.clone(),
            _ => None,
        }
    }
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}
