//! What is worth knowing about an image, read from its documents. Layers are not opened.

use std::collections::{BTreeMap, VecDeque};

use content::{ContentError, DocumentKind, Source, fetch_document};
use oci::{Descriptor, Digest, ImageConfig, ImageManifest, Index, Manifest, Platform, Raw};

use crate::report::time::Moment;

/// One image of one platform.
#[derive(Clone, Debug)]
pub(crate) struct PlatformImage {
    pub(crate) descriptor: Descriptor,
    pub(crate) manifest: Raw<ImageManifest>,
    /// None for an artifact, whose configuration is something else.
    pub(crate) config: Option<Raw<ImageConfig>>,
}

/// What is worth knowing about an image.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) root: Descriptor,
    /// The index, if the root is one.
    pub(crate) index: Option<Raw<Index>>,
    /// The image for the wanted platform, else the first one.
    pub(crate) image: Option<PlatformImage>,
    /// The platforms there are images for.
    pub(crate) platforms: Vec<Platform>,
    /// Bytes of all distinct blobs that are there, documents included.
    pub(crate) size: u64,
}

impl Summary {
    /// What users call the image's id: the digest of the configuration, or of the index where there is one.
    pub(crate) fn id(&self) -> Digest {
        match (&self.index, &self.image) {
            (None, Some(image)) => image.manifest.value().config.digest,
            _ => self.root.digest,
        }
    }

    pub(crate) fn config(&self) -> Option<&ImageConfig> {
        self.image.as_ref()?.config.as_ref().map(Raw::value)
    }

    /// When the image says it was made; none if it says nothing, or 1970 because it was built reproducibly.
    pub(crate) fn created(&self) -> Option<Moment> {
        let text = self.config()?.created.as_deref()?;
        Moment::parse(text).filter(|moment| *moment > Moment::at(1))
    }
}

struct Found {
    descriptor: Descriptor,
    manifest: Raw<ImageManifest>,
}

/// Reads the documents of an image. Of an index, manifests that are not there are left out: an image that was pulled
/// for one platform lacks the others.
pub(crate) fn summarise(source: &dyn Source, root: &Descriptor, wanted: &Platform) -> Result<Summary, ContentError> {
    let mut sizes = BTreeMap::new();
    let mut images: Vec<Found> = Vec::new();
    let mut root_index = None;
    let mut todo = VecDeque::from([root.clone()]);
    while let Some(what) = todo.pop_front() {
        if sizes.contains_key(&what.digest) {
            continue;
        }
        let bytes = match fetch_document(source, &what) {
            Err(ContentError::MissingBlob { .. }) if what.digest != root.digest => continue,
            other => other?,
        };
        sizes.insert(what.digest, what.size);
        let parsed = Manifest::parse(&what.media_type, bytes).map_err(|error| document(source, &what, error.into()))?;
        for child in parsed.successors() {
            if child.media_type.is_manifest() {
                todo.push_back(child);
            } else {
                sizes.insert(child.digest, child.size);
            }
        }
        match parsed {
            Manifest::Image(manifest) => images.push(Found { descriptor: what, manifest: *manifest }),
            Manifest::Index(index) if what.digest == root.digest => root_index = Some(*index),
            Manifest::Index(_) => {}
        }
    }
    let platforms = images.iter().filter_map(|found| runnable(&found.descriptor)).cloned().collect();
    let image = match choose(images, root_index.as_ref().map(Raw::value), wanted) {
        Some(found) => Some(with_config(source, found)?),
        None => None,
    };
    let mut summary = Summary { root: root.clone(), index: root_index, image, platforms, size: sizes.values().sum() };
    if summary.platforms.is_empty() {
        summary.platforms.extend(summary.config().map(ImageConfig::platform));
    }
    Ok(summary)
}

fn choose(mut images: Vec<Found>, index: Option<&Index>, wanted: &Platform) -> Option<Found> {
    let selected = index.and_then(|index| index.select(wanted)).map(|entry| entry.digest);
    let at = images
        .iter()
        .position(|found| Some(found.descriptor.digest) == selected)
        .or_else(|| images.iter().position(|found| runnable(&found.descriptor).is_some()));
    (!images.is_empty()).then(|| images.swap_remove(at.unwrap_or(0)))
}

/// The platform of an image that can run somewhere; attestations and carried images say `unknown`.
fn runnable(what: &Descriptor) -> Option<&Platform> {
    what.platform.as_ref().filter(|platform| platform.os != "unknown")
}

fn with_config(source: &dyn Source, found: Found) -> Result<PlatformImage, ContentError> {
    let what = &found.manifest.value().config;
    let config = if what.media_type.is_config() {
        let bytes = fetch_document(source, what)?;
        Some(ImageConfig::parse(bytes).map_err(|error| document(source, what, error.into()))?)
    } else {
        None
    };
    Ok(PlatformImage { descriptor: found.descriptor, manifest: found.manifest, config })
}

fn document(source: &dyn Source, what: &Descriptor, error: DocumentKind) -> ContentError {
    ContentError::Document { place: source.place(), digest: what.digest, source: error }
}
