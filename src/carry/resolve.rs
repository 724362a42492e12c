//! From names to digests, and from digests to the manifests of the wanted platforms.
//!
//! ```text
//! name ─▶ lock? ─▶ digest in it? ─▶ known here (unless asked to look again)? ─▶ registry
//!      root ─▶ index? the manifest for each platform : the image itself, if it runs there
//! ```
//!
//! What was resolved before is remembered in the store's cache, so that a build needs no network for what is whole in
//! the store. Documents are kept in memory until they are copied; nothing is stored here.

use std::collections::BTreeMap;

use content::{ContentError, Disk, ImageLock, Source, fetch_document, side_by_side};
use oci::{Descriptor, Digest, Index, Manifest, Platform, Reference};

use super::known::{Known, is_whole};
use super::source::{Cached, Place, Places};

/// Names that are looked up at once.
const JOBS: usize = 8;
/// Indexes in indexes.
const MAX_DEPTH: usize = 8;

/// Which platforms are carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// These; an image that lacks one is an error.
    Platforms(Vec<Platform>),
    /// All that an image has.
    All,
}

/// When registries are asked what a name stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookup {
    /// For names that are not known here.
    #[default]
    Unknown,
    /// For all names.
    Always,
    /// For none.
    Never,
}

/// How names are resolved.
pub(crate) struct Resolver<'a> {
    pub(crate) store: &'a Disk,
    pub(crate) places: &'a Places<'a>,
    pub(crate) wanted: &'a Wanted,
    pub(crate) lookup: Lookup,
    /// What an earlier lock says.
    pub(crate) lock: Option<&'a ImageLock>,
}

/// What a name came to.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// What the name stands for.
    pub(crate) root: Descriptor,
    /// Its document.
    pub(crate) document: Vec<u8>,
    /// The manifests, with the platforms that they serve.
    pub(crate) manifests: Vec<(Platform, Descriptor)>,
    /// All documents on the way.
    pub(crate) documents: BTreeMap<Digest, Vec<u8>>,
    /// Whether all of it is in the store already.
    pub(crate) is_here: bool,
}

impl Resolver<'_> {
    /// Resolves names, many at once; one result a name, in order.
    pub(crate) fn all(&self, names: &[(Reference, Place)]) -> Vec<Result<Resolved, ContentError>> {
        side_by_side(JOBS, names, |(name, place)| self.one(name, place))
    }

    fn one(&self, name: &Reference, place: &Place) -> Result<Resolved, ContentError> {
        if let Some(root) = self.known(name, place)? {
            match self.follow(name, &root, self.store) {
                Ok(mut resolved) => {
                    resolved.is_here = resolved
                        .manifests
                        .iter()
                        .map(|(_, it)| is_whole(self.store, it))
                        .collect::<Result<Vec<_>, _>>()?
                        .into_iter()
                        .all(|whole| whole);
                    if resolved.is_here {
                        return Ok(resolved);
                    }
                }
                Err(ContentError::MissingBlob { .. }) => {}
                Err(error) => return Err(error),
            }
            if self.lookup == Lookup::Never && matches!(place, Place::Registry) {
                return Err(ContentError::MissingBlob { place: Source::place(self.store), digest: root.digest });
            }
            let source = self.places.open(name, place)?;
            return self.follow(name, &root, &*source);
        }
        if self.lookup == Lookup::Never && matches!(place, Place::Registry) {
            return Err(unknown(&Source::place(self.store), name));
        }
        let source = self.places.open(name, place)?;
        let root = self.places.resolve(name, place, &*source)?;
        let resolved = self.follow(name, &root, &*source)?;
        if matches!(place, Place::Registry) {
            Known::new(self.store).remember(name, &root)?;
        }
        Ok(resolved)
    }

    /// What a name is known to stand for.
    fn known(&self, name: &Reference, place: &Place) -> Result<Option<Descriptor>, ContentError> {
        if !matches!(place, Place::Registry) {
            return Ok(None);
        }
        if let Some(locked) = self.lock.and_then(|lock| lock.find(name)) {
            return Ok(Some(locked.descriptor()));
        }
        if self.lookup == Lookup::Always && name.digest().is_none() {
            return Ok(None);
        }
        if let Some(root) = Known::new(self.store).find(name)? {
            return Ok(Some(root));
        }
        match self.store.resolve(name) {
            Ok(root) => Ok(Some(root)),
            Err(ContentError::UnknownImage { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the documents that lead to the manifests of the wanted platforms.
    fn follow(&self, name: &Reference, root: &Descriptor, source: &dyn Source) -> Result<Resolved, ContentError> {
        let cached = Cached::new(source);
        let document = fetch_document(&cached, root)?;
        let manifest = parse(source, root, document.clone())?;
        let manifests = match (&manifest, self.wanted) {
            (Manifest::Index(index), Wanted::All) => self.every(index.value(), &cached)?,
            (Manifest::Index(_), Wanted::Platforms(platforms)) => {
                let one = |platform: &Platform| Ok((platform.clone(), pick(&cached, root, platform, name, 0)?));
                platforms.iter().map(one).collect::<Result<_, ContentError>>()?
            }
            (Manifest::Image(_), wanted) => single(&cached, root, wanted, name)?,
        };
        Ok(Resolved { root: bare(root), document, manifests, documents: cached.into_documents(), is_here: false })
    }

    /// The manifests of all platforms of an index.
    fn every(&self, index: &Index, source: &dyn Source) -> Result<Vec<(Platform, Descriptor)>, ContentError> {
        let mut found = Vec::new();
        let mut todo: Vec<Descriptor> = index.manifests.clone();
        let mut depth = 0;
        while let Some(entry) = todo.pop() {
            depth += 1;
            if entry.media_type.is_index() && depth < MAX_DEPTH * 64 {
                if let Manifest::Index(inner) = parse(source, &entry, fetch_document(source, &entry)?)? {
                    todo.extend(inner.value().manifests.iter().cloned());
                }
                continue;
            }
            // Attestations say `unknown`.
            if let Some(platform) = entry.platform.as_ref().filter(|platform| platform.os != "unknown") {
                found.push((platform.normalised(), bare(&entry)));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.dedup_by(|(a, _), (b, _)| a == b);
        Ok(found)
    }
}

/// The manifest of an index for a platform.
fn pick(
    source: &dyn Source,
    what: &Descriptor,
    platform: &Platform,
    name: &Reference,
    depth: usize,
) -> Result<Descriptor, ContentError> {
    let Manifest::Index(index) = parse(source, what, fetch_document(source, what)?)? else { return Ok(bare(what)) };
    match index.value().select(platform) {
        Some(entry) if entry.media_type.is_index() && depth < MAX_DEPTH => {
            pick(source, &entry.clone(), platform, name, depth + 1)
        }
        Some(entry) => Ok(bare(entry)),
        None => {
            let there = index.value().manifests.iter().filter_map(|entry| entry.platform.as_ref());
            let mut there: Vec<String> = there.filter(|p| p.os != "unknown").map(Platform::to_string).collect();
            there.dedup();
            Err(no_platform(source, name, platform, &there.join(", ")))
        }
    }
}

/// An image that is no index: it serves the platforms that it runs on. What is no image, but an artifact, serves all.
fn single(
    source: &dyn Source,
    root: &Descriptor,
    wanted: &Wanted,
    name: &Reference,
) -> Result<Vec<(Platform, Descriptor)>, ContentError> {
    let Manifest::Image(image) = parse(source, root, fetch_document(source, root)?)? else { return Ok(Vec::new()) };
    let config = &image.value().config;
    let own = match config.media_type.is_config() {
        true => {
            let bytes = fetch_document(source, config)?;
            let config = oci::ImageConfig::parse(bytes).map_err(|error| ContentError::Document {
                place: source.place(),
                digest: config.digest,
                source: error.into(),
            })?;
            // Some images say nothing about it.
            Some(config.value().platform()).filter(|own| !own.os.is_empty() && !own.architecture.is_empty())
        }
        false => None,
    };
    match (wanted, own) {
        (Wanted::All, own) => Ok(vec![(own.unwrap_or_else(Platform::host), bare(root))]),
        (Wanted::Platforms(platforms), own) => {
            let one = |platform: &Platform| match &own {
                Some(own) if !own.serves(platform) => Err(no_platform(source, name, platform, &own.to_string())),
                _ => Ok((platform.clone(), bare(root))),
            };
            platforms.iter().map(one).collect()
        }
    }
}

fn no_platform(source: &dyn Source, name: &Reference, wanted: &Platform, there: &str) -> ContentError {
    ContentError::NoPlatform {
        place: source.place(),
        name: name.familiar(),
        wanted: wanted.to_string(),
        available: if there.is_empty() { "none".to_owned() } else { there.to_owned() },
    }
}

fn unknown(place: &str, name: &Reference) -> ContentError {
    ContentError::UnknownImage { place: place.to_owned(), name: name.familiar(), similar: Vec::new() }
}

fn parse(source: &dyn Source, what: &Descriptor, bytes: Vec<u8>) -> Result<Manifest, ContentError> {
    Manifest::parse(&what.media_type, bytes).map_err(|error| ContentError::Document {
        place: source.place(),
        digest: what.digest,
        source: error.into(),
    })
}

/// A descriptor of the bytes alone: what lists them is another document's business.
fn bare(what: &Descriptor) -> Descriptor {
    Descriptor::new(what.media_type.clone(), what.digest, what.size)
}
