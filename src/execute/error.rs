//! What can go wrong while a plan is carried out.

use std::io;
use std::path::{Path, PathBuf};

use crate::rootfs::RootfsError;
use crate::template::TemplateError;
use crate::transport::{Status, TransportError};

/// Why a run ended before its end. The text names the image where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// A command of an image failed.
    #[error("command {index} of {of} of `{image}` failed with {status}: {text}{}", quoted(tail))]
    CommandFailed {
        /// The image.
        image: String,
        /// Which command, from 1.
        index: usize,
        /// Of how many.
        of: usize,
        /// The command as the image has it.
        text: String,
        /// How it ended.
        status: Status,
        /// The last lines it printed.
        tail: Vec<String>,
    },
    /// A command of an image could not be run.
    #[error("cannot run command {index} of {of} of `{image}`: {text}")]
    Command {
        /// The image.
        image: String,
        /// Which command, from 1.
        index: usize,
        /// Of how many.
        of: usize,
        /// The command as the image has it.
        text: String,
        /// Why.
        source: TransportError,
    },
    /// A plan for an image that is not wanted: it was made for something else.
    #[error("the plan has a step for `{image}`, which is not among the images to run")]
    NotDesired {
        /// The image.
        image: String,
    },
    /// The user wished to stop.
    #[error("interrupted at `{image}`: {step}")]
    Interrupted {
        /// The image.
        image: String,
        /// What was being done.
        step: String,
    },
    /// The files of an image could not be written.
    #[error("cannot unpack `{image}` to `{}`", directory.display())]
    Unpack {
        /// The image.
        image: String,
        /// Where to.
        directory: PathBuf,
        /// Why.
        source: RootfsError,
    },
    /// A template could not be rendered.
    #[error("cannot render `{file}` of `{image}`")]
    Render {
        /// The image.
        image: String,
        /// The template, by its path in the image.
        file: String,
        /// Why, with the place.
        source: TemplateError,
    },
    /// A template is not text.
    #[error("the template `{file}` of `{image}` is not UTF-8 text")]
    TemplateNotText {
        /// The image.
        image: String,
        /// The file, by its path in the image.
        file: String,
        /// Where not.
        source: std::str::Utf8Error,
    },
    /// A template that is too much text to be one.
    #[error("the template `{file}` of `{image}` is larger than {limit} bytes")]
    TemplateTooLarge {
        /// The image.
        image: String,
        /// The file, by its path in the image.
        file: String,
        /// The most there may be, in bytes.
        limit: u64,
    },
    /// Two templates would be rendered to one file.
    #[error("two templates of `{image}` give the file `{file}`")]
    SameOutput {
        /// The image.
        image: String,
        /// The file, by its path in the image.
        file: String,
    },
    /// Another run works on the cluster.
    #[error("another run{} is working in `{}`", pid.map_or_else(String::new, |pid| format!(" (process {pid})")), directory.display())]
    Locked {
        /// The cluster's directory.
        directory: PathBuf,
        /// The other process, if it said so.
        pid: Option<u32>,
    },
    /// The journal holds something that is no record of ours.
    #[error("line {line} of the journal `{}` cannot be understood", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn quoted(tail: &[String]) -> String {
    tail.iter().map(|line| format!("\n  | {line}")).collect()
}

impl ExecuteError {
    /// The exit code of the program: that of the command that failed (128 + n for signal n), 130 when interrupted,
    /// else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CommandFailed { status, .. } => status.code().max(1),
            Self::Interrupted { .. } => 130,
            _ => 1,
        }
    }

    /// What the user can do about it, if we know.
    pub fn help(&self) -> Option<String> {
        let again = "run it again to continue";
        match self {
            Self::CommandFailed { index, .. } => {
                Some(format!("{again} with command {index}; with `--force` it starts over"))
            }
            Self::Command { source, .. } => source.help().or_else(|| Some(format!("{again} there"))),
            Self::Unpack { source, .. } => source.help(),
            Self::Render { source, .. } => source.help(),
            Self::Interrupted { .. } => Some(format!("{again} there; with `--force` it starts over")),
            Self::Locked { .. } => Some("wait until it has ended, then run it again".to_owned()),
            Self::Journal { path, .. } => Some(format!(
                "a newer sealos may have written it; move `{}` away to begin without a record",
                path.display()
            )),
            _ => None,
        }
    }

    /// Makes an input or output error into one that says what was being done with which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
