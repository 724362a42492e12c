//! The body of a request, as a stream: what came along with the head first, then from the socket.

use std::io::{self, Read};
use std::time::Duration;

use super::head::Framing;
use super::link::{Link, More};
use super::pace::Pace;

/// Bytes read at a time where the ends of chunks have to be looked for.
const CHUNKS: usize = 64 << 10;
/// The longest line between chunks, and all trailers together.
const LONGEST_LINE: usize = 8 << 10;

/// A body being read.
pub(super) struct Incoming<'a> {
    link: &'a mut Link,
    /// What came along with the head and has not been read.
    early: &'a [u8],
    left: Left,
    /// The client waits for `100 Continue`.
    owes_continue: bool,
    pace: Pace,
    received: u64,
    /// What was read while looking for the end of a chunk; from `at` on it has not been read.
    spill: Vec<u8>,
    at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// So many bytes.
    Bytes(u64),
    /// So many bytes of this chunk, and its line end.
    Chunk(u64),
    /// The line with the next chunk's size.
    Size,
    /// The lines behind the last chunk.
    Trailers,
    Nothing,
    /// Reading failed; what follows on this connection cannot be understood.
    Lost,
}

/// What is left of the connection after a body.
pub(super) enum After {
    /// The next request. It begins behind the head, or these bytes of it have been read.
    Next(Option<Vec<u8>>),
    /// Nothing: the rest of the body was not wanted.
    Close,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(link: &'a mut Link, early: &'a [u8], framing: Framing, expects: bool, pace: Pace) -> Self {
        let left = match framing {
            Framing::Length(0) => Left::Nothing,
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::Size,
        };
        let owes_continue = expects && left != Left::Nothing;
        Self { link, early, left, owes_continue, pace, received: 0, spill: Vec::new(), at: 0 }
    }

    /// Bytes of the body that were read.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Ends the body. What is left of it is thrown away if it is here already and has at most so many bytes.
    pub(super) fn finish(mut self, at_most: u64) -> After {
        if self.received == 0 && self.left == Left::Nothing && self.spill.is_empty() {
            return After::Next(None);
        }
        if self.owes_continue {
            return After::Close;
        }
        self.pace = Pace::new(Duration::ZERO, 0);
        let limit = self.received.saturating_add(at_most);
        let mut buffer = [0; 4096];
        while self.left != Left::Nothing {
            if self.received > limit || self.read(&mut buffer).is_err() {
                return After::Close;
            }
        }
        let mut rest = self.spill.split_off(self.at.min(self.spill.len()));
        rest.extend_from_slice(self.early);
        After::Next(Some(rest))
    }

    /// Reads from what is here already, else from the socket.
    fn raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at < self.spill.len() {
            let count = buffer.len().min(self.spill.len() - self.at);
            buffer[..count].copy_from_slice(&self.spill[self.at..self.at + count]);
            self.at += count;
            return Ok(count);
        }
        if !self.early.is_empty() {
            let count = buffer.len().min(self.early.len());
            let (now, later) = self.early.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.early = later;
            return Ok(count);
        }
        match self.link.read(buffer, &mut self.pace)? {
            0 if !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }

    /// Gets more bytes to look for a line end in. Only called when everything in `spill` has been looked at.
    fn spill_more(&mut self) -> io::Result<()> {
        self.spill.drain(..self.at);
        self.at = 0;
        if !self.early.is_empty() {
            self.spill.extend_from_slice(self.early);
            self.early = &[];
            return Ok(());
        }
        let start = self.spill.len();
        self.spill.resize(start + CHUNKS, 0);
        let read = self.link.read(&mut self.spill[start..], &mut self.pace);
        self.spill.truncate(start + read.as_ref().copied().unwrap_or(0));
        match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads the line with a chunk's size.
    fn size(&mut self) -> io::Result<()> {
        loop {
            match httparse::parse_chunk_size(&self.spill[self.at..]) {
                Ok(httparse::Status::Complete((used, size))) => {
                    self.at += used;
                    self.left = if size == 0 { Left::Trailers } else { Left::Chunk(size) };
                    return Ok(());
                }
                Ok(httparse::Status::Partial) if self.spill.len() - self.at < LONGEST_LINE => self.spill_more()?,
                _ => return Err(broken()),
            }
        }
    }

    /// Skips a line.
    fn line(&mut self) -> io::Result<usize> {
        loop {
            let rest = &self.spill[self.at..];
            match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    let length = rest[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
                    self.at += end + 1;
                    return Ok(length);
                }
                None if rest.len() < LONGEST_LINE => self.spill_more()?,
                None => return Err(broken()),
            }
        }
    }

    fn step(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.left {
            Left::Nothing => return Ok(Some(0)),
            Left::Lost => return Err(broken()),
            Left::Size => self.size()?,
            Left::Trailers => {
                let mut seen = 0;
                loop {
                    match self.line()? {
                        0 => break,
                        length => seen += length,
                    }
                    if seen > LONGEST_LINE {
                        return Err(broken());
                    }
                }
                self.left = Left::Nothing;
            }
            Left::Bytes(left) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let count = self.raw(&mut buffer[..most])?;
                let left = left - count as u64;
                self.left = if left == 0 { Left::Nothing } else { Left::Bytes(left) };
                return Ok(Some(count));
            }
            Left::Chunk(0) => match self.line()? {
                0 => self.left = Left::Size,
                _ => return Err(broken()),
            },
            Left::Chunk(left) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let count = self.raw(&mut buffer[..most])?;
                self.left = Left::Chunk(left - count as u64);
                return Ok(Some(count));
            }
        }
        Ok(None)
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.owes_continue {
            self.owes_continue = false;
            let mut pace = self.pace;
            self.link.write_all(b"HTTP/1.1 100 Continue\r\n\r\n", &[], More::Nothing, &mut pace)?;
        }
        loop {
            match self.step(buffer) {
                Ok(None) => {}
                Ok(Some(count)) => {
                    self.received += count as u64;
                    return Ok(count);
                }
                Err(error) => {
                    self.left = Left::Lost;
                    return Err(error);
                }
            }
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the chunks of the body are broken")
}
