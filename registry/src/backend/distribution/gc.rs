//! Garbage collection beside readers and writers, in this process or another.
//!
//! ```text
//! cutoff = now − grace ─▶ barrier ─▶ mark from the manifests ─▶ for each blob that is not marked and older:
//!                                                               lock, look at its time again, remove
//! ```
//!
//! Whoever relies on a blob that is there touches it first: a push that found it, a mount, a manifest that names it (under
//! the blob's lock, and it links the manifest before it lets go). So a blob that came into use after the marking is
//! younger than the cutoff when it is looked at again. The barrier takes every lock once: a push that touched its blobs
//! before the cutoff has linked its manifest by then.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use oci::{Algorithm, Digest};

use super::{Distribution, Inner, paths};
use crate::backend::BackendError;
use crate::document::Document;
use crate::names::{Name, Tag};

/// Clocks of file systems tick in steps.
const TICK: Duration = Duration::from_millis(100);
/// Nobody's idea of an upload that was given up.
const FRESH: Duration = Duration::from_secs(60);
/// A file of this ending was being written; when it is older than this, nobody writes it any more.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Whether anything is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pruning {
    /// Only counted.
    DryRun,
    /// Removed.
    Remove,
}

/// What becomes of manifests that no tag leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untagged {
    /// They stay, as with docker-distribution.
    Keep,
    /// They go, unless a tagged index lists them or they refer to a manifest that stays.
    Remove,
}

/// Which interrupted uploads count as garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// Those that nobody has written to for so long; at least for a minute.
    Older(Duration),
}

/// How to collect garbage.
#[derive(Clone, Copy, Debug)]
pub struct GcOptions {
    /// What was pushed or relied on less long ago stays.
    pub grace: Duration,
    /// Whether anything is removed.
    pub pruning: Pruning,
    /// What becomes of manifests that no tag leads to.
    pub untagged: Untagged,
    /// Which interrupted uploads go.
    pub leftovers: Leftovers,
    /// Tags to keep in each repository, the newest; none: all.
    pub keep: Option<usize>,
}

/// What was (or would be) removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Tags.
    pub tags: u64,
    /// Manifests.
    pub manifests: u64,
    /// Blobs, those of manifests among them.
    pub blobs: u64,
    /// Interrupted uploads.
    pub uploads: u64,
    /// Links to blobs that are gone.
    pub links: u64,
    /// Bytes.
    pub bytes: u64,
}

/// How far garbage collection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A repository is being marked.
    Marking(Name),
    /// A tag goes, since newer ones are kept.
    Tag(Name, Tag),
    /// A manifest goes.
    Manifest(Name, Digest),
    /// A blob goes, of so many bytes.
    Blob(Digest, u64),
    /// Something could not be understood and is left alone.
    Odd(String),
}

impl Distribution {
    /// Collects garbage. Safe beside any number of readers and writers.
    ///
    /// # Errors
    /// When a manifest cannot be read (then nothing is removed, since it is not known what it needs), or something
    /// cannot be removed.
    pub fn collect(&self, options: &GcOptions, tell: &mut dyn FnMut(&Step)) -> Result<Collected, BackendError> {
        let inner = &*self.0;
        let tick = inner.writing()?.tick().map_err(|error| inner.failed("try the clock of", "locks", error))?;
        let now = SystemTime::now();
        let before = options.grace.saturating_add(tick).saturating_add(TICK);
        let cutoff = now.checked_sub(before).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut run = Run { inner, options, cutoff, now, tell, collected: Collected::default() };
        let names = self.0.catalog.list(&*inner.tree).map_err(|error| inner.failed("list", "repositories", error))?;
        if let Some(keep) = options.keep {
            names.iter().try_for_each(|name| run.retain(name, keep))?;
        }
        run.barrier()?;
        // Repositories that appeared since the cutoff hold nothing that is older.
        let names = self.0.catalog.list(&*inner.tree).map_err(|error| inner.failed("list", "repositories", error))?;
        let mut marks = HashSet::new();
        let mut idle = Vec::new();
        for name in &*names {
            (run.tell)(&Step::Marking(name.clone()));
            run.mark(name, &mut marks, &mut idle)?;
        }
        run.manifests(&idle, &mut marks)?;
        run.sweep(&marks)?;
        for name in &*names {
            run.links(name)?;
            run.uploads(name)?;
        }
        Ok(run.collected)
    }
}

struct Run<'a> {
    inner: &'a Inner,
    options: &'a GcOptions,
    cutoff: SystemTime,
    now: SystemTime,
    tell: &'a mut dyn FnMut(&Step),
    collected: Collected,
}

/// The manifests of a repository: each by its digest, with the one that its bytes lie under.
type Revisions = HashMap<Digest, Digest>;

impl Run<'_> {
    fn removes(&self) -> bool {
        self.options.pruning == Pruning::Remove
    }

    /// Waits for everybody who holds a lock now.
    fn barrier(&self) -> Result<(), BackendError> {
        (0..=u8::MAX).try_for_each(|key| {
            let writing = self.inner.writing()?;
            writing.lock(&[key]).map(drop).map_err(|error| self.inner.failed("lock", "blobs", error))
        })
    }

    /// Removes all tags but the newest.
    fn retain(&mut self, name: &Name, keep: usize) -> Result<(), BackendError> {
        let mut dated = Vec::new();
        for tag in self.inner.list_tags(name)?.iter().flat_map(|tags| tags.iter()) {
            let path = paths::current(name, tag);
            let facts = self.inner.tree.usage(&path).map_err(|error| self.inner.failed("look at", &path, error))?;
            dated.extend(facts.map(|facts| (facts.changed, tag.clone())));
        }
        dated.sort_by(|a, b| b.cmp(a));
        for (changed, tag) in dated.into_iter().skip(keep) {
            if changed > self.cutoff {
                continue;
            }
            if self.removes() {
                let path = paths::current(name, &tag);
                let mut doomed = None;
                let is_old = &mut |_: &Digest| {
                    doomed = self.inner.doom(&path)?;
                    Ok(!self.is_younger(&path)?)
                };
                // It may have been pushed since.
                if !self.inner.delete_tag(name, &tag, is_old)? {
                    continue;
                }
            }
            (self.tell)(&Step::Tag(name.clone(), tag));
            self.collected.tags += 1;
        }
        Ok(())
    }

    /// Marks what the manifests of a repository need. Those that nothing leads to go to `idle`.
    fn mark(
        &mut self,
        name: &Name,
        marks: &mut HashSet<Digest>,
        idle: &mut Vec<(Name, Digest, Digest)>,
    ) -> Result<(), BackendError> {
        let revisions = self.revisions(name)?;
        let alive = match self.options.untagged {
            Untagged::Keep => revisions.keys().copied().collect(),
            Untagged::Remove => self.alive(name, &revisions)?,
        };
        for (digest, target) in &revisions {
            if !alive.contains(digest) && !self.is_young(target)? {
                idle.push((name.clone(), *digest, *target));
                continue;
            }
            marks.insert(*target);
            self.needs(name, target, marks)?;
        }
        Ok(())
    }

    fn revisions(&mut self, name: &Name) -> Result<Revisions, BackendError> {
        let mut revisions = Revisions::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let path = paths::revisions(name, algorithm.name());
            let entries = self.inner.tree.list(&path).map_err(|error| self.inner.failed("list", &path, error))?;
            for entry in entries.into_iter().flatten() {
                let Ok(digest) = format!("{}:{}", algorithm.name(), entry.name).parse::<Digest>() else {
                    (self.tell)(&Step::Odd(format!("{path}/{} is no manifest", entry.name)));
                    continue;
                };
                if let Some(target) = self.inner.link(&paths::revision(name, &digest))? {
                    revisions.insert(digest, target);
                }
            }
        }
        // Trees of registries before 2.1: a tag may lead to what is linked among the layers only.
        for tag in self.inner.list_tags(name)?.iter().flat_map(|tags| tags.iter()) {
            if let Some(digest) = self.inner.link(&paths::current(name, tag))?
                && let Some(target) = self.inner.link(&paths::layer(name, &digest))?
            {
                revisions.entry(digest).or_insert(target);
            }
        }
        Ok(revisions)
    }

    /// The manifests that tags lead to, and those that refer to them.
    fn alive(&self, name: &Name, revisions: &Revisions) -> Result<HashSet<Digest>, BackendError> {
        let mut open = Vec::new();
        for tag in self.inner.list_tags(name)?.iter().flat_map(|tags| tags.iter()) {
            open.extend(self.inner.link(&paths::current(name, tag))?);
        }
        let mut referrers: HashMap<Digest, Vec<Digest>> = HashMap::new();
        let mut children: HashMap<Digest, Vec<Digest>> = HashMap::new();
        let mut twins: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for (digest, target) in revisions {
            twins.entry(*target).or_default().push(*digest);
            let Some(document) = self.document(target)? else { continue };
            children.insert(*digest, document.children.iter().map(|child| child.digest).collect());
            if let Some(subject) = document.subject {
                referrers.entry(subject.digest).or_default().push(*digest);
            }
        }
        let mut alive = HashSet::new();
        while let Some(digest) = open.pop() {
            if !alive.insert(digest) {
                continue;
            }
            open.extend(children.get(&digest).into_iter().flatten());
            open.extend(referrers.get(&digest).into_iter().flatten());
            let target = revisions.get(&digest).copied().unwrap_or(digest);
            open.extend(twins.get(&target).into_iter().flatten());
        }
        Ok(alive)
    }

    /// Marks the blobs of a manifest and everything that it lists.
    fn needs(&self, name: &Name, target: &Digest, marks: &mut HashSet<Digest>) -> Result<(), BackendError> {
        let mut open = vec![*target];
        let mut seen = HashSet::new();
        while let Some(target) = open.pop() {
            if !seen.insert(target) {
                continue;
            }
            let Some(document) = self.document(&target)? else { continue };
            for blob in &document.blobs {
                let linked = self.inner.link(&paths::layer(name, &blob.digest))?;
                marks.insert(linked.unwrap_or(blob.digest));
                // A layer of an index that was pushed as such names its blob directly.
                marks.extend(self.inner.canonical(&blob.digest)?);
            }
            for child in &document.children {
                let linked = self.inner.link(&paths::revision(name, &child.digest))?;
                let child = linked.unwrap_or(child.digest);
                marks.insert(child);
                open.push(child);
            }
        }
        Ok(())
    }

    /// A manifest; none when its bytes are gone, or when they are no manifest and so need nothing.
    fn document(&self, target: &Digest) -> Result<Option<Document>, BackendError> {
        let content = self.inner.content(target)?;
        Ok(content.and_then(|content| Document::read(&content.bytes).ok()))
    }

    fn is_young(&self, digest: &Digest) -> Result<bool, BackendError> {
        self.is_younger(&paths::blob(digest))
    }

    fn is_younger(&self, path: &str) -> Result<bool, BackendError> {
        let facts = self.inner.tree.usage(path).map_err(|error| self.inner.failed("look at", path, error))?;
        Ok(facts.is_some_and(|facts| facts.changed > self.cutoff))
    }

    /// Removes manifests that nothing leads to.
    fn manifests(&mut self, idle: &[(Name, Digest, Digest)], marks: &mut HashSet<Digest>) -> Result<(), BackendError> {
        for (name, digest, target) in idle {
            if self.removes() && !self.remove_manifest(name, digest, target)? {
                marks.insert(*target);
                self.needs(name, target, marks)?;
                continue;
            }
            (self.tell)(&Step::Manifest(name.clone(), *digest));
            self.collected.manifests += 1;
        }
        Ok(())
    }

    /// Removes a manifest, unless a tag or an index has been pointed at it since, which touches it.
    fn remove_manifest(&self, name: &Name, digest: &Digest, target: &Digest) -> Result<bool, BackendError> {
        let _lock = self.inner.lock([target])?;
        let _doomed = self.inner.doom(&paths::blob(target))?;
        if self.is_young(target)? {
            return Ok(false);
        }
        self.inner.remove(paths::parent(&paths::revision(name, digest)))?;
        Ok(true)
    }

    /// Removes the blobs that are not marked.
    fn sweep(&mut self, marks: &HashSet<Digest>) -> Result<(), BackendError> {
        let failed = |inner: &Inner, path: &str, error| inner.failed("list", path, error);
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let top = format!("blobs/{}", algorithm.name());
            let groups = self.inner.tree.list(&top).map_err(|error| failed(self.inner, &top, error))?;
            for group in groups.into_iter().flatten().filter(|group| group.is_directory) {
                let path = format!("{top}/{}", group.name);
                let entries = self.inner.tree.list(&path).map_err(|error| failed(self.inner, &path, error))?;
                for entry in entries.into_iter().flatten() {
                    match format!("{}:{}", algorithm.name(), entry.name).parse::<Digest>() {
                        Ok(digest) if !marks.contains(&digest) => self.blob(&digest)?,
                        Ok(_) => {}
                        Err(_) => (self.tell)(&Step::Odd(format!("{path}/{} is no blob", entry.name))),
                    }
                }
            }
        }
        Ok(())
    }

    fn blob(&mut self, digest: &Digest) -> Result<(), BackendError> {
        let path = paths::blob(digest);
        let facts = || self.inner.tree.usage(&path).map_err(|error| self.inner.failed("look at", &path, error));
        let Some(found) = facts()?.filter(|facts| facts.changed <= self.cutoff) else {
            return self.unfinished(paths::parent(&path));
        };
        if self.removes() {
            let _lock = self.inner.lock([digest])?;
            let _doomed = self.inner.doom(&path)?;
            if facts()?.is_none_or(|facts| facts.changed > self.cutoff) {
                return Ok(());
            }
            self.inner.remove(paths::parent(&path))?;
        }
        self.collected.blobs += 1;
        self.collected.bytes += found.size;
        (self.tell)(&Step::Blob(*digest, found.size));
        Ok(())
    }

    /// Removes files that were being written when their process ended.
    fn unfinished(&mut self, directory: &str) -> Result<(), BackendError> {
        let entries = self.inner.tree.list(directory).map_err(|error| self.inner.failed("list", directory, error))?;
        for entry in entries.into_iter().flatten().filter(|entry| entry.name.ends_with(".tmp")) {
            let path = format!("{directory}/{}", entry.name);
            let facts = self.inner.tree.facts(&path).map_err(|error| self.inner.failed("look at", &path, error))?;
            let age = facts.and_then(|facts| self.now.duration_since(facts.changed).ok().map(|age| (age, facts.size)));
            if let Some((_, size)) = age.filter(|(age, _)| *age > ABANDONED) {
                self.collected.uploads += 1;
                self.collected.bytes += size;
                if self.removes() {
                    self.inner.remove(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Removes links to blobs that are gone.
    fn links(&mut self, name: &Name) -> Result<(), BackendError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let directory = format!("{}/{}", paths::layers(name), algorithm.name());
            let entries = self.inner.tree.list(&directory);
            for entry in entries.map_err(|error| self.inner.failed("list", &directory, error))?.into_iter().flatten() {
                let Ok(digest) = format!("{}:{}", algorithm.name(), entry.name).parse::<Digest>() else { continue };
                let path = paths::layer(name, &digest);
                let target = self.inner.link(&path)?;
                if let Some(target) = target {
                    if self.inner.has_bytes(&target)? {
                        continue;
                    }
                    let _lock = self.inner.lock([&target])?;
                    let _doomed = if self.removes() { self.inner.doom(&paths::blob(&target))? } else { None };
                    if self.inner.has_bytes(&target)? {
                        continue;
                    }
                    self.collected.links += 1;
                    if self.removes() {
                        self.inner.remove(paths::parent(&path))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes interrupted uploads.
    fn uploads(&mut self, name: &Name) -> Result<(), BackendError> {
        let Leftovers::Older(age) = self.options.leftovers;
        let top = format!("{}/{name}/_uploads", paths::REPOSITORIES);
        let entries = self.inner.tree.list(&top).map_err(|error| self.inner.failed("list", &top, error))?;
        let ids: BTreeSet<String> = entries.into_iter().flatten().map(|entry| entry.name).collect();
        for id in ids {
            let path = format!("{top}/{id}");
            let mut old = self.given_up(&path, age.max(FRESH))?;
            if old.is_some() && self.removes() {
                let _alone = self.inner.alone(name, &id)?;
                // Somebody may have gone on with it since.
                old = self.given_up(&path, age.max(FRESH))?;
                if old.is_some() {
                    self.inner.remove(&path)?;
                }
            }
            if let Some(bytes) = old {
                self.collected.uploads += 1;
                self.collected.bytes += bytes;
            }
        }
        Ok(())
    }

    /// The bytes of an upload that nobody has written to for so long; none of one that is in use, or gone.
    fn given_up(&self, path: &str, age: Duration) -> Result<Option<u64>, BackendError> {
        let tree = &self.inner.tree;
        // An upload begins with its directory; its files come a moment later.
        let mut newest = tree.directory_changed(path).map_err(|error| self.inner.failed("look at", path, error))?;
        let mut bytes = 0;
        for file in ["data", "startedat"] {
            let path = format!("{path}/{file}");
            let facts = tree.facts(&path).map_err(|error| self.inner.failed("look at", &path, error))?;
            newest = newest.max(facts.map(|facts| facts.changed));
            bytes += facts.map_or(0, |facts| facts.size);
        }
        let is_old = newest.is_some_and(|newest| self.now.duration_since(newest).is_ok_and(|old| old > age));
        Ok(is_old.then_some(bytes))
    }
}
