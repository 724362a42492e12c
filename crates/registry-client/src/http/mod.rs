//! HTTP/1.1 as blobs need it: blocking, one connection a transfer, bodies straight between the socket and the caller's
//! buffer, uploads that notice an answer while they still send.
//!
//! ```text
//! Transport ── checkout / dial (proxy, TLS) ──▶ Connection ── head ──▶ Answer { status, headers, body }
//!                                                  └────────── Sending (request body) ──────┘
//! ```
//!
//! Invariants: nothing waits longer than its deadline for a byte; a connection goes back to the pool only when its answer
//! was read to the end. It knows nothing of registries, credentials, redirects or retries.

mod answer;
mod connection;
mod dial;
mod pool;
mod proxy;
mod sending;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use crate::RegistryError;

pub(crate) use answer::{Answer, Body};
pub(crate) use dial::Transport;
pub(crate) use proxy::{Proxies, is_loopback, percent_decoded};
pub(crate) use sending::Sending;

/// A transfer with no byte for so long is dropped and taken up again.
pub(crate) const IDLE: Duration = Duration::from_secs(10);
/// An address that does not take a connection for so long is not there.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

/// Makes a TLS set-up when a connection needs one: reading all authorities takes longer than a request on loopback.
type MakeTls = dyn Fn() -> Result<rustls::ClientConfig, RegistryError> + Send + Sync;

/// How one host is connected to: its TLS set-up and how long it may take.
pub(crate) struct Profile {
    /// Connections of one profile are not used for another.
    pub(crate) id: usize,
    /// How long a connection may take.
    pub(crate) connect: Duration,
    make: Box<MakeTls>,
    made: Mutex<Option<Arc<rustls::ClientConfig>>>,
}

impl Profile {
    pub(crate) fn new(id: usize, connect: Duration, make: Box<MakeTls>) -> Self {
        Self { id, connect, make, made: Mutex::new(None) }
    }

    fn tls(&self) -> Result<Arc<rustls::ClientConfig>, HttpError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref() {
            return Ok(Arc::clone(made));
        }
        let config = (self.make)().map_err(|error| HttpError::SetUp(Box::new(error)))?;
        Ok(Arc::clone(made.insert(Arc::new(config))))
    }
}

/// The methods that registries are asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// How long a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// So many bytes.
    Known(u64),
    /// It ends when it ends.
    Unknown,
}

/// One request on the wire.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// How long the head of the answer may take.
    pub(crate) wait: Duration,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Nobody took the connection.
    #[error("{0}")]
    Connect(io::Error),
    /// The proxy did not let us through.
    #[error("the proxy {proxy} {reason}")]
    Proxy { proxy: String, reason: String },
    /// A file with certificates cannot be used.
    #[error("{0}")]
    SetUp(Box<RegistryError>),
    /// No agreement on TLS.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// The connection broke.
    #[error("{0}")]
    Io(io::Error),
    /// No byte for too long.
    #[error("no byte came for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The other side does not speak HTTP.
    #[error("{0}")]
    Malformed(String),
}

impl HttpError {
    /// What an error of a socket means.
    pub(crate) fn io(error: io::Error, wait: Duration) -> Self {
        if is_timeout(&error) {
            return Self::Stalled(wait);
        }
        match error.downcast::<rustls::Error>() {
            Ok(tls) => Self::Tls(tls),
            Err(error) => Self::Io(error),
        }
    }

    /// Whether the connection had been closed before the request reached the server, as kept connections are.
    fn is_stale(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(self, Self::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
    }
}

/// Whether a socket gave up waiting.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

pub(crate) fn ended_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended early")
}

/// `host` or `host:port` where the port is not the scheme's own.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
