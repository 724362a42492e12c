//! Certificates and keys in files, and the directories that docker's and podman's tools keep them in.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::unusable;
use crate::RegistryError;

/// What a `certs.d/HOST` holds.
#[derive(Debug, Default)]
pub(crate) struct CertificateDirectory {
    /// `*.crt`
    pub(crate) authorities: Vec<PathBuf>,
    /// `*.cert` and the `*.key` of the same name; the first one counts.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// Reads a directory of certificates; one that does not exist holds none.
pub(crate) fn read_directory(directory: &Path) -> Result<CertificateDirectory, RegistryError> {
    let client = with_extensions(directory, &["cert"])?.into_iter().next();
    let client = client.map(|certificate| {
        let key = certificate.with_extension("key");
        match key.exists() {
            true => Ok((certificate, key)),
            false => Err(unusable(&certificate, &format!("its key {} is missing", key.display()))),
        }
    });
    Ok(CertificateDirectory { authorities: with_extensions(directory, &["crt"])?, client: client.transpose()? })
}

/// The files of a directory with one of these extensions, sorted.
pub(super) fn with_extensions(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, RegistryError> {
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
        if path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let bytes = std::fs::read(path).map_err(|error| unusable(path, &error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    certificates.map_err(|error| unusable(path, &error))
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, RegistryError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(path, &error))
}
