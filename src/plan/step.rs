//! The steps of a plan.

use std::fmt;
use std::path::PathBuf;

use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::cluster::{ImageKind, ShellScript};

/// The name of a step: a digest over the image, the directory, and for what depends on it the environment and the
/// command. What is done under the same id need not be done again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// The id of what these parts describe. Different lists of parts have different ids.
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::new();
        for part in parts {
            text.push_str(&format!("{}:{part},", part.len()));
        }
        Self(Digest::of(text.as_bytes()).hex())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What happens to files that are in the directory already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnpackMode {
    /// They go; the directory is the image's own.
    Replace,
    /// They stay where the image has no file of that name.
    Overlay,
}

/// A command of an image, for a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageCommand {
    /// Which one, from 1.
    pub index: usize,
    /// Of how many.
    pub of: usize,
    /// As the image has it.
    pub text: String,
    /// The shell: program and flags.
    pub shell: Vec<String>,
    /// What the shell is given.
    pub script: ShellScript,
    /// Where it runs.
    pub directory: PathBuf,
}

/// Something to do for one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Step {
    /// Write the image's files.
    Unpack {
        /// Where to.
        directory: PathBuf,
        /// What becomes of files there.
        mode: UnpackMode,
    },
    /// Render the templates among the files.
    Render {
        /// The directory of the image's files.
        directory: PathBuf,
    },
    /// Run a command of the image.
    Command(ImageCommand),
    /// Note that the image is in the cluster.
    Record {
        /// What it is there.
        kind: ImageKind,
        /// The directory of its files.
        directory: PathBuf,
    },
}

impl Step {
    /// Whether the step takes away what other images put into its directory.
    pub fn replaces(&self) -> bool {
        matches!(self, Self::Unpack { mode: UnpackMode::Replace, .. })
    }

    /// The directory that the step is about.
    pub fn directory(&self) -> &PathBuf {
        match self {
            Self::Unpack { directory, .. }
            | Self::Render { directory }
            | Self::Command(ImageCommand { directory, .. })
            | Self::Record { directory, .. } => directory,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpack { directory, mode: UnpackMode::Replace } => write!(f, "unpack to {}", directory.display()),
            Self::Unpack { directory, mode: UnpackMode::Overlay } => write!(f, "unpack over {}", directory.display()),
            Self::Render { .. } => f.write_str("render the templates"),
            Self::Command(ImageCommand { index, of, text, .. }) => {
                write!(f, "run command {index} of {of}: {}", one_line(text))
            }
            Self::Record { kind, .. } => write!(f, "record the {kind}"),
        }
    }
}

/// A text of several lines on one, without what could move a terminal's cursor.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.chars().map(plain).collect();
    line.trim().to_owned()
}

/// A step with what it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its name.
    pub id: StepId,
    /// The mount it belongs to.
    pub mount: String,
    /// Its place among all steps of the mount, from 0, those that are skipped included.
    pub ordinal: usize,
    /// The image, as its user calls it.
    pub image: String,
    /// The image's manifest.
    pub digest: Digest,
    /// What to do.
    pub step: Step,
}
