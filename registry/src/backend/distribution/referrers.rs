//! What refers to a manifest: found out from the manifests of the repository, since the layout has no place for it.
//!
//! Each manifest is read once; afterwards the directory of revisions is read again only when it has changed. That a
//! referrer is still there is asked every time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use oci::{Algorithm, Descriptor, Digest};

use super::read::described;
use super::{Inner, paths};
use crate::backend::BackendError;
use crate::backend::tree::Stamp;
use crate::document::Document;
use crate::names::{Name, Tag, Which};

/// Repositories of which it is known.
const REPOSITORIES: usize = 1024;

/// What is known of the manifests of repositories.
#[derive(Default)]
pub(super) struct Referrers(Mutex<HashMap<Name, Arc<Mutex<Known>>>>);

/// What is known of the manifests of a repository.
#[derive(Default)]
struct Known {
    stamps: [Stamp; 2],
    /// Manifests that have been looked at, with the digest that their link names.
    seen: HashMap<Digest, Digest>,
    by_subject: HashMap<Digest, BTreeMap<String, Descriptor>>,
}

impl Referrers {
    fn of(&self, repository: &Name) -> Arc<Mutex<Known>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REPOSITORIES && !all.contains_key(repository) {
            all.clear();
        }
        Arc::clone(all.entry(repository.clone()).or_default())
    }
}

impl Inner {
    pub(super) fn list_referrers(
        &self,
        repository: &Name,
        subject: &Digest,
    ) -> Result<Arc<[Descriptor]>, BackendError> {
        let known = self.referrers.of(repository);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, algorithm) in [Algorithm::Sha256, Algorithm::Sha512].into_iter().enumerate() {
            self.look_at(repository, algorithm, number, &mut known)?;
        }
        let mut found: BTreeMap<String, Descriptor> = BTreeMap::new();
        let mut gone = Vec::new();
        for (name, referrer) in known.by_subject.get(subject).into_iter().flatten() {
            match self.link(&paths::revision(repository, &referrer.digest))? {
                Some(_) => drop(found.insert(name.clone(), referrer.clone())),
                None => gone.push(referrer.digest),
            }
        }
        // It may be pushed again without its directory being made anew.
        for digest in gone {
            known.forget(&digest);
        }
        // A manifest that was pushed by another algorithm's digest is also there by its SHA-256 digest.
        let twins: HashSet<String> = found
            .values()
            .filter(|referrer| referrer.digest.algorithm() != Algorithm::Sha256)
            .filter_map(|referrer| known.seen.get(&referrer.digest).map(ToString::to_string))
            .collect();
        found.retain(|name, _| !twins.contains(name));
        self.add_fallback(repository, subject, &mut found)?;
        Ok(found.into_values().collect())
    }

    /// Looks at the manifests that have not been looked at.
    fn look_at(
        &self,
        repository: &Name,
        algorithm: Algorithm,
        number: usize,
        known: &mut Known,
    ) -> Result<(), BackendError> {
        let path = paths::revisions(repository, algorithm.name());
        let failed = |error| self.failed("list", &path, error);
        let Some(stamp) = self.tree.stamp(&path).map_err(failed)? else { return Ok(()) };
        if stamp.is_some() && stamp == known.stamps[number] {
            return Ok(());
        }
        let mut is_complete = true;
        for entry in self.tree.list(&path).map_err(failed)?.unwrap_or_default() {
            let Ok(digest) = format!("{}:{}", algorithm.name(), entry.name).parse::<Digest>() else { continue };
            if known.seen.contains_key(&digest) {
                continue;
            }
            let target = self.link(&paths::revision(repository, &digest))?;
            let content = target.map(|target| self.content(&target)).transpose()?.flatten();
            match (target, content) {
                (Some(target), Some(content)) => {
                    known.seen.insert(digest, target);
                    if let Some((subject, referrer)) = described(digest, &content) {
                        known.by_subject.entry(subject).or_default().insert(digest.to_string(), referrer);
                    }
                }
                // Removed, or being written: it has to be looked at again.
                _ => is_complete = false,
            }
        }
        known.stamps[number] = stamp.filter(|_| is_complete);
        Ok(())
    }

    /// Clients that found no referrers endpoint have kept a list under a tag that is made of the subject's digest.
    fn add_fallback(
        &self,
        repository: &Name,
        subject: &Digest,
        found: &mut BTreeMap<String, Descriptor>,
    ) -> Result<(), BackendError> {
        let tag = subject.to_string().replacen(':', "-", 1);
        let tag: String = tag.chars().take(subject.algorithm().name().len() + 1 + 64).collect();
        let Ok(tag) = tag.parse::<Tag>() else { return Ok(()) };
        let Some(list) = self.read_manifest(repository, &Which::Tag(tag))? else { return Ok(()) };
        let children = Document::read(&list.bytes).map(|document| document.children).unwrap_or_default();
        for child in children {
            let name = child.digest.to_string();
            if !found.contains_key(&name) && self.link(&paths::revision(repository, &child.digest))?.is_some() {
                found.insert(name, child);
            }
        }
        Ok(())
    }
}

impl Known {
    fn forget(&mut self, digest: &Digest) {
        self.seen.remove(digest);
        self.stamps = [None, None];
        let name = digest.to_string();
        self.by_subject.values_mut().for_each(|referrers| drop(referrers.remove(&name)));
    }
}
