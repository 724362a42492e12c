//! A blob being written to a file in the directory where it will lie.
//!
//! One whose digest is known is called after it, so that an attempt that was interrupted is taken up by the next one.
//! While it is written it is locked; another process that wants the same blob writes a file of its own.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use oci::{Descriptor, Digest, Hasher};
use tempfile::NamedTempFile;

use crate::write_back::WriteBack;
use crate::{ContentError, Sealed, Upload, durable};

/// What the names of unfinished blobs begin with.
const PREFIX: &str = ".unfinished-";
/// Bytes that are read back at a time.
const BUFFER: usize = 1 << 20;

/// A blob that has no name yet.
pub(crate) struct Unfinished<F> {
    kind: Kind,
    place: F,
    write_back: WriteBack,
}

enum Kind {
    /// Removed when dropped.
    Nameless(NamedTempFile),
    /// Kept for the next attempt when dropped.
    Resumable { file: File, path: PathBuf, offset: u64 },
}

impl<F: Fn(&Digest) -> PathBuf + Send> Unfinished<F> {
    /// Begins a blob in a directory, or takes up an interrupted one; `place` is where it goes in the end.
    pub(crate) fn begin(directory: &Path, what: Option<&Descriptor>, place: F) -> Result<Self, ContentError> {
        let doing = || ContentError::io(format!("begin a blob in {}", directory.display()));
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(doing())?;
        let kind = match what.map(|what| resume(directory, what)).transpose().map_err(doing())?.flatten() {
            Some(kind) => kind,
            None => Kind::Nameless(tempfile::Builder::new().prefix(".new-").tempfile_in(directory).map_err(doing())?),
        };
        let (file, offset) = match &kind {
            Kind::Nameless(file) => (file.as_file(), 0),
            Kind::Resumable { file, offset, .. } => (file, *offset),
        };
        durable::reserve(file, what.map_or(0, |what| what.size)).map_err(doing())?;
        Ok(Self { kind, place, write_back: WriteBack::from(offset) })
    }

    /// Gives the blob its name.
    pub(crate) fn keep(self, digest: &Digest) -> io::Result<()> {
        let target = (self.place)(digest);
        let finish = |file: &File| {
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.sync_data()
        };
        match self.kind {
            Kind::Nameless(file) => {
                finish(file.as_file())?;
                file.persist(target)?;
                Ok(())
            }
            Kind::Resumable { file, path, .. } => {
                finish(&file)?;
                fs::rename(path, target)
            }
        }
    }
}

/// The file of an earlier attempt, or a new one; none if somebody else is writing it.
fn resume(directory: &Path, what: &Descriptor) -> io::Result<Option<Kind>> {
    let path = directory.join(format!("{PREFIX}{}", what.digest.hex()));
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let own = file.metadata()?;
    // Whoever held the lock may have given the file its name by now, and another one may have begun anew.
    match fs::metadata(&path) {
        Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut offset = own.len();
    if offset > what.size {
        file.set_len(0)?;
        offset = 0;
    }
    file.seek(SeekFrom::Start(offset))?;
    Ok(Some(Kind::Resumable { file, path, offset }))
}

impl<F> Write for Unfinished<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = match &self.kind {
            Kind::Nameless(file) => file.as_file(),
            Kind::Resumable { file, .. } => file,
        };
        let count = file.write(bytes)?;
        self.write_back.wrote(file, count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: Fn(&Digest) -> PathBuf + Send> Upload for Unfinished<F> {
    fn offset(&self) -> u64 {
        match self.kind {
            Kind::Nameless(_) => 0,
            Kind::Resumable { offset, .. } => offset,
        }
    }

    fn replay(&mut self, hasher: &mut Hasher) -> Result<bool, ContentError> {
        let Kind::Resumable { file, path, offset } = &mut self.kind else { return Ok(true) };
        let doing = || ContentError::io(format!("read {}", path.display()));
        file.seek(SeekFrom::Start(0)).map_err(doing())?;
        let (mut left, mut buffer) = (*offset, vec![0; BUFFER]);
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
            file.read_exact(&mut buffer[..wanted]).map_err(doing())?;
            hasher.update(&buffer[..wanted]);
            left -= wanted as u64;
        }
        Ok(true)
    }

    fn commit(self: Box<Self>, sealed: &Sealed) -> Result<(), ContentError> {
        self.keep(&sealed.digest()).map_err(ContentError::io(format!("store the blob {}", sealed.digest())))
    }

    fn discard(self: Box<Self>) -> Result<(), ContentError> {
        let removed = match self.kind {
            Kind::Nameless(file) => file.close(),
            Kind::Resumable { path, .. } => durable::remove(&path),
        };
        removed.map_err(ContentError::io("remove a blob that was not finished"))
    }
}
