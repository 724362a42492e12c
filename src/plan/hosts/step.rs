//! The steps of a plan for hosts.

use std::fmt;
use std::path::PathBuf;

use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::cluster::{Address, ImageKind, ShellScript};
use crate::plan::{ImageCommand, StepId};

/// An image as a step names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// As its user calls it.
    pub name: String,
    /// Its manifest.
    pub digest: Digest,
}

/// The name of a change of a file, and of its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRef {
    /// The document's name.
    pub name: String,
    /// The digest of what it says; the text itself can be a secret.
    pub digest: Digest,
}

/// Something to do on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// Bring a directory to the files of images that lie over each other: what changed is replaced, what is no more
    /// theirs is removed.
    Files {
        /// Where they go.
        directory: PathBuf,
        /// The images, lowest first; of each all but `registry/`.
        images: Vec<ImageRef>,
        /// The images whose `registry/` goes there, too.
        registry: Vec<ImageRef>,
        /// Changes of files by the user.
        changes: Vec<ChangeRef>,
    },
    /// Render the templates among the files.
    Render {
        /// The directory of the files.
        directory: PathBuf,
    },
    /// Have exactly these lines of the cluster in `/etc/hosts`; all other lines stay.
    HostsFile {
        /// The lines.
        lines: Vec<String>,
    },
    /// Run a script that a label of the image names.
    Script {
        /// Which: `check`, `init`, `clean`, …
        name: String,
        /// What `bash` is given.
        script: ShellScript,
        /// Where it runs.
        directory: PathBuf,
        /// A file there without which there is nothing to run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needs: Option<String>,
    },
    /// Run a command of an image.
    Command(ImageCommand),
    /// Note that an image is installed.
    Record {
        /// What it is.
        kind: ImageKind,
        /// The directory of its files.
        directory: PathBuf,
    },
    /// Remove the files that were brought to a directory.
    RemoveFiles {
        /// The directory.
        directory: PathBuf,
    },
    /// Forget that anything was done for this part of the cluster.
    Forget,
    /// Remove all that is kept for the cluster on the host.
    Sweep,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { directory, images, .. } => {
                let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
                write!(f, "bring the files of {} to {}", names.join(", "), directory.display())
            }
            Self::Render { .. } => f.write_str("render the templates"),
            Self::HostsFile { lines } if lines.is_empty() => f.write_str("take the cluster's lines out of /etc/hosts"),
            Self::HostsFile { lines } => write!(f, "write to /etc/hosts: {}", lines.join("; ")),
            Self::Script { name, .. } => write!(f, "run the script `{name}`"),
            Self::Command(ImageCommand { index, of, text, .. }) => {
                write!(f, "run command {index} of {of}: {}", one_line(text))
            }
            Self::Record { kind, .. } => write!(f, "record the {kind}"),
            Self::RemoveFiles { directory } => write!(f, "remove the files in {}", directory.display()),
            Self::Forget => f.write_str("forget it"),
            Self::Sweep => f.write_str("remove what is kept for the cluster"),
        }
    }
}

/// A text of several lines on one, without what could move a terminal's cursor.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect::<String>().trim().to_owned()
}

/// Whether a step makes something or takes it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// It makes something.
    Do,
    /// It takes away what a step made.
    Undo,
}

/// A step on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStep {
    /// Its name: a digest over everything that it depends on.
    pub id: StepId,
    /// Its place among the stages: a stage begins when all hosts are done with those before it.
    pub stage: u32,
    /// The host.
    pub host: Address,
    /// The chain that it belongs to: when one of its steps is done, those after it have to be done again.
    pub chain: String,
    /// Its place in the chain, from 0.
    pub ordinal: usize,
    /// The image, as its user calls it.
    pub image: String,
    /// The image's manifest.
    pub digest: Digest,
    /// Whether it makes or takes away.
    pub direction: Direction,
    /// What to do.
    pub action: Action,
    /// What takes it away again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Action>,
}

/// How far a step came on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// It began, and nobody knows how far it came.
    Begun,
    /// It is done.
    Done,
}

/// A step that a host says was done, or begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The step.
    pub step: HostStep,
    /// How far it came.
    pub reach: Reach,
    /// When, in milliseconds since 1970.
    pub time: u64,
}
