//! Where connections come from.

use std::fmt;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

/// The certificates of a listener. They can change while it listens: every connection asks anew.
pub trait Certificates: Send + Sync {
    /// How the next connection is to be encrypted. The engine speaks HTTP/1.1 only; a configuration that offers ALPN is
    /// to offer `http/1.1`.
    fn current(&self) -> Arc<rustls::ServerConfig>;
}

/// A socket that listens, and what is spoken on it.
pub struct Listener {
    socket: OwnedFd,
    certificates: Option<Arc<dyn Certificates>>,
    name: String,
}

impl Listener {
    /// Listens on a host (or address) and port; port 0 lets the system choose.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn tcp(address: impl ToSocketAddrs) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        let name = socket.local_addr()?.to_string();
        Self::new(socket.into(), name)
    }

    /// Takes a Unix socket that listens.
    ///
    /// # Errors
    /// When the socket cannot be prepared.
    pub fn unix(socket: UnixListener) -> io::Result<Self> {
        let path = socket.local_addr()?.as_pathname().map(|path| path.display().to_string());
        Self::new(socket.into(), format!("unix:{}", path.unwrap_or_default()))
    }

    /// Takes a socket of any kind that a service manager has made.
    ///
    /// # Errors
    /// When the descriptor is no socket of this kind.
    pub fn inherited(socket: OwnedFd) -> io::Result<Self> {
        let tcp = TcpListener::from(socket);
        match tcp.local_addr() {
            Ok(address) => Self::new(tcp.into(), address.to_string()),
            Err(_) => Self::unix(UnixListener::from(OwnedFd::from(tcp))),
        }
    }

    /// The same, encrypted.
    #[must_use]
    pub fn secured(mut self, certificates: Arc<dyn Certificates>) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// The address and port, or `unix:PATH`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the next connection is to be encrypted, if it is.
    pub fn encryption(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.certificates.as_ref().map(|certificates| certificates.current())
    }

    fn new(socket: OwnedFd, name: String) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket, certificates: None, name })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Display for Listener {
    /// The URL, or `unix:PATH`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.certificates, self.name.starts_with("unix:")) {
            (_, true) => f.write_str(&self.name),
            (Some(_), false) => write!(f, "https://{}", self.name),
            (None, false) => write!(f, "http://{}", self.name),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({self})")
    }
}
