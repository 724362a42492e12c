//! A program that is talked with, and a server that is reached, through a connection.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelStream, ChannelWriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::ended;
use super::link::Link;
use super::options::SshNetwork;
use super::running::judge;
use super::script::{Gate, Remote};
use crate::transport::lines::Lines;
use crate::transport::{Command, Conversation, End, ErrorLines, Status, TransportError};

/// Pieces of output that may wait for a reader.
const PENDING: usize = 64;
/// Bytes that go into one piece of input.
const PIECE: usize = 256 << 10;

/// Starts a program and splits what it says.
pub(super) fn start(
    network: &Arc<SshNetwork>,
    link: &Arc<Link>,
    remote: Remote,
    (host, command): (String, &Command),
    errors: ErrorLines,
) -> Result<Conversation, TransportError> {
    let program = network.block_on(link.exec(&host, &remote.line))?;
    let (reading, writing) = program.split();
    let writing = Arc::new(writing);
    let head = remote.head.clone();
    let sent = network.block_on(writing.data_bytes(head));
    sent.map_err(|error| TransportError::Lost { host: host.clone(), source: io::Error::other(error) })?;
    let (send, receive) = channel(PENDING);
    let task = network.handle().spawn(split(reading, remote.mark, send, errors));
    let network = network.clone();
    Ok(Conversation {
        input: Box::new(Input { network: network.clone(), writing: writing.clone(), _link: link.clone() }),
        output: Box::new(Output { receive, piece: Vec::new(), at: 0 }),
        end: Box::new(Ending { network, task: Mutex::new(Some(task)), writing, host, command: command.clone() }),
    })
}

/// What a channel said besides its output.
struct Said {
    status: Option<Status>,
    err: Gate,
}

async fn split(mut reading: ChannelReadHalf, mark: String, send: Sender<Vec<u8>>, mut errors: ErrorLines) -> Said {
    let (mut out, mut err) = (Gate::new(&mark), Gate::new(&mark));
    let (mut lines, mut status) = (Lines::default(), None);
    let mut send = Some(send);
    while let Some(message) = reading.wait().await {
        let mut rest = Vec::new();
        match &message {
            ChannelMsg::Data { data } => {
                let bytes = out.take(data, &mut rest).to_vec();
                // A reader that is gone wants nothing more; one that is slow is waited for.
                if let (false, Some(open)) = (bytes.is_empty(), &send)
                    && open.send(bytes).await.is_err()
                {
                    send = None;
                }
            }
            ChannelMsg::ExtendedData { data, .. } => lines.take(err.take(data, &mut rest), &mut *errors),
            ChannelMsg::Eof => send = None,
            other => status = ended(other).or(status),
        }
    }
    lines.finish(&mut *errors);
    Said { status, err }
}

struct Input {
    network: Arc<SshNetwork>,
    writing: Arc<ChannelWriteHalf<Msg>>,
    /// The connection lives as long as somebody writes.
    _link: Arc<Link>,
}

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PIECE)];
        let sent = self.network.block_on(self.writing.data_bytes(piece.to_vec()));
        sent.map_err(|error| io::Error::new(io::ErrorKind::BrokenPipe, error))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // A channel that is closed has its end already.
        self.network.block_on(self.writing.eof()).ok();
    }
}

struct Output {
    receive: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.receive.blocking_recv() {
                Some(piece) => (self.piece, self.at) = (piece, 0),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

struct Ending {
    network: Arc<SshNetwork>,
    task: Mutex<Option<JoinHandle<Said>>>,
    writing: Arc<ChannelWriteHalf<Msg>>,
    host: String,
    command: Command,
}

impl End for Ending {
    fn wait(self: Box<Self>) -> Result<Status, TransportError> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let lost = |source| TransportError::Lost { host: self.host.clone(), source };
        let Some(task) = task else { return Err(lost(io::Error::other("it was given up"))) };
        let said = self.network.block_on(task).map_err(|error| lost(io::Error::other(error)))?;
        judge(said.status, &said.err, &self.host, &self.command)
    }

    fn give_up(&self) {
        // The program sees the end of its input and of its outputs.
        self.network.block_on(self.writing.close()).ok();
    }
}

/// A connection to a server behind the host.
pub(super) struct Forwarded {
    network: Arc<SshNetwork>,
    _link: Arc<Link>,
    stream: Option<ChannelStream<Msg>>,
}

impl Forwarded {
    pub(super) fn new(network: Arc<SshNetwork>, link: Arc<Link>, channel: Channel<Msg>) -> Self {
        Self { network, _link: link, stream: Some(channel.into_stream()) }
    }

    fn stream(&mut self) -> io::Result<&mut ChannelStream<Msg>> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        // A stream closes itself by a task of its own.
        let handle = self.network.handle();
        let _inside = handle.enter();
        self.stream = None;
    }
}

impl Read for Forwarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let handle = self.network.handle();
        handle.block_on(self.stream()?.read(buffer))
    }
}

impl Write for Forwarded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let handle = self.network.handle();
        handle.block_on(self.stream()?.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        let handle = self.network.handle();
        handle.block_on(self.stream()?.flush())
    }
}
