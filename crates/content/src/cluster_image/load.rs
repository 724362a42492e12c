//! What a cluster image is made of, read from its documents.

use oci::{Descriptor, Digest, Index, Manifest, MediaType, Platform, Raw};

use super::{CARRIED_FOR, IS_LOCK, ImageLock, LOCK_LAYER, UPSTREAM_INDEX, UPSTREAM_TYPE};
use crate::{ContentError, DocumentKind, Source, fetch_document};

/// A root image, or several for several platforms, and the container images that they carry.
#[derive(Clone, Debug)]
pub struct ClusterImage {
    /// What its name stands for.
    pub root: Descriptor,
    /// The index; none for a plain image.
    pub index: Option<Raw<Index>>,
    /// The root images, with their platforms (none for a plain image).
    pub roots: Vec<Descriptor>,
    /// The manifests of carried images.
    pub carried: Vec<Descriptor>,
    /// The manifest of the lock.
    pub lock_manifest: Option<Descriptor>,
    /// What is carried, and why; empty for an image that carries nothing in this form.
    pub lock: ImageLock,
    /// The indexes that names resolved to, as the lock keeps them, with their own media types.
    pub upstream: Vec<Descriptor>,
}

impl ClusterImage {
    /// Reads a cluster image, or any other image.
    ///
    /// # Errors
    /// When a document is missing or damaged, or the lock is of a newer format.
    pub fn load(source: &dyn Source, root: &Descriptor) -> Result<Self, ContentError> {
        let mut image = Self {
            root: root.clone(),
            index: None,
            roots: vec![root.clone()],
            carried: Vec::new(),
            lock_manifest: None,
            lock: ImageLock::new([]),
            upstream: Vec::new(),
        };
        if !root.media_type.is_index() {
            return Ok(image);
        }
        let bytes = fetch_document(source, root)?;
        let Manifest::Index(index) = parse(source, root, bytes)? else { return Ok(image) };
        image.roots = index.value().manifests.iter().filter(|entry| is_root(entry)).cloned().collect();
        image.carried = index.value().manifests.iter().filter(|entry| is_carried(entry)).cloned().collect();
        image.lock_manifest = index.value().manifests.iter().find(|entry| is_lock(entry)).cloned();
        image.index = Some(*index);
        if let Some(manifest) = &image.lock_manifest {
            let bytes = fetch_document(source, manifest)?;
            let Manifest::Image(artifact) = parse(source, manifest, bytes)? else { return Ok(image) };
            for layer in &artifact.value().layers {
                match layer.media_type.as_str() {
                    LOCK_LAYER => {
                        let bytes = fetch_document(source, layer)?;
                        let lock = ImageLock::parse(&bytes);
                        image.lock = lock.map_err(|error| document(source, layer.digest, error.into()))?;
                    }
                    UPSTREAM_INDEX => {
                        let media_type = layer.annotations.get(UPSTREAM_TYPE);
                        let media_type = media_type.map_or(MediaType::OCI_INDEX, String::as_str);
                        image.upstream.push(Descriptor::new(media_type, layer.digest, layer.size));
                    }
                    _ => {}
                }
            }
        }
        Ok(image)
    }

    /// Whether it carries images in this form.
    pub fn carries(&self) -> bool {
        self.lock_manifest.is_some()
    }
}

/// Of an index, what belongs to the root image of a platform besides that image itself: the carried manifests that
/// serve it, and the lock. Of any other index than a cluster image's, nothing.
pub fn companions(index: &Index, platform: &Platform) -> Vec<Descriptor> {
    let wanted = platform.normalised().to_string();
    let serves = |entry: &&Descriptor| {
        let platforms = entry.annotations.get(CARRIED_FOR);
        platforms.is_some_and(|platforms| platforms.split(',').any(|platform| platform == wanted))
    };
    index.manifests.iter().filter(|entry| is_lock(entry) || serves(entry)).cloned().collect()
}

/// Whether an entry of an index is the image lock: by its annotation, or by the type of the artifact, of which tools that
/// copy may have lost either.
pub fn is_lock(entry: &Descriptor) -> bool {
    entry.artifact_type.as_deref() == Some(MediaType::IMAGE_LOCK) || entry.annotations.contains_key(IS_LOCK)
}

fn is_carried(entry: &Descriptor) -> bool {
    entry.annotations.contains_key(CARRIED_FOR)
}

fn is_root(entry: &Descriptor) -> bool {
    !is_lock(entry) && !is_carried(entry) && entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
}

fn parse(source: &dyn Source, what: &Descriptor, bytes: Vec<u8>) -> Result<Manifest, ContentError> {
    Manifest::parse(&what.media_type, bytes).map_err(|error| document(source, what.digest, error.into()))
}

fn document(source: &dyn Source, digest: Digest, error: DocumentKind) -> ContentError {
    ContentError::Document { place: source.place(), digest, source: error }
}
