//! From root images and a lock to a cluster image.

use std::collections::{BTreeMap, BTreeSet};

use oci::{Compression, Descriptor, Digest, ImageManifest, Index, Manifest, MediaType, Platform, Raw};

use super::{CARRIED_FOR, IS_LOCK, ImageLock, LOCK_FILE, LOCK_LAYER, UPSTREAM_INDEX, UPSTREAM_TYPE};
use crate::{ContentError, Sink, Source, fetch_document, store_bytes};

/// The annotation that says how a blob's file is called.
const TITLE: &str = "org.opencontainers.image.title";

/// The annotation of an index's entry whose layers are compressed with zstd.
pub(crate) const ZSTD: &str = "io.github.containers.compression.zstd";

/// The empty document that an artifact without configuration points at.
const EMPTY: &[u8] = b"{}";

/// What a cluster image is made of.
#[derive(Clone, Debug)]
pub struct Assembly<'a> {
    /// The root images, with their platforms.
    pub roots: &'a [Descriptor],
    /// What is carried. Its manifests, their blobs and the indexes that its names resolved to are in the sink.
    pub lock: &'a ImageLock,
    /// Annotations of the index.
    pub annotations: BTreeMap<String, String>,
}

/// Stores the documents of a cluster image. One root that carries nothing stays the image that it is.
///
/// # Errors
/// When the store does not take them, or lacks an upstream index or a manifest.
pub fn assemble<S: Source + Sink>(store: &S, parts: &Assembly<'_>) -> Result<Descriptor, ContentError> {
    if let ([root], true) = (parts.roots, parts.lock.images.is_empty()) {
        return Ok(Descriptor { platform: None, ..root.clone() });
    }
    let mut manifests = parts.roots.to_vec();
    let mut index = Index::new(Vec::new());
    manifests.extend(carried(parts.lock));
    let mut manifests =
        manifests.into_iter().map(|entry| with_compression(store, entry)).collect::<Result<Vec<_>, _>>()?;
    if !parts.lock.images.is_empty() {
        manifests.push(lock_artifact(store, parts.lock)?);
        index.artifact_type = Some(MediaType::CLUSTER_IMAGE.to_owned());
    }
    index.manifests = manifests;
    index.annotations.clone_from(&parts.annotations);
    publish(store, index, MediaType::OCI_INDEX)
}

/// The entry of an index for a manifest. Those with layers in zstd say so, as podman, buildah and skopeo would have it:
/// they add what is missing when they copy the index, and change its digest by that.
///
/// # Errors
/// When the manifest cannot be read.
pub fn with_compression(source: &dyn Source, entry: Descriptor) -> Result<Descriptor, ContentError> {
    let bytes = fetch_document(source, &entry)?;
    let manifest = Manifest::parse(&entry.media_type, bytes).map_err(|error| ContentError::Document {
        place: source.place(),
        digest: entry.digest,
        source: error.into(),
    })?;
    let is_zstd = manifest.successors().iter().any(|layer| layer.media_type.compression() == Compression::Zstd);
    Ok(if is_zstd { entry.annotated(ZSTD, "true") } else { entry })
}

/// The manifests of a lock as they are listed: each once, by digest.
fn carried(lock: &ImageLock) -> Vec<Descriptor> {
    let mut served: BTreeMap<Digest, (Descriptor, BTreeSet<&str>)> = BTreeMap::new();
    for (platform, manifest) in lock.images.iter().flat_map(super::LockedImage::manifests) {
        served.entry(manifest.digest).or_insert_with(|| (manifest, BTreeSet::new())).1.insert(platform);
    }
    let one = |(manifest, platforms): (Descriptor, BTreeSet<&str>)| {
        let platforms = platforms.into_iter().collect::<Vec<_>>().join(",");
        manifest.for_platform(unknown()).annotated(CARRIED_FOR, platforms)
    };
    served.into_values().map(one).collect()
}

/// What clients that pick a platform never pick.
fn unknown() -> Platform {
    Platform::new("unknown", "unknown", None)
}

/// Stores the lock as an artifact, with the upstream indexes as its blobs.
fn lock_artifact(sink: &dyn Sink, lock: &ImageLock) -> Result<Descriptor, ContentError> {
    let bytes = lock.bytes().map_err(unwritable)?;
    let file = Descriptor::of(LOCK_LAYER, &bytes).annotated(TITLE, LOCK_FILE);
    store_bytes(sink, &file, &bytes)?;
    let config = Descriptor::of(MediaType::OCI_EMPTY, EMPTY);
    store_bytes(sink, &config, EMPTY)?;
    let mut upstream: BTreeMap<Digest, Descriptor> = BTreeMap::new();
    for image in lock.images.iter().filter(|image| image.media_type.is_index()) {
        let kept = Descriptor::new(UPSTREAM_INDEX, image.digest, image.size);
        let kept = kept.annotated(UPSTREAM_TYPE, image.media_type.as_str());
        if !sink.has(&kept)? {
            return Err(ContentError::MissingBlob { place: sink.place(), digest: image.digest });
        }
        upstream.insert(image.digest, kept);
    }
    let mut layers = vec![file];
    layers.extend(upstream.into_values());
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST.into()),
        artifact_type: Some(MediaType::IMAGE_LOCK.to_owned()),
        config,
        layers,
        subject: None,
        annotations: BTreeMap::new(),
    };
    let descriptor = publish(sink, manifest, MediaType::OCI_MANIFEST)?.for_platform(unknown());
    // Known by the annotation: skopeo of the time before OCI 1.1 writes an index anew, with another digest, if an entry of
    // it has an `artifactType`.
    Ok(descriptor.annotated(IS_LOCK, LOCK_FILE))
}

fn publish<T: serde::Serialize>(sink: &dyn Sink, document: T, media_type: &str) -> Result<Descriptor, ContentError> {
    let raw = Raw::write(document).map_err(unwritable)?;
    let descriptor = Descriptor::of(media_type, raw.bytes());
    sink.publish(&descriptor, raw.bytes())?;
    Ok(descriptor)
}

fn unwritable(error: serde_json::Error) -> ContentError {
    ContentError::io("write a document of a cluster image")(error.into())
}
