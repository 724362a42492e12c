//! User names and passwords: where they are kept, and which one is for which repository.
//!
//! Files are read in the order of docker's and podman's own tools; the most specific key (`host/ns/repo`, `host/ns`,
//! `host`) of the first file that has one wins. Nothing here writes.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::RegistryError;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be sent to the one who may have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a registry is told about who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// User name and password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// An OAuth2 refresh token (`identitytoken`).
    Identity(Secret),
}

#[derive(Default, Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, AuthEntry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
struct AuthEntry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
}

/// The credentials for a repository, if any file or helper has some.
///
/// # Errors
/// When a file that exists cannot be understood or a helper fails.
pub(crate) fn lookup(
    explicit: Option<&Path>,
    host: &str,
    repository: &str,
) -> Result<Option<Credentials>, RegistryError> {
    for path in auth_files(explicit) {
        let Some(file) = read(&path, explicit.is_some())? else { continue };
        for key in keys(host, repository) {
            if let Some(helper) = file.helpers.get(&key)
                && let Some(found) = ask_helper(helper, &key)?
            {
                return Ok(Some(found));
            }
            let entry = file.auths.iter().find(|(name, _)| normal_key(name) == key).map(|(_, entry)| entry);
            if let Some(found) = entry.map(|entry| decode(&path, entry)).transpose()?.flatten() {
                return Ok(Some(found));
            }
        }
        if let Some(helper) = &file.store {
            let key = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
            if let Some(found) = ask_helper(helper, key)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// The auth files in the order in which they are asked.
fn auth_files(explicit: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = explicit {
        return vec![path.to_owned()];
    }
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = var("HOME");
    let mut files = Vec::new();
    files.extend(var("REGISTRY_AUTH_FILE"));
    files.extend(var("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")));
    files.push(format!("/run/containers/{}/auth.json", uid()).into());
    let config = var("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    files.extend(config.map(|dir| dir.join("containers/auth.json")));
    let docker = var("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    files.extend(docker.map(|dir| dir.join("config.json")));
    files
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn read(path: &Path, must_exist: bool) -> Result<Option<AuthFile>, RegistryError> {
    let wrong = |reason: String| RegistryError::File { path: path.display().to_string(), reason };
    match std::fs::read(path) {
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(None),
        // The parser's message has positions only, none of the secrets.
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            wrong(format!("it is not an auth file (line {}, column {})", error.line(), error.column()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// `host/a/b`, `host/a`, `host`: the most specific first.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let mut all = vec![host.to_owned()];
    for part in repository.split('/') {
        all.push(format!("{}/{part}", all[all.len() - 1]));
    }
    all.reverse();
    all
}

/// The key of an auth file as `host[/path]`; docker's historical URL of Docker Hub is `docker.io`.
fn normal_key(key: &str) -> String {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    match bare {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

fn decode(path: &Path, entry: &AuthEntry) -> Result<Option<Credentials>, RegistryError> {
    let wrong = || RegistryError::File {
        path: path.display().to_string(),
        reason: "an `auth` entry is not base64 of user:password".to_owned(),
    };
    if let Some(token) = entry.identitytoken.as_ref().filter(|token| !token.is_empty()) {
        return Ok(Some(Credentials::Identity(Secret::new(token))));
    }
    if let (Some(user), Some(password)) = (&entry.username, &entry.password) {
        return Ok(Some(Credentials::Password { user: user.clone(), password: Secret::new(password) }));
    }
    let Some(auth) = entry.auth.as_ref().filter(|auth| !auth.is_empty()) else { return Ok(None) };
    let text = STANDARD.decode(auth).ok().and_then(|raw| String::from_utf8(raw).ok()).ok_or_else(wrong)?;
    let (user, password) = text.split_once(':').ok_or_else(wrong)?;
    let password = Secret::new(password.trim_end_matches('\0'));
    Ok(Some(Credentials::Password { user: user.to_owned(), password }))
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Asks `docker-credential-NAME get`, which takes the key on stdin.
fn ask_helper(name: &str, key: &str) -> Result<Option<Credentials>, RegistryError> {
    let program = format!("docker-credential-{name}");
    let failed = |reason: String| RegistryError::Helper { program: program.clone(), reason };
    if name.contains('/') {
        return Err(failed("its name must not have a slash".to_owned()));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(key.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        // The protocol's way to say that there is nothing.
        let unknown = String::from_utf8_lossy(&output.stdout).contains("credentials not found");
        return if unknown { Ok(None) } else { Err(failed(output.status.to_string())) };
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&output.stdout).map_err(|_json| failed("its answer is not JSON".to_owned()))?;
    let secret = Secret::new(answer.secret);
    Ok(Some(match answer.user.as_str() {
        "<token>" => Credentials::Identity(secret),
        _ => Credentials::Password { user: answer.user, password: secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn password(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { user: user.to_owned(), password: Secret::new(password) })
    }

    #[test]
    fn the_most_specific_key_wins() {
        let auths = file(
            r#"{"auths":{"hub.example":{"auth":"YTox"},"hub.example/team":{"auth":"YjoyOjM="},
                "https://index.docker.io/v1/":{"auth":"Yzoz"}}}"#,
        );
        for (host, repository, want) in [
            ("hub.example", "other/app", password("a", "1")),
            ("hub.example", "team/app", password("b", "2:3")),
            ("docker.io", "library/nginx", password("c", "3")),
            ("quay.io", "a/b", None),
        ] {
            assert_eq!(lookup(Some(auths.path()), host, repository).unwrap(), want, "{host}/{repository}");
        }
    }

    #[test]
    fn a_broken_file_is_an_error_without_its_contents() {
        for text in ["{\"auths\": hunter2", r#"{"auths":{"h":{"auth":"hunter2!"}}}"#] {
            let auths = file(text);
            let error = lookup(Some(auths.path()), "h", "r").unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let printed = format!("{:?}", password("me", "hunter2"));
        assert!(printed.contains("me") && !printed.contains("hunter2"), "{printed}");
    }
}
