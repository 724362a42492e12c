//! Where images lie: a directory of blobs, or a file with all of them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use content::archive::{self, Archive};
use content::{Layout, Named};
use oci::{Compression, Digest};

use crate::backend::BackendError;
use crate::http::Body;

/// No manifest is larger.
const DOCUMENT_LIMIT: u64 = 64 << 20;

/// Where images lie.
pub(super) enum Place {
    /// An OCI image layout; a content store is one.
    Layout { directory: PathBuf },
    /// An archive; the file is the one that was looked through.
    Archive { path: PathBuf, file: File, archive: Box<Archive> },
}

/// What the list of images depends on.
pub(super) type Stamp = (u64, i64, i64, u64);

impl Place {
    pub(super) fn open(path: &Path) -> Result<Self, BackendError> {
        let failed = || BackendError::io(format!("open {}", path.display()));
        if fs::metadata(path).map_err(failed())?.is_dir() {
            Layout::open(path)?;
            return Ok(Self::Layout { directory: path.to_owned() });
        }
        let mut file = File::open(path).map_err(failed())?;
        let mut head = Vec::new();
        (&mut file).take(6).read_to_end(&mut head).map_err(failed())?;
        let packing = match head[..] {
            [b'B', b'Z', b'h', ..] => Some("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("xz"),
            _ => match Compression::detect(&head) {
                Compression::None => None,
                Compression::Gzip => Some("gzip"),
                Compression::Zstd => Some("zstd"),
            },
        };
        if let Some(packing) = packing {
            return Err(BackendError::Packed { path: path.display().to_string(), packing });
        }
        let archive = Box::new(archive::open(path)?);
        let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        if !same(&file.metadata().map_err(failed())?, &fs::metadata(path).map_err(failed())?) {
            return Err(failed()(io::Error::other("it was replaced while it was being opened")));
        }
        Ok(Self::Archive { path: path.to_owned(), file, archive })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Layout { directory } => directory,
            Self::Archive { path, .. } => path,
        }
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Layout { directory } => format!("the layout {}", directory.display()),
            Self::Archive { path, .. } => format!("the archive {}", path.display()),
        }
    }

    /// Changes whenever the list of images may have changed.
    pub(super) fn stamp(&self) -> Result<Stamp, BackendError> {
        let Self::Layout { directory } = self else { return Ok((0, 0, 0, 0)) };
        let index = directory.join("index.json");
        let found = fs::metadata(&index).map_err(BackendError::io(format!("look at {}", index.display())))?;
        Ok((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
    }

    pub(super) fn images(&self) -> Result<Vec<Named>, BackendError> {
        match self {
            Self::Layout { directory } => Ok(Layout::open(directory)?.images()?),
            Self::Archive { archive, .. } => Ok(archive.images().to_vec()),
        }
    }

    /// The size of a blob, if it is there.
    pub(super) fn size(&self, digest: &Digest) -> Result<Option<u64>, BackendError> {
        match self {
            Self::Layout { directory } => match fs::metadata(blob(directory, digest)) {
                Ok(found) => Ok(found.is_file().then_some(found.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(self.failed(digest, error)),
            },
            Self::Archive { archive, .. } => Ok(match archive.made(digest) {
                Some(bytes) => Some(bytes.len() as u64),
                None => archive.extent(digest).map(|(_, size)| size),
            }),
        }
    }

    /// The bytes of a manifest or another document, if it is there.
    pub(super) fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, BackendError> {
        let Some(size) = self.size(digest)? else { return Ok(None) };
        if size > DOCUMENT_LIMIT {
            return Err(self.failed(digest, io::ErrorKind::FileTooLarge.into()));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        let read = match self {
            Self::Layout { directory } => {
                File::open(blob(directory, digest)).and_then(|mut f| f.read_exact(&mut bytes))
            }
            Self::Archive { file, archive, .. } => match (archive.made(digest), archive.extent(digest)) {
                (Some(made), _) => return Ok(Some(made.to_vec())),
                (None, Some((offset, _))) => file.read_exact_at(&mut bytes, offset),
                (None, None) => return Ok(None),
            },
        };
        read.map_err(|error| self.failed(digest, error))?;
        let mut hasher = oci::Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        let actual = hasher.finish();
        match actual == *digest {
            true => Ok(Some(bytes)),
            false => {
                let reason = format!("the bytes of {digest} have the digest {actual}");
                Err(BackendError::Damaged { place: self.name(), reason })
            }
        }
    }

    /// A range of a blob's bytes.
    pub(super) fn open_blob(&self, digest: &Digest, range: Range<u64>) -> Result<Body, BackendError> {
        let length = range.end - range.start;
        match self {
            Self::Layout { directory } => {
                let file = File::open(blob(directory, digest)).map_err(|error| self.failed(digest, error))?;
                Ok(Body::File { file, from: range.start, length })
            }
            Self::Archive { file, archive, .. } => {
                if let Some(made) = archive.made(digest) {
                    let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(made.len());
                    return Ok(Body::Bytes(made[at(range.start)..at(range.end)].to_vec().into()));
                }
                let gone = || self.failed(digest, io::ErrorKind::NotFound.into());
                let (offset, _) = archive.extent(digest).ok_or_else(gone)?;
                let file = file.try_clone().map_err(|error| self.failed(digest, error))?;
                Ok(Body::File { file, from: offset + range.start, length })
            }
        }
    }

    fn failed(&self, digest: &Digest, source: io::Error) -> BackendError {
        BackendError::Io { doing: format!("read {digest} of {}", self.name()), source }
    }
}

fn blob(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join("blobs").join(digest.algorithm().name()).join(digest.hex())
}
