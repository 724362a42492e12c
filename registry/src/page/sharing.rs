//! Which images need a blob: worked out from all tags when it is asked for, and known for a while.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oci::Digest;
use serde::Serialize;

use super::documents;
use crate::backend::{Backend, BackendError};
use crate::names::{Name, Tag, Which};

/// How long an answer is good enough.
const FRESH: Duration = Duration::from_secs(20);
/// Manifests whose contents are remembered: what a digest names does not change.
const REMEMBERED: usize = 100_000;
/// The most images that are named for one blob.
const NAMED: usize = 50;

/// What needs what.
#[derive(Default)]
pub(super) struct Sharing {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<(Instant, Arc<Users>)>,
    /// What manifests need directly: blobs and other manifests.
    needs: HashMap<Digest, Arc<[Digest]>>,
}

/// All tagged images, and who needs a blob.
#[derive(Default)]
pub(super) struct Users {
    images: Vec<(Name, Tag)>,
    of: HashMap<Digest, Vec<u32>>,
}

/// The images that need a blob, besides the one that was asked about.
#[derive(Debug, Serialize)]
pub(super) struct SharedBy {
    /// How many there are.
    pub(super) count: usize,
    /// Some of them, as `NAME:TAG`.
    pub(super) images: Vec<String>,
}

impl Sharing {
    /// Who needs what, as of not long ago.
    pub(super) fn users(&self, backend: &dyn Backend) -> Result<Arc<Users>, BackendError> {
        // Held while it is worked out: who asks in the meantime waits for that answer.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, users)) = state.known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Arc::clone(users));
        }
        if state.needs.len() > REMEMBERED {
            state.needs.clear();
        }
        let users = Arc::new(count(backend, &mut state.needs)?);
        state.known = Some((Instant::now(), Arc::clone(&users)));
        Ok(users)
    }
}

impl Users {
    /// Who else needs a blob, of those that may be seen.
    pub(super) fn besides(&self, blob: &Digest, own: (&Name, &str), is_seen: impl Fn(&Name) -> bool) -> SharedBy {
        let all = self.of.get(blob).into_iter().flatten().filter_map(|at| self.images.get(*at as usize));
        let others = all.filter(|(name, tag)| (name, tag.as_str()) != own && is_seen(name));
        let mut shared = SharedBy { count: 0, images: Vec::new() };
        for (name, tag) in others {
            shared.count += 1;
            if shared.images.len() < NAMED {
                shared.images.push(format!("{name}:{tag}"));
            }
        }
        shared
    }
}

fn count(backend: &dyn Backend, needs: &mut HashMap<Digest, Arc<[Digest]>>) -> Result<Users, BackendError> {
    let mut users = Users::default();
    for name in &*backend.repositories()? {
        for tag in backend.tags(name)?.iter().flat_map(|tags| tags.iter()) {
            let Some(root) = documents::manifest(backend, name, &Which::Tag(tag.clone()))? else { continue };
            let number = u32::try_from(users.images.len()).unwrap_or(u32::MAX);
            users.images.push((name.clone(), tag.clone()));
            let mut seen = BTreeSet::new();
            closure(backend, name, root.stored.digest, needs, &mut seen)?;
            for digest in seen {
                users.of.entry(digest).or_default().push(number);
            }
        }
    }
    Ok(users)
}

/// Adds everything that a manifest needs, itself included.
fn closure(
    backend: &dyn Backend,
    name: &Name,
    root: Digest,
    needs: &mut HashMap<Digest, Arc<[Digest]>>,
    seen: &mut BTreeSet<Digest>,
) -> Result<(), BackendError> {
    let mut todo = vec![root];
    while let Some(digest) = todo.pop() {
        if !seen.insert(digest) {
            continue;
        }
        if let Some(known) = needs.get(&digest) {
            todo.extend(known.iter());
            continue;
        }
        let Some(manifest) = documents::child(backend, name, digest)? else { continue };
        let document = &manifest.document;
        seen.extend(document.blobs.iter().map(|blob| blob.digest));
        todo.extend(document.children.iter().map(|child| child.digest));
        let all: Arc<[Digest]> = document.blobs.iter().chain(&document.children).map(|one| one.digest).collect();
        // Blobs are looked up in there too, and need nothing.
        for blob in &document.blobs {
            needs.entry(blob.digest).or_default();
        }
        needs.insert(digest, all);
    }
    Ok(())
}
