//! The one door through which bytes enter a sink: every byte is hashed here, once.
//!
//! ```text
//! begin ──▶ Ingest ── write… ──▶ commit: hash, compare with what was promised, make visible
//! ```

use std::io::{self, Write};

use oci::{Algorithm, Descriptor, Digest, Hasher};

use crate::{ContentError, Sink, Upload};

/// The proof that some bytes were hashed: only [`Ingest`] makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    digest: Digest,
    size: u64,
}

impl Sealed {
    /// What the bytes are called.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many there are.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// A blob on its way into a sink: counts and hashes what is written and compares it with what was promised.
pub struct Ingest<'a> {
    upload: Box<dyn Upload + 'a>,
    hasher: Hasher,
    count: u64,
    /// Bytes that the upload has but that the hasher did not see: they are hashed and not written again.
    skip: u64,
    promised: Option<(Digest, u64)>,
    place: String,
}

impl<'a> Ingest<'a> {
    /// Begins a blob in `sink`; with a descriptor, the bytes are compared with it.
    ///
    /// # Errors
    /// When the sink does not take it.
    pub fn begin(sink: &'a dyn Sink, what: Option<&Descriptor>) -> Result<Self, ContentError> {
        let mut upload = sink.begin(what)?;
        let algorithm = what.map_or(Algorithm::Sha256, |what| what.digest.algorithm());
        let mut hasher = Hasher::new(algorithm);
        let offset = upload.offset();
        let (count, skip) = match offset > 0 && !upload.replay(&mut hasher)? {
            true => (0, offset),
            false => (offset, 0),
        };
        let promised = what.map(|what| (what.digest, what.size));
        Ok(Self { upload, hasher, count, skip, promised, place: sink.place() })
    }

    /// The byte that the source has to be read from.
    pub fn resume_at(&self) -> u64 {
        self.count
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When there are more than promised or the sink cannot keep them.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        let count = self.count + bytes.len() as u64;
        if let Some((digest, expected)) = self.promised.filter(|(_, size)| count > *size) {
            return Err(ContentError::SizeMismatch { place: self.place.clone(), digest, expected, actual: count });
        }
        self.hasher.update(bytes);
        self.count = count;
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        self.skip -= skipped as u64;
        let doing = || format!("write to {}", self.place);
        self.upload.write_all(&bytes[skipped..]).map_err(|error| ContentError::io(doing())(error))
    }

    /// Compares the bytes with what was promised and makes them visible. What does not match is thrown away.
    ///
    /// # Errors
    /// When the bytes are not those promised, or cannot be kept.
    pub fn commit(self) -> Result<Sealed, ContentError> {
        let sealed = Sealed { digest: self.hasher.finish(), size: self.count };
        if let Some((expected, size)) = self.promised {
            if sealed.size < size {
                // Kept: the source ended early, and the next attempt goes on from here.
                let (place, digest, actual) = (self.place, expected, sealed.size);
                return Err(ContentError::SizeMismatch { place, digest, expected: size, actual });
            }
            if sealed.digest != expected {
                self.upload.discard()?;
                return Err(ContentError::DigestMismatch { place: self.place, expected, actual: sealed.digest });
            }
        }
        self.upload.commit(&sealed)?;
        Ok(sealed)
    }

    /// Throws the bytes away.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn discard(self) -> Result<(), ContentError> {
        self.upload.discard()
    }
}

impl Write for Ingest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.upload.flush()
    }
}
