//! Manifests in memory, by digest. Their bytes never change; whether a repository has one is asked elsewhere.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use oci::Digest;

/// Bytes of a generation; there are two.
const GENERATION: usize = 4 << 20;
/// A larger manifest is read anew each time.
const LARGEST: usize = 1 << 20;

/// A manifest's content.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) media_type: Arc<str>,
    pub(super) bytes: Arc<[u8]>,
    /// When garbage collection was told last that it is used, in seconds since 1970.
    pub(super) told: Arc<AtomicU64>,
}

/// The manifests that were asked for lately.
#[derive(Default)]
pub(super) struct Cache(Mutex<Generations>);

/// What is not asked for while a generation fills up is forgotten with the next.
#[derive(Default)]
struct Generations {
    young: HashMap<Digest, Content>,
    old: HashMap<Digest, Content>,
    bytes: usize,
}

impl Cache {
    pub(super) fn get(&self, digest: &Digest) -> Option<Content> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = all.young.get(digest) {
            return Some(content.clone());
        }
        let content = all.old.remove(digest)?;
        all.add(*digest, content.clone());
        Some(content)
    }

    pub(super) fn put(&self, digest: Digest, content: &Content) {
        if content.bytes.len() <= LARGEST {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).add(digest, content.clone());
        }
    }
}

impl Generations {
    fn add(&mut self, digest: Digest, content: Content) {
        let size = content.bytes.len();
        if self.bytes + size > GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if self.young.insert(digest, content).is_none() {
            self.bytes += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays() {
        let cache = Cache::default();
        let content =
            |fill: u8| Content { media_type: "x".into(), bytes: vec![fill; LARGEST].into(), told: Arc::default() };
        let digest = |number: u8| Digest::of(&[number]);
        for number in 0..20 {
            cache.put(digest(number), &content(number));
            assert!(cache.get(&digest(0)).is_some(), "after {number}");
        }
        assert!(cache.get(&digest(1)).is_none());
        assert!(cache.get(&digest(19)).is_some());
    }
}
