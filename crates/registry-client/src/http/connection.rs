//! One connection to a server or proxy: a socket, perhaps TLS around it, and the bytes read ahead while a head was
//! looked for.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustls::{ClientConnection, StreamOwned};

use super::answer::Head;
use super::{HttpError, IDLE, ended_early};

/// Heads of answers are shorter, and reads below this size go through the buffer.
const BUFFER: usize = 64 << 10;
/// Bodies are read past the buffer from this size on.
const DIRECT: usize = 8 << 10;
/// Headers of one answer.
const HEADERS: usize = 128;

/// What connections are kept and found by: scheme and authority, the way there, and the profile.
pub(super) type Key = (String, usize);

/// What carries the bytes: a socket, or TLS to a proxy.
pub(super) enum Tunnel {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

pub(super) enum Stream {
    Plain(Tunnel),
    Tls(Box<StreamOwned<ClientConnection, Tunnel>>),
}

pub(crate) struct Connection {
    stream: Stream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    read_wait: Option<Duration>,
    pub(super) key: Key,
    /// What goes in front of the path in the request line, for a proxy that wants the whole URL.
    pub(super) absolute: bool,
    /// `Proxy-Authorization`, for such a proxy.
    pub(super) proxy_authorization: Option<String>,
    /// Whether it has served a request before.
    pub(super) is_used: bool,
    pub(super) since: Instant,
}

impl Read for Tunnel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Tunnel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Tunnel {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tunnel) => tunnel.tcp(),
            Self::Tls(stream) => stream.sock.tcp(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Plain(tunnel) => tunnel.read(buffer),
                Self::Tls(stream) => stream.read(buffer),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, key: Key) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self {
            stream,
            buffer,
            start: 0,
            end: 0,
            read_wait: Some(IDLE),
            key,
            absolute: false,
            proxy_authorization: None,
            is_used: false,
            since: Instant::now(),
        }
    }

    /// Sends all of `bytes`.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        let result = match &mut self.stream {
            Stream::Plain(tunnel) => tunnel.write_all(bytes).and_then(|()| tunnel.flush()),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        result.map_err(|error| HttpError::io(error, IDLE))
    }

    /// Reads the head of an answer; those that only say that another one comes are passed over.
    pub(super) fn read_head(&mut self, wait: Duration) -> Result<Head, HttpError> {
        self.wait(wait)?;
        loop {
            let head = self.one_head(wait)?;
            if !(100..200).contains(&head.status) {
                self.is_used = true;
                return Ok(head);
            }
        }
    }

    fn one_head(&mut self, wait: Duration) -> Result<Head, HttpError> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let mut answer = httparse::Response::new(&mut headers);
            let malformed = |error: httparse::Error| HttpError::Malformed(format!("no HTTP answer: {error}"));
            if let httparse::Status::Complete(length) =
                answer.parse(&self.buffer[self.start..self.end]).map_err(malformed)?
            {
                let head = Head::new(&answer);
                self.start += length;
                return Ok(head);
            }
            self.make_room();
            if self.end == self.buffer.len() {
                return Err(HttpError::Malformed("the head of the answer is longer than 64 KiB".to_owned()));
            }
            match self.stream.read(&mut self.buffer[self.end..]).map_err(|error| HttpError::io(error, wait))? {
                0 => return Err(HttpError::Io(ended_early())),
                count => self.end += count,
            }
        }
    }

    /// Reads bytes of a body, at most as many as fit.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            if out.len() >= DIRECT {
                return self.stream.read(out);
            }
            self.start = 0;
            self.end = self.stream.read(&mut self.buffer)?;
        }
        let count = out.len().min(self.end - self.start);
        out[..count].copy_from_slice(&self.buffer[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }

    /// Reads a line of chunked framing, without its end.
    pub(super) fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            match self.read(&mut byte)? {
                0 => return Err(ended_early()),
                _ if byte[0] == b'\n' => break,
                _ => line.push(byte[0]),
            }
            if line.len() > 4096 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk's head does not end"));
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    /// How long the next byte may take.
    pub(super) fn wait(&mut self, wait: Duration) -> Result<(), HttpError> {
        if self.read_wait != Some(wait) {
            self.stream.tcp().set_read_timeout(Some(wait)).map_err(HttpError::Io)?;
            self.read_wait = Some(wait);
        }
        Ok(())
    }

    /// Whether the server has begun to answer, or has hung up.
    pub(super) fn has_answer(&mut self) -> bool {
        if self.start < self.end {
            return true;
        }
        if !is_readable(self.stream.tcp()) {
            return false;
        }
        match &mut self.stream {
            Stream::Plain(_) => true,
            // What came may be a message of TLS itself.
            Stream::Tls(stream) => match stream.conn.read_tls(&mut stream.sock) {
                Ok(0) | Err(_) => true,
                Ok(_) => stream.conn.process_new_packets().map_or(true, |state| state.plaintext_bytes_to_read() > 0),
            },
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }
}

/// Whether a read would not wait.
fn is_readable(stream: &TcpStream) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A poll that fails says nothing; the next read or write tells.
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}
