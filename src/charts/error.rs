//! What can be wrong with a chart on disk, and with the `helm` that is asked to render it.

use std::io;
use std::path::PathBuf;

use crate::helm::ChartError;

/// Why a chart cannot be read from disk, or not be rendered by the `helm` binary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChartsError {
    /// A file or directory cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it could not be.
        source: io::Error,
    },
    /// A file for `helm` cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A link leads out of where it may lead.
    #[error("`{}` of the chart is a link that leads out of `{}`", path.display(), boundary.display())]
    LeadsOut {
        /// The link.
        path: PathBuf,
        /// The directory it may not leave.
        boundary: PathBuf,
    },
    /// Links that lead in a circle, or directories nested too deep.
    #[error("`{}` of the chart lies deeper than {limit} directories; links may lead in a circle", path.display())]
    TooDeep {
        /// The directory.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A device, socket or pipe among the files.
    #[error("`{}` of the chart is neither a file nor a directory", path.display())]
    Special {
        /// What it is.
        path: PathBuf,
    },
    /// A file or a chart that is too large.
    #[error("`{}` is larger than the {limit} bytes that {what} may have", path.display())]
    TooLarge {
        /// The file or the chart.
        path: PathBuf,
        /// Which of both.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// A name that is no text.
    #[error("`{}` of the chart has a name that is not UTF-8", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// The files are no chart, or one that cannot be rendered.
    #[error("`{}`: {source}", path.display())]
    Chart {
        /// The chart's directory or archive.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ChartError>,
    },
    /// `helm` cannot be run.
    #[error("cannot run `{}`: {source}", helm.display())]
    Start {
        /// The binary.
        helm: PathBuf,
        /// Why it did not start.
        source: io::Error,
    },
    /// `helm` refused the chart.
    #[error("`{} template` failed on `{}`: {message}", helm.display(), path.display())]
    Helm {
        /// The binary.
        helm: PathBuf,
        /// The chart.
        path: PathBuf,
        /// What it said.
        message: String,
    },
}

impl ChartsError {
    /// A way out, where one is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Chart { source, .. } => source.help(),
            Self::Start { .. } => {
                Some("give the path of a helm binary with `--helm`, or leave the flag out".to_owned())
            }
            Self::LeadsOut { .. } => Some("copy what the link points at into the chart".to_owned()),
            _ => None,
        }
    }
}
