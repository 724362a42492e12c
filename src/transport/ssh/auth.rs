//! Logging in: what the user gave for this host first, then the agent, then the user's own keys, then passwords.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::MethodKind;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, decode_secret_key};

use super::link::{Checker, Target};
use super::options::{Question, SshNetwork, SshOptions};
use crate::cluster::Secret;
use crate::transport::TransportError;

/// Keys that OpenSSH tries, too.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];
/// A server that asks more often than this does not want to let us in.
const ROUNDS: usize = 8;

/// Logs in; returns the password if a person was asked for one.
pub(super) async fn log_in(
    network: &SshNetwork,
    options: &SshOptions,
    target: &Target,
    handle: &mut Handle<Checker>,
) -> Result<Option<Secret>, TransportError> {
    let mut login = Login { network, options, target, handle, tried: Vec::new(), allowed: None, rsa: None };
    login.run().await
}

struct Login<'a> {
    network: &'a SshNetwork,
    options: &'a SshOptions,
    target: &'a Target,
    handle: &'a mut Handle<Checker>,
    /// What did not open the door.
    tried: Vec<String>,
    /// What the server wants to see.
    allowed: Option<Vec<MethodKind>>,
    rsa: Option<Option<HashAlg>>,
}

impl Login<'_> {
    async fn run(&mut self) -> Result<Option<Secret>, TransportError> {
        let none = self.handle.authenticate_none(self.target.user.clone()).await;
        if self.result(none)? {
            return Ok(None);
        }
        let explicit = self.explicit_key()?;
        if let Some(key) = explicit
            && self.key("the given key", key).await?
        {
            return Ok(None);
        }
        if let Some(password) = &self.options.password
            && self.password(password, "the given password").await?
        {
            return Ok(None);
        }
        if self.ambient_keys().await? {
            return Ok(None);
        }
        self.asked().await
    }

    fn error(&self) -> TransportError {
        TransportError::Login { host: self.options.shown(), user: self.target.user.clone(), tried: self.tried.clone() }
    }

    fn lost(&self, error: russh::Error) -> TransportError {
        let source = match error {
            russh::Error::IO(error) => error,
            other => std::io::Error::other(other),
        };
        TransportError::Lost { host: self.options.shown(), source }
    }

    /// Whether an attempt opened the door; what the server wants next is noted.
    fn result(&mut self, result: Result<AuthResult, russh::Error>) -> Result<bool, TransportError> {
        match result {
            Ok(AuthResult::Success) => Ok(true),
            Ok(AuthResult::Failure { remaining_methods, .. }) => {
                self.allowed = Some(remaining_methods.to_vec());
                Ok(false)
            }
            // Too many attempts, and the server hangs up.
            Err(russh::Error::SendError | russh::Error::RecvError | russh::Error::HUP | russh::Error::Disconnect) => {
                Err(self.error())
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    fn allows(&self, method: MethodKind) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&method))
    }

    /// The key that is meant for this host, if one is.
    fn explicit_key(&mut self) -> Result<Option<PrivateKey>, TransportError> {
        if let Some(data) = &self.options.key_data {
            let decoded = decode_secret_key(data.reveal(), self.options.passphrase.as_ref().map(Secret::reveal));
            return decoded
                .map(Some)
                .map_err(|error| TransportError::Key { path: PathBuf::from("pkData"), reason: error.to_string() });
        }
        let Some(path) = self.options.key.clone() else { return Ok(None) };
        let path = super::config_file::in_home(&path.to_string_lossy(), self.network.home.as_deref());
        self.load(&path, Meant::ForThisHost)
    }

    /// Reads a key; asks for its passphrase where it has one.
    fn load(&mut self, path: &Path, meant: Meant) -> Result<Option<PrivateKey>, TransportError> {
        let failed = |reason: String| TransportError::Key { path: path.to_owned(), reason };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && meant == Meant::ForAll => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let passphrase = match meant {
            Meant::ForThisHost => self.options.passphrase.clone(),
            Meant::ForAll => None,
        };
        match decode_secret_key(&text, passphrase.as_ref().map(Secret::reveal)) {
            Ok(key) if key.is_encrypted() => {}
            Ok(key) => return Ok(Some(key)),
            Err(_) if is_encrypted(&text) => {}
            Err(error) => return self.unusable(meant, path, &error.to_string()),
        }
        if passphrase.is_some() {
            return Err(failed("the passphrase is wrong".to_owned()));
        }
        let question = Question::Passphrase { key: path.to_owned() };
        let Some(answer) = self.network.ask.as_ref().and_then(|ask| ask(&question)) else {
            return self.unusable(meant, path, "it is encrypted, and its passphrase is not known");
        };
        match decode_secret_key(&text, Some(answer.reveal())) {
            Ok(key) => Ok(Some(key)),
            Err(_) => self.unusable(meant, path, "the passphrase is wrong"),
        }
    }

    /// A key that cannot be used: an error where the user named it, else one more thing that was tried. The agent may
    /// have the key of an encrypted file.
    fn unusable(&mut self, meant: Meant, path: &Path, reason: &str) -> Result<Option<PrivateKey>, TransportError> {
        let agent_may_have_it = self.network.agent.is_some() && reason.starts_with("it is encrypted");
        if meant == Meant::ForThisHost && !agent_may_have_it {
            return Err(TransportError::Key { path: path.to_owned(), reason: reason.to_owned() });
        }
        self.tried.push(format!("{} ({reason})", path.display()));
        Ok(None)
    }

    async fn key(&mut self, name: &str, key: PrivateKey) -> Result<bool, TransportError> {
        if !self.allows(MethodKind::PublicKey) {
            return Ok(false);
        }
        let hash = if key.algorithm().is_rsa() { self.rsa_hash().await } else { None };
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        let result = self.handle.authenticate_publickey(self.target.user.clone(), key).await;
        let opened = self.result(result)?;
        if !opened {
            self.tried.push(name.to_owned());
        }
        Ok(opened)
    }

    /// The best hash that the server takes RSA signatures with.
    async fn rsa_hash(&mut self) -> Option<HashAlg> {
        if let Some(known) = self.rsa {
            return known;
        }
        let found = match self.handle.best_supported_rsa_hash().await {
            Ok(Some(best)) => best,
            // The server did not say; all since 2016 take this one.
            Ok(None) | Err(_) => Some(HashAlg::Sha256),
        };
        *self.rsa.insert(found)
    }

    /// The agent's keys, then those of the user's files.
    async fn ambient_keys(&mut self) -> Result<bool, TransportError> {
        if !self.allows(MethodKind::PublicKey) {
            return Ok(false);
        }
        let named = !self.target.settings.identity_files.is_empty();
        let home = self.network.home.clone();
        let files: Vec<PathBuf> = match (named, &home) {
            (true, _) => self.target.settings.identity_files.clone(),
            (false, Some(home)) => DEFAULT_KEYS.iter().map(|name| home.join(".ssh").join(name)).collect(),
            (false, None) => Vec::new(),
        };
        let only_these = self.target.settings.identities_only == Some(true) || self.options.key.is_some();
        let wanted: Option<Vec<PublicKey>> = only_these.then(|| {
            let explicit = self.options.key.iter();
            files.iter().chain(explicit).filter_map(|file| public_part(file)).collect()
        });
        if self.agent(wanted.as_deref()).await? {
            return Ok(true);
        }
        // Who names a key for a host means that key.
        if self.options.key.is_some() || self.options.key_data.is_some() {
            return Ok(false);
        }
        for file in files {
            if let Some(key) = self.load(&file, Meant::ForAll)?
                && self.key(&file.display().to_string(), key).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn agent(&mut self, wanted: Option<&[PublicKey]>) -> Result<bool, TransportError> {
        let socket = match self.target.settings.identity_agent.as_deref() {
            Some("none") => None,
            Some("SSH_AUTH_SOCK") | None => self.network.agent.clone(),
            Some(path) => Some(super::config_file::in_home(path, self.network.home.as_deref())),
        };
        let Some(socket) = socket else { return Ok(false) };
        let mut agent = match AgentClient::connect_uds(&socket).await {
            Ok(agent) => agent,
            Err(_) => {
                self.tried.push(format!("the agent at {} (it does not answer)", socket.display()));
                return Ok(false);
            }
        };
        let keys = agent.request_identities().await.unwrap_or_default();
        for identity in keys {
            let key = identity.public_key().into_owned();
            if wanted.is_some_and(|wanted| !wanted.iter().any(|other| other.key_data() == key.key_data())) {
                continue;
            }
            let hash = if key.algorithm().is_rsa() { self.rsa_hash().await } else { None };
            let name = format!("the agent's key {}", key.comment());
            let user = self.target.user.clone();
            match self.handle.authenticate_publickey_with(user, key, hash, &mut agent).await {
                Ok(result) => {
                    if self.result(Ok(result))? {
                        return Ok(true);
                    }
                    self.tried.push(name);
                }
                Err(error) => self.tried.push(format!("{name} ({error})")),
            }
        }
        Ok(false)
    }

    async fn password(&mut self, password: &Secret, name: &str) -> Result<bool, TransportError> {
        if self.allows(MethodKind::Password) {
            let user = self.target.user.clone();
            let result = self.handle.authenticate_password(user, password.reveal()).await;
            if self.result(result)? {
                return Ok(true);
            }
            self.tried.push(name.to_owned());
        }
        if self.allows(MethodKind::KeyboardInteractive) {
            if self.keyboard(password).await? {
                return Ok(true);
            }
            self.tried.push(format!("{name} (keyboard-interactive)"));
        }
        Ok(false)
    }

    /// Answers every hidden question with the password.
    async fn keyboard(&mut self, password: &Secret) -> Result<bool, TransportError> {
        let user = self.target.user.clone();
        let started = self.handle.authenticate_keyboard_interactive_start(user, None).await;
        let mut response = started.map_err(|error| self.lost(error))?;
        for _ in 0..ROUNDS {
            match response {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. } => {
                    self.allowed = Some(remaining_methods.to_vec());
                    return Ok(false);
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                    let answer = |echo: bool| if echo { String::new() } else { password.reveal().to_owned() };
                    let answers = prompts.iter().map(|prompt| answer(prompt.echo)).collect();
                    let next = self.handle.authenticate_keyboard_interactive_respond(answers).await;
                    response = next.map_err(|error| self.lost(error))?;
                }
            }
        }
        Ok(false)
    }

    /// Asks a person for the password.
    async fn asked(&mut self) -> Result<Option<Secret>, TransportError> {
        let possible = self.allows(MethodKind::Password) || self.allows(MethodKind::KeyboardInteractive);
        let question = Question::Password { user: self.target.user.clone(), host: self.options.shown() };
        let ask = self.network.ask.as_ref().filter(|_| possible && self.options.password.is_none());
        let Some(answer) = ask.and_then(|ask| ask(&question)) else { return Err(self.error()) };
        match self.password(&answer, "the password that was typed").await? {
            true => Ok(Some(answer)),
            false => Err(self.error()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meant {
    ForThisHost,
    ForAll,
}

fn is_encrypted(text: &str) -> bool {
    text.contains("ENCRYPTED") || PrivateKey::from_openssh(text).is_ok_and(|key| key.is_encrypted())
}

/// The public key that belongs to a file: of the file beside it, or what the file says unencrypted.
fn public_part(file: &Path) -> Option<PublicKey> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".pub");
    let text = std::fs::read_to_string(beside).ok();
    let beside = text.and_then(|text| PublicKey::from_openssh(text.trim()).ok());
    beside.or_else(|| {
        let text = std::fs::read_to_string(file).ok()?;
        Some(PrivateKey::from_openssh(text).ok()?.public_key().clone())
    })
}
