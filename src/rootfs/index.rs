//! What is in a layer: its entries with the digests of their bytes, read once and kept by whoever needs it again.

use std::io::{self, Read};

use content::Source;
use content::tar::EntryKind;
use oci::{Algorithm, Descriptor, DiffId, Digest, Hasher};
use serde::{Deserialize, Serialize};

use super::RootfsError;
use super::record::FileRecord;
use super::unpack::{next, open_layer};

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// The entries of a layer in its order, whiteouts included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerIndex {
    /// The entries.
    pub files: Vec<FileRecord>,
}

impl LayerIndex {
    /// Reads a layer to its end.
    ///
    /// # Errors
    /// When it is missing or corrupt.
    pub fn read(source: &dyn Source, layer: &Descriptor, diff_id: DiffId) -> Result<Self, RootfsError> {
        let mut tar = open_layer(source, layer, diff_id)?;
        let mut files = Vec::new();
        let mut buffer = vec![0; BUFFER];
        while let Some(entry) = next(&mut tar)? {
            let digest = match entry.kind {
                EntryKind::File { .. } => {
                    Some(hash(&mut tar, &mut buffer).map_err(RootfsError::io("read", &entry.path))?)
                }
                _ => None,
            };
            files.push(FileRecord::of(&entry, digest));
        }
        tar.into_inner().finish()?;
        Ok(Self { files })
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(FileRecord::content).map(|(size, _)| size).sum()
    }
}

/// The digest of all that comes.
pub(crate) fn hash(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    loop {
        match content.read(buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
