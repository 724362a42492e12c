//! One image as a flat directory, as other tools' `dir:` transport has it.
//!
//! ```text
//! manifest.json         the root: a manifest or an index
//! <hex>.manifest.json   a manifest that the index lists
//! <hex>                 a configuration or layer
//! version               a line of text
//! ```

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use oci::{Descriptor, Digest, Hasher, MediaType, Reference};
use serde::Deserialize;

use crate::unfinished::Unfinished;
use crate::{BlobReader, ContentError, Sink, Source, Upload, blob_dir, durable, fetch_document};

const VERSION: &str = "Directory Transport Version: 1.1\n";
const FORMAT: &str = "image directory";

/// A flat directory with one image.
#[derive(Debug)]
pub struct DockerDir {
    directory: PathBuf,
    /// None as long as the image is being written.
    root: Option<Descriptor>,
}

impl DockerDir {
    /// Opens an image directory.
    ///
    /// # Errors
    /// When there is no `manifest.json`, or it is none.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, ContentError> {
        let mut this = Self { directory: directory.into(), root: None };
        let path = this.directory.join("manifest.json");
        let bytes = fs::read(&path).map_err(ContentError::io(format!("read {}", path.display())))?;
        let media_type = media_type_of(&bytes).ok_or_else(|| ContentError::Format {
            place: Source::place(&this),
            format: FORMAT,
            reason: "manifest.json is neither a manifest nor an index".to_owned(),
        })?;
        this.root = Some(Descriptor::of(media_type, &bytes));
        Ok(this)
    }

    /// Makes an empty image directory.
    ///
    /// # Errors
    /// When it cannot be made, or is not empty.
    pub fn create(directory: impl Into<PathBuf>) -> Result<Self, ContentError> {
        let this = Self { directory: directory.into(), root: None };
        let place = Source::place(&this);
        let doing = || ContentError::io(format!("create {place}"));
        DirBuilder::new().recursive(true).mode(0o755).create(&this.directory).map_err(doing())?;
        if fs::read_dir(&this.directory).map_err(doing())?.next().is_some() {
            let reason = "the directory is not empty".to_owned();
            return Err(ContentError::Format { place, format: FORMAT, reason });
        }
        Ok(this)
    }

    /// An image directory that is being written: an empty one, or one that an interrupted attempt left.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn resume(directory: impl Into<PathBuf>) -> Result<Self, ContentError> {
        let this = Self { directory: directory.into(), root: None };
        let doing = || ContentError::io(format!("create {}", Source::place(&this)));
        DirBuilder::new().recursive(true).mode(0o755).create(&this.directory).map_err(doing())?;
        Ok(this)
    }

    /// The image.
    pub fn root(&self) -> Option<&Descriptor> {
        self.root.as_ref()
    }

    /// Makes a stored document the image: the last step of writing.
    ///
    /// # Errors
    /// When it is not there or cannot be written.
    pub fn set_root(&mut self, what: &Descriptor) -> Result<(), ContentError> {
        let bytes = fetch_document(self, what)?;
        let doing = || ContentError::io(format!("write manifest.json of {}", Source::place(self)));
        durable::replace(&self.directory.join("version"), VERSION.as_bytes()).map_err(doing())?;
        durable::replace(&self.directory.join("manifest.json"), &bytes).map_err(doing())?;
        durable::remove(&self.document(&what.digest)).map_err(doing())?;
        self.root = Some(what.clone());
        Ok(())
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.hex())
    }

    fn document(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{}.manifest.json", digest.hex()))
    }

    /// Where a blob or document lies.
    fn find(&self, digest: &Digest) -> PathBuf {
        let document = self.document(digest);
        match &self.root {
            Some(root) if root.digest == *digest => self.directory.join("manifest.json"),
            _ if document.exists() => document,
            _ => self.blob(digest),
        }
    }
}

/// What a manifest says it is, or what it must be by its fields.
fn media_type_of(bytes: &[u8]) -> Option<MediaType> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "mediaType")]
        media_type: Option<MediaType>,
        config: Option<Descriptor>,
        manifests: Option<serde_json::Value>,
    }
    let head: Head = serde_json::from_slice(bytes).ok()?;
    let guessed = match (head.manifests, head.config) {
        (Some(_), _) => MediaType::OCI_INDEX,
        (_, Some(config)) if config.media_type.as_str() == MediaType::DOCKER_CONFIG => MediaType::DOCKER_MANIFEST,
        (_, Some(_)) => MediaType::OCI_MANIFEST,
        _ => return None,
    };
    Some(head.media_type.filter(MediaType::is_manifest).unwrap_or_else(|| guessed.into()))
}

impl Source for DockerDir {
    fn place(&self) -> String {
        format!("the image directory {}", self.directory.display())
    }

    /// There are no names in an image directory.
    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        let (place, name) = (Source::place(self), name.familiar());
        Err(ContentError::UnknownImage { place, name, similar: Vec::new() })
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        blob_dir::open(&|| Source::place(self), &self.find(&what.digest), what, from)
    }
}

impl Sink for DockerDir {
    fn place(&self) -> String {
        Source::place(self)
    }

    fn has(&self, what: &Descriptor) -> Result<bool, ContentError> {
        match fs::metadata(self.find(&what.digest)) {
            Ok(found) => Ok(found.len() == what.size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ContentError::io(format!("look for {} in {}", what.digest, Source::place(self)))(error)),
        }
    }

    fn begin(&self, what: Option<&Descriptor>) -> Result<Box<dyn Upload + '_>, ContentError> {
        Ok(Box::new(Unfinished::begin(&self.directory, what, |digest: &Digest| self.blob(digest))?))
    }

    fn publish(&self, what: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
        let mut hasher = Hasher::new(what.digest.algorithm());
        hasher.update(bytes);
        let actual = hasher.finish();
        if actual != what.digest {
            return Err(ContentError::DigestMismatch { place: Source::place(self), expected: what.digest, actual });
        }
        let mut file = Unfinished::begin(&self.directory, None, |digest: &Digest| self.document(digest))?;
        let written = file.write_all(bytes).and_then(|()| file.keep(&what.digest));
        written.map_err(ContentError::io(format!("store {} in {}", what.digest, Source::place(self))))
    }

    fn tag(&self, _name: &Reference, _what: &Descriptor) -> Result<(), ContentError> {
        Err(ContentError::Unsupported { place: Source::place(self), verb: "keep names" })
    }
}
