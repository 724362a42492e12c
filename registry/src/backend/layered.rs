//! Several places as one: whoever has something first answers, lists are united, and what is written goes to the first
//! place that takes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oci::{Descriptor, Digest};

use super::{Backend, BackendError, Blob, Put, Stored, Target, Upload, Writer};
use crate::names::{Name, Tag, Which};

/// Several places as one.
pub struct Layered(Vec<Arc<dyn Backend>>);

impl Layered {
    /// The places, uppermost first.
    pub fn new(places: Vec<Arc<dyn Backend>>) -> Self {
        Self(places)
    }

    fn first<'a, T>(
        &'a self,
        mut ask: impl FnMut(&'a dyn Backend) -> Result<Option<T>, BackendError>,
    ) -> Result<Option<T>, BackendError> {
        for place in &self.0 {
            if let Some(found) = ask(&**place)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The place that takes writes.
    fn below(&self) -> Result<&dyn Writer, BackendError> {
        self.0.iter().find_map(|place| place.writer()).ok_or_else(|| BackendError::ReadOnly(self.place()))
    }
}

impl Backend for Layered {
    fn place(&self) -> String {
        self.0.iter().map(|place| place.place()).collect::<Vec<_>>().join(", ")
    }

    fn manifest(&self, repository: &Name, which: &Which) -> Result<Option<Stored>, BackendError> {
        self.first(|place| place.manifest(repository, which))
    }

    fn blob(&self, repository: &Name, digest: &Digest) -> Result<Option<Blob<'_>>, BackendError> {
        self.first(|place| place.blob(repository, digest))
    }

    fn tags(&self, repository: &Name) -> Result<Option<Arc<[Tag]>>, BackendError> {
        let mut all: Option<BTreeSet<Tag>> = None;
        for place in &self.0 {
            if let Some(tags) = place.tags(repository)? {
                all.get_or_insert_default().extend(tags.iter().cloned());
            }
        }
        Ok(all.map(|all| all.into_iter().collect()))
    }

    fn repositories(&self) -> Result<Arc<[Name]>, BackendError> {
        let mut all = BTreeSet::new();
        for place in &self.0 {
            all.extend(place.repositories()?.iter().cloned());
        }
        Ok(all.into_iter().collect())
    }

    fn referrers(&self, repository: &Name, subject: &Digest) -> Result<Arc<[Descriptor]>, BackendError> {
        let mut all = BTreeMap::new();
        for place in &self.0 {
            for referrer in &*place.referrers(repository, subject)? {
                all.entry(referrer.digest.to_string()).or_insert_with(|| referrer.clone());
            }
        }
        Ok(all.into_values().collect())
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.0.iter().any(|place| place.writer().is_some()).then_some(self)
    }
}

impl Writer for Layered {
    fn begin(&self, repository: &Name) -> Result<Box<dyn Upload>, BackendError> {
        self.below()?.begin(repository)
    }

    fn begin_fetch(&self, repository: &Name, digest: &Digest) -> Result<Box<dyn Upload>, BackendError> {
        self.below()?.begin_fetch(repository, digest)
    }

    fn resume(&self, repository: &Name, id: &str) -> Result<Option<Box<dyn Upload>>, BackendError> {
        self.below()?.resume(repository, id)
    }

    fn mount(&self, into: &Name, digest: &Digest, from: Option<&Name>) -> Result<bool, BackendError> {
        self.below()?.mount(into, digest, from)
    }

    fn put_manifest(&self, repository: &Name, manifest: &Put<'_>) -> Result<(), BackendError> {
        // What another place has in this repository is served from there.
        let mut needs = Vec::new();
        for need in manifest.needs {
            let of_others = self.0.iter().filter(|place| place.writer().is_none());
            let mut is_there = false;
            for place in of_others {
                is_there |= place.blob(repository, need)?.is_some();
            }
            if !is_there {
                needs.push(*need);
            }
        }
        self.below()?.put_manifest(repository, &Put { needs: &needs, ..*manifest })
    }

    fn delete(&self, repository: &Name, what: &Target) -> Result<bool, BackendError> {
        self.below()?.delete(repository, what)
    }
}
