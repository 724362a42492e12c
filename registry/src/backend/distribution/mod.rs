//! A docker-distribution tree: what `registry:2` and `registry:3` keep on their disk or in their bucket, and what the
//! images of existing cluster images lie in. Both can work on the same tree in turn.
//!
//! Invariants: a blob's bytes come before its link, a manifest's before its revision, that before a tag: a crash leaves
//! nothing that points at nothing. A link's content counts, not its path: a blob that was pushed by its SHA-512 digest
//! lies under its SHA-256 digest, and both links name that one. Links are written without a line end; with one they are
//! read all the same, and an empty or broken one is as if it were not there.
//!
//! Nothing is remembered about what other processes can change without asking the disk again: a manifest's bytes are
//! kept in memory by digest, but that the repository has it is looked up with every request.

mod cache;
mod catalog;
mod gc;
mod paths;
mod read;
mod referrers;
mod scrub;
mod tags;
mod upload;
mod write;

use std::io;
use std::path::Path;
use std::time::Duration;

use oci::Digest;
use registry_client::{Bucket, RegistryError};

pub use gc::{Collected, GcOptions, Leftovers, Pruning, Step, Untagged};
pub use scrub::{Repair, Scrubbed};

use super::tree::bucket::BucketTree;
use super::tree::disk::DiskTree;
use super::tree::memory::MemoryTree;
use super::tree::{Tree, Writing};
use super::{Backend, BackendError, Blob, Stored, Writer};
use crate::names::{Name, Tag, Which};
use std::sync::Arc;

/// Where the tree begins in a registry's directory.
const TREE: &str = "docker/registry/v2";
/// Where this registry keeps what is not of the layout.
const OWN: &str = "docker/registry/sealos";
/// A link is a digest, and perhaps a line end.
const LINK_LIMIT: u64 = 256;
/// No manifest is larger.
const MANIFEST_LIMIT: u64 = 64 << 20;
/// A blob that somebody relies on is touched unless that was done so recently: garbage collection sees that it is used.
const TOUCH: Duration = Duration::from_secs(300);

/// A registry in docker-distribution's layout.
pub struct Distribution(Arc<Inner>);

struct Inner {
    tree: Box<dyn Tree>,
    /// Where the names of blobs by other algorithms are noted.
    own: Box<dyn Tree>,
    cache: cache::Cache,
    catalog: catalog::Catalog,
    tags: tags::TagLists,
    referrers: referrers::Referrers,
}

impl Distribution {
    /// Opens the registry in a directory, making it where there is none.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn open(directory: &Path) -> Result<Self, BackendError> {
        let failed = || BackendError::io(format!("open the registry in {}", directory.display()));
        let own = directory.join(OWN);
        let tree = DiskTree::writing(directory.join(TREE), own.join("locks")).map_err(failed())?;
        let own = DiskTree::writing(&own, own.join("locks")).map_err(failed())?;
        Ok(Self::over(Box::new(tree), Box::new(own)))
    }

    /// Opens the registry in a directory, only to be read: nothing is created and nothing is touched.
    ///
    /// # Errors
    /// When there is none.
    pub fn open_to_read(directory: &Path) -> Result<Self, BackendError> {
        let tree = directory.join(TREE);
        let failed = BackendError::io(format!("open the registry in {}", directory.display()));
        match tree.is_dir() {
            true => Ok(Self::over(Box::new(DiskTree::reading(tree)), Box::new(DiskTree::reading(directory.join(OWN))))),
            false => Err(failed(io::ErrorKind::NotFound.into())),
        }
    }

    /// An empty registry in memory.
    pub fn in_memory() -> Self {
        Self::over(Box::new(MemoryTree::default()), Box::new(MemoryTree::default()))
    }

    /// The registry in a bucket, in the layout of docker-distribution's `s3` driver.
    ///
    /// # Errors
    /// When there is no such bucket, it may not be used, or its store does not answer.
    pub fn in_bucket(bucket: Bucket) -> Result<Self, RegistryError> {
        bucket.check()?;
        let bucket = Arc::new(bucket);
        let tree = |root| Box::new(BucketTree::writing(Arc::clone(&bucket), root, OWN));
        Ok(Self::over(tree(TREE), tree(OWN)))
    }

    /// The same, only to be read: nothing is written there.
    ///
    /// # Errors
    /// When there is no such bucket, it may not be used, or its store does not answer.
    pub fn in_bucket_to_read(bucket: Bucket) -> Result<Self, RegistryError> {
        bucket.check()?;
        let bucket = Arc::new(bucket);
        let tree = |root| Box::new(BucketTree::reading(Arc::clone(&bucket), root));
        Ok(Self::over(tree(TREE), tree(OWN)))
    }

    /// Whether a directory holds a registry in this layout.
    pub fn is_at(directory: &Path) -> bool {
        directory.join(TREE).is_dir()
    }

    fn over(tree: Box<dyn Tree>, own: Box<dyn Tree>) -> Self {
        Self(Arc::new(Inner {
            tree,
            own,
            cache: cache::Cache::default(),
            catalog: catalog::Catalog::default(),
            tags: tags::TagLists::default(),
            referrers: referrers::Referrers::default(),
        }))
    }
}

impl Inner {
    fn writing(&self) -> Result<&dyn Writing, BackendError> {
        self.tree.writing().ok_or_else(|| BackendError::ReadOnly(self.tree.place()))
    }

    /// The digest in a link; none when there is no link, or none that can be read.
    fn link(&self, path: &str) -> Result<Option<Digest>, BackendError> {
        let read = match self.tree.read(path, LINK_LIMIT) {
            // Longer than any digest: no link.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(None),
            read => read.map_err(|error| self.failed("read", path, error))?,
        };
        Ok(read.and_then(|bytes| str::from_utf8(&bytes).ok()?.trim_end().parse().ok()))
    }

    fn failed(&self, verb: &str, path: &str, source: io::Error) -> BackendError {
        BackendError::Io { doing: format!("{verb} {path} in {}", self.tree.place()), source }
    }

    fn exists(&self, directory: &str) -> Result<bool, BackendError> {
        let stamp = self.tree.stamp(directory).map_err(|error| self.failed("look for", directory, error))?;
        Ok(stamp.is_some())
    }
}

impl Backend for Distribution {
    fn place(&self) -> String {
        format!("the registry {}", self.0.tree.place())
    }

    fn manifest(&self, repository: &Name, which: &Which) -> Result<Option<Stored>, BackendError> {
        self.0.read_manifest(repository, which)
    }

    fn blob(&self, repository: &Name, digest: &Digest) -> Result<Option<Blob<'_>>, BackendError> {
        self.0.read_blob(repository, digest)
    }

    fn tags(&self, repository: &Name) -> Result<Option<Arc<[Tag]>>, BackendError> {
        self.0.list_tags(repository)
    }

    fn repositories(&self) -> Result<Arc<[Name]>, BackendError> {
        let list = self.0.catalog.list(&*self.0.tree);
        list.map_err(|error| self.0.failed("list", paths::REPOSITORIES, error))
    }

    fn referrers(&self, repository: &Name, subject: &Digest) -> Result<Arc<[oci::Descriptor]>, BackendError> {
        self.0.list_referrers(repository, subject)
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.0.tree.writing().map(|_| self as &dyn Writer)
    }
}
