//! What one handle of a store relies on and garbage collection therefore leaves alone.
//!
//! A lease is a file of lines, locked as long as its handle lives: `DIGEST MEDIA-TYPE`, or `DIGEST -` for bytes of
//! which nothing more is known, or `DIGEST !` for what is not relied on any more. A manifest's line protects everything the manifest needs. Lines are written under the
//! store's shared lock, before the blob is relied on; garbage collection reads them under the exclusive one.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oci::{Digest, MediaType};

use super::lock::{self, Guard, Hold};

/// A lease; made when something is recorded for the first time.
#[derive(Debug)]
pub(super) struct Lease {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<(File, PathBuf)>,
    held: HashSet<Digest>,
}

impl Lease {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, state: Mutex::default() }
    }

    /// Records a blob. The guard is the store's: without it garbage collection could look at the lease too early.
    pub(super) fn record(&self, _guard: &Guard, what: &Digest, media_type: Option<&MediaType>) -> io::Result<()> {
        let mut state = self.state();
        if state.held.contains(what) {
            return Ok(());
        }
        if state.file.is_none() {
            match create(&self.directory) {
                Ok(file) => state.file = Some(file),
                // Who may not write here may still read; such a reader finds out if a blob is collected under it.
                Err(error) if is_read_only(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        // Only what can have successors is worth its name.
        let kind = media_type.filter(|kind| kind.is_manifest()).map_or("-", MediaType::as_str);
        let line = format!("{what} {kind}\n");
        if let Some((file, _)) = &mut state.file {
            file.write_all(line.as_bytes())?;
        }
        // A digest that is known as bytes only may still turn out to be a manifest.
        if kind != "-" || media_type.is_some() {
            state.held.insert(*what);
        }
        Ok(())
    }

    /// Takes a record back.
    pub(super) fn release(&self, _guard: &Guard, what: &Digest) -> io::Result<()> {
        let mut state = self.state();
        state.held.remove(what);
        match &mut state.file {
            Some((file, _)) => file.write_all(format!("{what} !\n").as_bytes()),
            None => Ok(()),
        }
    }

    /// The lease's file, if there is one.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.state().file.as_ref().map(|(_, path)| path.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((_, path)) = self.state().file.take() {
            // A file that stays is not locked any more, and the next garbage collection removes it.
            drop(fs::remove_file(path));
        }
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn create(directory: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let path = directory.join(unique());
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => {
                let file = file?;
                lock::wait(&file, Hold::Exclusive)?;
                return Ok((file, path));
            }
        }
    }
}

/// A file name that nobody else in this process uses, and hardly anybody else at all.
pub(super) fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Reads a lease's lines; what is not one is left out (only a dead process leaves half a line).
pub(super) fn read(path: &Path) -> io::Result<Vec<(Digest, Option<MediaType>)>> {
    let text = fs::read_to_string(path)?;
    let mut held = Vec::new();
    for line in text.lines() {
        let Some((digest, kind)) = line.split_once(' ') else { continue };
        let Ok(digest) = digest.parse() else { continue };
        match kind {
            "!" => held.retain(|(other, _)| *other != digest),
            "-" => held.push((digest, None)),
            kind => held.push((digest, Some(MediaType::from(kind)))),
        }
    }
    Ok(held)
}
