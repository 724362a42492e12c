//! What names stood for when they were last looked up: small records in the store's cache.
//!
//! A record is a hint. The store removes one whose document is gone.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use content::{ContentError, Disk, Sink, Source, fetch_document};
use oci::{Descriptor, Digest, Manifest, Reference};
use serde::{Deserialize, Serialize};

/// The records of a store.
pub(crate) struct Known<'a> {
    store: &'a Disk,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The normal name.
    name: String,
    root: Descriptor,
}

impl<'a> Known<'a> {
    pub(crate) fn new(store: &'a Disk) -> Self {
        Self { store }
    }

    /// What a name stood for, if its document is there.
    pub(crate) fn find(&self, name: &Reference) -> Result<Option<Descriptor>, ContentError> {
        // What cannot be read as a record is none.
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        let Ok(record) = serde_json::from_slice::<Record>(&bytes) else { return Ok(None) };
        let is_it = record.name == name.normal() && self.store.has(&record.root)?;
        Ok(is_it.then_some(record.root))
    }

    /// Records what a name stands for.
    pub(crate) fn remember(&self, name: &Reference, root: &Descriptor) -> Result<(), ContentError> {
        let record = Record { name: name.normal(), root: root.clone() };
        let path = self.path(name);
        let write = || {
            let directory = path.parent().unwrap_or(&path);
            fs::create_dir_all(directory)?;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&serde_json::to_vec(&record)?)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(ContentError::io(format!("write {}", path.display())))
    }

    fn path(&self, name: &Reference) -> PathBuf {
        let file = format!("{}.json", Digest::of(name.normal().as_bytes()).hex());
        self.store.cache_dir().join("names").join(file)
    }
}

/// Whether a manifest and everything it needs is in the store.
pub(crate) fn is_whole(store: &Disk, manifest: &Descriptor) -> Result<bool, ContentError> {
    if !store.has(manifest)? {
        return Ok(false);
    }
    let bytes = fetch_document(store, manifest)?;
    let parsed = Manifest::parse(&manifest.media_type, bytes).map_err(|error| ContentError::Document {
        place: Source::place(store),
        digest: manifest.digest,
        source: error.into(),
    })?;
    for child in parsed.successors() {
        // Foreign layers are had from their URLs.
        if !(store.has(&child)? || child.is_elsewhere()) {
            return Ok(false);
        }
    }
    Ok(true)
}
