//! What a connection needs to know: of one host, and of all.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::{Builder, Handle, Runtime};

use super::config_file::SshConfig;
use super::known_hosts::{HostKeys, KnownHosts};
use crate::cluster::{Secret, Ssh as Settings};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(15);
/// Threads that carry all connections.
const THREADS: usize = 2;

/// Something only a person knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// A user's password on a host.
    Password {
        /// The user.
        user: String,
        /// The host.
        host: String,
    },
    /// What decrypts a private key.
    Passphrase {
        /// The key's file.
        key: PathBuf,
    },
}

/// Asks a person; none if there is nobody to ask.
pub type Ask = dyn Fn(&Question) -> Option<Secret> + Send + Sync;

/// How one host is reached.
#[derive(Clone, Debug, Default)]
pub struct SshOptions {
    /// The host as its user calls it.
    pub host: String,
    /// The port; 22 may be replaced by what `~/.ssh/config` says.
    pub port: u16,
    /// The user; none leaves it to `~/.ssh/config`, else root.
    pub user: Option<String>,
    /// The user's password, for login and sudo.
    pub password: Option<Secret>,
    /// The file of a private key.
    pub key: Option<PathBuf>,
    /// A private key.
    pub key_data: Option<Secret>,
    /// What decrypts the key.
    pub passphrase: Option<Secret>,
    /// Hosts to go through (`[user@]host[:port]`, with commas); none leaves it to `~/.ssh/config`.
    pub jump: Option<String>,
}

impl SshOptions {
    /// A host by the settings of its cluster.
    pub fn new(host: &str, port: u16, settings: &Settings) -> Self {
        Self {
            host: host.to_owned(),
            port,
            user: settings.user.clone().filter(|user| !user.is_empty()),
            password: settings.password.clone(),
            key: settings.key.clone(),
            key_data: settings.key_data.clone(),
            passphrase: settings.passphrase.clone(),
            jump: None,
        }
    }

    /// How the host is called in messages.
    pub(super) fn shown(&self) -> String {
        match self.port {
            22 => self.host.clone(),
            port if self.host.contains(':') => format!("[{}]:{port}", self.host),
            port => format!("{}:{port}", self.host),
        }
    }
}

/// What all connections share.
pub struct SshNetwork {
    /// The user's own settings.
    pub config: SshConfig,
    /// The home that `~` means.
    pub home: Option<PathBuf>,
    /// The keys of hosts.
    pub known_hosts: Arc<KnownHosts>,
    /// What happens with new ones.
    pub host_keys: HostKeys,
    /// The socket of the user's agent.
    pub agent: Option<PathBuf>,
    /// How long a connection may take, from its beginning to the login.
    pub timeout: Duration,
    /// Who is asked for what is not known.
    pub ask: Option<Arc<Ask>>,
    pub(super) threads: Threads,
}

impl SshNetwork {
    /// The settings of a user: `~/.ssh/config`, the known hosts of the user and the system, the agent of
    /// `SSH_AUTH_SOCK`.
    ///
    /// # Errors
    /// When a settings file cannot be read or no threads can be made.
    pub fn of_user(home: Option<PathBuf>, agent: Option<PathBuf>) -> io::Result<Self> {
        let ssh = home.as_ref().map(|home| home.join(".ssh"));
        let mut config = String::new();
        let files = ssh.iter().map(|ssh| ssh.join("config")).chain([PathBuf::from("/etc/ssh/ssh_config")]);
        for file in files {
            match std::fs::read(&file) {
                // What a file sets below its last `Host` line must not go on in the next.
                Ok(bytes) => config.push_str(&format!("{}\nMatch all\n", String::from_utf8_lossy(&bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(io::Error::new(error.kind(), format!("cannot read {}: {error}", file.display())));
                }
            }
        }
        let include = |pattern: &str| included(pattern, home.as_deref());
        let known = ssh.iter().map(|ssh| ssh.join("known_hosts")).chain([PathBuf::from("/etc/ssh/ssh_known_hosts")]);
        Ok(Self {
            config: SshConfig::parse(&config, &include),
            known_hosts: Arc::new(KnownHosts::new(known.collect())),
            host_keys: HostKeys::default(),
            agent,
            home,
            timeout: CONNECT,
            ask: None,
            threads: Threads::new()?,
        })
    }

    /// Runs a future on this thread, with the network's threads beside it.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle().block_on(future)
    }

    pub(super) fn handle(&self) -> Handle {
        self.threads.handle.clone()
    }
}

/// The threads that carry all connections; they end with this.
pub(super) struct Threads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Threads {
    fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("ssh").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A connection to a dead host must not hold up the end of the program.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_millis(200));
        }
    }
}

/// The texts of the files that an `Include` names: below `~/.ssh` unless absolute, `*` and `?` in the last part.
fn included(pattern: &str, home: Option<&std::path::Path>) -> Vec<String> {
    let path = super::config_file::in_home(pattern, home);
    let path = match home {
        Some(home) if path.is_relative() => home.join(".ssh").join(path),
        _ => path,
    };
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let names = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    names.retain(|known| super::config_file::matches(&[name.to_owned()], known));
    names.sort();
    names.into_iter().filter_map(|name| std::fs::read_to_string(directory.join(name)).ok()).collect()
}

/// A word that nobody else uses.
pub(super) fn word() -> String {
    let mut bytes = [0; 12];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        // Without randomness, the time and the process are as good against chance.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        return format!("sealos-{now:x}-{}", std::process::id());
    }
    format!("sealos-{}", hex::encode(bytes))
}
