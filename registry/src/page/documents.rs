//! Small documents of a backend: manifests, configurations, image locks.

use std::io::Read;
use std::os::unix::fs::FileExt;

use oci::{Descriptor, Digest, Hasher};

use crate::backend::{Backend, BackendError, Stored};
use crate::document::Document;
use crate::http::Body;
use crate::names::{Name, Which};

/// No document that is read for the page is larger, in bytes.
const LIMIT: u64 = 8 << 20;

/// A manifest, read.
pub(super) struct Manifest {
    /// As it is stored.
    pub(super) stored: Stored,
    /// What it says.
    pub(super) document: Document,
}

/// A manifest of a repository; none when it is not there or is not a manifest.
pub(super) fn manifest(backend: &dyn Backend, name: &Name, which: &Which) -> Result<Option<Manifest>, BackendError> {
    let Some(stored) = backend.manifest(name, which)? else { return Ok(None) };
    Ok(Document::read(&stored.bytes).ok().map(|document| Manifest { stored, document }))
}

/// The same by digest.
pub(super) fn child(backend: &dyn Backend, name: &Name, digest: Digest) -> Result<Option<Manifest>, BackendError> {
    manifest(backend, name, &Which::Digest(digest))
}

/// A small blob, verified; none when it is not there, too large or damaged.
pub(super) fn blob(backend: &dyn Backend, name: &Name, what: &Descriptor) -> Result<Option<Vec<u8>>, BackendError> {
    if what.size > LIMIT {
        return Ok(None);
    }
    let Some(blob) = backend.blob(name, &what.digest)? else { return Ok(None) };
    if blob.size != what.size {
        return Ok(None);
    }
    let body = (blob.open)(0..what.size)?;
    let bytes = bytes(body).map_err(BackendError::io(format!("read {}", what.digest)))?;
    let mut hasher = Hasher::new(what.digest.algorithm());
    hasher.update(&bytes);
    Ok((hasher.finish() == what.digest).then_some(bytes))
}

fn bytes(body: Body) -> std::io::Result<Vec<u8>> {
    match body {
        Body::Empty | Body::Absent(_) => Ok(Vec::new()),
        Body::Bytes(bytes) => Ok(bytes.into_owned()),
        Body::Shared(bytes, range) => Ok(bytes.get(range).unwrap_or_default().to_vec()),
        Body::File { file, from, length } => {
            let mut bytes = vec![0; usize::try_from(length.min(LIMIT)).unwrap_or(0)];
            file.read_exact_at(&mut bytes, from)?;
            Ok(bytes)
        }
        Body::Stream { reader, .. } => {
            let mut bytes = Vec::new();
            reader.take(LIMIT).read_to_end(&mut bytes)?;
            Ok(bytes)
        }
    }
}
