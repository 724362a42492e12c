//! What an image is made of, as the page shows it.

use std::collections::{BTreeMap, BTreeSet};

use content::cluster_image::is_lock;
use content::{ImageLock, LockedImage, Origin};
use oci::{Descriptor, Digest, ImageConfig, MediaType};
use serde::Serialize;

use super::documents::{self, Manifest};
use crate::backend::{Backend, BackendError};
use crate::document::Document;
use crate::names::{Name, Which};

/// The annotation of a carried manifest: the platforms that it serves.
const CARRIED_FOR: &str = "io.sealos.carried.platform";
/// What `docker buildx` writes on attestations.
const ATTESTATION: &str = "vnd.docker.reference.type";
/// The most manifests of an index that are looked at.
const CHILDREN: usize = 4096;

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Kind {
    #[serde(rename = "cluster image")]
    ClusterImage,
    #[serde(rename = "image")]
    Image,
    #[serde(rename = "Helm chart")]
    Chart,
    #[serde(rename = "artifact")]
    Artifact,
}

/// One line of a list of tags.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) digest: Digest,
    pub(super) kind: Kind,
    pub(super) artifact_type: Option<String>,
    pub(super) platforms: Vec<String>,
    /// All blobs and manifests, each once, in bytes.
    pub(super) size: u64,
    pub(super) carried: usize,
    pub(super) created: Option<String>,
}

/// Everything about an image.
#[derive(Debug, Serialize)]
pub(super) struct Image {
    #[serde(flatten)]
    pub(super) summary: Summary,
    pub(super) media_type: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) parts: Vec<Part>,
    pub(super) carried_images: Vec<Carried>,
    pub(super) others: Vec<Other>,
    pub(super) referrers: Vec<Other>,
    pub(super) manifest: serde_json::Value,
}

/// The image of one platform, or an artifact.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) platform: Option<String>,
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Whether its manifest is here; an index may list what is not.
    pub(super) is_here: bool,
    pub(super) created: Option<String>,
    pub(super) runs: Vec<(&'static str, String)>,
    pub(super) environment: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) config: Option<Digest>,
    pub(super) layers: Vec<Layer>,
}

/// A layer.
#[derive(Debug, Serialize)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) media_type: String,
    pub(super) title: Option<String>,
    pub(super) made_by: Option<String>,
}

/// An image that a cluster image carries.
#[derive(Debug, Serialize)]
pub(super) struct Carried {
    pub(super) name: String,
    pub(super) written: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) platforms: Vec<(String, Digest)>,
    pub(super) origins: Vec<Origin>,
}

/// Something else that belongs to an image: a signature, an attestation.
#[derive(Debug, Serialize)]
pub(super) struct Other {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) kind: String,
    pub(super) annotations: BTreeMap<String, String>,
}

/// The entries of an index, sorted by what they are.
#[derive(Default)]
struct Sorted<'a> {
    parts: Vec<&'a Descriptor>,
    carried: Vec<&'a Descriptor>,
    lock: Option<&'a Descriptor>,
    others: Vec<&'a Descriptor>,
}

fn sort(document: &Document) -> Sorted<'_> {
    let mut sorted = Sorted::default();
    for entry in document.children.iter().take(CHILDREN) {
        let is_unknown = entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
        match () {
            () if is_lock(entry) => sorted.lock = Some(entry),
            () if entry.annotations.contains_key(CARRIED_FOR) => sorted.carried.push(entry),
            () if is_unknown || entry.annotations.contains_key(ATTESTATION) => sorted.others.push(entry),
            () => sorted.parts.push(entry),
        }
    }
    sorted
}

/// A place to look things up in.
#[derive(Clone, Copy)]
pub(super) struct Shelf<'a> {
    pub(super) backend: &'a dyn Backend,
    pub(super) name: &'a Name,
}

impl Shelf<'_> {
    /// One line about an image; none when it is not there.
    pub(super) fn summary(&self, which: &Which) -> Result<Option<Summary>, BackendError> {
        let Some(root) = documents::manifest(self.backend, self.name, which)? else { return Ok(None) };
        let mut sizes = BTreeMap::new();
        self.summarise(&root, &mut sizes).map(Some)
    }

    /// Everything about an image; none when it is not there.
    pub(super) fn image(&self, which: &Which) -> Result<Option<Image>, BackendError> {
        let Some(root) = documents::manifest(self.backend, self.name, which)? else { return Ok(None) };
        let summary = self.summarise(&root, &mut BTreeMap::new())?;
        let sorted = sort(&root.document);
        let parts = match root.document.is_index() {
            true => sorted.parts.iter().map(|entry| self.part(entry)).collect::<Result<Vec<_>, _>>()?,
            false => vec![self.part_of(&root, None, root.stored.digest)?],
        };
        let referrers = self.backend.referrers(self.name, &root.stored.digest)?;
        Ok(Some(Image {
            summary,
            media_type: root.stored.media_type.to_string(),
            annotations: root.document.annotations.clone(),
            parts,
            carried_images: self.carried(sorted.lock)?,
            others: sorted.others.iter().map(|entry| other(entry)).collect(),
            referrers: referrers.iter().map(other).collect(),
            manifest: serde_json::from_slice(&root.stored.bytes).unwrap_or_default(),
        }))
    }

    /// All blobs of an image, of all its platforms and of what it carries.
    pub(super) fn blobs(&self, which: &Which) -> Result<BTreeSet<Digest>, BackendError> {
        let Some(root) = documents::manifest(self.backend, self.name, which)? else { return Ok(BTreeSet::new()) };
        let mut sizes = BTreeMap::new();
        self.add(&root, &mut sizes)?;
        Ok(sizes.into_keys().collect())
    }

    fn summarise(&self, root: &Manifest, sizes: &mut BTreeMap<Digest, u64>) -> Result<Summary, BackendError> {
        self.add(root, sizes)?;
        let sorted = sort(&root.document);
        let first = match (root.document.is_index(), sorted.parts.first()) {
            (false, _) => None,
            (true, None) => None,
            (true, Some(entry)) => documents::child(self.backend, self.name, entry.digest)?,
        };
        let config = match (root.document.is_index(), &first) {
            (false, _) => self.config(root)?,
            (true, Some(first)) => self.config(first)?,
            (true, None) => None,
        };
        let listed = sorted.parts.iter().filter_map(|entry| entry.platform.as_ref());
        let mut platforms: Vec<String> = listed.map(ToString::to_string).collect();
        if platforms.is_empty() {
            platforms.extend(config.as_ref().filter(|config| !config.os.is_empty()).map(|c| c.platform().to_string()));
        }
        Ok(Summary {
            digest: root.stored.digest,
            kind: kind(&root.document, first.as_ref().map(|first| &first.document)),
            artifact_type: root.document.artifact_type.clone(),
            platforms,
            size: sizes.values().sum(),
            carried: self.lock(sorted.lock)?.map_or(0, |lock| lock.images.len()),
            created: created(&root.document, config.as_ref()),
        })
    }

    /// Adds the sizes of everything that a manifest needs and that is here.
    fn add(&self, manifest: &Manifest, sizes: &mut BTreeMap<Digest, u64>) -> Result<(), BackendError> {
        sizes.insert(manifest.stored.digest, manifest.stored.bytes.len() as u64);
        sizes.extend(manifest.document.blobs.iter().map(|blob| (blob.digest, blob.size)));
        for entry in manifest.document.children.iter().take(CHILDREN) {
            // What was seen needs no second look, and an index that lists itself ends.
            if sizes.contains_key(&entry.digest) {
                continue;
            }
            if let Some(child) = documents::child(self.backend, self.name, entry.digest)? {
                self.add(&child, sizes)?;
            }
        }
        Ok(())
    }

    fn config(&self, manifest: &Manifest) -> Result<Option<ImageConfig>, BackendError> {
        let Some(descriptor) = manifest.document.config() else { return Ok(None) };
        let is_image = matches!(descriptor.media_type.0.as_str(), MediaType::OCI_CONFIG | MediaType::DOCKER_CONFIG);
        let bytes = if is_image { documents::blob(self.backend, self.name, descriptor)? } else { None };
        Ok(bytes.and_then(|bytes| ImageConfig::parse(bytes).ok()).map(|config| config.value().clone()))
    }

    fn part(&self, entry: &Descriptor) -> Result<Part, BackendError> {
        let platform = entry.platform.as_ref().map(ToString::to_string);
        match documents::child(self.backend, self.name, entry.digest)? {
            Some(manifest) => self.part_of(&manifest, platform, entry.digest),
            None => Ok(Part {
                platform,
                digest: entry.digest,
                size: entry.size,
                is_here: false,
                created: None,
                runs: Vec::new(),
                environment: Vec::new(),
                labels: BTreeMap::new(),
                config: None,
                layers: Vec::new(),
            }),
        }
    }

    fn part_of(&self, manifest: &Manifest, platform: Option<String>, digest: Digest) -> Result<Part, BackendError> {
        let mut sizes = BTreeMap::new();
        self.add(manifest, &mut sizes)?;
        let config = self.config(manifest)?.unwrap_or_default();
        let own = Some(&config).filter(|config| !config.os.is_empty()).map(|config| config.platform().to_string());
        let mut steps = config.history.iter().filter(|step| !step.empty_layer);
        let layers = manifest.document.layers().iter().map(|layer| Layer {
            digest: layer.digest,
            size: layer.size,
            media_type: layer.media_type.to_string(),
            title: layer.annotations.get("org.opencontainers.image.title").cloned(),
            made_by: steps.next().and_then(|step| step.created_by.clone()),
        });
        Ok(Part {
            platform: platform.or(own),
            digest,
            size: sizes.values().sum(),
            is_here: true,
            created: created(&manifest.document, Some(&config)),
            layers: layers.collect(),
            runs: runs(&config),
            environment: config.config.env.clone(),
            labels: config.config.labels.clone(),
            config: manifest.document.config().map(|config| config.digest),
        })
    }

    fn lock(&self, entry: Option<&Descriptor>) -> Result<Option<ImageLock>, BackendError> {
        let Some(entry) = entry else { return Ok(None) };
        let Some(artifact) = documents::child(self.backend, self.name, entry.digest)? else { return Ok(None) };
        let Some(layer) = artifact.document.layers().first() else { return Ok(None) };
        let bytes = documents::blob(self.backend, self.name, layer)?;
        Ok(bytes.and_then(|bytes| ImageLock::parse(&bytes).ok()))
    }

    fn carried(&self, lock: Option<&Descriptor>) -> Result<Vec<Carried>, BackendError> {
        let images = self.lock(lock)?.map_or_else(Vec::new, |lock| lock.images);
        images.into_iter().map(|image| self.carried_image(image)).collect()
    }

    fn carried_image(&self, image: LockedImage) -> Result<Carried, BackendError> {
        let mut sizes = BTreeMap::new();
        for platform in &image.platforms {
            if let Some(manifest) = documents::child(self.backend, self.name, platform.digest)? {
                self.add(&manifest, &mut sizes)?;
            }
        }
        Ok(Carried {
            name: image.normalised,
            written: image.reference,
            digest: image.digest,
            size: sizes.values().sum(),
            platforms: image.platforms.into_iter().map(|platform| (platform.platform, platform.digest)).collect(),
            origins: image.origins,
        })
    }
}

fn kind(root: &Document, first: Option<&Document>) -> Kind {
    let config = first.unwrap_or(root).config().map(|config| config.media_type.0.as_str());
    match (root.artifact_type.as_deref(), config) {
        (Some(MediaType::CLUSTER_IMAGE), _) => Kind::ClusterImage,
        (_, Some(MediaType::OCI_CONFIG | MediaType::DOCKER_CONFIG)) => Kind::Image,
        (_, Some("application/vnd.cncf.helm.config.v1+json")) => Kind::Chart,
        _ => Kind::Artifact,
    }
}

/// When an image was made: its own word, else its configuration's; the epoch is no word at all.
fn created(document: &Document, config: Option<&ImageConfig>) -> Option<String> {
    let said = document.annotations.get("org.opencontainers.image.created");
    let said = said.or(config.and_then(|config| config.created.as_ref()));
    said.filter(|text| !text.starts_with("1970-01-01T00:00:00") && !text.starts_with("0001-")).cloned()
}

fn runs(config: &ImageConfig) -> Vec<(&'static str, String)> {
    let words =
        |list: &Option<Vec<String>>| list.iter().flatten().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let keys = |map: &BTreeMap<String, serde_json::Value>| map.keys().cloned().collect::<Vec<_>>().join(" ");
    let c = &config.config;
    let all = [
        ("Entry point", words(&c.entrypoint)),
        ("Command", words(&c.cmd)),
        ("Working directory", c.working_dir.clone()),
        ("User", c.user.clone()),
        ("Ports", keys(&c.exposed_ports)),
        ("Volumes", keys(&c.volumes)),
        ("Stop signal", c.stop_signal.clone().unwrap_or_default()),
        ("Author", config.author.clone().unwrap_or_default()),
    ];
    all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// A word as a shell would take it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn other(entry: &Descriptor) -> Other {
    let attested = entry.annotations.get(ATTESTATION).map(String::as_str);
    let kind = entry.artifact_type.as_deref().or(attested).unwrap_or(&entry.media_type.0);
    Other { digest: entry.digest, size: entry.size, kind: kind.to_owned(), annotations: entry.annotations.clone() }
}
