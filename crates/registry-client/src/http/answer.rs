//! What a server answers: status, headers, and a body that is read as it comes.

use std::io::{self, Read};
use std::sync::Arc;

use super::connection::Connection;
use super::pool::Pool;
use super::{IDLE, Method, ended_early};

/// Status and headers.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    is_http_1_0: bool,
}

impl Head {
    pub(super) fn new(answer: &httparse::Response<'_, '_>) -> Self {
        let header = |header: &httparse::Header<'_>| {
            (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
        };
        Self {
            status: answer.code.unwrap_or_default(),
            headers: answer.headers.iter().map(header).collect(),
            is_http_1_0: answer.version == Some(0),
        }
    }

    /// The first header of a name, which is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All headers of a name, which is given in lower case.
    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.headers(name).flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    }

    fn closes(&self) -> bool {
        self.has_token("connection", "close") || (self.is_http_1_0 && !self.has_token("connection", "keep-alive"))
    }

    /// The same, of a connection that is not used again: the request was not sent to its end.
    pub(super) fn closing(mut self) -> Self {
        self.headers.push(("connection".to_owned(), "close".to_owned()));
        self
    }

    /// The value of `Content-Length`, if there is a usable one.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length").and_then(|text| text.parse().ok())
    }
}

/// An answer: its head, and its body to be read.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

/// A body on its connection. Read to its end, the connection is kept for the next request; dropped before, it is closed.
pub(crate) struct Body {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    framing: Framing,
    reusable: bool,
}

enum Framing {
    Length(u64),
    /// The first chunk's head comes next.
    FirstChunk,
    /// Bytes left of the running chunk.
    Chunk(u64),
    /// A chunk's end, and the next one's head, come next.
    NextChunk,
    UntilClose,
}

impl Answer {
    pub(super) fn new(method: Method, head: Head, connection: Connection, pool: Arc<Pool>) -> Self {
        let is_empty = method == Method::Head || matches!(head.status, 204 | 304);
        let framing = if is_empty {
            Framing::Length(0)
        } else if head.has_token("transfer-encoding", "chunked") {
            Framing::FirstChunk
        } else if let Some(length) = head.length() {
            Framing::Length(length)
        } else {
            Framing::UntilClose
        };
        let reusable = !head.closes() && !matches!(framing, Framing::UntilClose);
        let mut body = Body { connection: Some(connection), pool, framing, reusable };
        if matches!(body.framing, Framing::Length(0)) {
            body.finish();
        }
        Self { head, body }
    }
}

impl Body {
    /// Reads what is left of a short body, so that its connection can be used again.
    pub(crate) fn drain(mut self) {
        const SHORT: u64 = 64 << 10;
        // Nothing depends on it: an error closes the connection, which was to be given back.
        drop(io::copy(&mut (&mut self).take(SHORT), &mut io::sink()));
    }

    /// Reads the whole body, which must not be longer than `limit`; what is longer is cut.
    pub(crate) fn read_up_to(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(limit).read_to_end(&mut bytes)?;
        // A body of just that length is read to its end.
        if bytes.len() as u64 == limit && self.read(&mut [0])? != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {limit} bytes")));
        }
        Ok(bytes)
    }

    fn finish(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.reusable) {
            self.pool.keep(connection);
        }
    }

    /// The next chunk's size; the trailer behind the last one is read and dropped.
    fn next_chunk(connection: &mut Connection, is_first: bool) -> io::Result<u64> {
        if !is_first && !connection.read_line()?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk is longer than it says"));
        }
        let line = connection.read_line()?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        let size = size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a chunk's size is no number"))?;
        if size == 0 {
            while !connection.read_line()?.is_empty() {}
        }
        Ok(size)
    }
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(connection) = &mut self.connection else { return Ok(0) };
        if out.is_empty() {
            return Ok(0);
        }
        if connection.wait(IDLE).is_err() {
            return Err(ended_early());
        }
        if let Framing::FirstChunk | Framing::NextChunk = self.framing {
            let is_first = matches!(self.framing, Framing::FirstChunk);
            let size = Self::next_chunk(connection, is_first)?;
            self.framing = Framing::Chunk(size);
            if size == 0 {
                self.finish();
                return Ok(0);
            }
        }
        let left = match self.framing {
            Framing::Length(left) | Framing::Chunk(left) => left,
            Framing::UntilClose | Framing::FirstChunk | Framing::NextChunk => u64::MAX,
        };
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let count = connection.read(&mut out[..room])?;
        match &mut self.framing {
            Framing::UntilClose if count == 0 => self.connection = None,
            Framing::UntilClose | Framing::FirstChunk | Framing::NextChunk => {}
            Framing::Length(_) | Framing::Chunk(_) if count == 0 => {
                self.connection = None;
                return Err(ended_early());
            }
            Framing::Length(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.finish();
                }
            }
            Framing::Chunk(left) => {
                *left -= count as u64;
                if *left == 0 {
                    self.framing = Framing::NextChunk;
                }
            }
        }
        Ok(count)
    }
}
