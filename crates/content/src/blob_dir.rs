//! A directory of blobs named by their digests: where they lie and how they are read.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use oci::{Algorithm, Descriptor, Digest};

use crate::{BlobReader, ContentError};

/// `<directory>/<algorithm>/<hex>`.
#[derive(Clone, Debug)]
pub(crate) struct BlobDir {
    directory: PathBuf,
}

impl BlobDir {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(crate) fn algorithm(&self, algorithm: Algorithm) -> PathBuf {
        self.directory.join(algorithm.name())
    }

    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.algorithm(digest.algorithm()).join(digest.hex())
    }

    /// The size of a blob; none if it is not there.
    pub(crate) fn size(&self, digest: &Digest) -> io::Result<Option<u64>> {
        match fs::metadata(self.path(digest)) {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All blobs with their sizes; files that are not named like one are left out.
    pub(crate) fn list(&self) -> io::Result<Vec<(Digest, u64)>> {
        let mut all = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let files = match fs::read_dir(self.algorithm(algorithm)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                files => files?,
            };
            for file in files {
                let file = file?;
                let name = file.file_name();
                let digest = name.to_str().and_then(|hex| format!("{}:{hex}", algorithm.name()).parse().ok());
                let Some(digest) = digest else { continue };
                match file.metadata() {
                    Ok(found) => all.push((digest, found.len())),
                    // Removed since.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(all)
    }

    /// Makes what was renamed into the directory durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            match crate::durable::sync_directory(&self.algorithm(algorithm)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(())
    }
}

/// Opens a blob's file, of which `place` is the store, at byte `from`.
pub(crate) fn open(
    place: &dyn Fn() -> String,
    path: &Path,
    what: &Descriptor,
    from: u64,
) -> Result<BlobReader<'static>, ContentError> {
    let doing = || format!("read the blob {} of {}", what.digest, place());
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ContentError::MissingBlob { place: place(), digest: what.digest },
        _ => ContentError::io(doing())(error),
    })?;
    let actual = file.metadata().map_err(ContentError::io(doing()))?.len();
    if actual != what.size {
        return Err(ContentError::SizeMismatch { place: place(), digest: what.digest, expected: what.size, actual });
    }
    if from > 0 {
        file.seek(SeekFrom::Start(from)).map_err(ContentError::io(doing()))?;
    }
    Ok(Box::new(file))
}
