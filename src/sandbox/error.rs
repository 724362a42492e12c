//! Why a command could not be run.

use std::io;
use std::path::PathBuf;

use crate::rootfs::RootfsError;

/// Why a command could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The system gives this user no namespaces.
    #[error("RUN needs a user namespace, and the system does not give one: {source}")]
    NoUserNamespace {
        /// The kernel setting that forbids it, if one was found.
        setting: Option<&'static str>,
        /// What the system said.
        source: io::Error,
    },
    /// The ids of the user namespace could not be set up.
    #[error("cannot map users into the user namespace: {doing}: {reason}")]
    IdMap {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// The system gives this process no mount or process namespaces.
    #[error("RUN needs mount and process namespaces, and the system does not give them: {source}")]
    NoNamespaces {
        /// What the system said.
        source: io::Error,
    },
    /// No runtime is installed.
    #[error("isolation `oci` needs crun or runc, and neither is in PATH")]
    NoRuntime,
    /// A runtime is installed but cannot start a container.
    #[error("isolation `oci` cannot be used: {} does not work here: {said}", runtime.display())]
    RuntimeBroken {
        /// The program.
        runtime: PathBuf,
        /// The end of what it said.
        said: String,
    },
    /// The layers cannot be stacked by overlayfs here. `Sandbox::run` copies them then.
    #[error("cannot stack the layers: {source}")]
    Overlay {
        /// What the system said.
        source: io::Error,
    },
    /// Something on the way to the command failed.
    #[error("cannot prepare RUN: cannot {doing}: {source}")]
    Prepare {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The command could not be started.
    #[error("cannot run `{program}`: cannot {doing}: {source}")]
    Start {
        /// The command.
        program: String,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A text that the system cannot take: it has a NUL inside.
    #[error("{what} has a NUL byte inside")]
    Nul {
        /// Which text.
        what: String,
    },
    /// A secret that is to be a variable and is no text.
    #[error("the secret for the variable {name} is not UTF-8: {error}")]
    SecretNotText {
        /// The variable.
        name: String,
        /// Where it stops being text.
        error: std::str::Utf8Error,
    },
    /// There is nothing to run.
    #[error("RUN has no command")]
    NoCommand,
    /// The sandbox's first process was killed from outside.
    #[error("the command's sandbox was killed from outside")]
    Killed,
    /// The image's files could not be read, copied or compared.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
}

impl SandboxError {
    /// For `map_err`: wraps a system error with what was being done.
    pub(super) fn prepare<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self::Prepare { doing, source: source.into() }
    }

    /// What the user can do about it, if it is known.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Self::NoUserNamespace { setting: Some(setting), .. } => {
                return Some(format!("build as root, or let root allow them: `sysctl -w {setting}`"));
            }
            Self::NoUserNamespace { setting: None, .. } | Self::NoNamespaces { .. } => {
                "build as root, outside of containers that forbid namespaces"
            }
            Self::IdMap { .. } => {
                "give the user ranges in /etc/subuid and /etc/subgid, or remove its entries there to go on with one id"
            }
            Self::NoRuntime => "install crun or runc, or use `--isolation chroot`, which needs neither",
            Self::RuntimeBroken { .. } => "use `--isolation chroot`, which needs no runtime",
            Self::Start { source, doing, .. }
                if source.raw_os_error() == Some(libc::EINVAL) && doing.contains("user") =>
            {
                "the user namespace has too few ids: give the user ranges in /etc/subuid and /etc/subgid, or build as root"
            }
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "the image has no such program, or the program's interpreter (`#!`, dynamic linker) is missing in it"
            }
            Self::Start { source, .. } if source.raw_os_error() == Some(libc::ENOEXEC) => {
                "the program is for another processor"
            }
            Self::Prepare { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => "free some space (`sealos prune`) and repeat the command",
                _ if source.raw_os_error() == Some(libc::ENOSYS) => "RUN needs Linux 5.12 or newer",
                _ => return None,
            },
            Self::Rootfs(error) => return error.help(),
            _ => return None,
        };
        Some(text.to_owned())
    }
}
