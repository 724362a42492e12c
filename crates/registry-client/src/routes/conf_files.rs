//! The files that `registries.conf` is made of.

use std::io;
use std::path::{Path, PathBuf};

use super::Conf;
use crate::RegistryError;
use crate::tls::unusable;

impl Conf {
    /// Reads the file that the user named, or `$CONTAINERS_REGISTRIES_CONF`, or the user's, or the system's; then the
    /// drop-in directories, the system's and the user's, which go before it.
    ///
    /// # Errors
    /// When a file cannot be understood, or one that was named does not exist.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, RegistryError> {
        let mut conf = Self::default();
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let user = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
        let user = user.map(|directory| directory.join("containers"));
        match named.map(Path::to_owned).or_else(|| variable("CONTAINERS_REGISTRIES_CONF")) {
            Some(path) => {
                let text = read(&path)?;
                let text = text.ok_or_else(|| unusable(&path, &io::Error::from(io::ErrorKind::NotFound)))?;
                conf.add_file(&path, &text)?;
            }
            None => {
                let usual = user.iter().map(|directory| directory.join("registries.conf"));
                for path in usual.chain([PathBuf::from("/etc/containers/registries.conf")]) {
                    if let Some(text) = read(&path)? {
                        conf.add_file(&path, &text)?;
                        break;
                    }
                }
            }
        }
        let mut directories = vec![PathBuf::from("/etc/containers/registries.conf.d")];
        directories.extend(user.map(|directory| directory.join("registries.conf.d")));
        for directory in directories {
            for path in drop_ins(&directory)? {
                if let Some(text) = read(&path)? {
                    conf.add_file(&path, &text)?;
                }
            }
        }
        if let Some(path) = variable("CONTAINERS_REGISTRIES_CONF_OVERRIDE")
            && let Some(text) = read(&path)?
        {
            conf.add_file(&path, &text)?;
        }
        Ok(conf)
    }

    fn add_file(&mut self, path: &Path, text: &str) -> Result<(), RegistryError> {
        self.add(text).map_err(|reason| unusable(path, &reason))
    }
}

fn read(path: &Path) -> Result<Option<String>, RegistryError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// `*.conf` of a directory, sorted.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    let listing = match std::fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(unusable(directory, &error)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(|error| unusable(directory, &error))?.path();
        if path.extension().is_some_and(|e| e == "conf") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
