//! Bytes on their way into the store: a file under `ingest/`, locked by whoever writes it.
//!
//! A blob whose digest is known is written to a file of that name, so that an interrupted attempt is taken up again and
//! two processes that want the same blob do not both fetch it: the second waits for the first and finds it there.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use oci::{Descriptor, Hasher};

use super::Disk;
use super::lease;
use super::lock::{self, Hold};
use crate::durable;
use crate::write_back::WriteBack;
use crate::{ContentError, Sealed, Upload};

/// Bytes read at a time when an earlier attempt is hashed.
const REPLAY: usize = 1 << 20;

/// What was found when an upload began.
pub(super) enum Begun<'a> {
    Pending(Pending<'a>),
    /// The blob is there: another process was faster.
    Present(Present),
}

/// A blob being written.
pub(super) struct Pending<'a> {
    store: &'a Disk,
    file: File,
    path: PathBuf,
    offset: u64,
    written: u64,
    write_back: WriteBack,
    fate: Fate,
}

/// What becomes of the file when the upload is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It stays, for a later attempt.
    Keep,
    /// It cannot be found again by digest.
    Remove,
    /// It is in place or gone.
    Settled,
}

/// A blob that is there already.
pub(super) struct Present {
    path: PathBuf,
    size: u64,
}

/// Begins a blob of known digest.
pub(super) fn known<'a>(store: &'a Disk, what: &Descriptor) -> io::Result<Begun<'a>> {
    let path = store.upload_path(&what.digest);
    let file = loop {
        let guard = store.lock(Hold::Shared)?;
        if store.blobs.size(&what.digest)? == Some(what.size) {
            store.lease.record(&guard, &what.digest, Some(&what.media_type))?;
            return Ok(Begun::Present(Present { path: store.blobs.path(&what.digest), size: what.size }));
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        // Not while waiting for another upload: it needs the store's lock to finish.
        drop(guard);
        lock::wait(&file, Hold::Exclusive)?;
        if is_at(&file, &path)? {
            break file;
        }
    };
    let mut offset = file.metadata()?.len();
    if offset > what.size {
        file.set_len(0)?;
        offset = 0;
    }
    durable::reserve(&file, what.size)?;
    (&file).seek(SeekFrom::Start(offset))?;
    Ok(Begun::Pending(Pending {
        store,
        file,
        path,
        offset,
        written: offset,
        write_back: WriteBack::from(offset),
        fate: Fate::Keep,
    }))
}

/// Begins a blob that has no digest yet.
pub(super) fn unknown(store: &Disk) -> io::Result<Pending<'_>> {
    let _guard = store.lock(Hold::Shared)?;
    loop {
        let path = store.ingest().join(format!("new-{}", lease::unique()));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => {
                let file = file?;
                lock::wait(&file, Hold::Exclusive)?;
                return Ok(Pending {
                    store,
                    file,
                    path,
                    offset: 0,
                    written: 0,
                    write_back: WriteBack::default(),
                    fate: Fate::Remove,
                });
            }
        }
    }
}

/// Whether the file is still the one of that path: its last owner may have moved it into place.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let mine = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (mine.dev(), mine.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Pending<'_> {
    fn place(&self, sealed: &Sealed) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(0o644))?;
        // Also makes the length durable.
        self.file.sync_data()?;
        let guard = self.store.lock(Hold::Shared)?;
        self.store.lease.record(&guard, &sealed.digest(), None)?;
        let target = self.store.blobs.path(&sealed.digest());
        match self.store.blobs.size(&sealed.digest())? {
            // Stored meanwhile by another upload.
            Some(size) if size == sealed.size() => durable::remove(&self.path),
            _ => fs::rename(&self.path, target),
        }
    }

    fn doing(&self, verb: &str) -> String {
        format!("{verb} {}", self.path.display())
    }
}

impl Write for Pending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        self.write_back.wrote(&self.file, count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Pending<'_> {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn replay(&mut self, hasher: &mut Hasher) -> Result<bool, ContentError> {
        let doing = self.doing("read back");
        self.file.seek(SeekFrom::Start(0)).map_err(ContentError::io(&doing))?;
        let seen = hash(&mut self.file, hasher).map_err(ContentError::io(&doing))?;
        match seen == self.offset {
            true => Ok(true),
            false => Err(ContentError::io(doing)(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn commit(mut self: Box<Self>, sealed: &Sealed) -> Result<(), ContentError> {
        self.place(sealed).map_err(ContentError::io(format!("store the blob {}", sealed.digest())))?;
        self.fate = Fate::Settled;
        Ok(())
    }

    fn discard(mut self: Box<Self>) -> Result<(), ContentError> {
        durable::remove(&self.path).map_err(ContentError::io(self.doing("remove")))?;
        self.fate = Fate::Settled;
        Ok(())
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let is_empty = self.written == 0;
        // Nobody waits for the answer; what stays behind is removed by garbage collection.
        match self.fate {
            Fate::Keep if !is_empty => drop(self.file.set_len(self.written)),
            Fate::Keep | Fate::Remove => drop(durable::remove(&self.path)),
            Fate::Settled => {}
        }
    }
}

impl Write for Present {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The ingest refuses bytes beyond the promised size, so there are none.
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Present {
    fn offset(&self) -> u64 {
        self.size
    }

    fn replay(&mut self, hasher: &mut Hasher) -> Result<bool, ContentError> {
        let doing = format!("read back {}", self.path.display());
        let mut file = File::open(&self.path).map_err(ContentError::io(&doing))?;
        hash(&mut file, hasher).map_err(ContentError::io(doing))?;
        Ok(true)
    }

    fn commit(self: Box<Self>, _sealed: &Sealed) -> Result<(), ContentError> {
        Ok(())
    }

    /// The stored bytes are not what their name says.
    fn discard(self: Box<Self>) -> Result<(), ContentError> {
        durable::remove(&self.path).map_err(ContentError::io(format!("remove {}", self.path.display())))
    }
}

fn hash(file: &mut File, hasher: &mut Hasher) -> io::Result<u64> {
    let mut buffer = vec![0; REPLAY];
    let mut seen = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(seen),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                seen += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
