//! Uploads: a file that grows in the repository, with the time of its beginning beside it, as docker-distribution has
//! them. Nothing is made before the first byte comes.

use std::fs::File;
use std::io;
use std::sync::Arc;

use oci::Digest;
use rustix::rand::{GetRandomFlags, getrandom};

use super::{Inner, paths};
use crate::backend::tree::{Growing, Start, Writing};
use crate::backend::{BackendError, Upload, Verified};
use crate::names::Name;

pub(super) struct Pending {
    registry: Arc<Inner>,
    repository: Name,
    id: String,
    file: Option<Box<dyn Growing>>,
}

impl Pending {
    pub(super) fn begin(registry: &Arc<Inner>, repository: &Name) -> Result<Self, BackendError> {
        let id = uuid().map_err(BackendError::io("make a random number"))?;
        Ok(Self { registry: Arc::clone(registry), repository: repository.clone(), id, file: None })
    }

    /// An upload that is named by what it is to become: an interrupted one is found again.
    pub(super) fn fetch(registry: &Arc<Inner>, repository: &Name, digest: &Digest) -> Result<Self, BackendError> {
        let id = fetch_id(digest);
        let path = paths::upload(repository, &id);
        let failed = |error| registry.failed("write", &path, error);
        let writing = registry.writing()?;
        let data = format!("{path}/data");
        let file = match writing.grow(&data, Start::Again) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => writing.grow(&data, Start::Fresh),
            file => file,
        };
        let file = match file {
            // Another process began it at the same moment.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Self::begin(registry, repository),
            file => file.map_err(failed)?,
        };
        if !file.claim().map_err(failed)? {
            return Self::begin(registry, repository);
        }
        note_start(writing, &path).map_err(failed)?;
        Ok(Self { registry: Arc::clone(registry), repository: repository.clone(), id, file: Some(file) })
    }

    pub(super) fn resume(registry: &Arc<Inner>, repository: &Name, id: &str) -> Result<Option<Self>, BackendError> {
        if !is_uuid(id) {
            return Ok(None);
        }
        let path = paths::upload(repository, id);
        let failed = |error| registry.failed("go on with", &path, error);
        let Some(writing) = registry.tree.writing() else { return Ok(None) };
        // Under its lock, and touched, so that it is not taken for one that nobody goes on with.
        let _alone = registry.alone(repository, id)?;
        let beginning = format!("{path}/startedat");
        if registry.tree.facts(&beginning).map_err(failed)?.is_none() {
            return Ok(None);
        }
        registry.touch(&beginning);
        match writing.grow(&format!("{path}/data"), Start::Again) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => Ok(Some(Self {
                registry: Arc::clone(registry),
                repository: repository.clone(),
                id: id.to_owned(),
                file: Some(file.map_err(failed)?),
            })),
        }
    }

    fn path(&self) -> String {
        paths::upload(&self.repository, &self.id)
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> BackendError + use<> {
        let doing = format!("write {} in {}", self.path(), self.registry.tree.place());
        move |source| BackendError::Io { doing, source }
    }

    /// The file; begun if it was not.
    fn growing(&mut self) -> Result<&mut Box<dyn Growing>, BackendError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let path = self.path();
                let writing = self.registry.writing()?;
                writing
                    .grow(&format!("{path}/data"), Start::Fresh)
                    .and_then(|file| note_start(writing, &path).map(|()| file))
                    .map_err(self.failed())?
            }
        };
        Ok(self.file.insert(file))
    }
}

impl Upload for Pending {
    fn id(&self) -> &str {
        &self.id
    }

    fn offset(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.length())
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), BackendError> {
        let failed = self.failed();
        self.growing()?.reserve(bytes).map_err(failed)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), BackendError> {
        let failed = self.failed();
        self.growing()?.append(bytes).map_err(failed)
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), BackendError> {
        let failed = self.failed();
        self.growing()?.replay(take).map_err(failed)
    }

    fn file(&self) -> Result<Option<File>, BackendError> {
        self.file.as_ref().map_or(Ok(None), |file| file.file()).map_err(self.failed())
    }

    fn commit(mut self: Box<Self>, verified: &Verified) -> Result<(), BackendError> {
        let failed = self.failed();
        self.growing()?.settle().map_err(failed)?;
        let path = self.path();
        let Self { registry, repository, file, .. } = *self;
        let Some(file) = file else { return Ok(()) };
        registry.keep_blob(&repository, file, verified)?;
        // What stays behind is removed by garbage collection.
        registry.writing()?.forget(&path).map_err(|error| registry.failed("remove", &path, error))
    }

    fn cancel(mut self: Box<Self>) -> Result<(), BackendError> {
        let path = self.path();
        drop(self.file.take());
        self.registry.writing()?.forget(&path).map_err(|error| self.registry.failed("remove", &path, error))
    }
}

fn note_start(writing: &dyn Writing, path: &str) -> io::Result<()> {
    writing.note(&format!("{path}/startedat"), content::rfc3339::format(std::time::SystemTime::now()).as_bytes())
}

/// The UUID of version 8 (RFC 9562) that a blob is fetched under.
fn fetch_id(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
}

/// A random UUID of version 4 (RFC 9562).
fn uuid() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// Whether a client can have got it: not of version 8, which is how blobs are fetched.
fn is_uuid(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text.as_bytes()[14] != b'8'
        && text.bytes().enumerate().all(|(at, b)| if dashes.contains(&at) { b == b'-' } else { is_hex(b) })
}
