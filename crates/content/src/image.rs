//! One image of one platform, with its documents.

use oci::{Descriptor, DiffId, ImageConfig, ImageManifest, Manifest, Platform, Raw};

use crate::{ContentError, Copied, CopyOptions, Observer, Sink, Source, copy, fetch_document};

/// Indexes in indexes that are followed.
const MAX_DEPTH: usize = 8;

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of its tar, as the configuration gives it.
    pub diff_id: DiffId,
}

/// One image of one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest.
    pub manifest: Raw<ImageManifest>,
    /// What the manifest is called.
    pub manifest_descriptor: Descriptor,
    /// The configuration.
    pub config: Raw<ImageConfig>,
    /// The layers, lowest first.
    pub layers: Vec<LayerInfo>,
}

impl Image {
    /// Bytes of all layers as they are stored.
    pub fn layers_size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.descriptor.size).fold(0, u64::saturating_add)
    }

    /// Bytes of the image as it is stored: manifest, configuration and layers.
    pub fn size(&self) -> u64 {
        let documents = self.manifest.bytes().len() as u64 + self.config.bytes().len() as u64;
        self.layers_size().saturating_add(documents)
    }

    /// The layers as what unpacks them wants them.
    pub fn layer_pairs(&self) -> Vec<(Descriptor, DiffId)> {
        self.layers.iter().map(|layer| (layer.descriptor.clone(), layer.diff_id)).collect()
    }
}

/// An image and the indexes that lead to it, outermost first.
#[derive(Clone, Debug)]
pub struct FoundImage {
    /// The image.
    pub image: Image,
    /// The indexes: their descriptors and bytes, verified.
    indexes: Vec<(Descriptor, Vec<u8>)>,
}

/// Reads the image that a root stands for on a platform. A root that is no index is taken as it is: it is all there is.
///
/// # Errors
/// [`ContentError::NoPlatform`] when an index has nothing for the platform; [`ContentError::LayerCount`] when manifest
/// and configuration do not belong together; and whatever reading documents can fail with.
pub fn load_image(source: &dyn Source, root: &Descriptor, platform: &Platform) -> Result<Image, ContentError> {
    find_image(source, root, platform).map(|found| found.image)
}

/// The same with the indexes on the way, for [`copy_image`].
///
/// # Errors
/// See [`load_image`].
pub fn find_image(source: &dyn Source, root: &Descriptor, platform: &Platform) -> Result<FoundImage, ContentError> {
    let mut what = root.clone();
    let mut indexes = Vec::new();
    for _ in 0..MAX_DEPTH {
        let bytes = fetch_document(source, &what)?;
        let manifest = Manifest::parse(&what.media_type, bytes).map_err(|error| ContentError::Document {
            place: source.place(),
            digest: what.digest,
            source: error.into(),
        })?;
        match manifest {
            Manifest::Image(manifest) => {
                return Ok(FoundImage { image: with_config(source, what, *manifest)?, indexes });
            }
            Manifest::Index(index) => {
                let Some(chosen) = index.value().select(platform).cloned() else {
                    return Err(no_platform(source, root, platform, &index.value().manifests));
                };
                indexes.push((std::mem::replace(&mut what, chosen), index.bytes().to_vec()));
            }
        }
    }
    Err(ContentError::GraphTooLarge {
        place: source.place(),
        root: root.digest,
        what: "indexes inside each other",
        limit: MAX_DEPTH,
    })
}

impl FoundImage {
    /// The manifests that have to be there for this image: its own, and of a cluster image those of the images that it
    /// carries, and the lock.
    pub fn roots(&self) -> Vec<Descriptor> {
        let own = &self.image.manifest_descriptor;
        let mut roots = vec![own.clone()];
        if let Some(platform) = &own.platform {
            for (what, bytes) in &self.indexes {
                // These bytes were parsed before.
                if let Ok(Manifest::Index(index)) = Manifest::parse(&what.media_type, bytes.clone()) {
                    roots.extend(crate::companions(index.value(), platform));
                }
            }
        }
        roots
    }

    /// The indexes that lead to the image, outermost first: their descriptors and bytes, verified.
    pub fn indexes(&self) -> &[(Descriptor, Vec<u8>)] {
        &self.indexes
    }
}

/// The platforms that a root has images for, as it lists them; attestations and carried images have none.
///
/// # Errors
/// When a document cannot be read.
pub fn platforms_of(source: &dyn Source, root: &Descriptor) -> Result<Vec<Platform>, ContentError> {
    let bytes = fetch_document(source, root)?;
    let manifest = Manifest::parse(&root.media_type, bytes).map_err(|error| ContentError::Document {
        place: source.place(),
        digest: root.digest,
        source: error.into(),
    })?;
    match manifest {
        Manifest::Image(manifest) => Ok(vec![with_config(source, root.clone(), *manifest)?.config.value().platform()]),
        Manifest::Index(index) => {
            let mut platforms: Vec<Platform> = Vec::new();
            let listed = index.value().manifests.iter().filter_map(|entry| entry.platform.clone());
            for platform in listed.filter(|platform| platform.os != "unknown") {
                if !platforms.contains(&platform) {
                    platforms.push(platform);
                }
            }
            Ok(platforms)
        }
    }
}

/// Copies one image of an index with the images that it carries, and the indexes that lead to it as they are: the root
/// can be named in the sink, and for this image (and others copied like it) no registry is needed any more. Their other
/// images are not there.
///
/// # Errors
/// As [`copy`]; the sink may refuse an index whose images are not all there.
pub fn copy_image(
    from: &dyn Source,
    to: &dyn Sink,
    found: &FoundImage,
    options: &CopyOptions,
    observer: &dyn Observer,
) -> Result<Copied, ContentError> {
    let copied = copy(from, to, &found.roots(), options, observer)?;
    for (what, bytes) in found.indexes.iter().rev() {
        to.publish(what, bytes)?;
    }
    Ok(copied)
}

fn with_config(
    source: &dyn Source,
    manifest_descriptor: Descriptor,
    manifest: Raw<ImageManifest>,
) -> Result<Image, ContentError> {
    let what = &manifest.value().config;
    let bytes = fetch_document(source, what)?;
    let config = ImageConfig::parse(bytes).map_err(|error| ContentError::Document {
        place: source.place(),
        digest: what.digest,
        source: error.into(),
    })?;
    let (layers, diff_ids) = (&manifest.value().layers, &config.value().rootfs.diff_ids);
    if layers.len() != diff_ids.len() {
        return Err(ContentError::LayerCount {
            place: source.place(),
            manifest: manifest_descriptor.digest,
            layers: layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let pair =
        |(descriptor, diff_id): (&Descriptor, &DiffId)| LayerInfo { descriptor: descriptor.clone(), diff_id: *diff_id };
    let layers = layers.iter().zip(diff_ids).map(pair).collect();
    Ok(Image { manifest, manifest_descriptor, config, layers })
}

fn no_platform(source: &dyn Source, root: &Descriptor, wanted: &Platform, there: &[Descriptor]) -> ContentError {
    let mut available: Vec<String> = Vec::new();
    for platform in there.iter().filter_map(|entry| entry.platform.as_ref()).filter(|p| p.os != "unknown") {
        let text = platform.to_string();
        if !available.contains(&text) {
            available.push(text);
        }
    }
    let available = if available.is_empty() { "none".to_owned() } else { available.join(", ") };
    let (place, name) = (source.place(), root.digest.to_string());
    ContentError::NoPlatform { place, name, wanted: wanted.to_string(), available }
}
