//! A request: its head, and its body as a stream.

use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;

use super::{Method, Query};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address and port.
    Net(SocketAddr),
    /// A process on this machine, through a Unix socket.
    Local,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(address) => fmt::Display::fmt(address, f),
            Self::Local => f.write_str("local"),
        }
    }
}

/// The header fields of a request, as they were sent. Names are compared without regard to case.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    /// Of parsed fields.
    pub const fn new(fields: &'a [httparse::Header<'a>]) -> Self {
        Self(fields)
    }

    /// The first field of that name; none as well when it is not text.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// How many fields of that name there are, text or not.
    pub fn count(self, name: &str) -> usize {
        self.0.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count()
    }

    /// All fields of that name that are text.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'a str> {
        let fields = self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        fields.filter_map(|field| str::from_utf8(field.value).ok())
    }
}

/// Everything about a request that is known before its body.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// What is to be done.
    pub method: Method,
    /// The target as it was sent: path and query.
    pub target: &'a str,
    /// The path, decoded. It begins with a slash; nothing else about it is checked.
    pub path: &'a str,
    /// The query.
    pub query: Query<'a>,
    /// The header fields.
    pub headers: Headers<'a>,
    /// Who asks.
    pub peer: Peer,
    /// The certificates that the client has shown, in DER, its own first; they were verified. Empty without mutual TLS.
    pub certificates: &'a [rustls::pki_types::CertificateDer<'a>],
    /// Whether the connection is encrypted.
    pub is_secure: bool,
    /// The length of the body in bytes; none when it is sent in chunks. 0 when there is none.
    pub length: Option<u64>,
}

/// A request.
pub struct Request<'a> {
    /// What is known before the body.
    pub head: Head<'a>,
    /// The body. The engine has asked for it (`100 Continue`) when it is read for the first time; what is not read is
    /// dealt with by the engine. It ends with an error when the client is too slow or goes away.
    pub body: &'a mut (dyn Read + Send),
}

impl Request<'_> {
    /// Reads a small body.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] when it has more than `limit` bytes, or when it cannot be read.
    pub fn read_small(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let limit_in_bytes = limit as u64;
        if self.head.length.is_some_and(|length| length > limit_in_bytes) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        (&mut *self.body).take(limit_in_bytes + 1).read_to_end(&mut bytes)?;
        match bytes.len() > limit {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok(bytes),
        }
    }
}
