//! What can go wrong on the way to a host.

use std::io;
use std::path::PathBuf;

/// Why a host could not be acted on. The text names the host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A command without a program.
    #[error("there is no program to run on {host}")]
    NoProgram {
        /// The host.
        host: String,
    },
    /// A program did not start.
    #[error("cannot start `{program}` on {host}{}", place(cwd.as_ref()))]
    Start {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// The directory it should run in.
        cwd: Option<PathBuf>,
        /// Why.
        source: io::Error,
    },
    /// A running program could not be watched.
    #[error("lost `{program}` on {host}")]
    Watch {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The user does not want it any more; the program has been stopped.
    #[error("interrupted")]
    Interrupted,
    /// A file could not be written on the host.
    #[error("cannot write `{}` on {host}", path.display())]
    Upload {
        /// The host.
        host: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be read from the host.
    #[error("cannot read `{}` from {host}", path.display())]
    Download {
        /// The host.
        host: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody answers at an address.
    #[error("cannot connect to `{address}` from {host}")]
    Forward {
        /// The host.
        host: String,
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
}

fn place(cwd: Option<&PathBuf>) -> String {
    cwd.map_or_else(String::new, |cwd| format!(" in `{}`", cwd.display()))
}

impl TransportError {
    /// What the user can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Start { program, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(format!("see that `{program}` and the directory exist"))
            }
            _ => None,
        }
    }
}
