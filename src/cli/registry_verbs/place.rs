//! Which places a registry serves, as they are written on the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::backend::{Backend, Distribution, Images, Layered};
use registry_client::{Bucket, Client, ClientOptions};

use super::failure::RegistryFailure;

/// Whether a place is opened to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Write,
    Read,
}

/// Opens the places, uppermost first; the store where none is named.
pub(super) fn open(words: &[String], store: &Path, how: Use) -> Result<Arc<dyn Backend>, RegistryFailure> {
    let mut places: Vec<Arc<dyn Backend>> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        places.push(match word.as_str() {
            "filesystem" | "fs" => {
                let directory = words.next().ok_or_else(|| RegistryFailure::NoDirectory(word.clone()))?;
                distribution(Path::new(directory), how)?
            }
            location if is_bucket(location) => Arc::new(in_bucket(location, how)?),
            "memory" | "inmem" => Arc::new(Distribution::in_memory()),
            path => lying(Path::new(path), how)?,
        });
    }
    if places.is_empty() {
        places.push(Arc::new(Images::open(store)?));
    }
    Ok(match places.len() {
        1 => places.remove(0),
        _ => Arc::new(Layered::new(places)),
    })
}

/// Whether a word names a bucket, and not something on a disk.
pub(super) fn is_bucket(word: &str) -> bool {
    word.starts_with("s3://")
}

/// A bucket, found and signed in to with the variables of AWS's tools.
pub(super) fn bucket(location: &str) -> Result<Bucket, RegistryFailure> {
    Ok(Bucket::open(location, Client::new(ClientOptions::default()))?)
}

fn in_bucket(location: &str, how: Use) -> Result<Distribution, RegistryFailure> {
    let bucket = bucket(location)?;
    Ok(match how {
        Use::Write => Distribution::in_bucket(bucket)?,
        Use::Read => Distribution::in_bucket_to_read(bucket)?,
    })
}

/// The registry in a directory or a bucket.
pub(super) fn tree(directory: &Path, how: Use) -> Result<Distribution, RegistryFailure> {
    if let Some(location) = directory.to_str().filter(|text| is_bucket(text)) {
        return in_bucket(location, how);
    }
    let directory = root(directory);
    Ok(match how {
        Use::Write => Distribution::open(&directory)?,
        Use::Read => Distribution::open_to_read(&directory)?,
    })
}

fn distribution(directory: &Path, how: Use) -> Result<Arc<dyn Backend>, RegistryFailure> {
    Ok(Arc::new(tree(directory, how)?))
}

/// What lies at a path.
fn lying(path: &Path, how: Use) -> Result<Arc<dyn Backend>, RegistryFailure> {
    match path {
        path if Distribution::is_at(&root(path)) => distribution(path, how),
        path if path.is_file() || path.join("oci-layout").exists() => Ok(Arc::new(Images::open(path)?)),
        path => Err(RegistryFailure::NoPlace(path.to_owned())),
    }
}

/// The directory of a registry; in the files of a cluster image it is called `registry`.
fn root(path: &Path) -> PathBuf {
    let inner = path.join("registry");
    if !Distribution::is_at(path) && Distribution::is_at(&inner) { inner } else { path.to_owned() }
}
