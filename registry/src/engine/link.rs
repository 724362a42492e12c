//! One connection's socket, plain or encrypted. The socket never blocks; where something has to be waited for, it is
//! waited for here, at a [`Pace`].

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;

use super::pace::Pace;
use crate::seat;

/// Bytes of a file that are read at a time where they have to pass through this process.
const BUFFER: usize = 256 << 10;
/// Bytes of a file that the kernel is asked to send at a time.
const PIECE: usize = 4 << 20;

/// Whether more follows right away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    Follows,
    Nothing,
}

/// A socket, and what is spoken on it.
pub(super) struct Link {
    socket: Arc<OwnedFd>,
    tls: Option<Box<ServerConnection>>,
}

impl Link {
    pub(super) fn new(socket: Arc<OwnedFd>, tls: Option<ServerConnection>) -> Self {
        Self { socket, tls: tls.map(Box::new) }
    }

    pub(super) fn socket(&self) -> &Arc<OwnedFd> {
        &self.socket
    }

    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// The client's certificates, its own first.
    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.as_ref().and_then(|tls| tls.peer_certificates()).unwrap_or_default()
    }

    /// Reads what there is. 0 at the end of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is nothing yet.
    pub(super) fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { socket, tls } = self;
        let mut raw = Raw(socket);
        let Some(tls) = tls else { return raw.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            let read = tls.read_tls(&mut raw);
            if matches!(read, Ok(0)) {
                return Ok(0);
            }
            if read.is_ok() {
                let processed = tls.process_new_packets();
                if let Err(error) = processed {
                    // The peer is told why, if it still listens.
                    tls.write_tls(&mut raw).ok();
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
            // The handshake's answers; they fit into the socket's buffer unless the peer does not read at all.
            while tls.wants_write() {
                tls.write_tls(&mut raw)?;
            }
            read?;
        }
    }

    /// Reads, and waits until there is something. 0 at the end of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when the peer is too slow.
    pub(super) fn read(&mut self, buffer: &mut [u8], pace: &mut Pace) -> io::Result<usize> {
        loop {
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pace.wait(&self.socket, PollFlags::IN)?,
                Ok(count) => {
                    pace.went(count);
                    return Ok(count);
                }
                result => return result,
            }
        }
    }

    /// Sends bytes, all of them.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when the peer is too slow.
    pub(super) fn write_all(
        &mut self,
        mut first: &[u8],
        mut second: &[u8],
        more: More,
        pace: &mut Pace,
    ) -> io::Result<()> {
        if self.tls.is_some() {
            self.encrypt(first, pace)?;
            return self.encrypt(second, pace);
        }
        let flags = SendFlags::NOSIGNAL | if more == More::Follows { SendFlags::MORE } else { SendFlags::empty() };
        while !first.is_empty() || !second.is_empty() {
            let parts = [IoSlice::new(first), IoSlice::new(second)];
            let parts = &parts[usize::from(first.is_empty())..2 - usize::from(second.is_empty())];
            match rustix::net::sendmsg(&self.socket, parts, &mut SendAncillaryBuffer::default(), flags) {
                Ok(count) => {
                    pace.went(count);
                    let of_first = count.min(first.len());
                    first = &first[of_first..];
                    second = &second[count - of_first..];
                }
                Err(Errno::AGAIN) => pace.wait(&self.socket, PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends a part of a file. `sent` tells how much, also after an error.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file is shorter, [`io::ErrorKind::TimedOut`] when the peer is too
    /// slow.
    pub(super) fn send_file(
        &mut self,
        file: &File,
        from: u64,
        length: u64,
        pace: &mut Pace,
        sent: &mut u64,
    ) -> io::Result<()> {
        if self.tls.is_some() {
            return self.encrypt_file(file, from, length, pace, sent);
        }
        let mut at = from;
        let end = from + length;
        while at < end {
            let piece = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE);
            match rustix::fs::sendfile(&self.socket, file, Some(&mut at), piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    *sent += count as u64;
                    pace.went(count);
                }
                Err(Errno::AGAIN) => pace.wait(&self.socket, PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                // Files of some file systems cannot be sent by the kernel.
                Err(Errno::INVAL | Errno::NOSYS) => return self.copy_file(file, at, end, pace, sent),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub(super) fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            tls.write_tls(&mut Raw(&self.socket)).ok();
        }
        // An error means that the peer is gone.
        rustix::net::shutdown(&self.socket, Shutdown::Write).ok();
    }

    /// Reads what the peer still sends after the end, as raw bytes. 0 at the end of the stream.
    pub(super) fn drain(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Raw(&self.socket).read(buffer)
    }

    fn copy_file(&mut self, file: &File, mut at: u64, end: u64, pace: &mut Pace, sent: &mut u64) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        while at < end {
            let count = read_piece(file, at, end, &mut buffer)?;
            self.write_all(&buffer[..count], &[], More::Nothing, pace)?;
            *sent += count as u64;
            at += count as u64;
        }
        Ok(())
    }

    fn encrypt_file(
        &mut self,
        file: &File,
        mut at: u64,
        length: u64,
        pace: &mut Pace,
        sent: &mut u64,
    ) -> io::Result<()> {
        let end = at + length;
        let mut buffer = vec![0; BUFFER.min(usize::try_from(length).unwrap_or(BUFFER))];
        seat::leave();
        while at < end {
            let count = read_piece(file, at, end, &mut buffer)?;
            self.encrypt(&buffer[..count], pace)?;
            *sent += count as u64;
            at += count as u64;
        }
        Ok(())
    }

    fn encrypt(&mut self, mut bytes: &[u8], pace: &mut Pace) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while !bytes.is_empty() || tls.wants_write() {
            if !bytes.is_empty() {
                let taken = tls.writer().write(bytes)?;
                bytes = &bytes[taken..];
            }
            while tls.wants_write() {
                match tls.write_tls(&mut Raw(&self.socket)) {
                    Ok(count) => pace.went(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        pace.wait(&self.socket, PollFlags::OUT)?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn read_piece(file: &File, at: u64, end: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
    match file.read_at(&mut buffer[..wanted], at)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

/// The socket without waiting.
struct Raw<'a>(&'a OwnedFd);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::net::recv(self.0, &mut *buffer, RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                result => return Ok(result?.0),
            }
        }
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::net::sendmsg(self.0, parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
