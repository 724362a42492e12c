//! Scrubbing: every blob is read and hashed; one whose bytes are not what its name says is put aside, and fetched again
//! from somebody who has it.

use std::io;

use oci::{Algorithm, Digest, Hasher};

use super::{Distribution, paths};
use crate::backend::tree::Start;
use crate::backend::{BackendError, Step};
use crate::http::Body;
use crate::names::Name;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// What scrubbing found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Blobs that were read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those whose bytes were not what their names say; they are put aside.
    pub corrupt: Vec<Digest>,
    /// Those of them that were fetched again.
    pub repaired: Vec<Digest>,
    /// Links that name nothing, and manifests without their blobs.
    pub odd: Vec<String>,
}

/// Where a blob can be had again: the bytes of a digest of one of these repositories.
pub type Repair<'a> = &'a dyn Fn(&Digest, &[Name]) -> Result<Box<dyn io::Read>, BackendError>;

impl Distribution {
    /// Reads and hashes all blobs.
    ///
    /// # Errors
    /// When the tree cannot be read or a blob cannot be put aside. What is wrong with the content is in the result.
    pub fn scrub(&self, repair: Option<Repair<'_>>, tell: &mut dyn FnMut(&Step)) -> Result<Scrubbed, BackendError> {
        let mut scrubbed = Scrubbed::default();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for digest in self.stored(algorithm, tell)? {
                self.check(&digest, &mut scrubbed, tell)?;
            }
        }
        self.missing(&mut scrubbed)?;
        if let Some(repair) = repair {
            let mut wanted = scrubbed.corrupt.clone();
            wanted.extend(self.lost()?);
            wanted.sort();
            wanted.dedup();
            for digest in wanted {
                match self.fetch(&digest, repair) {
                    Ok(()) => scrubbed.repaired.push(digest),
                    Err(error) => scrubbed.odd.push(format!("{digest} could not be repaired: {error}")),
                }
            }
        }
        Ok(scrubbed)
    }

    fn stored(&self, algorithm: Algorithm, tell: &mut dyn FnMut(&Step)) -> Result<Vec<Digest>, BackendError> {
        let inner = &self.0;
        let mut all = Vec::new();
        let top = format!("blobs/{}", algorithm.name());
        for group in inner.tree.list(&top).map_err(|error| inner.failed("list", &top, error))?.into_iter().flatten() {
            let path = format!("{top}/{}", group.name);
            for entry in inner.tree.list(&path).map_err(|e| inner.failed("list", &path, e))?.into_iter().flatten() {
                match format!("{}:{}", algorithm.name(), entry.name).parse() {
                    Ok(digest) => all.push(digest),
                    Err(_) => tell(&Step::Odd(format!("{path}/{} is no blob", entry.name))),
                }
            }
        }
        Ok(all)
    }

    fn check(&self, digest: &Digest, scrubbed: &mut Scrubbed, tell: &mut dyn FnMut(&Step)) -> Result<(), BackendError> {
        let inner = &self.0;
        let path = paths::blob(digest);
        let failed = |error| inner.failed("read", &path, error);
        let Some(facts) = inner.tree.facts(&path).map_err(failed)? else { return Ok(()) };
        let body = match inner.tree.open(&path, 0..facts.size) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            body => body.map_err(failed)?,
        };
        let actual = hash(digest.algorithm(), body);
        scrubbed.blobs += 1;
        scrubbed.bytes += facts.size;
        match actual {
            Ok(actual) if actual == *digest => return Ok(()),
            // A disk that cannot read its sectors any more.
            Err(error) => tell(&Step::Odd(format!("{digest} cannot be read: {error}"))),
            Ok(_) => {}
        }
        scrubbed.corrupt.push(*digest);
        tell(&Step::Blob(*digest, facts.size));
        let Ok(writing) = inner.writing() else { return Ok(()) };
        let _lock = inner.lock([digest])?;
        // Out of the way, so that it can be pushed again, but not lost.
        let aside = format!("quarantine/{}-{}", digest.algorithm().name(), digest.hex());
        writing.rename(&path, &aside).map_err(|error| inner.failed("put aside", &path, error))
    }

    /// Notes links that name nothing.
    fn missing(&self, scrubbed: &mut Scrubbed) -> Result<(), BackendError> {
        let inner = &self.0;
        let names = inner.catalog.list(&*inner.tree).map_err(|error| inner.failed("list", "repositories", error))?;
        for name in &*names {
            for tag in inner.list_tags(name)?.iter().flat_map(|tags| tags.iter()) {
                let digest = inner.link(&paths::current(name, tag))?;
                let target = digest.map(|digest| inner.link(&paths::revision(name, &digest))).transpose()?.flatten();
                let is_there = target.map(|target| inner.has_bytes(&target)).transpose()?.unwrap_or_default();
                if !is_there {
                    scrubbed.odd.push(format!("{name}:{tag} names a manifest that is not there"));
                }
            }
        }
        Ok(())
    }

    /// Blobs that links name and that are not there.
    fn lost(&self) -> Result<Vec<Digest>, BackendError> {
        let inner = &self.0;
        let mut lost = Vec::new();
        let names = inner.catalog.list(&*inner.tree).map_err(|error| inner.failed("list", "repositories", error))?;
        for name in &*names {
            let revisions = paths::revisions(name, "sha256");
            let layers = format!("{}/sha256", paths::layers(name));
            for directory in [revisions, layers] {
                let entries = inner.tree.list(&directory).map_err(|error| inner.failed("list", &directory, error))?;
                for entry in entries.into_iter().flatten() {
                    let link = inner.link(&format!("{directory}/{}/link", entry.name))?;
                    if let Some(digest) = link.filter(|digest| !lost.contains(digest))
                        && !inner.has_bytes(&digest)?
                    {
                        lost.push(digest);
                    }
                }
            }
        }
        Ok(lost)
    }

    /// The repositories that have a link to a blob or manifest.
    fn owners(&self, digest: &Digest) -> Result<Vec<Name>, BackendError> {
        let inner = &self.0;
        let names = inner.catalog.list(&*inner.tree).map_err(|error| inner.failed("list", "repositories", error))?;
        let mut owners = Vec::new();
        for name in &*names {
            let linked = inner.link(&paths::layer(name, digest))?.or(inner.link(&paths::revision(name, digest))?);
            if linked.is_some() {
                owners.push(name.clone());
            }
        }
        Ok(owners)
    }

    fn fetch(&self, digest: &Digest, repair: Repair<'_>) -> Result<(), BackendError> {
        let inner = &self.0;
        let owners = self.owners(digest)?;
        let mut reader = repair(digest, &owners)?;
        let writing = inner.writing()?;
        let staged = format!("quarantine/repair-{}-{}", digest.algorithm().name(), digest.hex());
        let failed = |error| inner.failed("write", &staged, error);
        writing.remove(&staged).map_err(failed)?;
        let mut file = writing.grow(&staged, Start::Fresh).map_err(failed)?;
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; PIECE];
        loop {
            let count = reader.read(&mut buffer).map_err(BackendError::io(format!("fetch {digest}")))?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            file.append(&buffer[..count]).map_err(failed)?;
        }
        let actual = hasher.finish();
        if actual != *digest {
            drop(file);
            writing.remove(&staged).map_err(failed)?;
            return Err(BackendError::Mismatch { expected: *digest, actual });
        }
        file.settle().map_err(failed)?;
        let _lock = inner.lock([digest])?;
        let path = paths::blob(digest);
        file.place(&path).map_err(|error| inner.failed("store", &path, error))?;
        let aside = format!("quarantine/{}-{}", digest.algorithm().name(), digest.hex());
        writing.remove(&aside).map_err(|error| inner.failed("remove", &aside, error))
    }
}

/// The digest of what a file or memory holds.
fn hash(algorithm: Algorithm, body: Body) -> io::Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    let mut reader = body.into_reader();
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
