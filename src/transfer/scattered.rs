//! An index whose images are in several places: the store, and the registries that they were added to a list from.
//!
//! Where an image came from is remembered in the store's cache, beside its manifest: it goes when the manifest goes.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use content::{BlobReader, ContentError, Disk, Sink, Source, fetch_document};
use oci::{Descriptor, Digest, Manifest, Reference};
use registry_client::{Client, Repository};
use serde::{Deserialize, Serialize};

use super::error::TransferError;
use super::lists::document;

/// Where an image of a list came from.
#[derive(Serialize, Deserialize)]
struct Provenance {
    manifest: Descriptor,
    name: String,
}

fn provenance(store: &Disk, digest: &Digest) -> PathBuf {
    store.cache_dir().join("sources").join(format!("{}.json", digest.hex()))
}

/// Remembers where an image is whose manifest the store has.
///
/// # Errors
/// When that cannot be written.
pub(super) fn remember(store: &Disk, manifest: &Descriptor, name: &Reference) -> Result<(), TransferError> {
    let path = provenance(store, &manifest.digest);
    let doing = |source| TransferError::Io { doing: format!("write {}", path.display()), source };
    let record = Provenance { manifest: manifest.clone(), name: name.familiar() };
    let bytes = serde_json::to_vec(&record).map_err(|error| doing(error.into()))?;
    let directory = store.cache_dir().join("sources");
    fs::create_dir_all(&directory).map_err(doing)?;
    let mut file = tempfile::NamedTempFile::new_in(&directory).map_err(doing)?;
    std::io::Write::write_all(&mut file, &bytes).map_err(doing)?;
    file.persist(&path).map_err(|error| doing(error.error))?;
    Ok(())
}

fn recall(store: &Disk, digest: &Digest) -> Option<Reference> {
    let record: Provenance = serde_json::from_slice(&fs::read(provenance(store, digest)).ok()?).ok()?;
    record.name.parse().ok()
}

/// The store, and registries for what it does not have of the images of a list.
pub(crate) struct Scattered<'a> {
    store: &'a Disk,
    repositories: Vec<Repository<'a>>,
    /// Which repository has a blob.
    blobs: HashMap<Digest, usize>,
    names: Vec<Reference>,
}

impl<'a> Scattered<'a> {
    /// The places of a list's images; none if all of them came from the store.
    ///
    /// # Errors
    /// When a document cannot be read.
    pub(crate) fn of(store: &'a Disk, root: &Descriptor, client: &'a Client) -> Result<Option<Self>, TransferError> {
        if !root.media_type.is_index() {
            return Ok(None);
        }
        let mut scattered = Self { store, repositories: Vec::new(), blobs: HashMap::new(), names: Vec::new() };
        let parsed = Manifest::parse(&root.media_type, fetch_document(store, root)?);
        for child in parsed.map_err(|error| document(store, root, error.into()))?.successors() {
            let Some(name) = recall(store, &child.digest) else { continue };
            if !store.has(&child)? {
                continue;
            }
            let bytes = fetch_document(store, &child)?;
            let parsed = Manifest::parse(&child.media_type, bytes).map_err(|e| document(store, &child, e.into()))?;
            let at = scattered.repositories.len();
            scattered.repositories.push(client.repository(&name)?);
            scattered.names.push(name);
            scattered.blobs.extend(parsed.successors().iter().map(|blob| (blob.digest, at)));
        }
        Ok(Some(scattered).filter(|scattered| !scattered.repositories.is_empty()))
    }

    /// The store.
    pub(crate) fn store(&self) -> &Disk {
        self.store
    }

    /// The repositories that images of the list were added from.
    pub(crate) fn names(&self) -> &[Reference] {
        &self.names
    }
}

impl Source for Scattered<'_> {
    fn place(&self) -> String {
        Source::place(self.store)
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        self.store.resolve(name)
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        match (self.store.fetch(what, from), self.blobs.get(&what.digest)) {
            (Err(ContentError::MissingBlob { .. }), Some(at)) => self.repositories[*at].fetch(what, from),
            (found, _) => found,
        }
    }
}
