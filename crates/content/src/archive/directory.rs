//! Writes one image to a flat directory, whole or not at all.
//!
//! It is written beside the path and renamed. What an interrupted run left there is taken up. A directory that holds
//! another image is replaced; one that holds anything else is refused.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use oci::Descriptor;

use super::save::beside;
use crate::docker_dir::DockerDir;
use crate::{ContentError, CopyOptions, Observer, Outline, Silent, Source, copy, durable};

/// Writes an image to a directory; does nothing if the directory holds it already.
///
/// # Errors
/// When the directory holds something else than an image, a side fails, or another process is writing it.
pub fn save_directory(
    source: &dyn Source,
    root: &Descriptor,
    path: &Path,
    options: &CopyOptions,
    observer: &dyn Observer,
) -> Result<(), ContentError> {
    let doing = || ContentError::io(format!("write {}", path.display()));
    let is_replaced = match DockerDir::open(path) {
        Ok(there) if there.root().is_some_and(|own| own.digest == root.digest) => return Ok(()),
        there => {
            refuse_foreign(path)?;
            there.is_ok()
        }
    };
    let fresh = beside(path, "unfinished").map_err(doing())?;
    let mut directory = DockerDir::resume(&fresh)?;
    let lock = File::open(&fresh).map_err(doing())?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(doing()(error)),
        Err(TryLockError::WouldBlock) => {
            let busy = io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing it");
            return Err(doing()(busy));
        }
    }
    copy(source, &directory, std::slice::from_ref(root), options, observer)?;
    tidy(&directory, root, &fresh).map_err(|error| doing()(error.into()))?;
    directory.set_root(root)?;
    durable::sync_directory(&fresh).map_err(doing())?;
    let old = beside(path, "old").map_err(doing())?;
    if is_replaced {
        remove_tree(&old).and_then(|()| fs::rename(path, &old)).map_err(doing())?;
    }
    fs::rename(&fresh, path).and_then(|()| remove_tree(&old)).map_err(doing())
}

/// A directory that is neither empty nor an image's is somebody's.
fn refuse_foreign(path: &Path) -> Result<(), ContentError> {
    let doing = || ContentError::io(format!("read {}", path.display()));
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(doing())?,
    };
    let names: Vec<String> = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()
        .map_err(doing())?;
    let is_digest = |name: &str| matches!(name.len(), 64 | 128) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_ours = |name: &str| {
        let stem = name.trim_end_matches(".manifest.json");
        is_digest(stem) || matches!(name, "manifest.json" | "version") || name.starts_with("signature-")
    };
    match names.is_empty() || names.iter().any(|name| name == "manifest.json") && names.iter().all(|name| is_ours(name))
    {
        true => Ok(()),
        false => Err(ContentError::Format {
            place: path.display().to_string(),
            format: "image directory",
            reason: "it holds something else".to_owned(),
        }),
    }
}

/// Removes what an interrupted run for another image left.
fn tidy(directory: &DockerDir, root: &Descriptor, fresh: &Path) -> Result<(), ContentError> {
    let doing = || ContentError::io(format!("tidy up {}", fresh.display()));
    let outline = Outline::of(directory, std::slice::from_ref(root), &Silent)?;
    let documents = outline.documents.iter().map(|what| format!("{}.manifest.json", what.digest.hex()));
    let known: HashSet<String> = documents.chain(outline.blobs.iter().map(|what| what.digest.hex())).collect();
    for entry in fs::read_dir(fresh).map_err(doing())? {
        let entry = entry.map_err(doing())?;
        if !known.contains(entry.file_name().to_string_lossy().as_ref()) {
            durable::remove(&entry.path()).map_err(doing())?;
        }
    }
    Ok(())
}

fn remove_tree(path: &PathBuf) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
