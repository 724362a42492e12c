//! The bytes of an object, gone on with where the connection broke.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use super::Bucket;
use super::ask::{ATTEMPTS, PAUSE};
use crate::http::Body;

/// The bytes of an object.
pub(super) struct Reader {
    bucket: Arc<Bucket>,
    key: String,
    /// What is left.
    range: Range<u64>,
    body: Option<Body>,
    failures: u32,
}

impl Reader {
    /// What is left of `body` is the range.
    pub(super) fn new(bucket: &Arc<Bucket>, key: &str, range: Range<u64>, body: Body) -> Self {
        Self { bucket: Arc::clone(bucket), key: key.to_owned(), range, body: Some(body), failures: 0 }
    }

    /// Gives up with an error, or lets the next attempt be made.
    fn fail(&mut self, error: io::Error) -> io::Result<()> {
        self.body = None;
        self.failures += 1;
        if self.failures >= ATTEMPTS {
            return Err(error);
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.range.is_empty() || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(body) = &mut self.body else {
                match self.bucket.body(&self.key, &self.range) {
                    Ok(body) => self.body = Some(body),
                    Err(error) => self.fail(error.into())?,
                }
                continue;
            };
            // A store that does not know ranges sends the whole object.
            let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
            let most = left.min(buffer.len());
            match body.read(&mut buffer[..most]) {
                Ok(0) => self.fail(io::ErrorKind::UnexpectedEof.into())?,
                Ok(count) => {
                    self.range.start += count as u64;
                    self.failures = 0;
                    return Ok(count);
                }
                Err(error) => self.fail(error)?,
            }
        }
    }
}
