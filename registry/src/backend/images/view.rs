//! Images as repositories: which there are, and what belongs to each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use content::ImageLock;
use content::cluster_image::is_lock;
use oci::{Descriptor, Digest, Reference};

use super::place::Place;
use crate::backend::BackendError;
use crate::document::Document;
use crate::names::{Name, Tag};

/// The repositories of a place.
pub(super) struct View {
    repositories: BTreeMap<Name, Repository>,
    names: Arc<[Name]>,
}

/// One repository.
#[derive(Default)]
pub(super) struct Repository {
    tags: BTreeMap<Tag, Digest>,
    /// What has a name here.
    roots: Vec<Descriptor>,
    /// What has no name: it belongs here if it refers to something here.
    strays: Vec<Descriptor>,
    /// Found out when it is first asked for.
    members: Mutex<Option<Arc<Members>>>,
}

/// What can be asked for in a repository.
#[derive(Default)]
pub(super) struct Members {
    all: HashMap<Digest, Option<Arc<str>>>,
    referrers: HashMap<Digest, BTreeMap<String, Descriptor>>,
}

impl View {
    pub(super) fn of(place: &Place) -> Result<Self, BackendError> {
        let mut repositories: BTreeMap<Name, Repository> = BTreeMap::new();
        let images = place.images()?;
        let nameless: Vec<&Descriptor> =
            images.iter().filter(|image| image.name.is_none()).map(|image| &image.root).collect();
        let alone = nameless.len() == 1 && images.len() == 1;
        for image in &images {
            let (name, tag) = match &image.name {
                Some(name) => (repository(name), name.tag_or_default().map(str::to_owned)),
                None => (file_name(place), alone.then(|| oci::DEFAULT_TAG.to_owned())),
            };
            if let Some(name) = name {
                let own = repositories.entry(name).or_default();
                own.add(tag.as_deref(), &image.root);
                // What refers to an image has often no name of its own.
                own.strays.extend(nameless.iter().copied().cloned());
            }
            for carried in carried(place, &image.root)?.images {
                let Ok(reference) = carried.name() else { continue };
                let Some(name) = repository(&reference) else { continue };
                let own = repositories.entry(name).or_default();
                own.add(reference.tag_or_default(), &carried.descriptor());
                own.roots.extend(carried.manifests().map(|(_, manifest)| manifest));
            }
        }
        let names = repositories.keys().cloned().collect();
        Ok(Self { repositories, names })
    }

    pub(super) fn repository(&self, name: &Name) -> Option<&Repository> {
        self.repositories.get(name)
    }

    pub(super) fn names(&self) -> Arc<[Name]> {
        Arc::clone(&self.names)
    }
}

impl Repository {
    fn add(&mut self, tag: Option<&str>, root: &Descriptor) {
        if let Some(tag) = tag.and_then(|tag| tag.parse::<Tag>().ok()) {
            self.tags.insert(tag, root.digest);
        }
        self.roots.push(root.clone());
    }

    pub(super) fn tag(&self, tag: &Tag) -> Option<Digest> {
        self.tags.get(tag).copied()
    }

    pub(super) fn tags(&self) -> Arc<[Tag]> {
        self.tags.keys().cloned().collect()
    }

    /// Everything that belongs to the repository.
    pub(super) fn members(&self, place: &Place) -> Result<Arc<Members>, BackendError> {
        let mut known = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(members) = &*known {
            return Ok(Arc::clone(members));
        }
        crate::seat::leave();
        let mut members = Members::default();
        members.follow(place, self.roots.clone(), |_| true)?;
        let own: HashSet<Digest> = members.all.keys().copied().collect();
        for stray in &self.strays {
            let refers = |subject: Option<Digest>| subject.is_some_and(|subject| own.contains(&subject));
            members.follow(place, vec![stray.clone()], refers)?;
        }
        let members = Arc::new(members);
        *known = Some(Arc::clone(&members));
        Ok(members)
    }
}

impl Members {
    fn follow(
        &mut self,
        place: &Place,
        mut open: Vec<Descriptor>,
        wanted: impl Fn(Option<Digest>) -> bool,
    ) -> Result<(), BackendError> {
        let roots: HashSet<Digest> = open.iter().map(|root| root.digest).collect();
        while let Some(what) = open.pop() {
            if self.all.contains_key(&what.digest) {
                continue;
            }
            let is_document = what.media_type.is_manifest() || what.artifact_type.is_some();
            let document = if is_document { place.document(&what.digest)? } else { None };
            let document = document.and_then(|bytes| Some((Document::read(&bytes).ok()?, bytes.len() as u64)));
            let Some((document, size)) = document else {
                self.all.insert(what.digest, None);
                continue;
            };
            let subject = document.subject.as_ref().map(|subject| subject.digest);
            // What is under something that belongs here belongs here.
            if roots.contains(&what.digest) && !wanted(subject) {
                continue;
            }
            self.all.insert(what.digest, Some(document.media_type.as_str().into()));
            if let Some(subject) = subject {
                let referrer = document.describe(what.digest, size);
                self.referrers.entry(subject).or_default().insert(what.digest.to_string(), referrer);
            }
            open.extend(document.children);
            // What an image lists is bytes, whatever its media type says.
            for blob in document.blobs {
                self.all.entry(blob.digest).or_insert(None);
            }
        }
        Ok(())
    }

    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.all.contains_key(digest)
    }

    /// The media type, if it is a manifest.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<Arc<str>> {
        self.all.get(digest).cloned().flatten()
    }

    pub(super) fn referrers(&self, subject: &Digest) -> Arc<[Descriptor]> {
        self.referrers.get(subject).map(|all| all.values().cloned().collect()).unwrap_or_default()
    }
}

/// The images that a cluster image carries.
fn carried(place: &Place, root: &Descriptor) -> Result<ImageLock, BackendError> {
    let none = || ImageLock::new([]);
    if !root.media_type.is_index() {
        return Ok(none());
    }
    let Some(index) = place.document(&root.digest)? else { return Ok(none()) };
    let children = Document::read(&index).map(|document| document.children).unwrap_or_default();
    let Some(lock) = children.iter().find(|child| is_lock(child)) else { return Ok(none()) };
    let Some(manifest) = place.document(&lock.digest)? else { return Ok(none()) };
    let layers = Document::read(&manifest).map(|document| document.blobs).unwrap_or_default();
    // The configuration comes first, then the lock.
    let Some(what) = layers.get(1) else { return Ok(none()) };
    let Some(bytes) = place.document(&what.digest)? else { return Ok(none()) };
    ImageLock::parse(&bytes).map_err(|error| BackendError::Damaged {
        place: place.name(),
        reason: format!("the image lock {}: {error}", what.digest),
    })
}

/// The repository of a name, with its host. A port stands behind an underscore, since a repository has no colons.
fn repository(name: &Reference) -> Option<Name> {
    format!("{}/{}", name.registry().to_ascii_lowercase().replace(':', "_"), name.repository()).parse().ok()
}

/// The repository of what has no name: called like the file.
fn file_name(place: &Place) -> Option<Name> {
    let stem = place.path().file_stem().map(|stem| stem.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let allowed: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    allowed.trim_matches('-').parse().ok().or_else(|| "image".parse().ok())
}
