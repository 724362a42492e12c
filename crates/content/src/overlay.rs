//! A source with a few more documents or blobs than it has: what was made of an image on the way.

use std::collections::HashMap;

use oci::{Descriptor, Digest, Reference};

use crate::{BlobReader, ContentError, Source};

/// A source, documents that were made, and another source for blobs that were made.
pub struct Overlay<'a> {
    base: &'a dyn Source,
    documents: HashMap<Digest, Vec<u8>>,
    blobs: Option<&'a dyn Source>,
}

impl<'a> Overlay<'a> {
    /// The source with these documents.
    pub fn new(base: &'a dyn Source, documents: impl IntoIterator<Item = (Descriptor, Vec<u8>)>) -> Self {
        let documents = documents.into_iter().map(|(what, bytes)| (what.digest, bytes)).collect();
        Self { base, documents, blobs: None }
    }

    /// The same, with blobs that are looked for in `blobs` first.
    #[must_use]
    pub fn with_blobs(mut self, blobs: &'a dyn Source) -> Self {
        self.blobs = Some(blobs);
        self
    }
}

impl Source for Overlay<'_> {
    fn place(&self) -> String {
        self.base.place()
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        self.base.resolve(name)
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        if let Some(bytes) = self.documents.get(&what.digest) {
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            return Ok(Box::new(&bytes[from..]));
        }
        match self.blobs.map(|blobs| blobs.fetch(what, from)) {
            None | Some(Err(ContentError::MissingBlob { .. })) => self.base.fetch(what, from),
            Some(found) => found,
        }
    }
}
