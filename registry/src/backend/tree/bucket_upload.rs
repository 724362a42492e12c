//! An object whose parts are written while it grows; one that is shorter than a part is written at its end.
//!
//! The store gives nothing back of an upload that is not completed. Where its bytes have to be read again, which happens
//! when a client names another digest than the one that was computed on the way, the upload is completed where it is.

use std::io::{self, Read};
use std::sync::Arc;

use registry_client::{Bucket, Parts};

use super::Growing;
use super::bucket::failed;
use crate::seat;

/// Bytes of a part; all but the last have the same size, which some stores insist on.
const PART: usize = 8 << 20;
/// The protocol allows 10 000 parts. Whoever says beforehand that more than so many will come gets larger ones.
const PARTS: u64 = 9_000;
/// Bytes read back at a time.
const PIECE: usize = 1 << 20;

/// An object that grows.
pub(super) struct GrowingObject {
    bucket: Arc<Bucket>,
    root: String,
    key: String,
    parts: Option<Parts>,
    /// So many bytes are an object under the key already.
    stored: u64,
    /// What is not in the store yet.
    buffer: Vec<u8>,
    part: usize,
    length: u64,
}

impl GrowingObject {
    pub(super) fn new(bucket: &Arc<Bucket>, root: &str, key: String) -> Self {
        let (bucket, root) = (Arc::clone(bucket), root.to_owned());
        Self { bucket, root, key, parts: None, stored: 0, buffer: Vec::new(), part: PART, length: 0 }
    }

    /// Writes the first bytes of the buffer.
    fn flush(&mut self, count: usize) -> io::Result<()> {
        seat::leave();
        let parts = match &mut self.parts {
            Some(parts) => parts,
            parts => parts.insert(self.bucket.begin(&self.key).map_err(failed)?),
        };
        if self.stored > 0 {
            self.bucket.copy_parts(&self.key, parts, self.stored).map_err(failed)?;
            self.stored = 0;
        }
        self.bucket.part(parts, &self.buffer[..count]).map_err(failed)?;
        self.buffer.drain(..count);
        Ok(())
    }

    /// Makes everything that was written an object under the key.
    fn store(&mut self) -> io::Result<()> {
        self.settle()?;
        if let Some(parts) = &self.parts {
            self.bucket.complete(parts).map_err(failed)?;
            self.parts = None;
            self.stored = self.length;
        }
        Ok(())
    }
}

impl Growing for GrowingObject {
    fn length(&self) -> u64 {
        self.length
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        if self.length == 0 {
            self.part = usize::try_from(bytes / PARTS).unwrap_or(PART).max(PART);
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        while self.buffer.len() >= self.part {
            self.flush(self.part)?;
        }
        Ok(())
    }

    fn replay(&mut self, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        if self.parts.is_some() {
            self.store()?;
        }
        if self.stored > 0 {
            seat::leave();
            let mut reader = self.bucket.read(&self.key, 0..self.stored).map_err(failed)?;
            let mut piece = vec![0; PIECE];
            loop {
                match reader.read(&mut piece)? {
                    0 => break,
                    count => take(&piece[..count]),
                }
            }
        }
        take(&self.buffer);
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        let is_begun = self.parts.is_some() || self.stored > 0;
        if is_begun && !self.buffer.is_empty() { self.flush(self.buffer.len()) } else { Ok(()) }
    }

    fn place(mut self: Box<Self>, path: &str) -> io::Result<()> {
        seat::leave();
        let target = format!("{}{path}", self.root);
        self.store()?;
        if self.stored == 0 {
            return self.bucket.put(&target, &self.buffer).map_err(failed);
        }
        // Its own object goes away when this is dropped.
        self.bucket.copy(&self.key, &target, self.length).map_err(failed)
    }
}

impl Drop for GrowingObject {
    fn drop(&mut self) {
        // What cannot be thrown away now is found by garbage collection.
        if let Some(parts) = self.parts.take() {
            self.bucket.abort(&parts).ok();
        }
        if self.stored > 0 {
            self.bucket.delete(&self.key).ok();
        }
    }
}
