//! The one door through which bytes enter a sink: every byte is hashed here, once.
//!
//! ```text
//! begin ──▶ Ingest ── write… ──▶ commit: hash, compare with what was promised, make visible
//! ```
//!
//! One exception: the rest of an interrupted upload to a place that hashes by itself (a registry). The bytes that went
//! before cannot be read back from there, and reading them again from the source would move them twice.

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
    hash: Hash,
    /// Bytes from the beginning on that the upload has; those that come again are not written.
    written: u64,
    /// Bytes taken.
    at: u64,
    promised: Option<(Digest, u64)>,
    place: String,
}

/// What is known of the bytes so far.
pub(crate) struct Hash {
    /// None where the place hashes by itself and the beginning is out of reach.
    hasher: Option<Hasher>,
    /// Bytes from the beginning on that the hasher has seen.
    seen: u64,
}

impl Hash {
    fn new(algorithm: Algorithm) -> Self {
        Self { hasher: Some(Hasher::new(algorithm)), seen: 0 }
    }

    /// Bytes at a position; what was seen before is not hashed again.
    pub(crate) fn take(&mut self, at: u64, bytes: &[u8]) {
        let known = usize::try_from(self.seen - at.min(self.seen)).unwrap_or(usize::MAX).min(bytes.len());
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[known..]);
        }
        self.seen = self.seen.max(at + bytes.len() as u64);
    }
}

/// The side of an [`Ingest`] that writes, apart from the one that hashes.
pub(crate) struct Writing<'s, 'a> {
    upload: &'s mut Box<dyn Upload + 'a>,
    written: &'s mut u64,
    at: &'s mut u64,
    promised: Option<(Digest, u64)>,
    place: &'s str,
}

impl Writing<'_, '_> {
    /// The position of the next byte.
    pub(crate) fn at(&self) -> u64 {
        *self.at
    }

    /// Writes the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        let end = *self.at + bytes.len() as u64;
        if let Some((digest, expected)) = self.promised.filter(|(_, size)| end > *size) {
            let place = self.place.to_owned();
            return Err(ContentError::SizeMismatch { place, digest, expected, actual: end });
        }
        let known = *self.written - (*self.at).min(*self.written);
        let known = usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len());
        let doing = || format!("write to {}", self.place);
        self.upload.write_all(&bytes[known..]).map_err(|error| ContentError::io(doing())(error))?;
        *self.at = end;
        *self.written = (*self.written).max(end);
        Ok(())
    }
}

impl<'a> Ingest<'a> {
    /// Begins a blob in `sink`; with a descriptor, the bytes are compared with it.
    ///
    /// # Errors
    /// When the sink does not take it.
    pub fn begin(sink: &'a dyn Sink, what: Option<&Descriptor>) -> Result<Self, ContentError> {
        let mut upload = sink.begin(what)?;
        let algorithm = what.map_or(Algorithm::Sha256, |what| what.digest.algorithm());
        let mut hash = Hash::new(algorithm);
        let offset = upload.offset();
        if offset > 0 {
            if upload.verifies() {
                hash.hasher = None;
                hash.seen = offset;
            } else if let Some(hasher) = &mut hash.hasher
                && upload.replay(hasher)?
            {
                hash.seen = offset;
            }
        }
        Ok(Self::new(sink, upload, hash, what))
    }

    /// Begins a blob again that was interrupted a moment ago, with what is known of its bytes.
    pub(crate) fn again(sink: &'a dyn Sink, what: &Descriptor, hash: Hash) -> Result<Self, ContentError> {
        let upload = sink.begin(Some(what))?;
        Ok(Self::new(sink, upload, hash, Some(what)))
    }

    fn new(sink: &dyn Sink, upload: Box<dyn Upload + 'a>, hash: Hash, what: Option<&Descriptor>) -> Self {
        let written = upload.offset();
        let at = if hash.hasher.is_some() { written.min(hash.seen) } else { written };
        let promised = what.map(|what| (what.digest, what.size));
        Self { upload, hash, written, at, promised, place: sink.place() }
    }

    /// What is known of the bytes, when the upload broke.
    pub(crate) fn into_hash(self) -> Hash {
        self.hash
    }

    /// The two things that are done with bytes, to be done side by side.
    pub(crate) fn sides(&mut self) -> (&mut Hash, Writing<'_, 'a>) {
        let Self { upload, hash, written, at, promised, place } = self;
        (hash, Writing { upload, written, at, promised: *promised, place })
    }

    /// The byte that the source has to be read from.
    pub fn resume_at(&self) -> u64 {
        self.at
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When there are more than promised or the sink cannot keep them.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        let (hash, mut writing) = self.sides();
        let at = writing.at();
        if let Some((digest, expected)) = writing.promised.filter(|(_, size)| at + bytes.len() as u64 > *size) {
            let (place, actual) = (writing.place.to_owned(), at + bytes.len() as u64);
            return Err(ContentError::SizeMismatch { place, digest, expected, actual });
        }
        hash.take(at, bytes);
        writing.take(bytes)
    }

    /// Compares the bytes with what was promised and makes them visible. What does not match is thrown away.
    ///
    /// # Errors
    /// When the bytes are not those promised, or cannot be kept.
    pub fn commit(self) -> Result<Sealed, ContentError> {
        self.try_commit().map_err(|(error, _)| error)
    }

    /// The same; with the error comes what is known of the bytes, if they can be sent again.
    pub(crate) fn try_commit(self) -> Result<Sealed, (ContentError, Option<Hash>)> {
        let Self { upload, hash, at, promised, place, .. } = self;
        // The hash of all bytes is made once; the state before stays, for another attempt.
        let digest = hash.hasher.clone().map(Hasher::finish).or(promised.map(|(digest, _)| digest));
        let Some(digest) = digest else { return Err((ContentError::Unsupported { place, verb: "name bytes" }, None)) };
        let sealed = Sealed { digest, size: at };
        if let Some((expected, size)) = promised {
            if sealed.size < size {
                // Kept: the source ended early, and the next attempt goes on from here.
                let actual = sealed.size;
                return Err((ContentError::SizeMismatch { place, digest: expected, expected: size, actual }, None));
            }
            if sealed.digest != expected {
                upload.discard().map_err(|error| (error, None))?;
                let actual = sealed.digest;
                return Err((ContentError::DigestMismatch { place, expected, actual }, None));
            }
        }
        match upload.commit(&sealed) {
            Ok(()) => Ok(sealed),
            Err(error) => Err((error, Some(hash))),
        }
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
