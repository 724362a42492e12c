//! From one form of carrying to the other.
//!
//! ```text
//! layer ─▶ native   blobs of `registry/` become blobs of the store, the directory goes out of the layers
//! native ─▶ layer   the carried images become a layer with `registry/` on top
//! ```
//!
//! Layers that hold nothing of `registry/` keep their digests. Bytes of carried images stay what they are; what is
//! taken out of a layer is hashed and compared with the digest that its path says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use content::layer::{LayerOptions, LayerReader, LayerWriter};
use content::tar::{Entry, EntryKind, TarReader, TarWriter};
use content::{
    Assembly, ClusterImage, ContentError, Disk, Image, ImageLock, Ingest, LayerInfo, LockedImage, LockedPlatform,
    Origin, Sink, assemble, fetch_document, load_image,
};
use oci::{Compression, Descriptor, Digest, History, ImageConfig, Manifest, MediaType, Platform, Reference};

use super::carrying::{CarriedForm, registry_layer};
use super::clock::rfc3339;
use super::error::BuildError;
use super::event::{BuildEvent, BuildObserver};
use super::image::{self, BuiltImage, store_image};
use super::layer::Layers;
use super::request::{CacheUse, Format};

/// Where the directory is in an image.
const TOP: &[u8] = b"registry/docker/registry/v2/";
const REGISTRY: &[u8] = b"registry";

/// What came of a conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The new root.
    pub root: Descriptor,
    /// How many images it carries.
    pub carried: usize,
}

/// Makes of an image of the store one that carries its images in another form. The result has no name.
///
/// # Errors
/// When the image is not whole, or its `registry/` is damaged.
pub fn convert(
    store: &Disk,
    root: &Descriptor,
    form: CarriedForm,
    timestamp: i64,
    observer: &dyn BuildObserver,
) -> Result<Converted, BuildError> {
    let whole = ClusterImage::load(store, root)?;
    let mut locked = whole.lock.clone();
    let mut built: Vec<BuiltImage> = Vec::new();
    let mut opened = Vec::new();
    for entry in &whole.roots {
        let own = entry.platform.clone().unwrap_or_else(Platform::host);
        if !store.has(entry)? {
            observer.event(&BuildEvent::Warning(format!("the image for {own} is not in the store; it is left out")));
            continue;
        }
        let image = load_image(store, entry, &own)?;
        let platform = image.config.value().platform();
        let platform = if platform.architecture.is_empty() { own } else { platform };
        let (image, tree) = Taken::of(store, &image, observer)?;
        let found = tree.images(store, &platform, observer)?;
        // The lock knows more of what both have.
        locked = ImageLock::new(found.into_iter().chain(locked.images.iter().cloned()));
        opened.push((image, platform));
    }
    for (image, platform) in opened {
        let mut config = image.config;
        let mut layers = image.layers;
        if form != CarriedForm::Native {
            let own = [platform.normalised().to_string()];
            let made = Layers::new(store, LayerOptions::default(), CacheUse::Use)?;
            if let Some(layer) = registry_layer(store, observer, &made, (&locked, &own), timestamp)? {
                layers.push(layer.info());
                config.history.push(History {
                    created: Some(rfc3339(timestamp)),
                    created_by: Some("sealos: carried images".to_owned()),
                    ..History::default()
                });
            }
        }
        config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        built.push(store_image(store, config, &layers, Format::Oci, &BTreeMap::new())?);
    }
    let carried = locked.images.len();
    let roots: Vec<Descriptor> = built.iter().map(|image| image.manifest.clone()).collect();
    let root = match (form, &built[..]) {
        (CarriedForm::Native, _) => {
            assemble(store, &Assembly { roots: &roots, lock: &locked, annotations: BTreeMap::new() })?
        }
        (_, [one]) => Descriptor { platform: None, ..one.manifest.clone() },
        (_, several) => image::store_index(store, several, Format::Oci, &BTreeMap::new())?,
    };
    Ok(Converted { root, carried })
}

/// An image without its `registry/`.
struct Taken {
    config: ImageConfig,
    layers: Vec<LayerInfo>,
}

/// Links of a `registry/`, by path; later layers win.
#[derive(Default)]
struct Links(BTreeMap<Vec<u8>, Digest>);

/// What a layer holds.
#[derive(Default)]
struct Seen {
    of_registry: bool,
    others: bool,
}

impl Taken {
    fn of(store: &Disk, image: &Image, observer: &dyn BuildObserver) -> Result<(Self, Links), BuildError> {
        let mut config = image.config.value().clone();
        let (mut layers, mut links) = (Vec::new(), Links::default());
        let mut dropped = BTreeSet::new();
        for (at, layer) in image.layers.iter().enumerate() {
            let seen = links.read(store, layer)?;
            match (seen.of_registry, seen.others) {
                (false, _) => layers.push(layer.clone()),
                (true, false) => drop(dropped.insert(at)),
                (true, true) => {
                    observer.event(&BuildEvent::Warning(format!(
                        "the layer {} is written anew without registry/",
                        layer.descriptor.digest
                    )));
                    layers.push(without_registry(store, layer)?);
                }
            }
        }
        // The step of a layer that is gone made none.
        for (number, step) in config.history.iter_mut().filter(|step| !step.empty_layer).enumerate() {
            step.empty_layer = dropped.contains(&number);
        }
        Ok((Self { config, layers }, links))
    }
}

impl Links {
    /// Takes the blobs of a layer's `registry/` into the store, and its links.
    fn read(&mut self, store: &Disk, layer: &LayerInfo) -> Result<Seen, BuildError> {
        let mut seen = Seen::default();
        let reader = LayerReader::open(store, &layer.descriptor)?.verify_diff_id(layer.diff_id)?;
        let mut tar = TarReader::new(reader);
        while let Some(entry) = tar.next().map_err(BuildError::Tar)? {
            if !is_registry(&entry.path) {
                // The image's own root is in every layer.
                seen.others |= !entry.path.is_empty();
                continue;
            }
            seen.of_registry = true;
            let Some(path) = entry.path.strip_prefix(TOP) else { continue };
            if let Some(hidden) = hidden(path) {
                self.0.retain(|path, _| !path.starts_with(&hidden));
                continue;
            }
            let EntryKind::File { size } = entry.kind else { continue };
            if let Some(digest) = blob(path) {
                take(store, digest, size, &mut tar)?;
            } else if path.ends_with(b"/link") && size < 256 {
                let mut text = String::new();
                let read = tar.read_to_string(&mut text);
                read.map_err(ContentError::io("read a link of registry/"))?;
                if let Ok(digest) = text.trim_end().parse() {
                    self.0.insert(path.to_vec(), digest);
                }
            }
        }
        tar.into_inner().finish()?;
        Ok(seen)
    }

    /// The images that tags point at.
    fn images(
        &self,
        store: &Disk,
        platform: &Platform,
        observer: &dyn BuildObserver,
    ) -> Result<Vec<LockedImage>, BuildError> {
        let mut images = Vec::new();
        for (path, digest) in &self.0 {
            let Some(name) = str::from_utf8(path).ok().and_then(tagged) else { continue };
            match locked(store, &name, digest, platform)? {
                Some(image) => images.push(image),
                None => observer.event(&BuildEvent::Warning(format!(
                    "`{name}` of registry/ is not whole for {platform}; it is not carried"
                ))),
            }
        }
        Ok(images)
    }
}

/// The entry of an image; none if it is not whole.
fn locked(
    store: &Disk,
    name: &Reference,
    digest: &Digest,
    platform: &Platform,
) -> Result<Option<LockedImage>, BuildError> {
    let Some(root) = describe(store, digest)? else { return Ok(None) };
    let manifest = match Manifest::parse(&root.media_type, fetch_document(store, &root)?) {
        Ok(Manifest::Index(index)) => index.value().select(platform).cloned(),
        Ok(Manifest::Image(_)) => Some(root.clone()),
        Err(_no_manifest) => None,
    };
    let Some(manifest) = manifest else { return Ok(None) };
    if !store.has(&manifest)? {
        return Ok(None);
    }
    let parsed = Manifest::parse(&manifest.media_type, fetch_document(store, &manifest)?);
    let children = parsed.map(|parsed| parsed.successors()).unwrap_or_default();
    for child in &children {
        if !store.has(child)? {
            return Ok(None);
        }
    }
    Ok(Some(LockedImage {
        reference: name.to_string(),
        normalised: name.normal(),
        digest: root.digest,
        media_type: root.media_type,
        size: root.size,
        platforms: vec![LockedPlatform {
            platform: platform.normalised().to_string(),
            digest: manifest.digest,
            media_type: manifest.media_type,
            size: manifest.size,
        }],
        origins: vec![Origin {
            file: "registry".to_owned(),
            line: None,
            what: name.to_string(),
            rule: "registry directory".to_owned(),
        }],
    }))
}

/// The descriptor of a manifest of the store of which only the digest is known.
fn describe(store: &Disk, digest: &Digest) -> Result<Option<Descriptor>, BuildError> {
    let path = store.blob_path(digest);
    let Ok(size) = std::fs::metadata(&path).map(|found| found.len()) else { return Ok(None) };
    let unknown = Descriptor::new("application/octet-stream", *digest, size);
    let bytes = fetch_document(store, &unknown)?;
    for media_type in
        [MediaType::OCI_INDEX, MediaType::OCI_MANIFEST, MediaType::DOCKER_LIST, MediaType::DOCKER_MANIFEST]
    {
        // A document says itself what it is, or has the fields of one of OCI's.
        let is_list = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok_and(|it| it["manifests"].is_array());
        let parsed = Manifest::parse(&media_type.into(), bytes.clone());
        if parsed.is_ok() && MediaType::from(media_type).is_index() == is_list {
            return Ok(Some(Descriptor::new(media_type, *digest, size)));
        }
    }
    Ok(None)
}

/// Stores a blob that a tar holds.
fn take(store: &Disk, digest: Digest, size: u64, content: &mut dyn Read) -> Result<(), BuildError> {
    let what = Descriptor::new("application/octet-stream", digest, size);
    if store.has(&what)? {
        return Ok(());
    }
    let mut ingest = Ingest::begin(store, Some(&what))?;
    let mut buffer = vec![0; 1 << 18];
    let mut skip = ingest.resume_at();
    loop {
        let read = content.read(&mut buffer).map_err(ContentError::io("read a blob of registry/"))?;
        if read == 0 {
            break;
        }
        // An earlier attempt has the beginning.
        let behind = usize::try_from(skip).unwrap_or(usize::MAX).min(read);
        skip -= behind as u64;
        ingest.take(&buffer[behind..read])?;
    }
    ingest.commit()?;
    Ok(())
}

/// A layer without what it has of `registry/`.
fn without_registry(store: &Disk, layer: &LayerInfo) -> Result<LayerInfo, BuildError> {
    let compression = layer.descriptor.media_type.compression();
    let options = LayerOptions {
        compression: if compression == Compression::None { Compression::Zstd } else { compression },
        ..LayerOptions::default()
    };
    let reader = LayerReader::open(store, &layer.descriptor)?.verify_diff_id(layer.diff_id)?;
    let (mut tar, mut output) = (TarReader::new(reader), TarWriter::new(LayerWriter::begin(store, &options)?));
    while let Some(entry) = tar.next().map_err(BuildError::Tar)? {
        if !is_registry(&entry.path) {
            append(&mut output, &entry, &mut tar)?;
        }
    }
    tar.into_inner().finish()?;
    let written = output.finish().map_err(BuildError::Tar)?.finish()?;
    Ok(LayerInfo { descriptor: written.descriptor, diff_id: written.diff_id })
}

fn append(output: &mut TarWriter<LayerWriter<'_>>, entry: &Entry, content: &mut dyn Read) -> Result<(), BuildError> {
    output.append(entry, content).map_err(BuildError::Tar)
}

fn is_registry(path: &[u8]) -> bool {
    path.strip_prefix(REGISTRY).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// What a whiteout takes away, as a prefix of paths.
fn hidden(path: &[u8]) -> Option<Vec<u8>> {
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let name = path[at..].strip_prefix(b".wh.")?;
    match name {
        b".wh..opq" => Some(path[..at].to_vec()),
        name => Some([&path[..at], name].concat()),
    }
}

/// The digest of a blob's file.
fn blob(path: &[u8]) -> Option<Digest> {
    let path = str::from_utf8(path).ok()?.strip_prefix("blobs/")?.strip_suffix("/data")?;
    let (algorithm, rest) = path.split_once('/')?;
    format!("{algorithm}:{}", rest.rsplit('/').next()?).parse().ok()
}

/// The name of a tag's file.
fn tagged(path: &str) -> Option<Reference> {
    let (repository, rest) = path.strip_prefix("repositories/")?.split_once("/_manifests/tags/")?;
    let tag = rest.strip_suffix("/current/link")?;
    crate::carry::tree_name(repository, tag)
}
