//! A store in memory, for tests and for small scratch work. It keeps every promise of [`Store`] but durability.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::{Descriptor, Digest, Hasher, Reference};

use crate::{BlobReader, ContentError, Ingest, Named, Sealed, Sink, Source, Store, Upload};

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<Digest, Arc<[u8]>>,
    roots: Vec<Named>,
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is one statement: a panic elsewhere cannot leave half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a name away; its root stays, without a name if it has no other.
    fn remove_name(&mut self, name: &Reference) -> Option<Descriptor> {
        let at = self.roots.iter().position(|named| named.name.as_ref() == Some(name))?;
        let root = self.roots.remove(at).root;
        if self.roots.iter().all(|named| named.root.digest != root.digest) {
            self.roots.push(Named { name: None, root: root.clone() });
        }
        Some(root)
    }
}

impl Source for Memory {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        let state = self.state();
        let exact = state.roots.iter().find(|named| named.name.as_ref() == Some(name));
        let is_of = |other: &Reference| other.registry() == name.registry() && other.repository() == name.repository();
        let by_digest =
            |named: &&Named| Some(&named.root.digest) == name.digest() && named.name.as_ref().is_some_and(is_of);
        let found = exact.or_else(|| state.roots.iter().find(by_digest));
        found.map(|named| named.root.clone()).ok_or_else(|| ContentError::UnknownImage {
            place: Source::place(self),
            name: name.familiar(),
            similar: Vec::new(),
        })
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        let missing = || ContentError::MissingBlob { place: Source::place(self), digest: what.digest };
        let bytes = self.state().blobs.get(&what.digest).cloned().ok_or_else(missing)?;
        let mut cursor = Cursor::new(bytes);
        cursor.set_position(from);
        Ok(Box::new(cursor))
    }
}

impl Sink for Memory {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn has(&self, what: &Descriptor) -> Result<bool, ContentError> {
        Ok(self.state().blobs.contains_key(&what.digest))
    }

    fn begin(&self, _what: Option<&Descriptor>) -> Result<Box<dyn Upload + '_>, ContentError> {
        Ok(Box::new(Pending { store: self, bytes: Vec::new() }))
    }

    fn publish(&self, what: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
        let mut ingest = Ingest::begin(self, Some(what))?;
        ingest.take(bytes)?;
        ingest.commit().map(drop)
    }

    fn tag(&self, name: &Reference, what: &Descriptor) -> Result<(), ContentError> {
        let mut state = self.state();
        if !state.blobs.contains_key(&what.digest) {
            return Err(ContentError::MissingBlob { place: Sink::place(self), digest: what.digest });
        }
        state.remove_name(name);
        state.roots.retain(|named| named.name.is_some() || named.root.digest != what.digest);
        state.roots.push(Named { name: Some(name.clone()), root: what.clone() });
        Ok(())
    }
}

impl Store for Memory {
    fn roots(&self) -> Result<Vec<Named>, ContentError> {
        Ok(self.state().roots.clone())
    }

    fn untag(&self, name: &Reference) -> Result<Option<Descriptor>, ContentError> {
        Ok(self.state().remove_name(name))
    }

    fn forget(&self, root: &Digest) -> Result<(), ContentError> {
        self.state().roots.retain(|named| named.root.digest != *root);
        Ok(())
    }

    fn blobs(&self) -> Result<Vec<(Digest, u64)>, ContentError> {
        Ok(self.state().blobs.iter().map(|(digest, bytes)| (*digest, bytes.len() as u64)).collect())
    }

    fn delete(&self, digest: &Digest) -> Result<(), ContentError> {
        self.state().blobs.remove(digest);
        Ok(())
    }
}

struct Pending<'a> {
    store: &'a Memory,
    bytes: Vec<u8>,
}

impl Write for Pending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Pending<'_> {
    fn offset(&self) -> u64 {
        0
    }

    fn replay(&mut self, _hasher: &mut Hasher) -> Result<bool, ContentError> {
        Ok(true)
    }

    fn commit(self: Box<Self>, sealed: &Sealed) -> Result<(), ContentError> {
        self.store.state().blobs.insert(sealed.digest(), self.bytes.into());
        Ok(())
    }

    fn discard(self: Box<Self>) -> Result<(), ContentError> {
        Ok(())
    }
}
