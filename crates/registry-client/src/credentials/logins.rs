//! Credentials that are kept: login writes them, logout removes them, lists show whose they are.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Credentials;
use super::document::{Document, decode, normal_key};
use super::files::{self, Place};
use super::program::Helper;
use crate::tls::unusable;
use crate::{Client, ClientOptions, RegistryError};

/// What stands for the auth files in the list of helpers of `registries.conf`.
const FILES: &str = "containers-auth.json";

/// The auth files of this user, or the one that was named.
#[derive(Clone, Debug, Default)]
pub struct Logins {
    authfile: Option<PathBuf>,
    /// In which order helpers and files are asked; none for the files alone.
    helpers: Option<Vec<String>>,
}

/// Who is known to a registry, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// `HOST` or `HOST/NAMESPACE/REPOSITORY`.
    pub key: String,
    /// The user; empty for an identity token.
    pub user: String,
    /// The file or the helper that has it.
    pub place: String,
}

/// Credentials, and what they were filed under and where.
struct Found {
    credentials: Credentials,
    key: String,
    place: String,
}

impl Logins {
    /// The usual files, or only `authfile`.
    pub fn new(authfile: Option<PathBuf>) -> Self {
        Self { authfile, helpers: None }
    }

    /// The same, asking also the helpers that `registries.conf` names; but a file that was named is the only place.
    pub(crate) fn with_helpers(authfile: Option<PathBuf>, helpers: Option<Vec<String>>) -> Self {
        let helpers = helpers.filter(|helpers| !helpers.is_empty() && authfile.is_none());
        Self { authfile, helpers }
    }

    /// Who we are for a registry or repository (`HOST[/PATH]`), if somebody is logged in.
    ///
    /// # Errors
    /// When a file cannot be understood or a helper fails.
    pub fn get(&self, key: &str) -> Result<Option<Login>, RegistryError> {
        let key = normal_key(key);
        let (host, path) = key.split_once('/').unwrap_or((&key, ""));
        let login =
            |found: Found| Login { user: found.credentials.user().to_owned(), key: found.key, place: found.place };
        Ok(self.find(host, path)?.map(login))
    }

    /// The credentials for a repository, if any file or helper has some.
    pub(crate) fn lookup(&self, host: &str, repository: &str) -> Result<Option<Credentials>, RegistryError> {
        Ok(self.find(host, repository)?.map(|found| found.credentials))
    }

    fn find(&self, host: &str, repository: &str) -> Result<Option<Found>, RegistryError> {
        let keys = keys(host, repository);
        for helper in self.order() {
            let found = match helper {
                FILES => self.find_in_files(&keys)?,
                name => ask(name, &keys)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn find_in_files(&self, keys: &[String]) -> Result<Option<Found>, RegistryError> {
        for place in files::places(self.authfile.as_deref()) {
            let Some(document) = place.read()? else { continue };
            for key in keys {
                let helper = document.helpers().find(|(name, _)| normal_key(name) == *key);
                if let Some((_, helper)) = helper
                    && let Some(found) = ask(helper, std::slice::from_ref(key))?
                {
                    return Ok(Some(found));
                }
                let entry = document.entries().find(|(name, _)| normal_key(name) == *key);
                let entry = entry.map(|(_, entry)| decode(entry).map_err(|reason| unusable(&place.path, &reason)));
                if let Some(credentials) = entry.transpose()?.flatten() {
                    let place = place.path.display().to_string();
                    return Ok(Some(Found { credentials, key: key.clone(), place }));
                }
            }
            if let Some(helper) = document.store()
                && let Some(found) = ask(helper, keys)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn order(&self) -> Vec<&str> {
        match &self.helpers {
            None => vec![FILES],
            Some(helpers) => helpers.iter().map(String::as_str).collect(),
        }
    }

    /// Everybody that is logged in: each key once, with what counts for it.
    ///
    /// # Errors
    /// When a file cannot be understood or a helper fails.
    pub fn list(&self) -> Result<Vec<Login>, RegistryError> {
        let mut keys = BTreeSet::new();
        for helper in self.order() {
            if helper != FILES {
                keys.extend(Helper { name: helper }.list()?.keys().map(|key| normal_key(key)));
                continue;
            }
            for place in files::places(self.authfile.as_deref()) {
                let Some(document) = place.read()? else { continue };
                keys.extend(document.entries().map(|(key, _)| normal_key(key)));
                keys.extend(document.helpers().map(|(key, _)| normal_key(key)));
                if let Some(name) = document.store() {
                    keys.extend(Helper { name }.list()?.keys().map(|key| normal_key(key)));
                }
            }
        }
        let mut all = Vec::new();
        for key in keys {
            // What is found under a shorter key is listed there.
            all.extend(self.get(&key)?.filter(|login| login.key == key));
        }
        Ok(all)
    }

    /// Keeps credentials for a registry or repository, in `~/.config/containers/auth.json` unless a file was named: it
    /// survives a reboot, as `$XDG_RUNTIME_DIR` does not. Where the file names a helper for the key, the helper keeps
    /// them. An older login in a file that is asked before that one is removed. Returns the place that has them now.
    ///
    /// # Errors
    /// When the file cannot be written or a helper fails.
    pub fn save(&self, key: &str, credentials: &Credentials) -> Result<String, RegistryError> {
        let key = normal_key(key);
        if let Some(name) = self.order().into_iter().next().filter(|name| *name != FILES) {
            let helper = Helper { name };
            helper.store(&key, credentials)?;
            return Ok(helper.program());
        }
        let target = files::target(self.authfile.as_deref())?;
        let mut kept_by = None;
        target.change(|document| {
            let wrong = |reason: String| unusable(&target.path, &reason);
            let written = written_key(&target, &key);
            kept_by = helper_of(document, &key);
            match &kept_by {
                Some(name) => {
                    Helper { name }.store(&key, credentials)?;
                    document.set(&written, None).map_err(wrong)?;
                }
                None => document.set(&written, Some(credentials)).map_err(wrong)?,
            }
            Ok(true)
        })?;
        for place in files::places(self.authfile.as_deref()) {
            if place.path == target.path {
                break;
            }
            if place.read()?.is_some_and(|document| document.entries().any(|(other, _)| normal_key(other) == key)) {
                place.change(|document| Ok(document.remove(&key)))?;
            }
        }
        Ok(kept_by.map_or_else(|| target.path.display().to_string(), |name| Helper { name: &name }.program()))
    }

    /// Forgets the credentials for a registry or repository, in all files and helpers; the places that had them.
    ///
    /// # Errors
    /// When a file cannot be written or a helper fails.
    pub fn erase(&self, key: &str) -> Result<Vec<String>, RegistryError> {
        let key = normal_key(key);
        let mut had = Vec::new();
        for helper in self.order() {
            if helper != FILES {
                had.extend(erase_in(helper, &key)?);
                continue;
            }
            for place in files::places(self.authfile.as_deref()) {
                let Some(document) = place.read()? else { continue };
                if let Some(name) = helper_of(&document, &key) {
                    had.extend(erase_in(&name, &key)?);
                }
                if document.entries().any(|(other, _)| normal_key(other) == key) {
                    let entry = document.entries().find(|(other, _)| normal_key(other) == key);
                    let is_marker = entry.is_some_and(|(_, entry)| entry.as_object().is_some_and(|e| e.is_empty()));
                    place.change(|document| Ok(document.remove(&key)))?;
                    if !is_marker {
                        had.push(place.path.display().to_string());
                    }
                }
            }
        }
        Ok(had)
    }

    /// Forgets all credentials; those that there were.
    ///
    /// # Errors
    /// When a file cannot be written or a helper fails.
    pub fn erase_all(&self) -> Result<Vec<Login>, RegistryError> {
        let all = self.list()?;
        for login in &all {
            self.erase(&login.key)?;
        }
        Ok(all)
    }
}

/// The helper that a file names for a key.
fn helper_of(document: &Document, key: &str) -> Option<String> {
    let own = document.helpers().find(|(name, _)| normal_key(name) == *key).map(|(_, helper)| helper);
    own.or(document.store()).map(str::to_owned)
}

/// docker looks for Docker Hub under a URL of old.
fn written_key(target: &Place, key: &str) -> String {
    let is_docker = target.path.file_name().is_some_and(|name| name == "config.json");
    if is_docker && key == "docker.io" { "https://index.docker.io/v1/".to_owned() } else { key.to_owned() }
}

fn erase_in(name: &str, key: &str) -> Result<Option<String>, RegistryError> {
    let helper = Helper { name };
    Ok(helper.erase(key)?.then(|| helper.program()))
}

fn ask(name: &str, keys: &[String]) -> Result<Option<Found>, RegistryError> {
    let helper = Helper { name };
    for key in keys {
        if let Some(credentials) = helper.get(key)? {
            return Ok(Some(Found { credentials, key: key.clone(), place: helper.program() }));
        }
    }
    Ok(None)
}

/// `host/a/b`, `host/a`, `host`: the most specific first.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let mut all = vec![host.to_owned()];
    for part in repository.split('/').filter(|part| !part.is_empty()) {
        all.push(format!("{}/{part}", all[all.len() - 1]));
    }
    all.reverse();
    all
}

impl Client {
    /// Where the credentials are that this client uses.
    ///
    /// # Errors
    /// When `registries.conf` cannot be understood.
    pub fn logins(&self) -> Result<Logins, RegistryError> {
        Ok(Logins::with_helpers(self.options.authfile.clone(), self.conf()?.helpers.clone()))
    }

    /// Asks a registry whether it accepts credentials. The key is `HOST` or `HOST/NAMESPACE/REPOSITORY`.
    ///
    /// # Errors
    /// [`RegistryError::Unauthorized`] when it does not.
    pub fn check_login(&self, key: &str, credentials: &Credentials) -> Result<(), RegistryError> {
        let host = normal_key(key);
        let host = host.split('/').next().unwrap_or_default();
        let credentials = Some((host.to_owned(), credentials.clone()));
        Self::new(ClientOptions { credentials, ..self.options.clone() }).ping(host)
    }

    /// Asks a registry whether it accepts credentials, and keeps them if it does; the place that has them now.
    ///
    /// # Errors
    /// As [`Client::check_login`] and [`Logins::save`].
    pub fn login(&self, key: &str, credentials: &Credentials) -> Result<String, RegistryError> {
        self.check_login(key, credentials)?;
        self.logins()?.save(key, credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Secret;
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn logins(file: &tempfile::NamedTempFile) -> Logins {
        Logins::new(Some(file.path().to_owned()))
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
            ("hub.example", "", password("a", "1")),
            ("docker.io", "library/nginx", password("c", "3")),
            ("quay.io", "a/b", None),
        ] {
            assert_eq!(logins(&auths).lookup(host, repository).unwrap(), want, "{host}/{repository}");
        }
    }

    #[test]
    fn a_broken_file_is_an_error_without_its_contents() {
        for text in ["{\"auths\": hunter2", r#"{"auths":{"h":{"auth":"hunter2!"}}}"#, r#"{"auths":["hunter2"]}"#] {
            let auths = file(text);
            let error = logins(&auths).lookup("h", "r").unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_login_is_kept_shown_and_forgotten() {
        let auths = file(r#"{"auths":{"quay.io":{"auth":"YTox"}},"psFormat":"x"}"#);
        let logins = logins(&auths);
        let place = auths.path().display().to_string();
        let me = password("me", "hunter2").unwrap();
        assert_eq!(logins.save("https://hub.example/", &me).unwrap(), place);
        assert_eq!(logins.save("hub.example/team/app", &password("robot", "x").unwrap()).unwrap(), place);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(auths.path()).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let shown: Vec<_> = logins.list().unwrap().into_iter().map(|login| (login.key, login.user)).collect();
        let want = [("hub.example", "me"), ("hub.example/team/app", "robot"), ("quay.io", "a")];
        assert_eq!(shown, want.map(|(key, user)| (key.to_owned(), user.to_owned())));
        assert_eq!(logins.lookup("hub.example", "team/other").unwrap(), Some(me));
        assert_eq!(logins.get("hub.example/team/app").unwrap().unwrap().user, "robot");
        assert_eq!(logins.erase("hub.example").unwrap(), [place]);
        assert_eq!(logins.erase("hub.example").unwrap(), Vec::<String>::new());
        assert_eq!(logins.get("hub.example").unwrap(), None);
        assert_eq!(logins.erase_all().unwrap().len(), 2);
        assert!(logins.list().unwrap().is_empty());
        assert!(std::fs::read_to_string(auths.path()).unwrap().contains("psFormat"));
    }

    #[test]
    fn many_can_log_in_at_once() {
        let auths = file("");
        std::thread::scope(|scope| {
            for at in 0..16 {
                let logins = logins(&auths);
                scope.spawn(move || logins.save(&format!("hub{at}.example"), &password("me", "x").unwrap()).unwrap());
            }
        });
        assert_eq!(logins(&auths).list().unwrap().len(), 16);
    }

    #[test]
    fn secrets_are_not_printed() {
        let printed = format!("{:?}", password("me", "hunter2"));
        assert!(printed.contains("me") && !printed.contains("hunter2"), "{printed}");
    }
}
