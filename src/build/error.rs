//! Why an image could not be built.

use std::io;
use std::path::PathBuf;

use content::ContentError;
use content::tar::TarError;
use oci::Digest;

use super::world::SeamError;
use crate::cluster::ClusterError;
use crate::kubefile::KubefileError;
use crate::rootfs::RootfsError;
use crate::sandbox::SandboxError;

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An instruction of the Kubefile failed.
    #[error("{file}:{line}: `{instruction}` failed")]
    Step {
        /// The Kubefile.
        file: String,
        /// The instruction's first line, from 1.
        line: usize,
        /// The instruction as written.
        instruction: String,
        /// Why.
        source: Box<BuildError>,
    },
    /// The Kubefile cannot be understood.
    #[error(transparent)]
    Kubefile(#[from] KubefileError),
    /// There is no Kubefile.
    #[error("there is no Kubefile in `{}`", context.display())]
    NoKubefile {
        /// The context.
        context: PathBuf,
    },
    /// The file that `-f` names cannot be found.
    #[error("there is no `{}`, neither here nor in the context", path.display())]
    KubefileNotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// A Kubefile that is not one: a directory, too large, not text.
    #[error("`{name}` is no Kubefile: {reason}")]
    NotKubefile {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Both the Kubefile and the context are to come from stdin.
    #[error("stdin cannot be both the Kubefile and the context")]
    StdinTwice,
    /// The context is not a directory.
    #[error("the context `{}` cannot be used", path.display())]
    Context {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A URL could not be fetched.
    #[error("cannot fetch `{url}`")]
    Fetch {
        /// The URL.
        url: String,
        /// Why.
        source: SeamError,
    },
    /// Reading the body of a URL failed in the middle.
    #[error("`{url}` ended in the middle")]
    FetchBody {
        /// The URL.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// A file of the command line (ignore file, argument file, secret) cannot be read.
    #[error("cannot read the {what} `{}`", path.display())]
    InputFile {
        /// What it is for.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of an argument file that is not `NAME=VALUE`.
    #[error("line {line} of `{}` is not NAME=VALUE", path.display())]
    ArgumentLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The stage that `--target` names does not exist.
    #[error("there is no stage `{name}`")]
    UnknownStage {
        /// The name.
        name: String,
        /// The stages that have names.
        known: Vec<String>,
    },
    /// A base image could not be found.
    #[error("there is no image `{name}` in the store")]
    NoImage {
        /// The name as written.
        name: String,
        /// Why the store has none.
        source: ContentError,
        /// Whether pulling was forbidden.
        pull_forbidden: bool,
    },
    /// A base image could not be pulled.
    #[error("cannot pull `{name}`")]
    Pull {
        /// The name as written.
        name: String,
        /// Why.
        source: SeamError,
    },
    /// Container images that the context asks for could not be had.
    #[error("the images that are carried are not complete")]
    Carry {
        /// Which, and why.
        source: SeamError,
    },
    /// A base image is for another platform.
    #[error("`{name}` is for {available}, not for {wanted}")]
    WrongPlatform {
        /// The image.
        name: String,
        /// What is built for.
        wanted: String,
        /// What the image is for.
        available: String,
    },
    /// A source of COPY or ADD that is not there.
    #[error("`{pattern}` matches nothing in {place}")]
    NoSource {
        /// The pattern as written.
        pattern: String,
        /// Where it was looked for.
        place: String,
        /// Names that are nearly the same.
        nearby: Vec<String>,
        /// Whether the ignore file leaves it out.
        ignored: bool,
    },
    /// A source that leaves its context.
    #[error("`{pattern}` leaves {place}")]
    LeavesContext {
        /// The pattern as written.
        pattern: String,
        /// The context.
        place: String,
    },
    /// A source that cannot be read.
    #[error("cannot {doing} `{}`", path.display())]
    Source {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file changed while it was read.
    #[error("`{}` changed while it was read", path.display())]
    SourceChanged {
        /// The file.
        path: PathBuf,
    },
    /// A file whose name has a meaning of its own in layers.
    #[error("`{}` cannot be in an image: names that begin with `.wh.` mean removed files there", path.display())]
    ReservedName {
        /// The file.
        path: PathBuf,
    },
    /// Several sources and a destination that is no directory.
    #[error("{count} sources need a directory to go to, but `{destination}` does not end with a slash")]
    DestinationNotDirectory {
        /// Number of sources.
        count: usize,
        /// The destination as written.
        destination: String,
    },
    /// A destination whose parent is a file.
    #[error("`{destination}` cannot be made: `{parent}` is no directory in the image")]
    ParentNotDirectory {
        /// The destination.
        destination: String,
        /// The file that is in the way.
        parent: String,
    },
    /// A mode that is none.
    #[error("`{text}` is no file mode")]
    Mode {
        /// The text.
        text: String,
    },
    /// A checksum that does not match.
    #[error("`{url}` has the checksum {actual}, not {expected}")]
    Checksum {
        /// The URL.
        url: String,
        /// What was promised.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// A URL whose file has no name, and a destination that is a directory.
    #[error("`{url}` says no file name")]
    NamelessUrl {
        /// The URL.
        url: String,
    },
    /// A value of an instruction or a flag that cannot be used.
    #[error("{what} `{text}` cannot be used: {reason}")]
    Value {
        /// What it is.
        what: &'static str,
        /// The value.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Platforms that were to be found out, and are none.
    #[error("it is not known what to build for: {reason}")]
    NoPlatforms {
        /// Why.
        reason: &'static str,
    },
    /// Something that this builder does not do.
    #[error("{what} is not supported")]
    Unsupported {
        /// What.
        what: String,
        /// What to do instead.
        instead: Option<&'static str>,
    },
    /// An archive that cannot be read.
    #[error("cannot unpack `{}`", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        source: TarError,
    },
    /// An entry of a layer cannot be written.
    #[error("cannot make the layer")]
    Tar(#[source] TarError),
    /// An image's labels say what nobody knows.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A secret that RUN needs was not given.
    #[error("RUN needs the secret `{id}`, which was not given")]
    NoSecret {
        /// Its id.
        id: String,
    },
    /// An ssh agent that RUN needs was not given.
    #[error("RUN needs the ssh agent `{id}`, which was not given")]
    NoAgent {
        /// Its id.
        id: String,
    },
    /// An ssh agent that was given cannot be used.
    #[error("cannot {doing}")]
    Agent {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A command of RUN failed.
    #[error("the command exited with {status}")]
    Command {
        /// `status 1`, `signal 9`.
        status: String,
    },
    /// RUN cannot be isolated.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A layer of a base or a stage cannot be read or unpacked.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The cache cannot be written.
    #[error("cannot keep `{}`", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A document could not be written as JSON.
    #[error("cannot write the image's configuration")]
    Json(#[from] serde_json::Error),
    /// A result could not be written where it should go.
    #[error("cannot write `{}`", path.display())]
    Output {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl BuildError {
    /// What the user can do about it, if it is known.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Step { source, .. } => source.help(),
            Self::Kubefile(error) => error.help(),
            Self::Sandbox(error) => error.help(),
            Self::Rootfs(error) => error.help(),
            Self::Content(error) => error.help(),
            Self::Cluster(error) => error.help(),
            Self::Archive { source, .. } | Self::Tar(source) => source.help(),
            Self::Fetch { source, .. } | Self::Pull { source, .. } | Self::Carry { source } => source.help.clone(),
            Self::NoImage { pull_forbidden: true, .. } => {
                Some("pulling is forbidden with `--pull never`; leave it out, or `sealos load` the image".to_owned())
            }
            Self::NoImage { source, .. } => source.help(),
            Self::NoKubefile { .. } => {
                Some("name it Kubefile, Sealfile, Dockerfile or Containerfile, or say where it is with `-f`".to_owned())
            }
            Self::UnknownStage { known, .. } => Some(match known.is_empty() {
                true => "no stage has a name; `FROM … AS name` gives one".to_owned(),
                false => format!("the stages are {}", known.join(", ")),
            }),
            Self::NoPlatforms { .. } => Some("name the platforms with `--platform`".to_owned()),
            Self::WrongPlatform { .. } => Some("choose another platform with `--platform`, or another base".to_owned()),
            Self::NoSource { ignored: true, .. } => Some("the ignore file leaves it out".to_owned()),
            Self::NoSource { nearby, .. } if !nearby.is_empty() => Some(format!("there is {}", nearby.join(", "))),
            Self::LeavesContext { .. } => {
                Some("copy it into the context, or name its directory with `--build-context`".to_owned())
            }
            Self::SourceChanged { .. } => Some("repeat the build when nothing writes to the file".to_owned()),
            Self::DestinationNotDirectory { destination, .. } => Some(format!("write `{destination}/`")),
            Self::Unsupported { instead, .. } => instead.map(str::to_owned),
            Self::NoSecret { id } => Some(format!("give it with `--secret id={id},src=FILE`")),
            Self::NoAgent { id } if id == "default" => {
                Some("give it with `--ssh default`, where SSH_AUTH_SOCK names an agent".to_owned())
            }
            Self::NoAgent { id } => Some(format!("give it with `--ssh {id}=SOCKET` or `--ssh {id}=KEYFILE`")),
            Self::Agent { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("install OpenSSH's client programs, or name the socket of an agent that runs".to_owned())
            }
            Self::Cache { source, .. } | Self::Output { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free some space (`sealos prune`) and repeat the command".to_owned())
            }
            _ => None,
        }
    }

    /// The same, at an instruction.
    pub(crate) fn at(self, file: &str, line: usize, instruction: &str) -> Self {
        let (file, instruction) = (file.to_owned(), instruction.to_owned());
        Self::Step { file, line, instruction, source: Box::new(self) }
    }
}
