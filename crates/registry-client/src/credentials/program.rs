//! Programs that keep credentials: `docker-credential-NAME get|store|erase|list`.
//!
//! Source: the protocol of docker-credential-helpers: the server on stdin, JSON on stdout. Secrets go through pipes only;
//! what a helper prints is not shown, it may hold some.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::{Credentials, Secret, TOKEN_USER};
use crate::RegistryError;

/// What is exchanged with a helper.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    #[serde(rename = "ServerURL", default)]
    server: String,
    username: String,
    secret: String,
}

/// A helper.
pub(super) struct Helper<'a> {
    pub(super) name: &'a str,
}

impl Helper<'_> {
    pub(super) fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    /// What it has for a server.
    pub(super) fn get(&self, key: &str) -> Result<Option<Credentials>, RegistryError> {
        for server in servers(key) {
            let Some(answer) = self.run("get", server.as_bytes())? else { continue };
            let kept: Kept =
                serde_json::from_slice(&answer).map_err(|_secret| self.failed("its answer is not JSON".to_owned()))?;
            return Ok(Some(Credentials::of(&kept.username, Secret::new(kept.secret))));
        }
        Ok(None)
    }

    pub(super) fn store(&self, key: &str, credentials: &Credentials) -> Result<(), RegistryError> {
        let (username, secret) = match credentials {
            Credentials::Password { user, password } => (user.as_str(), password),
            Credentials::Identity(token) => (TOKEN_USER, token),
        };
        let server = servers(key).remove(0);
        let kept = Kept { server, username: username.to_owned(), secret: secret.reveal().to_owned() };
        let text =
            serde_json::to_vec(&kept).map_err(|_secret| self.failed("the entry cannot be written".to_owned()))?;
        self.run("store", &text).map(drop)
    }

    /// Whether it had something for the server.
    pub(super) fn erase(&self, key: &str) -> Result<bool, RegistryError> {
        let mut had = false;
        for server in servers(key) {
            // Many helpers succeed in erasing what they do not have.
            if self.run("get", server.as_bytes())?.is_some() {
                had = true;
                self.run("erase", server.as_bytes())?;
            }
        }
        Ok(had)
    }

    /// Servers and their users.
    pub(super) fn list(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        let answer = self.run("list", b"")?.unwrap_or_default();
        if answer.iter().all(u8::is_ascii_whitespace) {
            return Ok(BTreeMap::new());
        }
        serde_json::from_slice(&answer).map_err(|_secret| self.failed("its list is not JSON".to_owned()))
    }

    /// Runs it; none if it says that it has nothing such.
    fn run(&self, verb: &str, input: &[u8]) -> Result<Option<Vec<u8>>, RegistryError> {
        if self.name.contains('/') {
            return Err(self.failed("its name must not have a slash".to_owned()));
        }
        let failed = |error: io::Error| self.failed(error.to_string());
        let mut child = Command::new(self.program())
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(input) {
                // It need not read what it does not want; how it ends tells.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(failed(error)),
                _ => {}
            }
        }
        let output = child.wait_with_output().map_err(failed)?;
        if output.status.success() {
            return Ok(Some(output.stdout));
        }
        // The protocol's way to say that there is nothing.
        match String::from_utf8_lossy(&output.stdout).contains("credentials not found") {
            true => Ok(None),
            false => Err(self.failed(output.status.to_string())),
        }
    }

    fn failed(&self, reason: String) -> RegistryError {
        RegistryError::Helper { program: self.program(), reason }
    }
}

/// What a server is called by whoever stored it; docker has a name of its own for Docker Hub.
fn servers(key: &str) -> Vec<String> {
    match key {
        "docker.io" => vec!["https://index.docker.io/v1/".to_owned(), key.to_owned()],
        _ => vec![key.to_owned()],
    }
}
