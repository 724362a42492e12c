//! Where carried images come from: registries, files, directories and other programs' stores, all as sources.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

use content::{BlobReader, ContentError, Source};
use oci::{Descriptor, Digest, Reference};

use crate::discover::From;

/// Gives the places that images come from. Implemented by whoever knows registries and other programs.
pub trait Repositories: Sync {
    /// The repository that a name is in.
    ///
    /// # Errors
    /// When its registry cannot be spoken to.
    fn open(&self, name: &Reference) -> Result<Box<dyn Source + '_>, ContentError>;

    /// An image of another program's store.
    ///
    /// # Errors
    /// When the program or its image is not there.
    fn foreign(&self, from: From, name: &Reference) -> Result<Foreign, ContentError>;
}

/// An image of another program's store: the source that it is read from, and what its name stands for there.
pub type Foreign = (Box<dyn Source>, Descriptor);

/// Where an image is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The registry that its name says.
    Registry,
    /// One of the sources that are open: its number, and the root there.
    Open(usize, Box<Descriptor>),
}

/// All places.
pub(crate) struct Places<'a> {
    pub(crate) registries: &'a dyn Repositories,
    /// Files, directories and other stores, opened.
    pub(crate) open: Vec<Box<dyn Source + 'a>>,
}

impl Places<'_> {
    /// The source that an image is in.
    pub(crate) fn open(&self, name: &Reference, place: &Place) -> Result<Box<dyn Source + '_>, ContentError> {
        match place {
            Place::Registry => self.registries.open(name),
            Place::Open(number, _) => match self.open.get(*number) {
                Some(source) => Ok(Box::new(Borrowed(&**source))),
                None => Err(ContentError::UnknownImage {
                    place: "what is open".to_owned(),
                    name: name.familiar(),
                    similar: Vec::new(),
                }),
            },
        }
    }

    /// What a name stands for there.
    pub(crate) fn resolve(
        &self,
        name: &Reference,
        place: &Place,
        source: &dyn Source,
    ) -> Result<Descriptor, ContentError> {
        match place {
            Place::Registry => source.resolve(name),
            Place::Open(_, root) => Ok((**root).clone()),
        }
    }
}

/// A source that somebody else owns.
pub(crate) struct Borrowed<'a>(pub(crate) &'a dyn Source);

impl Source for Borrowed<'_> {
    fn place(&self) -> String {
        self.0.place()
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        self.0.resolve(name)
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        self.0.fetch(what, from)
    }
}

/// A source whose documents are read once.
pub(crate) struct Cached<S> {
    inner: S,
    documents: Mutex<BTreeMap<Digest, Vec<u8>>>,
}

/// What is kept; layers are not documents.
const LARGEST: u64 = 4 << 20;

impl<'a> Cached<Box<dyn Source + 'a>> {
    /// With documents that were read before.
    pub(crate) fn with(inner: Box<dyn Source + 'a>, documents: BTreeMap<Digest, Vec<u8>>) -> Self {
        Self { inner, documents: Mutex::new(documents) }
    }
}

impl<'a> Cached<&'a dyn Source> {
    pub(crate) fn new(inner: &'a dyn Source) -> Self {
        Self { inner, documents: Mutex::default() }
    }

    pub(crate) fn into_documents(self) -> BTreeMap<Digest, Vec<u8>> {
        self.documents.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Anything that leads to a source.
pub(crate) trait AsSource: Send + Sync {
    fn source(&self) -> &dyn Source;
}

impl AsSource for &dyn Source {
    fn source(&self) -> &dyn Source {
        *self
    }
}

impl AsSource for Box<dyn Source + '_> {
    fn source(&self) -> &dyn Source {
        &**self
    }
}

impl<S: AsSource> Source for Cached<S> {
    fn place(&self) -> String {
        self.inner.source().place()
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        self.inner.source().resolve(name)
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        let is_document = (what.media_type.is_manifest() || what.media_type.is_config()) && what.size <= LARGEST;
        if !is_document {
            return self.inner.source().fetch(what, from);
        }
        let known = self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(&what.digest).cloned();
        let bytes = match known {
            Some(bytes) => bytes,
            None => {
                // Verified by whoever takes it; what is kept was verified here.
                let bytes = content::fetch_document(self.inner.source(), what)?;
                let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
                documents.insert(what.digest, bytes.clone());
                bytes
            }
        };
        let mut cursor = Cursor::new(bytes);
        cursor.set_position(from);
        Ok(Box::new(cursor))
    }
}
