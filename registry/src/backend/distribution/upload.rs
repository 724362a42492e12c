//! Uploads: a file that grows in the repository, with the time of its beginning beside it, as docker-distribution has
//! them. Nothing is made before the first byte comes.

use std::io;
use std::sync::Arc;

use rustix::rand::{GetRandomFlags, getrandom};

use super::{Inner, paths};
use crate::backend::tree::{Growing, Start};
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
    fn file(&mut self) -> Result<&mut Box<dyn Growing>, BackendError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let path = self.path();
                let writing = self.registry.writing()?;
                writing
                    .grow(&format!("{path}/data"), Start::Fresh)
                    .and_then(|file| {
                        let now = content::rfc3339::format(std::time::SystemTime::now());
                        writing.note(&format!("{path}/startedat"), now.as_bytes())?;
                        Ok(file)
                    })
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
        self.file()?.reserve(bytes).map_err(failed)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), BackendError> {
        let failed = self.failed();
        self.file()?.append(bytes).map_err(failed)
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), BackendError> {
        let failed = self.failed();
        self.file()?.replay(take).map_err(failed)
    }

    fn commit(mut self: Box<Self>, verified: &Verified) -> Result<(), BackendError> {
        let failed = self.failed();
        self.file()?.settle().map_err(failed)?;
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

/// A random UUID of version 4 (RFC 9562).
fn uuid() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

fn is_uuid(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let dashes = [8, 13, 18, 23];
    text.len() == 36 && text.bytes().enumerate().all(|(at, b)| if dashes.contains(&at) { b == b'-' } else { is_hex(b) })
}
