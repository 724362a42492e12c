//! Where auth files are, and how they are read and replaced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::document::Document;
use crate::RegistryError;
use crate::tls::unusable;

/// An auth file, and whether it must exist.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    named: bool,
}

/// The auth files in the order in which they are asked: the one that was named, or those of podman and docker.
pub(super) fn places(named: Option<&Path>) -> Vec<Place> {
    if let Some(path) = named.map(Path::to_owned).or_else(|| variable("REGISTRY_AUTH_FILE")) {
        return vec![Place { path, named: true }];
    }
    let mut files = Vec::new();
    files.extend(variable("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")));
    files.push(format!("/run/containers/{}/auth.json", rustix::process::geteuid().as_raw()).into());
    files.extend(lasting());
    let docker = variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")));
    files.extend(docker.map(|dir| dir.join("config.json")));
    files.into_iter().map(|path| Place { path, named: false }).collect()
}

/// The file that logins are written to: the one that was named, or the first that survives a reboot.
pub(super) fn target(named: Option<&Path>) -> Result<Place, RegistryError> {
    let path = named.map(Path::to_owned).or_else(|| variable("REGISTRY_AUTH_FILE")).or_else(lasting);
    let path = path.ok_or_else(|| unusable(Path::new("auth.json"), &"there is no home directory to keep it in"))?;
    Ok(Place { path, named: false })
}

fn lasting() -> Option<PathBuf> {
    let config = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    config.map(|dir| dir.join("containers/auth.json"))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

impl Place {
    /// What the file holds; none if it does not exist and need not.
    pub(super) fn read(&self) -> Result<Option<Document>, RegistryError> {
        match fs::read(&self.path) {
            Ok(bytes) => Document::parse(&bytes).map(Some).map_err(|reason| unusable(&self.path, &reason)),
            Err(error) if is_absent(&error) && !self.named => Ok(None),
            Err(error) => Err(unusable(&self.path, &error)),
        }
    }

    /// Changes the file under a lock; it is replaced as a whole if `change` says that it changed.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Document) -> Result<bool, RegistryError>,
    ) -> Result<bool, RegistryError> {
        let failed = |error: io::Error| unusable(&self.path, &error);
        // A link, as people make to keep their settings elsewhere, stays one.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_new| behind(&self.path));
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let lock = File::open(directory).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let here = Self { path: path.clone(), named: false };
        let mut document = here.read()?.unwrap_or_default();
        if !change(&mut document)? {
            return Ok(false);
        }
        let bytes = document.bytes().map_err(|error| unusable(&self.path, &error))?;
        replace(&path, directory, &bytes).map_err(failed)?;
        Ok(true)
    }
}

/// Where a link leads whose file is still to be made.
fn behind(path: &Path) -> PathBuf {
    // As many as the system follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// Only the owner may read it, from its first byte on.
fn replace(path: &Path, directory: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = directory.join(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    if let Err(error) = fs::remove_file(&fresh)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let written = write();
    if written.is_err() {
        // What was not finished is not left lying around; the error is the writing's.
        drop(fs::remove_file(&fresh));
    }
    written?;
    File::open(directory)?.sync_all()
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
