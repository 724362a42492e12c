//! A response: status, header fields, body.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status(pub u16);

impl Status {
    /// 200
    pub const OK: Self = Self(200);
    /// 201
    pub const CREATED: Self = Self(201);
    /// 202
    pub const ACCEPTED: Self = Self(202);
    /// 204
    pub const NO_CONTENT: Self = Self(204);
    /// 206
    pub const PARTIAL_CONTENT: Self = Self(206);
    /// 301
    pub const MOVED_PERMANENTLY: Self = Self(301);
    /// 304
    pub const NOT_MODIFIED: Self = Self(304);
    /// 307
    pub const TEMPORARY_REDIRECT: Self = Self(307);
    /// 400
    pub const BAD_REQUEST: Self = Self(400);
    /// 401
    pub const UNAUTHORIZED: Self = Self(401);
    /// 403
    pub const FORBIDDEN: Self = Self(403);
    /// 404
    pub const NOT_FOUND: Self = Self(404);
    /// 405
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// 408
    pub const REQUEST_TIMEOUT: Self = Self(408);
    /// 411
    pub const LENGTH_REQUIRED: Self = Self(411);
    /// 413
    pub const PAYLOAD_TOO_LARGE: Self = Self(413);
    /// 414
    pub const URI_TOO_LONG: Self = Self(414);
    /// 416
    pub const RANGE_NOT_SATISFIABLE: Self = Self(416);
    /// 417
    pub const EXPECTATION_FAILED: Self = Self(417);
    /// 429
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    /// 431
    pub const HEADERS_TOO_LARGE: Self = Self(431);
    /// 500
    pub const INTERNAL_SERVER_ERROR: Self = Self(500);
    /// 501
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// 502
    pub const BAD_GATEWAY: Self = Self(502);
    /// 503
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
    /// 505
    pub const VERSION_NOT_SUPPORTED: Self = Self(505);
    /// 507
    pub const INSUFFICIENT_STORAGE: Self = Self(507);

    /// The words that go with the number (RFC 9110, section 15).
    pub const fn reason(self) -> &'static str {
        match self.0 {
            100 => "Continue",
            200 => "OK",
            201 => "Created",
            202 => "Accepted",
            204 => "No Content",
            206 => "Partial Content",
            301 => "Moved Permanently",
            304 => "Not Modified",
            307 => "Temporary Redirect",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            411 => "Length Required",
            413 => "Content Too Large",
            414 => "URI Too Long",
            416 => "Range Not Satisfiable",
            417 => "Expectation Failed",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            507 => "Insufficient Storage",
            _ => "Unknown",
        }
    }
}

/// The bytes of a response.
pub enum Body {
    /// None.
    Empty,
    /// None, since the request was HEAD; it would have so many bytes.
    Absent(u64),
    /// In memory.
    Bytes(Cow<'static, [u8]>),
    /// In memory and shared: a cached manifest. From the first position to before the second.
    Shared(Arc<[u8]>, std::ops::Range<usize>),
    /// A part of a file, sent without passing through this process where possible.
    File {
        /// The file.
        file: File,
        /// The first byte.
        from: u64,
        /// How many bytes.
        length: u64,
    },
    /// A stream; sent in chunks when its length is not known. It is read on the thread that answers.
    Stream {
        /// Where the bytes come from. When it ends with an error or too early, the connection is cut, so that the
        /// client cannot take the part for the whole.
        reader: Box<dyn Read + Send>,
        /// How many bytes.
        length: Option<u64>,
    },
}

impl Body {
    /// The length in bytes, where it is known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Absent(length) => Some(*length),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Shared(_, range) => Some(range.len() as u64),
            Self::File { length, .. } => Some(*length),
            Self::Stream { length, .. } => *length,
        }
    }
}

impl Body {
    /// The bytes as a stream.
    pub fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            Self::Empty | Self::Absent(_) => Box::new(io::empty()),
            Self::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
            Self::Shared(bytes, range) => Box::new(Shared { bytes, range }),
            Self::File { file, from, length } => Box::new(Part { file, at: from, left: length }),
            Self::Stream { reader, .. } => reader,
        }
    }
}

struct Shared {
    bytes: Arc<[u8]>,
    range: std::ops::Range<usize>,
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.range.len());
        buffer[..count].copy_from_slice(&self.bytes[self.range.start..self.range.start + count]);
        self.range.start += count;
        Ok(count)
    }
}

struct Part {
    file: File,
    at: u64,
    left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// A response. The engine adds `Date`, `Content-Length` or `Transfer-Encoding`, and `Connection`; it leaves the body out
/// when the request was HEAD.
pub struct Response {
    /// The status.
    pub status: Status,
    /// The body.
    pub body: Body,
    fields: Vec<u8>,
}

impl Response {
    /// A response without a body.
    pub fn new(status: Status) -> Self {
        Self { status, body: Body::Empty, fields: Vec::with_capacity(256) }
    }

    /// A response with text that the program holds.
    pub fn text(status: Status, media_type: &str, text: impl Into<Cow<'static, [u8]>>) -> Self {
        Self::new(status).with("Content-Type", media_type).body(Body::Bytes(text.into()))
    }

    /// The same with one more header field. Line breaks in the value become spaces: no value can begin a field of its
    /// own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.add(name, value);
        self
    }

    /// Adds a header field.
    pub fn add(&mut self, name: &str, value: impl Display) {
        self.fields.extend_from_slice(name.as_bytes());
        self.fields.extend_from_slice(b": ");
        let start = self.fields.len();
        // Writing to a vector cannot fail; a `Display` that does writes a shorter value.
        drop(write!(self.fields, "{value}"));
        self.fields[start..].iter_mut().filter(|byte| byte.is_ascii_control()).for_each(|byte| *byte = b' ');
        self.fields.extend_from_slice(b"\r\n");
    }

    /// The same without its body, of which only the length is said: the answer to HEAD where the body is dear.
    #[must_use]
    pub fn length(self, bytes: u64) -> Self {
        self.body(Body::Absent(bytes))
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// The first field of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let text = str::from_utf8(&self.fields).ok()?;
        let fields = text.split("\r\n").filter_map(|line| line.split_once(": "));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The header fields as they are sent, each with its line break.
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_begin_another_field() {
        let response = Response::new(Status::OK).with("Location", "/v2/a\r\nSet-Cookie: b").with("X", 1);
        assert_eq!(response.fields(), b"Location: /v2/a  Set-Cookie: b\r\nX: 1\r\n");
        assert_eq!(response.get("location"), Some("/v2/a  Set-Cookie: b"));
        assert_eq!(response.get("set-cookie"), None);
    }
}
