//! One connection: reaching the host, checking its key, logging in; and the channels on it.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Preferred, cipher, compression};
use tokio::net::TcpStream;

use super::config_file::HostSettings;
use super::known_hosts::{HostKeys, KnownHosts};
use super::options::{SshNetwork, SshOptions};
use super::{auth, ended};
use crate::cluster::Secret;
use crate::transport::{Interrupt, Status, TransportError};

/// How often a host is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How often it may fail to answer.
const MISSED: usize = 3;
/// How often a host that refuses is tried again, and how long after.
const AGAIN: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(2)];
/// Jumps through jumps through jumps.
const JUMPS: usize = 8;

/// A connection on which somebody is logged in.
pub(super) struct Link {
    pub(super) handle: Handle<Checker>,
    /// Who is logged in.
    pub(super) user: String,
    /// The password that a person gave, if one was asked.
    pub(super) password: Option<Secret>,
    /// What this connection goes through.
    _through: Option<Box<Link>>,
}

/// Where a host is and how its key is called, after what `~/.ssh/config` says.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) settings: HostSettings,
}

impl Target {
    fn new(network: &SshNetwork, options: &SshOptions) -> Self {
        let settings = network.config.lookup(&options.host, options.user.as_deref(), network.home.as_deref());
        let port = match (options.port, settings.port) {
            (22, Some(port)) => port,
            (port, _) => port,
        };
        let user = options.user.clone().or_else(|| settings.user.clone()).unwrap_or_else(|| "root".to_owned());
        Self { host: settings.host_name.clone().unwrap_or_else(|| options.host.clone()), port, user, settings }
    }

    /// Where this host's key is kept, if not with all others.
    fn known_hosts(&self, network: &SshNetwork) -> Option<PathBuf> {
        let file = self.settings.known_hosts.as_deref()?.split_whitespace().next()?;
        Some(super::config_file::in_home(file, network.home.as_deref()))
    }
}

/// Takes or refuses the host's key.
pub(super) struct Checker {
    known_hosts: Arc<KnownHosts>,
    shown: String,
    name: String,
    port: u16,
    file: Option<PathBuf>,
    policy: HostKeys,
    /// Why it was refused: russh's own error says only that it was.
    refused: Arc<Mutex<Option<TransportError>>>,
}

impl Checker {
    fn check(&self, key: &PublicKey) -> Result<(), TransportError> {
        let fingerprint = || key.fingerprint(HashAlg::Sha256).to_string();
        let unreadable = |source| TransportError::KnownHosts { host: self.shown.clone(), source };
        let file = self.file.as_deref();
        let known = self.known_hosts.keys(&self.name, self.port, file).map_err(unreadable)?;
        let same = |other: &PublicKey| other.key_data() == key.key_data();
        if known.iter().any(|known| known.revoked && same(&known.key)) {
            return Err(TransportError::HostKeyRevoked { host: self.shown.clone(), fingerprint: fingerprint() });
        }
        let mut valid = known.iter().filter(|known| !known.revoked).peekable();
        if valid.clone().any(|known| same(&known.key)) {
            return Ok(());
        }
        // A host that is known by a key of another kind is not a new host.
        if let Some(other) = valid.peek() {
            return Err(TransportError::HostKeyChanged {
                host: self.shown.clone(),
                fingerprint: fingerprint(),
                file: other.file.clone(),
                line: other.line,
            });
        }
        match self.policy {
            HostKeys::AcceptNew => {
                let learnt = self.known_hosts.learn(&self.name, self.port, key, file);
                learnt.map_err(unreadable)
            }
            HostKeys::Strict => {
                Err(TransportError::HostKeyUnknown { host: self.shown.clone(), fingerprint: fingerprint() })
            }
        }
    }
}

impl client::Handler for Checker {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        match self.check(key) {
            Ok(()) => Ok(true),
            Err(error) => {
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Ok(false)
            }
        }
    }
}

/// Connects and logs in.
pub(super) async fn connect(
    network: &Arc<SshNetwork>,
    options: &SshOptions,
    interrupt: &Interrupt,
) -> Result<Link, TransportError> {
    let mut attempt = 0;
    loop {
        let failed = |source| TransportError::Unreachable { host: options.shown(), source };
        let result = tokio::time::timeout(network.timeout, establish(network, options, JUMPS)).await;
        let error = match result {
            Ok(Ok(link)) => return Ok(link),
            Ok(Err(error)) => error,
            Err(_) => failed(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {} s", network.timeout.as_secs_f64()),
            )),
        };
        // A host that starts, or has many visitors, refuses for a moment.
        let passing = matches!(&error, TransportError::Unreachable { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
        ));
        if !passing || attempt == AGAIN.len() || interrupt.is_wished() {
            return Err(error);
        }
        tokio::time::sleep(AGAIN[attempt]).await;
        attempt += 1;
    }
}

fn establish<'a>(
    network: &'a Arc<SshNetwork>,
    options: &'a SshOptions,
    jumps: usize,
) -> Pin<Box<dyn Future<Output = Result<Link, TransportError>> + Send + 'a>> {
    Box::pin(async move {
        let target = Target::new(network, options);
        let failed = |source| TransportError::Unreachable { host: options.shown(), source };
        if let Some(command) = target.settings.proxy_command.as_deref().filter(|command| *command != "none") {
            return Err(TransportError::ProxyCommand { host: options.shown(), command: command.to_owned() });
        }
        let jump = options.jump.clone().or_else(|| target.settings.proxy_jump.clone());
        // A jump host that is found under `Host *` does not go through itself.
        let itself = |jump: &str| jump.rsplit_once('@').map_or(jump, |(_, host)| host) == options.host;
        let jump = jump.filter(|jump| jump != "none" && !jump.is_empty() && !itself(jump));
        let refused = Arc::new(Mutex::new(None));
        let checker = checker(network, options, &target, &refused);
        let config = Arc::new(config(&known_algorithms(&checker)));
        let told = |error: russh::Error| {
            let refusal = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
            refusal.unwrap_or_else(|| failed(as_io(error)))
        };
        let (handle, through) = match jump {
            None => {
                let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                (client::connect_stream(config, stream, checker).await.map_err(told)?, None)
            }
            Some(_) if jumps == 0 => return Err(failed(io::Error::other("too many jump hosts"))),
            Some(jump) => {
                let through = Box::new(establish(network, &jump_options(&jump, options)?, jumps - 1).await?);
                let opened = through.direct(&target.host, u32::from(target.port)).await;
                let stream = opened.map_err(|error| failed(as_io(error)))?.into_stream();
                (client::connect_stream(config, stream, checker).await.map_err(told)?, Some(through))
            }
        };
        let mut handle = handle;
        let password = auth::log_in(network, options, &target, &mut handle).await?;
        Ok(Link { handle, user: target.user, password, _through: through })
    })
}

fn checker(
    network: &SshNetwork,
    options: &SshOptions,
    target: &Target,
    refused: &Arc<Mutex<Option<TransportError>>>,
) -> Checker {
    let (name, port) = match &target.settings.host_key_alias {
        Some(alias) => (alias.clone(), 22),
        None => (target.host.clone(), target.port),
    };
    let strict = target.settings.strict.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("yes"));
    Checker {
        known_hosts: network.known_hosts.clone(),
        shown: options.shown(),
        name,
        port,
        file: target.known_hosts(network),
        policy: if strict { HostKeys::Strict } else { network.host_keys },
        refused: refused.clone(),
    }
}

/// The last jump of a list; the ones before it lead there.
fn jump_options(jump: &str, options: &SshOptions) -> Result<SshOptions, TransportError> {
    let (before, last) = match jump.rsplit_once(',') {
        Some((before, last)) => (Some(before.to_owned()), last),
        None => (None, jump),
    };
    let last = last.trim().trim_start_matches("ssh://");
    let (user, address) = match last.rsplit_once('@') {
        Some((user, address)) => (Some(user.to_owned()), address),
        None => (None, last),
    };
    let address: crate::cluster::Address =
        address.parse().map_err(|error: crate::cluster::AddressError| TransportError::Unreachable {
            host: options.shown(),
            source: io::Error::new(io::ErrorKind::InvalidInput, format!("the jump host is wrong: {error}")),
        })?;
    // The jump host has a user and keys of its own; the same explicit key may open it, too.
    Ok(SshOptions {
        host: address.name.to_string(),
        port: address.port.unwrap_or(22),
        user,
        password: None,
        key: options.key.clone(),
        key_data: options.key_data.clone(),
        passphrase: options.passphrase.clone(),
        jump: before.or_else(|| options.jump.as_ref().map(|_| "none".to_owned())),
    })
}

/// The kinds of keys that are known for a host: it is asked for one of these first.
fn known_algorithms(checker: &Checker) -> Vec<Algorithm> {
    let known = checker.known_hosts.keys(&checker.name, checker.port, checker.file.as_deref());
    known.unwrap_or_default().iter().filter(|known| !known.revoked).map(|known| known.key.algorithm()).collect()
}

fn config(known: &[Algorithm]) -> client::Config {
    let is_known = |algorithm: &Algorithm| {
        known.iter().any(|known| known == algorithm || known.clone().is_rsa() && algorithm.clone().is_rsa())
    };
    let mut keys = Preferred::DEFAULT.key.to_vec();
    keys.sort_by_key(|algorithm| !is_known(algorithm));
    client::Config {
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: MISSED,
        nodelay: true,
        preferred: Preferred {
            key: Cow::Owned(keys),
            // AES in hardware is the fastest there is.
            cipher: Cow::Borrowed(&[
                cipher::AES_128_GCM,
                cipher::AES_256_GCM,
                cipher::CHACHA20_POLY1305,
                cipher::AES_256_CTR,
                cipher::AES_128_CTR,
            ]),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    }
}

fn as_io(error: russh::Error) -> io::Error {
    match error {
        russh::Error::IO(error) => error,
        russh::Error::HUP | russh::Error::Disconnect => {
            io::Error::new(io::ErrorKind::UnexpectedEof, "the host closed the connection")
        }
        other => io::Error::other(other),
    }
}

impl Link {
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// A channel to a server as this host sees it.
    pub(super) async fn direct(&self, host: &str, port: u32) -> Result<Channel<Msg>, russh::Error> {
        self.handle.channel_open_direct_tcpip(host, port, "127.0.0.1", 0).await
    }

    /// A channel with a program.
    pub(super) async fn exec(&self, shown: &str, line: &str) -> Result<Channel<Msg>, TransportError> {
        let lost = |error| TransportError::Lost { host: shown.to_owned(), source: as_io(error) };
        let channel = self.handle.channel_open_session().await.map_err(lost)?;
        channel.exec(true, line).await.map_err(lost)?;
        Ok(channel)
    }

    /// Runs a fixed line to its end, without becoming root; returns its status and what it wrote to stdout.
    pub(super) async fn plain(
        &self,
        shown: &str,
        line: &str,
        input: &[u8],
    ) -> Result<(Status, String), TransportError> {
        let mut channel = self.exec(shown, line).await?;
        let lost = |error| TransportError::Lost { host: shown.to_owned(), source: as_io(error) };
        if !input.is_empty() {
            channel.data_bytes(input.to_vec()).await.map_err(lost)?;
        }
        channel.eof().await.map_err(lost)?;
        let (mut out, mut status) = (Vec::new(), None);
        while let Some(message) = channel.wait().await {
            if let ChannelMsg::Data { data } = &message {
                out.extend_from_slice(data);
            }
            status = ended(&message).or(status);
        }
        let gone = || lost(russh::Error::Disconnect);
        Ok((status.ok_or_else(gone)?, String::from_utf8_lossy(&out).into_owned()))
    }
}
