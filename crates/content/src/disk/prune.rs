//! Garbage collection: mark from the roots and the live leases, sweep the rest.
//!
//! It holds the exclusive lock from the first mark to the last removal. What a handle relies on it has written into its
//! lease under the shared lock before, so nothing that is relied on can be missed. The list of roots is written before
//! the first blob goes: an interrupted run leaves blobs that the next one removes, never a root without its blobs.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use oci::Digest;

use super::lock::{self, Hold};
use super::mark::{self, Marks};
use super::scratch::remove_tree;
use super::{Disk, Record};
use crate::roots::Roots;
use crate::{ContentError, Event, Observer, Source, durable};

/// An interrupted upload that is younger is kept: whoever tries again goes on from there.
const RESUMABLE: Duration = Duration::from_secs(24 * 3600);

/// What counts as garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneScope {
    /// Roots without a name that nobody uses, blobs that no root needs, and what dead processes left.
    Dangling,
    /// Also roots with names that no recorded use refers to, and interrupted uploads of any age.
    Unreferenced,
}

/// Whether anything is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneMode {
    /// Only report; nothing is touched.
    DryRun,
    /// Remove.
    Delete,
}

/// What was (or would be) removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images.
    pub images: Vec<Record>,
    /// Blobs.
    pub blobs: u64,
    /// Interrupted uploads.
    pub uploads: u64,
    /// Scratch directories of dead processes.
    pub scratch: u64,
    /// Cache records whose blobs are gone.
    pub cache: u64,
    /// Bytes of all of these.
    pub bytes: u64,
}

impl Disk {
    /// Removes garbage. Safe beside any number of readers and writers.
    ///
    /// # Errors
    /// When the list of roots or a document cannot be read (then nothing is removed, since it is not known what is
    /// needed), or when something cannot be removed.
    pub fn prune(&self, scope: PruneScope, mode: PruneMode, observer: &dyn Observer) -> Result<Pruned, ContentError> {
        self.prune_some(scope, &|_| true, mode, observer)
    }

    /// The same, but of the images in the scope only those that `may_go`. Blobs that no root needs go in any case.
    ///
    /// # Errors
    /// As [`Disk::prune`].
    pub fn prune_some(
        &self,
        scope: PruneScope,
        may_go: &dyn Fn(&Record) -> bool,
        mode: PruneMode,
        observer: &dyn Observer,
    ) -> Result<Pruned, ContentError> {
        let hold = if mode == PruneMode::DryRun { Hold::Shared } else { Hold::Exclusive };
        let _guard = self.locked(hold)?;
        let mut pruned = Pruned::default();
        let roots = self.choose(scope, may_go, &mut pruned)?;
        let mut marks = Marks::default();
        for entry in roots.entries() {
            marks.follow(self, entry)?;
        }
        marks.follow_leases(self, None)?;
        if mode == PruneMode::Delete && !pruned.images.is_empty() {
            self.write_roots(&roots)?;
        }
        let mut sweeper = Sweeper { store: self, mode, observer, pruned };
        sweeper.blobs(&marks)?;
        sweeper.uploads(scope)?;
        sweeper.scratch()?;
        sweeper.leases()?;
        sweeper.cache(&self.cache_dir(), &marks)?;
        Ok(sweeper.pruned)
    }

    /// Removes blobs that this handle stored, unless a root or another handle needs them; and uploads of theirs that
    /// were interrupted.
    ///
    /// # Errors
    /// When it is not known what is needed, or something cannot be removed.
    pub fn withdraw(&self, stored: &[Digest], begun: &[Digest]) -> Result<(), ContentError> {
        let _guard = self.locked(Hold::Exclusive)?;
        let mut marks = Marks::default();
        for entry in self.read_roots()?.entries() {
            marks.follow(self, entry)?;
        }
        marks.follow_leases(self, self.lease_path().as_deref())?;
        for digest in stored.iter().filter(|digest| !marks.has(digest)) {
            let path = self.blobs.path(digest);
            durable::remove(&path).map_err(ContentError::io(format!("remove {}", path.display())))?;
        }
        for digest in begun {
            let path = self.upload_path(digest);
            match lock::is_owned(&path) {
                Ok(true) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => {
                    let removed = result.and_then(|_unowned| durable::remove(&path));
                    removed.map_err(ContentError::io(format!("remove {}", path.display())))?;
                }
            }
        }
        Ok(())
    }

    /// The roots that stay; the others go to `pruned`.
    fn choose(
        &self,
        scope: PruneScope,
        may_go: &dyn Fn(&Record) -> bool,
        pruned: &mut Pruned,
    ) -> Result<Roots, ContentError> {
        let used: HashSet<Digest> = self.uses()?.into_iter().map(|(root, _)| root).collect();
        let held: HashSet<Digest> = mark::live_leases(self, None)?.into_iter().map(|(held, _)| held).collect();
        let mut roots = self.read_roots()?;
        roots.index.manifests.retain(|entry| {
            let record = Record::of(entry);
            let is_named = record.name.is_some() && scope == PruneScope::Dangling;
            let is_relied_on = used.contains(&entry.digest) || held.contains(&entry.digest);
            let stays = is_named || is_relied_on || !may_go(&record);
            if !stays {
                pruned.images.push(record);
            }
            stays
        });
        Ok(roots)
    }
}

struct Sweeper<'a> {
    store: &'a Disk,
    mode: PruneMode,
    observer: &'a dyn Observer,
    pruned: Pruned,
}

impl Sweeper<'_> {
    fn blobs(&mut self, marks: &Marks) -> Result<(), ContentError> {
        let store = self.store;
        let listed = store.blobs.list().map_err(ContentError::io(format!("list the blobs of {}", store.place())))?;
        for (digest, size) in listed.into_iter().filter(|(digest, _)| !marks.has(digest)) {
            self.remove(&store.blobs.path(&digest), durable::remove)?;
            self.pruned.blobs += 1;
            self.pruned.bytes += size;
        }
        Ok(())
    }

    fn uploads(&mut self, scope: PruneScope) -> Result<(), ContentError> {
        for (path, found) in entries(&self.store.ingest())? {
            let is_nameless = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("new-"));
            let age = found.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
            let is_old = age.is_some_and(|age| age > RESUMABLE);
            let may_go = is_nameless || is_old || scope == PruneScope::Unreferenced;
            if may_go && !is_owned(&path)? {
                self.remove(&path, durable::remove)?;
                self.pruned.uploads += 1;
                self.pruned.bytes += found.len();
            }
        }
        Ok(())
    }

    fn scratch(&mut self) -> Result<(), ContentError> {
        for (path, _) in entries(&self.store.directory("work"))? {
            if is_owned(&path)? {
                continue;
            }
            let bytes = tree_size(&path).map_err(ContentError::io(format!("measure {}", path.display())))?;
            match self.remove(&path, remove_tree) {
                // Files of a user namespace that only its owner can remove: not worth failing for.
                Err(error @ ContentError::Io { .. }) => self.observer.event(&Event::Warning(error.to_string())),
                result => {
                    result?;
                    self.pruned.scratch += 1;
                    self.pruned.bytes += bytes;
                }
            }
        }
        Ok(())
    }

    fn leases(&mut self) -> Result<(), ContentError> {
        for (path, _) in entries(&self.store.directory("leases"))? {
            if !is_owned(&path)? {
                self.remove(&path, durable::remove)?;
            }
        }
        Ok(())
    }

    /// Records whose descriptors have all lost their blobs.
    fn cache(&mut self, directory: &Path, marks: &Marks) -> Result<(), ContentError> {
        for (path, found) in entries(directory)? {
            if found.is_dir() {
                self.cache(&path, marks)?;
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read(&path).map_err(ContentError::io(format!("read {}", path.display())))?;
                let mut named = Vec::new();
                if let Ok(record) = serde_json::from_slice(&text) {
                    descriptors(&record, &mut named);
                }
                if !named.is_empty() && named.iter().all(|digest| !marks.has(digest)) {
                    self.remove(&path, durable::remove)?;
                    self.pruned.cache += 1;
                    self.pruned.bytes += found.len();
                }
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path, remove: fn(&Path) -> io::Result<()>) -> Result<(), ContentError> {
        match self.mode {
            PruneMode::DryRun => Ok(()),
            PruneMode::Delete => remove(path).map_err(ContentError::io(format!("remove {}", path.display()))),
        }
    }
}

/// Whether a live process has it; what vanished since it was listed counts as had.
fn is_owned(path: &Path) -> Result<bool, ContentError> {
    match lock::is_owned(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        result => result.map_err(ContentError::io(format!("look whether {} is in use", path.display()))),
    }
}

fn entries(directory: &Path) -> Result<Vec<(std::path::PathBuf, Metadata)>, ContentError> {
    let doing = || ContentError::io(format!("read {}", directory.display()));
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).map_err(doing())? {
        let entry = entry.map_err(doing())?;
        match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => all.push((entry.path(), found.map_err(doing())?)),
        }
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

/// Bytes of the files under a directory; what may not be read counts nothing.
fn tree_size(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let entries = match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
            return Ok(0);
        }
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(found) if found.is_dir() => bytes += tree_size(&entry.path())?,
            Ok(found) => bytes += found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// The digests of all descriptors (objects with a media type, a digest and a size) in a document.
fn descriptors(value: &serde_json::Value, into: &mut Vec<Digest>) {
    match value {
        serde_json::Value::Object(fields) => {
            let text = |key| fields.get(key).and_then(serde_json::Value::as_str);
            if let (Some(_), Some(digest), Some(_)) = (text("mediaType"), text("digest"), fields.get("size")) {
                into.extend(digest.parse::<Digest>());
            }
            fields.values().for_each(|field| descriptors(field, into));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| descriptors(item, into)),
        _ => {}
    }
}
