//! An OCI image layout in a directory, made by any tool, read and written without the directories of a store.
//!
//! Invariants: a blob gets its name after its bytes were hashed; `index.json` is replaced as a whole under a lock on the
//! directory. What an interrupted upload leaves is hidden beside the blobs, for the next attempt.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use oci::{Algorithm, Descriptor, Digest, Reference};

use crate::blob_dir::{self, BlobDir};
use crate::roots::{self, Roots};
use crate::unfinished::Unfinished;
use crate::{BlobReader, ContentError, Ingest, Named, Sink, Source, Upload, durable};

/// An OCI image layout.
#[derive(Debug)]
pub struct Layout {
    directory: PathBuf,
    blobs: BlobDir,
}

impl Layout {
    /// Opens a layout.
    ///
    /// # Errors
    /// When the directory is none, or of an unknown version.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, ContentError> {
        let layout = Self::at(directory.into());
        let place = Source::place(&layout);
        let marker = layout.directory.join(roots::MARKER);
        match fs::read(&marker) {
            Ok(bytes) => roots::check_marker(&place, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let reason = format!("{} is missing", roots::MARKER);
                return Err(ContentError::Format { place, format: roots::FORMAT, reason });
            }
            Err(error) => return Err(ContentError::io(format!("read {}", marker.display()))(error)),
        }
        layout.read()?;
        Ok(layout)
    }

    /// Opens a layout, or makes an empty one where there is nothing.
    ///
    /// # Errors
    /// When it cannot be made, or the directory holds something else.
    pub fn create(directory: impl Into<PathBuf>) -> Result<Self, ContentError> {
        let layout = Self::at(directory.into());
        if layout.directory.join(roots::MARKER).exists() {
            return Self::open(layout.directory);
        }
        let place = Source::place(&layout);
        let doing = || ContentError::io(format!("create {place}"));
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755).create(&layout.directory).map_err(doing())?;
        if fs::read_dir(&layout.directory).map_err(doing())?.next().is_some() {
            let reason = "the directory holds something else".to_owned();
            return Err(ContentError::Format { place, format: roots::FORMAT, reason });
        }
        builder.create(layout.blobs.algorithm(Algorithm::Sha256)).map_err(doing())?;
        layout.write(&Roots::empty())?;
        durable::replace(&layout.directory.join(roots::MARKER), roots::MARKER_TEXT).map_err(doing())?;
        Ok(layout)
    }

    fn at(directory: PathBuf) -> Self {
        let blobs = BlobDir::new(directory.join("blobs"));
        Self { directory, blobs }
    }

    /// The roots, each with its name if it has one.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn images(&self) -> Result<Vec<Named>, ContentError> {
        Ok(self.read()?.named())
    }

    /// What roots are called letter by letter: names, or bare tags.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn labels(&self) -> Result<Vec<(String, Descriptor)>, ContentError> {
        Ok(self.read()?.labels())
    }

    /// Calls a root so, letter by letter, as tools look for it that know a layout's images by tags.
    ///
    /// # Errors
    /// When the root is not there or the list cannot be written.
    pub fn label(&self, label: &str, what: &Descriptor) -> Result<(), ContentError> {
        self.change(what, |roots| roots.set_label(label, what))
    }

    /// Adds a root without a name.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn add_root(&self, what: &Descriptor) -> Result<(), ContentError> {
        self.change(what, |roots| {
            roots.add(roots::entry(None, what));
        })
    }

    fn read(&self) -> Result<Roots, ContentError> {
        let path = self.directory.join(roots::INDEX);
        let bytes = fs::read(&path).map_err(ContentError::io(format!("read {}", path.display())))?;
        Roots::parse(&Source::place(self), &bytes)
    }

    fn write(&self, roots: &Roots) -> Result<(), ContentError> {
        let place = Source::place(self);
        let bytes = roots.bytes(&place)?;
        let written = self.blobs.sync().and_then(|()| durable::replace(&self.directory.join(roots::INDEX), &bytes));
        written.map_err(ContentError::io(format!("write {} of {place}", roots::INDEX)))
    }

    fn change(&self, what: &Descriptor, change: impl FnOnce(&mut Roots)) -> Result<(), ContentError> {
        if !self.has(what)? {
            return Err(ContentError::MissingBlob { place: Source::place(self), digest: what.digest });
        }
        let doing = || ContentError::io(format!("lock {}", self.directory.display()));
        let lock = File::open(&self.directory).map_err(doing())?;
        lock.lock().map_err(doing())?;
        let mut roots = self.read()?;
        change(&mut roots);
        self.write(&roots)
    }
}

impl Source for Layout {
    fn place(&self) -> String {
        format!("the layout {}", self.directory.display())
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        let roots = self.read()?;
        let found = roots.resolve(name).map(roots::bare);
        found.ok_or_else(|| roots.unknown(Source::place(self), &name.familiar()))
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        blob_dir::open(&|| Source::place(self), &self.blobs.path(&what.digest), what, from)
    }
}

impl Sink for Layout {
    fn place(&self) -> String {
        Source::place(self)
    }

    fn has(&self, what: &Descriptor) -> Result<bool, ContentError> {
        let size = self.blobs.size(&what.digest);
        let size = size.map_err(ContentError::io(format!("look for {} in {}", what.digest, Source::place(self))))?;
        Ok(size == Some(what.size))
    }

    fn begin(&self, what: Option<&Descriptor>) -> Result<Box<dyn Upload + '_>, ContentError> {
        let algorithm = what.map_or(Algorithm::Sha256, |what| what.digest.algorithm());
        let place = |digest: &Digest| self.blobs.path(digest);
        Ok(Box::new(Unfinished::begin(&self.blobs.algorithm(algorithm), what, place)?))
    }

    fn publish(&self, what: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
        let mut ingest = Ingest::begin(self, Some(what))?;
        ingest.take(bytes)?;
        ingest.commit().map(drop)
    }

    fn tag(&self, name: &Reference, what: &Descriptor) -> Result<(), ContentError> {
        self.change(what, |roots| roots.set(name, roots::entry(Some(name), what)))
    }
}
