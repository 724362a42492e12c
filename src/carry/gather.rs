//! From findings to a lock, with everything that it names in the store.
//!
//! ```text
//! findings ─ places ─ resolve (many at once) ─▶ manifests ─ one queue with the bases ─▶ store ─▶ lock
//! ```
//!
//! Nothing is half done in the result: either every image is there, or the error names each that is not, and who
//! wants it. What was fetched stays in the store for the next attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use content::{
    ContentError, CopyJob, CopyOptions, Disk, ImageLock, LockedImage, LockedPlatform, Observer, Origin, Source,
    archive, copy_all, store_bytes,
};
use oci::{Descriptor, Reference};

use super::error::{CarryError, Failure};
use super::resolve::{Lookup, Resolved, Resolver, Wanted};
use super::source::{Borrowed, Cached, Place, Places, Repositories};
use super::tree::{RegistryTree, TreeImage};
use crate::discover::{Archived, Findings, From, Ignore};

/// Whether the lock beside the recipe binds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// What is not in it is looked up.
    #[default]
    Prefer,
    /// What is not in it is an error.
    Require,
}

/// How far gathering goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Everything is in the store afterwards.
    #[default]
    Fetch,
    /// Names are resolved; nothing is stored.
    Resolve,
}

/// What is gathered, and how.
pub struct GatherOrder<'a> {
    /// Where everything goes.
    pub store: &'a Disk,
    /// The context, which lists name files of.
    pub context: &'a Path,
    /// What is wanted.
    pub findings: &'a Findings,
    /// The context's `registry/`, if it has one: its images are carried, too, and go before a registry's.
    pub tree: Option<&'a RegistryTree>,
    /// Whether blobs are fetched, or only names are looked up.
    pub effort: Effort,
    /// For which platforms.
    pub wanted: Wanted,
    /// When registries are asked.
    pub lookup: Lookup,
    /// The lock beside the recipe, if there is one.
    pub lock: Option<&'a ImageLock>,
    /// Whether it binds.
    pub binding: Binding,
    /// Names and patterns of images that need not be there.
    pub ignore_missing: &'a [String],
    /// Where images come from.
    pub registries: &'a dyn Repositories,
    /// Other images that are fetched in the same queue.
    pub beside: Vec<CopyJob<'a>>,
    /// How to copy.
    pub options: &'a CopyOptions,
    /// Who hears about it.
    pub observer: &'a dyn Observer,
}

/// What was gathered.
#[derive(Debug)]
pub struct Gathered {
    /// What is carried.
    pub lock: ImageLock,
    /// Images that are not there although they are wanted, which `ignore_missing` allows.
    pub missing: Vec<Failure>,
}

/// An image that is wanted, and where it is to be taken from.
struct Wish {
    name: Reference,
    place: Place,
    origins: Vec<Origin>,
}

/// Brings all images of the findings into the store.
///
/// # Errors
/// [`CarryError::Missing`] with each image that cannot be had and who wants it; [`CarryError::NotLocked`] with those that
/// the lock lacks; and what the store can fail with.
pub fn gather(order: &GatherOrder<'_>) -> Result<Gathered, CarryError> {
    let mut places = Places { registries: order.registries, open: Vec::new() };
    let wishes = wishes(order, &mut places)?;
    if order.binding == Binding::Require {
        unlocked(order, &wishes)?;
    }
    let names: Vec<(Reference, Place)> = wishes.iter().map(|wish| (wish.name.clone(), wish.place.clone())).collect();
    let resolver =
        Resolver { store: order.store, places: &places, wanted: &order.wanted, lookup: order.lookup, lock: order.lock };
    let (mut there, mut failures) = (Vec::new(), Vec::new());
    for (wish, result) in wishes.into_iter().zip(resolver.all(&names)) {
        match result {
            Ok(resolved) => there.push((wish, resolved)),
            Err(error) => failures.push(Failure::new(wish.name, wish.origins, error)),
        }
    }
    let failures = allowed(order, failures)?;
    if order.effort == Effort::Fetch {
        fetch(order, &places, &there)?;
    }
    let images = there.iter().map(|(wish, resolved)| locked(wish, resolved));
    Ok(Gathered { lock: ImageLock::new(images), missing: failures })
}

fn wishes<'a>(order: &GatherOrder<'a>, places: &mut Places<'a>) -> Result<Vec<Wish>, CarryError> {
    let mut wishes: BTreeMap<String, Wish> = BTreeMap::new();
    let mut add = |wish: Wish| match wishes.get_mut(&wish.name.normal()) {
        // The first place stays: a file goes before a registry.
        Some(known) => known.origins.extend(wish.origins),
        None => drop(wishes.insert(wish.name.normal(), wish)),
    };
    for archived in order.findings.archives() {
        open_archive(order, archived, places)?.into_iter().for_each(&mut add);
    }
    let mut tree = TreeWishes::open(order, places)?;
    for found in order.findings.images() {
        let place = match found.from {
            From::Registry => tree.take(&found.reference, order.lookup)?.unwrap_or(Place::Registry),
            from => {
                let opened = order.registries.foreign(from, &found.reference);
                let (source, root) = opened.map_err(|source| CarryError::Archive {
                    origin: found.origins.first().cloned().unwrap_or_else(|| super::files::origin("")),
                    source,
                })?;
                places.open.push(source);
                Place::Open(places.open.len() - 1, Box::new(root))
            }
        };
        add(Wish { name: found.reference.clone(), place, origins: found.origins.clone() });
    }
    tree.rest(order).into_iter().for_each(&mut add);
    Ok(wishes.into_values().collect())
}

/// The images of the context's `registry/`.
struct TreeWishes<'a> {
    tree: Option<&'a RegistryTree>,
    number: usize,
    images: Vec<TreeImage>,
    /// Those that somebody asked for by name.
    taken: BTreeSet<String>,
}

impl<'a> TreeWishes<'a> {
    fn open(order: &GatherOrder<'a>, places: &mut Places<'a>) -> Result<Self, CarryError> {
        let images = order.tree.map_or(Ok(Vec::new()), RegistryTree::images)?;
        let number = places.open.len();
        if let Some(tree) = order.tree {
            places.open.push(Box::new(Borrowed(tree)));
        }
        Ok(Self { tree: order.tree, number, images, taken: BTreeSet::new() })
    }

    /// The image of a name, whatever its registry: the directory knows none.
    fn take(&mut self, name: &Reference, lookup: Lookup) -> Result<Option<Place>, CarryError> {
        let Some(tree) = self.tree.filter(|_| lookup != Lookup::Always || name.digest().is_some()) else {
            return Ok(None);
        };
        let is_it = |image: &&TreeImage| {
            let own = &image.name;
            let short = own.repository() == name.repository();
            let whole = own.registry() == name.registry() && short;
            let tag = name.digest().map_or_else(
                || own.digest().is_none() && own.tag_or_default() == name.tag_or_default(),
                |digest| image.root.digest == *digest,
            );
            tag && (whole || short && own.registry() == oci::DEFAULT_REGISTRY)
        };
        if let Some(image) = self.images.iter().find(is_it) {
            self.taken.insert(image.name.normal());
            return Ok(Some(Place::Open(self.number, Box::new(image.root.clone()))));
        }
        match name.digest() {
            Some(digest) => Ok(tree.describe(digest)?.map(|root| Place::Open(self.number, Box::new(root)))),
            None => Ok(None),
        }
    }

    /// The images that nobody asked for by name.
    fn rest(self, order: &GatherOrder<'_>) -> Vec<Wish> {
        let left = self.images.into_iter().filter(|image| !self.taken.contains(&image.name.normal()));
        let left = left.filter(|image| !order.findings.ignore().has(&image.name));
        left.map(|image| Wish {
            place: Place::Open(self.number, Box::new(image.root)),
            origins: vec![Origin {
                file: "registry".to_owned(),
                line: None,
                what: image.name.to_string(),
                rule: "registry directory".to_owned(),
            }],
            name: image.name,
        })
        .collect()
    }
}

/// The images of a file that a list names.
fn open_archive<'a>(
    order: &GatherOrder<'a>,
    archived: &Archived,
    places: &mut Places<'a>,
) -> Result<Vec<Wish>, CarryError> {
    let wrong = |source: ContentError| CarryError::Archive { origin: archived.origin.clone(), source };
    let beside = archived.origin.file.rsplit_once('/').map_or("", |(directory, _)| directory);
    let near = order.context.join(beside).join(&archived.path);
    let path = if near.exists() { near } else { order.context.join(&archived.path) };
    let opened = archive::open(&path).map_err(wrong)?;
    let mut images: Vec<(Option<Reference>, Descriptor)> = Vec::new();
    for image in opened.images() {
        let is_picked = archived.pick.as_deref().is_none_or(|pick| {
            image.name.as_ref().is_some_and(|name| {
                pick.parse::<Reference>().is_ok_and(|pick| pick == *name) || name.tag() == Some(pick)
            })
        });
        if is_picked {
            images.push((image.name.clone(), image.root.clone()));
        }
    }
    if archived.name.is_some() {
        images.dedup_by(|a, b| a.1.digest == b.1.digest);
    }
    let number = places.open.len();
    let mut wishes = Vec::new();
    for (own, root) in &images {
        let name = match (&archived.name, images.len()) {
            (Some(name), 1) => Some(name.clone()),
            (Some(_), _) => return Err(CarryError::SeveralInArchive { origin: archived.origin.clone() }),
            (None, _) => own.clone(),
        };
        let name = name.ok_or_else(|| CarryError::NamelessArchive { origin: archived.origin.clone() })?;
        if !order.findings.ignore().has(&name) {
            let place = Place::Open(number, Box::new(root.clone()));
            wishes.push(Wish { name, place, origins: vec![archived.origin.clone()] });
        }
    }
    if images.is_empty() {
        let name = archived.pick.clone().unwrap_or_default();
        return Err(wrong(ContentError::UnknownImage { place: opened.place(), name, similar: Vec::new() }));
    }
    places.open.push(Box::new(opened));
    Ok(wishes)
}

/// An error if the lock does not have all of them.
fn unlocked(order: &GatherOrder<'_>, wishes: &[Wish]) -> Result<(), CarryError> {
    let is_locked = |wish: &Wish| order.lock.is_some_and(|lock| lock.find(&wish.name).is_some());
    let missing: Vec<(Reference, Vec<Origin>)> =
        wishes.iter().filter(|wish| !is_locked(wish)).map(|wish| (wish.name.clone(), wish.origins.clone())).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(CarryError::NotLocked { missing }),
    }
}

/// Those failures that are allowed; the others are the error.
fn allowed(order: &GatherOrder<'_>, failures: Vec<Failure>) -> Result<Vec<Failure>, CarryError> {
    let mut ignore = Ignore::default();
    order.ignore_missing.iter().for_each(|pattern| ignore.add(pattern));
    let (allowed, fatal): (Vec<_>, Vec<_>) = failures.into_iter().partition(|failure| ignore.has(&failure.name));
    match fatal.is_empty() {
        true => Ok(allowed),
        false => Err(CarryError::Missing { failures: fatal }),
    }
}

/// Copies what is not there, all images at once.
fn fetch(order: &GatherOrder<'_>, places: &Places<'_>, there: &[(Wish, Resolved)]) -> Result<(), CarryError> {
    let mut sources: Vec<(usize, Cached<Box<dyn Source + '_>>)> = Vec::new();
    let mut failures = Vec::new();
    for (at, (wish, resolved)) in there.iter().enumerate().filter(|(_, (_, resolved))| !resolved.is_here) {
        match places.open(&wish.name, &wish.place) {
            Ok(source) => sources.push((at, Cached::with(source, resolved.documents.clone()))),
            Err(error) => failures.push(Failure::new(wish.name.clone(), wish.origins.clone(), error)),
        }
    }
    if !failures.is_empty() {
        return Err(CarryError::Missing { failures });
    }
    let carried = sources.iter().map(|(at, source)| CopyJob {
        from: source,
        to: order.store,
        roots: there[*at].1.manifests.iter().map(|(_, manifest)| manifest.clone()).collect(),
        names: Vec::new(),
    });
    let jobs: Vec<CopyJob<'_>> = order.beside.iter().cloned().chain(carried).collect();
    let results = copy_all(&jobs, order.options, order.observer);
    let mut errors = results.into_iter();
    for result in errors.by_ref().take(order.beside.len()) {
        result?;
    }
    for (result, (at, _)) in errors.zip(&sources) {
        if let Err(error) = result {
            let wish = &there[*at].0;
            failures.push(Failure::new(wish.name.clone(), wish.origins.clone(), error));
        }
    }
    if !failures.is_empty() {
        return Err(CarryError::Missing { failures });
    }
    for (_, resolved) in there.iter().filter(|(_, resolved)| resolved.root.media_type.is_index()) {
        // As a blob: its children are not all there.
        let kept = Descriptor::new(content::cluster_image::UPSTREAM_INDEX, resolved.root.digest, resolved.root.size);
        store_bytes(order.store, &kept, &resolved.document)?;
    }
    Ok(())
}

fn locked(wish: &Wish, resolved: &Resolved) -> LockedImage {
    let platforms = resolved.manifests.iter().map(|(platform, manifest)| LockedPlatform {
        platform: platform.normalised().to_string(),
        digest: manifest.digest,
        media_type: manifest.media_type.clone(),
        size: manifest.size,
    });
    LockedImage {
        reference: wish.name.to_string(),
        normalised: wish.name.normal(),
        digest: resolved.root.digest,
        media_type: resolved.root.media_type.clone(),
        size: resolved.root.size,
        platforms: platforms.collect(),
        origins: wish.origins.clone(),
    }
}
