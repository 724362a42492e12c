//! What a command can fail with, how it is said, and the exit code.
//!
//! ```text
//! error: cannot push `hub.example/team/app:v1`
//!   caused by: `hub.example` did not accept our credentials for `team/app`
//! help: run `sealos login hub.example` and push again
//! ```

use std::error::Error;
use std::io;
use std::path::PathBuf;

use content::tar::TarError;
use content::{ContentError, LocationError};
use oci::{PlatformError, ReferenceError};
use registry_client::RegistryError;

use crate::build::{BuildError, SeamError};
use crate::carry::CarryError;
use crate::cluster::{Address, AddressError, ClusterError, ClusterName, Problem};
use crate::clusterfile::ClusterfileError;
use crate::execute::ExecuteError;
use crate::execute::hosts::HostsError;
use crate::rootfs::RootfsError;
use crate::sandbox::SandboxError;
use crate::template::TemplateError;
use crate::transfer::TransferError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the tar is not valid: {0}")]
    Tar(#[from] TarError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the format is wrong: {0}")]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Name(#[from] ReferenceError),
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    Serving(#[from] super::registry_verbs::RegistryFailure),
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error("cannot {verb} `{name}`")]
    Move { verb: &'static str, name: String, source: TransferError },
    #[error(transparent)]
    Carry(#[from] CarryError),
    #[error("`{name}` carries {carried} container images, which a docker-archive cannot hold")]
    CannotCarry { name: String, carried: usize },
    #[error("nothing in `{what}` asks for `{image}`")]
    NobodyAsks { image: String, what: String, names: Vec<String> },
    #[error("cannot write `{}`", path.display())]
    WriteLock { path: PathBuf, source: SeamError },
    #[error("there is nobody to ask: no terminal")]
    NobodyToAsk,
    #[error("nobody is logged in to {key}")]
    NotLoggedIn { key: String },
    #[error("nothing that was named is there, or everything was filtered out")]
    NothingToSync,
    /// The answer to a question is no; the exit code says so.
    #[error("no")]
    Absent,
    #[error("interrupted")]
    Interrupted,
    #[error("{0}")]
    Usage(String),
    #[error("cannot listen for interrupts: {0}")]
    Interrupts(#[from] ctrlc::Error),
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    #[error("cannot {doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("cannot tell where images are kept: neither XDG_DATA_HOME nor HOME is an absolute path")]
    NoHome,
    #[error("there is no filter `{key}`")]
    UnknownFilter { key: String, similar: Option<&'static str>, keys: String },
    #[error("the filter `{text}` is wrong: expected {expected}")]
    FilterValue { text: String, expected: &'static str },
    #[error("a tag cannot carry a digest: `{0}`")]
    TagWithDigest(String),
    #[error("`{id}` has several names: {}", names.join(", "))]
    SeveralNames { id: String, names: Vec<String> },
    #[error("`{id}` is in use by {}", by.join(", "))]
    InUse { id: String, by: Vec<String> },
    #[error("images are not written to a terminal")]
    StdoutIsTerminal,
    #[error("a directory cannot be written to stdout")]
    DirectoryNeedsName,
    #[error("there is no archive: stdin is a terminal")]
    StdinIsTerminal,
    #[error("cannot load from `{text}`: `{scheme}` is not understood")]
    Scheme { text: String, scheme: String },
    #[error("`{0}` is an artifact and not an image: it has no image configuration")]
    NotAnImage(String),
    #[error("{} errors", .0.len())]
    Several(Vec<CommandError>),
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{} with the hosts; nothing was changed{}", problems_count(.0), super::hosts::listed(.0))]
    Hosts(Vec<Problem>),
    #[error(transparent)]
    OnHosts(#[from] HostsError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("{0} cannot be a master and a node")]
    TwoRoles(Address),
    #[error("{address} is not in the cluster `{cluster}`")]
    NotInCluster { address: Address, cluster: ClusterName },
    #[error("no host of the cluster `{cluster}` has the role {roles}")]
    NoSuchRole { roles: String, cluster: ClusterName },
    #[error("there is no cluster `{cluster}` here")]
    NoCluster { cluster: ClusterName },
    #[error("the cluster has no master")]
    NoMaster,
    #[error("the last master cannot be removed")]
    LastMaster,
    #[error("`{path}` is no valid Clusterfile")]
    Clusterfile { path: String, source: ClusterfileError },
    #[error("`{name}` carries container images in its index, which hosts do not take yet")]
    CarriesForHosts { name: String },
    #[error("another command works on the cluster (it holds `{}`)", path.display())]
    Running { path: PathBuf },
    #[error("the values of {} were sealed on another machine and cannot be opened here", names.join(", "))]
    SealedElsewhere { names: Vec<String> },
    #[error("cannot tell where clusters are kept: neither SEALOS_RUNTIME_ROOT nor HOME is set")]
    NoRuntimeRoot,
    /// There is something to do; the exit code says so.
    #[error("changes")]
    Changes,
    #[error("the cluster `{cluster}` is not wholly taken away{}", super::hosts::listed(problems))]
    NotTakenAway { cluster: ClusterName, problems: Vec<Problem> },
    #[error("{question}: there is no terminal to ask at")]
    NobodyToConfirm { question: String },
    #[error("not wanted: {0}")]
    Declined(String),
    #[error("{} of {of} hosts failed{}", problems.len(), super::hosts::listed(problems))]
    SomeHosts { problems: Vec<Problem>, of: usize },
}

fn problems_count(problems: &[Problem]) -> String {
    if problems.len() == 1 { "one problem".to_owned() } else { format!("{} problems", problems.len()) }
}

impl CommandError {
    /// For `map_err`: an I/O error with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// No errors, one, or several.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// 0 for a reader that went away, 2 for a wrong command line, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Serving(error) if error.is_usage() => 2,
            Self::Execute(error) => error.exit_code(),
            Self::OnHosts(error) => error.exit_code(),
            Self::Interrupted => 130,
            Self::Transfer(TransferError::Location(LocationError::Absent { .. })) => 1,
            Self::Transfer(TransferError::Location(_) | TransferError::Name(_)) | Self::Usage(_) => 2,
            Self::Move { source: TransferError::Location(_) | TransferError::Name(_), .. } => 2,
            Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::UnknownFilter { .. }
            | Self::FilterValue { .. }
            | Self::TagWithDigest(_)
            | Self::Template(_)
            | Self::Name(_)
            | Self::Platform(_)
            | Self::StdoutIsTerminal
            | Self::DirectoryNeedsName
            | Self::StdinIsTerminal
            | Self::Address(_)
            | Self::TwoRoles(_)
            | Self::Changes => 2,
            _ => 1,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Content(error) => error.help(),
            Self::Registry(error) => error.help(),
            Self::Serving(error) => error.help(),
            Self::Template(error) => error.help(),
            Self::Build(error) => error.help(),
            Self::Transfer(error) | Self::Move { source: error, .. } => error.help(),
            Self::NotLoggedIn { key } => Some(format!("`sealos login {key}` does it")),
            Self::Carry(error) => error.help(),
            Self::CannotCarry { .. } => Some(
                "save it as an oci-archive; or `sealos convert --carry layer` makes an image that holds them in a layer"
                    .to_owned(),
            ),
            Self::NobodyAsks { names, .. } if names.is_empty() => Some("it asks for no images at all".to_owned()),
            Self::NobodyAsks { names, .. } => Some(format!("it asks for {}", names.join(", "))),
            Self::NobodyToAsk => Some("give the password on stdin with `--password-stdin`".to_owned()),
            Self::Sandbox(error) => error.help(),
            Self::Cluster(error) => error.help(),
            Self::Execute(error) => error.help(),
            Self::Rootfs(error) => error.help(),
            Self::NoHome => Some("name a directory with `--root`".to_owned()),
            Self::UnknownFilter { similar: Some(key), .. } => Some(format!("did you mean `{key}`?")),
            Self::UnknownFilter { similar: None, keys, .. } => Some(format!("there are {keys}")),
            Self::SeveralNames { .. } => {
                Some("remove one of the names, or all of them and the image with `--force`".to_owned())
            }
            Self::InUse { .. } => Some("remove it all the same with `--force`".to_owned()),
            Self::StdoutIsTerminal => Some("name a file with `-o FILE`, or pipe stdout somewhere".to_owned()),
            Self::DirectoryNeedsName => Some("name it with `-o DIR`".to_owned()),
            Self::StdinIsTerminal => Some("name a file with `-i FILE`, or pipe one in".to_owned()),
            Self::Scheme { text, scheme } => Some(match scheme.as_str() {
                "docker" | "oras" => "an image of a registry is pulled, not loaded".to_owned(),
                "file" => format!("name the path: `sealos load -i {}`", text.trim_start_matches("file://")),
                _ => "fetch the file first, or serve it by http or https".to_owned(),
            }),
            Self::OnHosts(error) => error.help(),
            Self::Clusterfile { source, .. } => source.help(),
            Self::NoCluster { .. } => Some(
                "`sealos run IMAGE --masters LIST` or `sealos apply -f FILE` makes one; `--cluster` names another".to_owned(),
            ),
            Self::LastMaster => Some("`sealos reset` takes the whole cluster away".to_owned()),
            Self::NoMaster => Some("name at least one host with `--masters`".to_owned()),
            Self::CarriesForHosts { name } => {
                Some(format!("`sealos convert --carry layer {name} NEW` makes an image that holds them in a layer"))
            }
            Self::SealedElsewhere { .. } => {
                Some("give them again with `--env`, or copy `seal.key` from that machine's ~/.sealos".to_owned())
            }
            Self::Running { .. } => Some("wait until it has ended, then run it again".to_owned()),
            Self::NotTakenAway { .. } => Some("the same command again goes on with these hosts".to_owned()),
            Self::NobodyToConfirm { .. } => Some("`--yes` answers yes".to_owned()),
            _ => None,
        }
    }

    /// The lines for stderr; nothing for a reader that went away, and where the exit code says all.
    pub(crate) fn to_text(&self) -> String {
        if self.exit_code() == 0 || matches!(self, Self::Absent | Self::Changes) {
            return String::new();
        }
        if let Self::Several(all) = self {
            return all.iter().map(Self::to_text).collect();
        }
        let mut text = format!("error: {self}\n");
        let mut said = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            // Many texts end with their cause's text; saying it twice helps nobody.
            let line = error.to_string();
            if !said.ends_with(&line) {
                text.push_str(&format!("  caused by: {line}\n"));
            }
            said = line;
            cause = error.source();
        }
        // An error with a picture of its place may bring the advice along.
        let help = self.help().map(|help| format!("help: {help}\n")).filter(|help| !text.contains(help.as_str()));
        text.extend(help);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_said_with_its_causes_and_the_way_out() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let missing = |similar: &[&str]| {
            let similar = similar.iter().map(|s| (*s).to_owned()).collect();
            ContentError::UnknownImage { place: "the store".to_owned(), name: "a".to_owned(), similar }.into()
        };
        let remote = CommandError::Content(ContentError::Remote {
            place: "registry hub.example".to_owned(),
            source: Box::new(denied()),
            help: Some("log in".to_owned()),
        });
        for (error, want) in [
            (
                CommandError::NoHome,
                "error: cannot tell where images are kept: neither XDG_DATA_HOME nor HOME is an absolute path\nhelp: name a directory with `--root`\n",
            ),
            (
                missing(&["b"]),
                "error: the store has no image `a`\nhelp: did you mean `b`? `sealos images` lists what is there\n",
            ),
            (
                CommandError::Io { doing: "read x".to_owned(), source: denied() },
                "error: cannot read x: permission denied\n",
            ),
            (remote, "error: registry hub.example: permission denied\nhelp: log in\n"),
            (
                CommandError::Several(vec![CommandError::StdinIsTerminal, missing(&[])]),
                "error: there is no archive: stdin is a terminal\nhelp: name a file with `-i FILE`, or pipe one in\nerror: the store has no image `a`\nhelp: `sealos images` lists what is there; `sealos build` and `sealos load` add to it\n",
            ),
        ] {
            assert_eq!(error.to_text(), want, "{error:?}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let error = CommandError::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((error.exit_code(), error.to_text()), (0, String::new()));
        let error = CommandError::Output(io::ErrorKind::StorageFull.into());
        assert_eq!(error.exit_code(), 1);
    }
}
