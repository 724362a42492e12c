//! One `skopeo experimental-image-proxy`, spoken to over a socket of packets.
//!
//! ```text
//! {"method":…,"args":[…]} ──▶ skopeo ──▶ {"success":…,"value":…,"pipeid":…} + a pipe for bytes
//! ```
//!
//! A pipe is closed by the proxy only when `FinishPipe` was asked for, so that is asked at once and its answer, which
//! says whether the bytes were right, is taken after the last byte. Until then the proxy can do nothing else: who wants
//! several blobs at once has several proxies.
//!
//! Source: containers/image-proxy's protocol, semantic version 0.2, as skopeo 1.5 and later speak it.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use oci::Digest;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::error::TransferError;
use super::Address;

/// The program that speaks the protocol.
pub(super) const PROGRAM: &str = "skopeo";
/// No answer is longer, in bytes; bulk goes through pipes.
const ANSWER: usize = 64 << 10;
/// Manifests and configurations are no larger, in bytes.
const DOCUMENT: u64 = 32 << 20;
/// The end of what the program wrote to stderr, in bytes, is what tells why it ended.
const LAST_WORDS: u64 = 2 << 10;

/// A running proxy with one open image.
#[derive(Debug)]
pub(super) struct Proxy {
    child: Child,
    socket: OwnedFd,
    stderr: File,
    place: String,
    image: u64,
}

#[derive(Debug, Deserialize)]
struct Answer {
    success: bool,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    pipeid: u64,
    #[serde(default)]
    error: String,
}

impl Proxy {
    /// Starts a proxy and opens an image in it.
    pub(super) fn open(address: &Address) -> Result<Self, TransferError> {
        let doing = |source| TransferError::Program { program: PROGRAM, doing: "start it", source };
        let flags = SocketFlags::CLOEXEC;
        let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        let (socket, theirs) = pair.map_err(|error| doing(error.into()))?;
        let stderr = tempfile::tempfile().map_err(doing)?;
        let their_stderr = stderr.try_clone().map_err(doing)?;
        let mut command = Command::new(PROGRAM);
        command.arg("experimental-image-proxy").args(address.daemon_flag("--daemon-host"));
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::from(their_stderr));
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => TransferError::NoProgram { program: PROGRAM, place: address.to_string() },
            _ => doing(error),
        })?;
        // The child's end of the socket must not stay open here: nobody would notice that the child ended.
        drop(command);
        let mut proxy = Self { child, socket, stderr, place: address.to_string(), image: 0 };
        proxy.call("Initialize", &json!([]))?;
        let (answer, _) = proxy.call("OpenImage", &json!([address.to_string()]))?;
        proxy.image = answer.value.as_u64().ok_or_else(|| proxy.odd("an image number"))?;
        Ok(proxy)
    }

    /// The image's manifest, which the proxy converts to OCI's form where it is Docker's.
    pub(super) fn manifest(&mut self) -> Result<Vec<u8>, TransferError> {
        let (answer, pipe) = self.call("GetManifest", &json!([self.image]))?;
        let pipe = pipe.ok_or_else(|| self.odd("a pipe"))?;
        self.send("FinishPipe", &json!([answer.pipeid]))?;
        let mut bytes = Vec::new();
        let read = File::from(pipe).take(DOCUMENT).read_to_end(&mut bytes);
        self.receive()?;
        read.map_err(|source| TransferError::Program { program: PROGRAM, doing: "read a manifest from it", source })?;
        Ok(bytes)
    }

    /// How many bytes a blob has. The proxy says so when it begins to send it, which is stopped then.
    pub(super) fn size(&mut self, digest: &Digest) -> Result<u64, TransferError> {
        let (answer, pipe) = self.call("GetBlob", &json!([self.image, digest.to_string(), 0]))?;
        drop(pipe);
        self.send("FinishPipe", &json!([answer.pipeid]))?;
        // It fails: nobody read.
        drop(self.answer()?);
        answer.value.as_u64().ok_or_else(|| self.odd("the size of a blob"))
    }

    /// Begins to read a blob; `end` has to be called after the last byte.
    pub(super) fn blob(&mut self, digest: &Digest, size: u64) -> Result<File, TransferError> {
        let (answer, pipe) = self.call("GetBlob", &json!([self.image, digest.to_string(), size]))?;
        let pipe = pipe.ok_or_else(|| self.odd("a pipe"))?;
        self.send("FinishPipe", &json!([answer.pipeid]))?;
        Ok(File::from(pipe))
    }

    /// Whether the bytes that came were all and right.
    pub(super) fn end(&mut self) -> Result<(), TransferError> {
        self.receive().map(drop)
    }

    fn call(&mut self, method: &str, arguments: &Value) -> Result<(Answer, Option<OwnedFd>), TransferError> {
        self.send(method, arguments)?;
        self.receive()
    }

    fn send(&mut self, method: &str, arguments: &Value) -> Result<(), TransferError> {
        let request = json!({"method": method, "args": arguments}).to_string();
        match rustix::net::send(&self.socket, request.as_bytes(), SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(_gone) => Err(self.ended()),
        }
    }

    fn receive(&mut self) -> Result<(Answer, Option<OwnedFd>), TransferError> {
        let (answer, pipe) = self.answer()?;
        match answer.success {
            true => Ok((answer, pipe)),
            false => Err(TransferError::Refused { place: self.place.clone(), reason: one_line(&answer.error) }),
        }
    }

    fn answer(&mut self) -> Result<(Answer, Option<OwnedFd>), TransferError> {
        let mut bytes = vec![0; ANSWER];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let length = loop {
            let parts = &mut [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.socket, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(message) if message.bytes > 0 => break message.bytes,
                _ => return Err(self.ended()),
            }
        };
        let mut pipe = None;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                pipe = descriptors.into_iter().next().or(pipe);
            }
        }
        let answer = serde_json::from_slice(&bytes[..length]).map_err(|_json| self.odd("an answer"))?;
        Ok((answer, pipe))
    }

    fn odd(&self, expected: &'static str) -> TransferError {
        TransferError::Protocol { program: PROGRAM, expected }
    }

    /// The proxy is gone; what it said last is the reason.
    fn ended(&mut self) -> TransferError {
        // It ends by itself: its socket is closed, or it has ended already.
        drop(self.child.wait());
        let length = self.stderr.seek(SeekFrom::End(0)).unwrap_or(0);
        let mut words = Vec::new();
        let read = self.stderr.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)));
        read.and_then(|_at| self.stderr.read_to_end(&mut words)).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let reason = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it ended without a word");
        TransferError::Refused { place: self.place.clone(), reason: one_line(reason) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may be in the middle of a blob that nobody wants any more.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A message of another program without what would spoil a terminal.
pub(super) fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // skopeo's log lines: `time="…" level=fatal msg="…"`.
    match text.split_once("msg=\"").map(|(_, message)| message.trim_end().trim_end_matches('"')) {
        Some(message) => message.replace("\\\"", "\""),
        None => text.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_skopeo_are_one_plain_line() {
        for (text, want) in [
            ("plain\n", "plain"),
            ("time=\"x\" level=fatal msg=\"no \\\"such\\\" image\"\n", "no \"such\" image"),
            ("a\u{1b}[31mb\nc", "a [31mb c"),
        ] {
            assert_eq!(one_line(text), want, "{text:?}");
        }
    }
}
