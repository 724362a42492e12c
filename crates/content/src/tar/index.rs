//! Where the files of an archive lie, found without reading them.

use std::io::{Read, Seek};

use super::{Entry, Place, TarError, TarReader};

/// The entries of an archive and where their contents lie in it.
#[derive(Clone, Debug)]
pub struct TarIndex {
    /// Entries in archive order, each with the byte that its content begins at, counted from where the scan began. An
    /// entry that comes later replaces an earlier one of the same path.
    pub entries: Vec<(Entry, u64)>,
}

impl TarIndex {
    /// Reads the headers and seeks over the contents.
    ///
    /// # Errors
    /// What is wrong with the archive; a sparse file is an error, since its bytes do not lie in one piece.
    pub fn scan(input: impl Read + Seek) -> Result<Self, TarError> {
        let mut reader = TarReader::seekable(input);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next()? {
            let offset = reader.content_offset();
            if reader.is_sparse() {
                let place = Place { entry: Some(entry.path), offset };
                return Err(TarError::Sparse { place, reason: "it cannot be read in place" });
            }
            entries.push((entry, offset));
        }
        Ok(Self { entries })
    }

    /// The last entry of that (normalised) path and where its content begins.
    pub fn find(&self, path: &[u8]) -> Option<(&Entry, u64)> {
        self.entries.iter().rev().find(|(entry, _)| entry.path == path).map(|(entry, offset)| (entry, *offset))
    }
}
