//! The content store on disk: an OCI image layout that any tool can read, and a few directories beside it.
//!
//! ```text
//! <root>/oci-layout, index.json, blobs/sha256/…, blobs/sha512/…
//!        ingest/   uploads in progress       leases/  what live handles rely on
//!        work/     scratch directories       cache/   what can be found out again
//!        uses/     roots that clusters use   lock
//! ```
//!
//! Invariants: a blob is visible only after its bytes were hashed and synced; `index.json` is replaced as a whole under
//! the exclusive lock, after the directories of the blobs were synced: a name that was acknowledged has everything
//! under it, also after the power failed. What a handle was told to be there stays there while the handle lives.
//!
//! It does not hash what it reads: whoever takes the bytes does.

mod find;
mod lease;
mod lock;
mod mark;
mod prune;
mod scratch;
mod upload;
mod uses;

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci::{Descriptor, Digest, Reference};

use crate::blob_dir::{self, BlobDir};
use crate::roots::{self, Roots};
use crate::{
    BlobReader, ContentError, Ingest, Named, Silent, Sink, Source, Sparse, Storage, Store, Upload, durable, graph,
    rfc3339,
};
use lease::Lease;
use lock::{Guard, Hold};

pub use find::Record;
pub use prune::{PruneMode, PruneScope, Pruned};
pub use scratch::Scratch;

/// How messages call what a directory should be.
pub(crate) const STORE: &str = "image store";
/// The directories of a store.
const DIRECTORIES: [&str; 8] = ["blobs", "blobs/sha256", "blobs/sha512", "ingest", "leases", "work", "cache", "uses"];

/// A content store in a directory. Handles of it in any number of threads and processes work beside each other.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    blobs: BlobDir,
    lease: Lease,
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Full,
    /// This user may not write there; leases cannot be taken.
    Read,
}

impl Disk {
    /// Opens a store and creates what it lacks. A store that this user may only read is opened for reading.
    ///
    /// # Errors
    /// When the directory cannot be made, holds something else, or is of an unknown version.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ContentError> {
        let root = root.into();
        let blobs = BlobDir::new(root.join("blobs"));
        let lease = Lease::new(root.join("leases"));
        let mut disk = Self { root, blobs, lease, access: Access::Full };
        disk.refuse_foreign()?;
        match disk.create() {
            Err(error) if lock::is_read_only(&error) && disk.root.join(roots::MARKER).exists() => {
                disk.access = Access::Read;
            }
            result => result.map_err(ContentError::io(format!("create {}", Source::place(&disk))))?,
        }
        let marker = disk.root.join(roots::MARKER);
        let bytes = fs::read(&marker).map_err(ContentError::io(format!("read {}", marker.display())))?;
        roots::check_marker(&Source::place(&disk), &bytes)?;
        Ok(disk)
    }

    /// Another handle of the same store, with a lease of its own.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn reopen(&self) -> Result<Self, ContentError> {
        Self::open(&self.root)
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob lies, if it is there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs.path(digest)
    }

    /// Where facts are kept that can be found out again. Records there are JSON; one whose descriptors have all lost
    /// their blobs is removed by garbage collection.
    pub fn cache_dir(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Adds a root that has no name.
    ///
    /// # Errors
    /// When the root's blob is not there or the list cannot be written.
    pub fn add_root(&self, what: &Descriptor) -> Result<(), ContentError> {
        self.require(what)?;
        self.change(|roots| roots.add(stamped(roots::entry(None, what)))).map(drop)
    }

    /// Adds roots and their names, all or none.
    pub(crate) fn add_images(&self, images: &[Named]) -> Result<(), ContentError> {
        for image in images {
            self.require(&image.root)?;
        }
        self.change(|roots| {
            for Named { name, root } in images {
                match name {
                    Some(name) => put(roots, name, root),
                    None => drop(roots.add(stamped(roots::entry(None, root)))),
                }
            }
        })
    }

    /// An error if a root's blob is not there.
    fn require(&self, what: &Descriptor) -> Result<(), ContentError> {
        match self.has(what)? {
            true => Ok(()),
            false => Err(ContentError::MissingBlob { place: Source::place(self), digest: what.digest }),
        }
    }

    /// A directory that is neither empty nor a store is somebody's.
    fn refuse_foreign(&self) -> Result<(), ContentError> {
        let is_marked = self.root.join(roots::MARKER).exists();
        let mut entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(self.in_the_way()),
            entries => entries.map_err(ContentError::io(format!("read {}", self.root.display())))?,
        };
        // `lock`, `blobs` and so on without a marker: the first opening was interrupted.
        let is_ours = |name: &str| name == "lock" || name.starts_with('.') || DIRECTORIES.contains(&name);
        let is_strange = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| {
                !entry.file_name().to_str().is_some_and(|name| is_ours(name) || name == roots::INDEX)
            })
        };
        match !is_marked && entries.any(is_strange) {
            true => Err(ContentError::Format {
                place: self.root.display().to_string(),
                format: STORE,
                reason: "the directory holds something else".to_owned(),
            }),
            false => Ok(()),
        }
    }

    /// The error of a path that leads to a file, or through one.
    fn in_the_way(&self) -> ContentError {
        let file = self.root.ancestors().find(|path| path.exists()).unwrap_or(&self.root);
        let reason = match file == self.root {
            true => "it is a file and no directory".to_owned(),
            false => format!("{} is a file and no directory", file.display()),
        };
        ContentError::Format { place: self.root.display().to_string(), format: STORE, reason }
    }

    fn create(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755);
        for directory in DIRECTORIES {
            builder.create(self.root.join(directory))?;
        }
        let (marker, index) = (self.root.join(roots::MARKER), self.root.join(roots::INDEX));
        if marker.exists() && index.exists() {
            return Ok(());
        }
        let _guard = self.lock(Hold::Exclusive)?;
        // The marker comes last: a store without it was not finished and holds nothing yet. An index that vanished
        // from a finished store is not made up anew: garbage collection would then remove everything.
        if !marker.exists() {
            if !index.exists() {
                durable::replace(&index, &serde_json::to_vec(&Roots::empty().index)?)?;
            }
            durable::replace(&marker, roots::MARKER_TEXT)?;
        }
        Ok(())
    }

    fn lock(&self, hold: Hold) -> io::Result<Guard> {
        lock::acquire(&self.root.join("lock"), hold)
    }

    fn locked(&self, hold: Hold) -> Result<Guard, ContentError> {
        self.lock(hold).map_err(ContentError::io(format!("lock {}", Source::place(self))))
    }

    fn ingest(&self) -> PathBuf {
        self.root.join("ingest")
    }

    /// Where a blob of known digest is written to until it is whole.
    fn upload_path(&self, digest: &Digest) -> PathBuf {
        self.ingest().join(format!("{}-{}", digest.algorithm().name(), digest.hex()))
    }

    /// Where the uploads, leases, scratch directories or uses are.
    fn directory(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The lease of this handle, if it has one.
    fn lease_path(&self) -> Option<PathBuf> {
        self.lease.path()
    }

    /// Records in the lease that this handle relies on a root.
    fn pin(&self, guard: &Guard, what: &Descriptor) -> Result<(), ContentError> {
        if self.access == Access::Read {
            return Ok(());
        }
        let recorded = self.lease.record(guard, &what.digest, Some(&what.media_type));
        recorded.map_err(ContentError::io(format!("lease {} in {}", what.digest, Source::place(self))))
    }

    /// Whoever takes an image away does not rely on it any more, though it looked it up before.
    fn release(&self, root: &Digest) -> Result<(), ContentError> {
        let guard = self.locked(Hold::Shared)?;
        let released = self.lease.release(&guard, root);
        released.map_err(ContentError::io(format!("release {root} in {}", Source::place(self))))
    }

    fn read_roots(&self) -> Result<Roots, ContentError> {
        let place = Source::place(self);
        let path = self.root.join(roots::INDEX);
        match fs::read(&path) {
            Ok(bytes) => Roots::parse(&place, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let reason = format!("{} is missing", roots::INDEX);
                Err(ContentError::Format { place, format: roots::FORMAT, reason })
            }
            Err(error) => Err(ContentError::io(format!("read {}", path.display()))(error)),
        }
    }

    /// Replaces the list; to be called under the exclusive lock.
    fn write_roots(&self, roots: &Roots) -> Result<(), ContentError> {
        let place = Source::place(self);
        let bytes = roots.bytes(&place)?;
        let written = self.blobs.sync().and_then(|()| durable::replace(&self.root.join(roots::INDEX), &bytes));
        written.map_err(ContentError::io(format!("write {} of {place}", roots::INDEX)))
    }

    /// Changes the list under the exclusive lock.
    fn change<T>(&self, change: impl FnOnce(&mut Roots) -> T) -> Result<T, ContentError> {
        let _guard = self.locked(Hold::Exclusive)?;
        let mut roots = self.read_roots()?;
        let before = roots.index.clone();
        let result = change(&mut roots);
        if roots.index != before {
            self.write_roots(&roots)?;
        }
        Ok(result)
    }
}

/// Names a root. If it has that name already, nothing changes, not even the time.
fn put(roots: &mut Roots, name: &Reference, what: &Descriptor) {
    let entry = roots::entry(Some(name), what);
    let is_same = |old: &Descriptor| {
        let mut old = old.clone();
        old.annotations.remove(roots::STORED);
        old == entry
    };
    if !roots.entries().iter().any(is_same) {
        roots.set(name, stamped(entry));
    }
}

fn stamped(entry: Descriptor) -> Descriptor {
    entry.annotated(roots::STORED, rfc3339::format(SystemTime::now()))
}

impl Source for Disk {
    fn place(&self) -> String {
        format!("the store {}", self.root.display())
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        let guard = self.locked(Hold::Shared)?;
        let roots = self.read_roots()?;
        let entry = roots.resolve(name).ok_or_else(|| roots.unknown(Source::place(self), &name.familiar()))?;
        let root = roots::bare(entry);
        self.pin(&guard, &root)?;
        Ok(root)
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        blob_dir::open(&|| Source::place(self), &self.blobs.path(&what.digest), what, from)
    }
}

impl Sink for Disk {
    fn place(&self) -> String {
        Source::place(self)
    }

    fn has(&self, what: &Descriptor) -> Result<bool, ContentError> {
        let guard = self.locked(Hold::Shared)?;
        let size = self.blobs.size(&what.digest);
        let size = size.map_err(ContentError::io(format!("look for {} in {}", what.digest, Source::place(self))))?;
        let is_there = size == Some(what.size);
        if is_there {
            self.pin(&guard, what)?;
        }
        Ok(is_there)
    }

    fn begin(&self, what: Option<&Descriptor>) -> Result<Box<dyn Upload + '_>, ContentError> {
        let doing = || ContentError::io(format!("begin a blob in {}", Source::place(self)));
        let Some(what) = what else { return Ok(Box::new(upload::unknown(self).map_err(doing())?)) };
        Ok(match upload::known(self, what).map_err(doing())? {
            upload::Begun::Pending(pending) => Box::new(pending),
            upload::Begun::Present(present) => Box::new(present),
        })
    }

    fn publish(&self, what: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
        if self.has(what)? {
            return Ok(());
        }
        let mut ingest = Ingest::begin(self, Some(what))?;
        let from = usize::try_from(ingest.resume_at()).unwrap_or(usize::MAX).min(bytes.len());
        ingest.take(&bytes[from..])?;
        ingest.commit()?;
        let guard = self.locked(Hold::Shared)?;
        self.pin(&guard, what)
    }

    fn tag(&self, name: &Reference, what: &Descriptor) -> Result<(), ContentError> {
        self.require(what)?;
        self.change(|roots| put(roots, name, what))
    }

    fn storage(&self) -> Storage {
        // The same directory is the same place, whichever handle writes to it.
        let root = fs::canonicalize(&self.root).unwrap_or_else(|_gone| self.root.clone());
        Storage { realm: format!("store {}", root.display()), repository: None }
    }

    fn has_whole(&self, root: &Descriptor) -> Result<Option<bool>, ContentError> {
        if !self.has(root)? {
            return Ok(Some(false));
        }
        // From here on garbage collection leaves alone what the root needs.
        let graph = match graph::walk(self, std::slice::from_ref(root), Sparse::Refuse, 1, &Silent) {
            // It is damaged, or was never whole; what is missing shows blob by blob.
            Err(_) => return Ok(None),
            Ok(graph) => graph,
        };
        for blob in &graph.blobs {
            if !self.has(blob)? {
                return Ok(None);
            }
        }
        Ok(Some(true))
    }
}

impl Store for Disk {
    fn roots(&self) -> Result<Vec<Named>, ContentError> {
        Ok(self.read_roots()?.named())
    }

    fn untag(&self, name: &Reference) -> Result<Option<Descriptor>, ContentError> {
        let root = self.change(|roots| roots.remove_name(name))?;
        root.as_ref().map_or(Ok(()), |root| self.release(&root.digest))?;
        Ok(root)
    }

    fn forget(&self, root: &Digest) -> Result<(), ContentError> {
        self.change(|roots| roots.forget(root))?;
        self.release(root)
    }

    fn blobs(&self) -> Result<Vec<(Digest, u64)>, ContentError> {
        self.blobs.list().map_err(ContentError::io(format!("list the blobs of {}", Source::place(self))))
    }

    fn delete(&self, digest: &Digest) -> Result<(), ContentError> {
        let _guard = self.locked(Hold::Exclusive)?;
        let path = self.blobs.path(digest);
        durable::remove(&path).map_err(ContentError::io(format!("remove {}", path.display())))
    }
}
