//! What can go wrong on the way to a host.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

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
    /// A program took longer than it may; it has been stopped.
    #[error("`{program}` on {host} did not end within {}", shown(*after))]
    Timeout {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// How long it may take.
        after: Duration,
    },
    /// A program that was given up could not be stopped.
    #[error("`{program}` was given up but may still run on {host}: {reason}")]
    NotStopped {
        /// The host.
        host: String,
        /// The program.
        program: String,
        /// Why it was not stopped.
        reason: String,
    },
    /// A host does not answer.
    #[error("cannot reach {host}")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("lost the connection to {host}")]
    Lost {
        /// The host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// A host whose key is another one than is known.
    #[error("the key of {host} is not the one that is known: it is now {fingerprint}, and another one is in {}:{line}", file.display())]
    HostKeyChanged {
        /// The host.
        host: String,
        /// The key that it shows.
        fingerprint: String,
        /// The file with the known key.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A host whose key nobody knows, where only known ones are wanted.
    #[error("the key of {host} is not known: it is {fingerprint}")]
    HostKeyUnknown {
        /// The host.
        host: String,
        /// The key that it shows.
        fingerprint: String,
    },
    /// A host whose key was revoked.
    #[error("the key of {host}, {fingerprint}, is revoked")]
    HostKeyRevoked {
        /// The host.
        host: String,
        /// The key that it shows.
        fingerprint: String,
    },
    /// The keys of hosts could not be read or written.
    #[error("cannot check the key of {host}")]
    KnownHosts {
        /// The host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// Nobody may log in like that.
    #[error("{host} does not let `{user}` in{}", attempts(tried))]
    Login {
        /// The host.
        host: String,
        /// The user.
        user: String,
        /// What was tried.
        tried: Vec<String>,
    },
    /// A private key that cannot be used.
    #[error("the private key {} cannot be used: {reason}", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A user who cannot become root.
    #[error("`{user}` cannot become root on {host}: {reason}")]
    Sudo {
        /// The host.
        host: String,
        /// The user.
        user: String,
        /// Why, as sudo says it.
        reason: String,
    },
    /// A host that `~/.ssh/config` reaches through a program.
    #[error("{host} is reached through a program (`ProxyCommand {command}`), which is not supported")]
    ProxyCommand {
        /// The host.
        host: String,
        /// The program.
        command: String,
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

fn shown(after: Duration) -> String {
    if after.as_secs() >= 1 { format!("{} s", after.as_secs()) } else { format!("{} ms", after.as_millis()) }
}

fn attempts(tried: &[String]) -> String {
    if tried.is_empty() { String::new() } else { format!(" (tried: {})", tried.join(", ")) }
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
            Self::Timeout { .. } => Some("give it more time with `--timeout`".to_owned()),
            Self::Unreachable { host, .. } => {
                Some(format!("see that {host} is up and lets SSH connections in, and that its port is right"))
            }
            Self::HostKeyChanged { host, file, line, .. } => Some(format!(
                "if {host} was installed anew, remove line {line} of {}; if not, somebody may be listening",
                file.display()
            )),
            Self::HostKeyUnknown { host, .. } => Some(format!("log in to {host} by hand once and check its key")),
            Self::Login { user, .. } => Some(format!(
                "give a key that `{user}` may use (`--pk`, the agent) or a password (`--passwd-file`, SEALOS_SSH_PASSWORD)"
            )),
            Self::Key { .. } => Some("give its passphrase with `--pk-passwd-file` or SEALOS_SSH_PASSPHRASE".to_owned()),
            Self::Sudo { user, .. } => Some(format!(
                "let `{user}` use sudo without a password, or give the password (`--passwd-file`, SEALOS_SSH_PASSWORD)"
            )),
            Self::ProxyCommand { .. } => Some("write it as `ProxyJump HOST`".to_owned()),
            _ => None,
        }
    }
}
