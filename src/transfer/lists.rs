//! Lists of images that users put together: indexes in the store.
//!
//! ```text
//! create, add, annotate, remove ── the index's JSON, changed where it has to be ──▶ store, under the list's name
//! push ── images from the store, and from the registries that they were added from ──▶ target
//! ```
//!
//! An image that was added from a registry is not pulled: its manifest and configuration are kept, and where it came
//! from (see `scattered`). Changing a list is one transaction beside others.

use std::fs::File;

use content::{ContentError, Disk, Sink, Source, Store, cluster_image, fetch_document, store_bytes};
use oci::{Descriptor, Digest, ImageConfig, Index, Manifest, MediaType, Platform, Raw, Reference};
use serde_json::{Map, Value, json};

use super::choose::{Platforms, choose};
use super::error::TransferError;
use super::places::Origin;
use super::scattered::remember;

/// What a user says about an image of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) os: Option<String>,
    pub(crate) architecture: Option<String>,
    pub(crate) variant: Option<String>,
    pub(crate) os_version: Option<String>,
    pub(crate) os_features: Vec<String>,
    /// Features of the processor, which Docker's lists have.
    pub(crate) features: Vec<String>,
    pub(crate) annotations: Vec<(String, String)>,
}

/// A list that is being changed. Nobody else changes one in this store meanwhile.
pub(crate) struct List<'a> {
    store: &'a Disk,
    name: Reference,
    document: Value,
    /// The root as it was before.
    before: Option<Descriptor>,
    _lock: File,
}

impl<'a> List<'a> {
    /// A new, empty list.
    ///
    /// # Errors
    /// When the name is taken, unless by a list and `amend` says that that one is meant.
    pub(crate) fn create(store: &'a Disk, name: &Reference, amend: Amend) -> Result<Self, TransferError> {
        let lock = lock(store)?;
        match (store.find(&name.familiar()), amend) {
            (Ok(record), Amend::Existing) if record.root.media_type.is_index() => {
                drop(lock);
                Self::open(store, &name.familiar())
            }
            (Ok(_), _) => Err(TransferError::NameTaken { name: name.clone() }),
            (Err(ContentError::UnknownImage { .. }), _) => {
                let document = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": []});
                Ok(Self { store, name: name.clone(), document, before: None, _lock: lock })
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// A list of the store.
    ///
    /// # Errors
    /// When there is none, or it is an image.
    pub(crate) fn open(store: &'a Disk, text: &str) -> Result<Self, TransferError> {
        let lock = lock(store)?;
        let record = store.find(text)?;
        if !record.root.media_type.is_index() {
            return Err(TransferError::NotAList { name: text.to_owned() });
        }
        let name = match record.name {
            Some(name) => name,
            None => return Err(TransferError::NoName { id: text.to_owned() }),
        };
        let bytes = fetch_document(store, &record.root)?;
        let document = serde_json::from_slice(&bytes).map_err(|source| invalid(&name, source))?;
        Ok(Self { store, name, document, before: Some(record.root), _lock: lock })
    }

    /// Adds the images of an origin; their digests.
    ///
    /// # Errors
    /// When an image cannot be read, or there is none for the platform.
    pub(crate) fn add(
        &mut self,
        origin: &Origin<'_>,
        platforms: &Platforms,
        facts: &Facts,
    ) -> Result<Vec<Digest>, TransferError> {
        let image = origin.image()?;
        let source = origin.source();
        let shown = image.name.as_ref().map_or_else(|| image.root.digest.to_string(), Reference::familiar);
        let entries = self.entries_of(source, &image.root, &shown, platforms)?;
        let mut added = Vec::new();
        for entry in entries {
            if origin.store().is_none() {
                self.keep_documents(source, &entry, image.name.as_ref())?;
            }
            let entry = match entry.media_type.is_image_manifest() {
                true => cluster_image::with_compression(self.store, entry)?,
                false => entry,
            };
            let digest = entry.digest;
            let mut value = serde_json::to_value(&entry).map_err(|error| invalid(&self.name, error))?;
            describe(&mut value, facts);
            let manifests = self.manifests()?;
            match manifests.iter_mut().find(|known| known["digest"] == digest.to_string()) {
                Some(known) => *known = value,
                None => manifests.push(value),
            }
            added.push(digest);
        }
        Ok(added)
    }

    /// What an image adds to a list: its manifest with its platform; of an index, those of the platforms.
    fn entries_of(
        &self,
        source: &dyn Source,
        root: &Descriptor,
        shown: &str,
        platforms: &Platforms,
    ) -> Result<Vec<Descriptor>, TransferError> {
        let bytes = fetch_document(source, root)?;
        let parsed = Manifest::parse(&root.media_type, bytes).map_err(|error| document(source, root, error.into()))?;
        match parsed {
            Manifest::Image(image) => {
                let config = &image.value().config;
                let mut entry = Descriptor { platform: None, annotations: Default::default(), ..root.clone() };
                if config.media_type.is_config() {
                    let parsed = ImageConfig::parse(fetch_document(source, config)?);
                    let parsed = parsed.map_err(|error| document(source, config, error.into()))?;
                    entry.platform = Some(parsed.value().platform()).filter(|own| !own.architecture.is_empty());
                } else {
                    entry.artifact_type = image.value().artifact_type.clone().or(Some(config.media_type.0.clone()));
                }
                Ok(vec![entry])
            }
            Manifest::Index(index) if *platforms == Platforms::All => Ok(index.value().manifests.clone()),
            Manifest::Index(_) => Ok(choose(source, root, shown, platforms)?.chosen),
        }
    }

    /// Keeps an image's documents, and where its layers are.
    fn keep_documents(
        &self,
        source: &dyn Source,
        entry: &Descriptor,
        name: Option<&Reference>,
    ) -> Result<(), TransferError> {
        let bytes = fetch_document(source, entry)?;
        let parsed =
            Manifest::parse(&entry.media_type, bytes).map_err(|error| document(source, entry, error.into()))?;
        if let Manifest::Image(image) = &parsed
            && image.value().config.media_type.is_config()
        {
            let config = &image.value().config;
            store_bytes(self.store, config, &fetch_document(source, config)?)?;
        }
        self.store.publish(entry, parsed.bytes())?;
        if let Some(name) = name {
            remember(self.store, entry, &name.with_digest(entry.digest))?;
        }
        Ok(())
    }

    /// Says more about an image of the list.
    ///
    /// # Errors
    /// When it is not in the list.
    pub(crate) fn annotate(&mut self, image: &str, facts: &Facts) -> Result<Digest, TransferError> {
        let digest = self.find(image)?;
        let is_it = |known: &&mut Value| known["digest"] == digest.to_string();
        self.manifests()?.iter_mut().find(is_it).into_iter().for_each(|entry| describe(entry, facts));
        Ok(digest)
    }

    /// Says something about the list itself.
    pub(crate) fn annotate_all(&mut self, annotations: &[(String, String)]) {
        if !annotations.is_empty() {
            put_annotations(&mut self.document, annotations);
        }
    }

    /// Takes an image out of the list.
    ///
    /// # Errors
    /// When it is not in the list.
    pub(crate) fn remove(&mut self, image: &str) -> Result<Digest, TransferError> {
        let digest = self.find(image)?;
        self.manifests()?.retain(|entry| entry["digest"] != digest.to_string());
        Ok(digest)
    }

    /// The image of the list that is meant: by its digest, or by a name in the store.
    fn find(&mut self, image: &str) -> Result<Digest, TransferError> {
        let named = self.store.find(image).ok().map(|record| record.root.digest.to_string());
        let (list, bare) = (self.name.familiar(), image.rsplit('@').next().unwrap_or(image));
        let entries = self.manifests()?.iter();
        let is_it = |digest: &&str| *digest == bare || Some(*digest) == named.as_deref();
        let found = entries.filter_map(|entry| entry["digest"].as_str()).find(is_it).and_then(|text| text.parse().ok());
        found.ok_or_else(|| TransferError::NotInList { list, image: image.to_owned() })
    }

    fn manifests(&mut self) -> Result<&mut Vec<Value>, TransferError> {
        let name = self.name.familiar();
        self.document.get_mut("manifests").and_then(Value::as_array_mut).ok_or(TransferError::NotAList { name })
    }

    /// Stores the list under its name; what it is now.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub(crate) fn store(self) -> Result<Descriptor, TransferError> {
        let media_type = self.document["mediaType"].as_str().unwrap_or(MediaType::OCI_INDEX).to_owned();
        let bytes = serde_json::to_vec(&self.document).map_err(|error| invalid(&self.name, error))?;
        Raw::<Index>::parse(bytes.clone()).map_err(|error| invalid(&self.name, error))?;
        let root = Descriptor::of(media_type.as_str(), &bytes);
        self.store.publish(&root, &bytes)?;
        self.store.tag(&self.name, &root)?;
        // What the list was before is no image that anybody made.
        if let Some(before) = self.before.filter(|before| before.digest != root.digest) {
            let records = self.store.records()?;
            if records.iter().all(|other| other.root.digest != before.digest || other.name.is_none()) {
                self.store.forget(&before.digest)?;
            }
        }
        Ok(root)
    }
}

/// Whether a list of that name may be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amend {
    /// It may; it is gone on with.
    Existing,
    /// It may not.
    New,
}

fn lock(store: &Disk) -> Result<File, TransferError> {
    let path = store.cache_dir().join("lists.lock");
    let doing = |source| TransferError::Io { doing: format!("lock {}", path.display()), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(doing)?;
    file.lock().map_err(doing)?;
    Ok(file)
}

fn invalid(name: &Reference, source: serde_json::Error) -> TransferError {
    TransferError::Document { place: name.familiar(), source }
}

pub(super) fn document(source: &dyn Source, what: &Descriptor, error: content::DocumentKind) -> ContentError {
    ContentError::Document { place: source.place(), digest: what.digest, source: error }
}

/// Puts what a user says into an entry.
fn describe(entry: &mut Value, facts: &Facts) {
    let texts = [
        ("os", &facts.os),
        ("architecture", &facts.architecture),
        ("variant", &facts.variant),
        ("os.version", &facts.os_version),
    ];
    let lists = [("os.features", &facts.os_features), ("features", &facts.features)];
    if texts.iter().any(|(_, text)| text.is_some()) || lists.iter().any(|(_, list)| !list.is_empty()) {
        let host = Platform::host();
        let fresh = json!({"os": host.os, "architecture": host.architecture});
        let platform = &mut entry["platform"];
        if !platform.is_object() {
            *platform = fresh;
        }
        for (key, text) in texts {
            if let Some(text) = text {
                platform[key] = text.as_str().into();
            }
        }
        for (key, list) in lists {
            if !list.is_empty() {
                platform[key] = json!(list);
            }
        }
    }
    if !facts.annotations.is_empty() {
        put_annotations(entry, &facts.annotations);
    }
}

fn put_annotations(target: &mut Value, annotations: &[(String, String)]) {
    let all = &mut target["annotations"];
    if !all.is_object() {
        *all = Value::Object(Map::new());
    }
    for (key, value) in annotations {
        all[key.as_str()] = value.as_str().into();
    }
}
