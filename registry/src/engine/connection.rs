//! One connection from request to request.
//!
//! ```text
//! wait ─▶ read ─▶ head complete? ─no─▶ wait (until the head is late)
//!                      │yes
//!                      ▼
//!          answer ─▶ send ─▶ next head here already? ─no─▶ wait (until it is idle too long)
//!                      └─ close ─▶ linger: what the client still sends is thrown away, so that it can read the answer
//! ```

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::CertificateDer;

use super::body::{After, Incoming};
use super::head::{self, FIELDS, Parsed};
use super::link::Link;
use super::pace::Pace;
use super::reply::{self, Form};
use crate::answer::{Answered, answer, refuse};
use crate::http::{Head, Headers, Method, Peer, Query, Request, Status};
use crate::options::ServeOptions;
use crate::record::{Kind, Record};
use crate::service::Registry;
use crate::stop::Stop;

/// Bytes of heads that are read at a time.
const READ: usize = 16 << 10;
/// An unwanted rest of a body this long is thrown away for the sake of the connection.
const UNWANTED: u64 = 64 << 10;
/// How long a client may take to notice that its request was refused.
const LINGER: Duration = Duration::from_secs(5);

/// An open connection.
pub(super) struct Connection {
    link: Link,
    peer: Peer,
    /// What was read and not understood yet.
    input: Vec<u8>,
    /// When the head that is being read began.
    head_begun: Option<Instant>,
    certificates: Option<Arc<[CertificateDer<'static>]>>,
    /// When to stop throwing away what the client still sends.
    lingers: Option<Instant>,
}

/// What is reused from one connection to the next by one thread.
#[derive(Default)]
pub(super) struct Workspace {
    input: Vec<u8>,
    output: Vec<u8>,
}

/// What a connection does next.
pub(super) enum Next {
    /// It waits for its client.
    Wait(Instant),
    Close,
}

enum Exchange {
    /// The head is not complete.
    Partial,
    /// The request is answered; this has been read of the next one.
    Next(Rest),
    Close,
}

enum Rest {
    /// What is behind so many bytes of the input.
    Behind(usize),
    Bytes(Vec<u8>),
}

impl Connection {
    pub(super) fn new(link: Link, peer: Peer) -> Self {
        Self { link, peer, input: Vec::new(), head_begun: None, certificates: None, lingers: None }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Serves what the client has sent.
    pub(super) fn turn(&mut self, registry: &Registry, stop: &Stop, workspace: &mut Workspace) -> Next {
        if let Some(until) = self.lingers {
            return self.linger(until);
        }
        let mut input = match self.input.capacity() {
            0 => std::mem::take(&mut workspace.input),
            _ => std::mem::take(&mut self.input),
        };
        let next = self.go(&mut input, registry, stop, &mut workspace.output);
        match input.is_empty() {
            true => workspace.input = input,
            false => self.input = input,
        }
        next
    }

    fn go(&mut self, input: &mut Vec<u8>, registry: &Registry, stop: &Stop, output: &mut Vec<u8>) -> Next {
        let options = &registry.options;
        loop {
            match self.fill(input) {
                Ok(0) => return Next::Close,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Wait(self.deadline(options)),
                Err(error) => {
                    self.note_broken(&error, registry);
                    return Next::Close;
                }
            }
            loop {
                match self.exchange(input, registry, stop, output) {
                    Exchange::Partial => {
                        self.head_begun.get_or_insert_with(Instant::now);
                        break;
                    }
                    Exchange::Next(rest) => {
                        self.head_begun = None;
                        match rest {
                            Rest::Behind(used) => drop(input.drain(..used)),
                            Rest::Bytes(bytes) => *input = bytes,
                        }
                        match input.is_empty() {
                            // An encrypted link may hold more that it has read already.
                            true if !self.link.is_secure() => return Next::Wait(self.deadline(options)),
                            true => break,
                            false => {}
                        }
                    }
                    Exchange::Close => {
                        input.clear();
                        self.link.end();
                        let until = Instant::now() + LINGER;
                        self.lingers = Some(until);
                        return self.linger(until);
                    }
                }
            }
        }
    }

    fn deadline(&self, options: &ServeOptions) -> Instant {
        match self.head_begun {
            Some(begun) => begun + options.head_time,
            None => Instant::now() + options.idle,
        }
    }

    fn fill(&mut self, input: &mut Vec<u8>) -> io::Result<usize> {
        let start = input.len();
        input.resize(start + READ, 0);
        let read = self.link.try_read(&mut input[start..]);
        input.truncate(start + read.as_ref().copied().unwrap_or(0));
        read
    }

    fn linger(&self, until: Instant) -> Next {
        let mut buffer = [0; 4096];
        loop {
            match self.link.drain(&mut buffer) {
                Ok(0) => return Next::Close,
                Ok(_) if Instant::now() > until => return Next::Close,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Wait(until),
                Err(_) => return Next::Close,
            }
        }
    }

    /// Answers the request at the beginning of the input, if it is complete.
    fn exchange(&mut self, input: &[u8], registry: &Registry, stop: &Stop, output: &mut Vec<u8>) -> Exchange {
        let options = &registry.options;
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut raw = httparse::Request::new(&mut fields);
        let used = match raw.parse(input) {
            Ok(httparse::Status::Complete(used)) if used <= options.head_limit => used,
            Ok(httparse::Status::Partial) if input.len() <= options.head_limit => return Exchange::Partial,
            // Without a line end the target itself is too long.
            Ok(_) if !input.contains(&b'\n') => return self.refuse(Status::URI_TOO_LONG, registry, output),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return self.refuse(Status::HEADERS_TOO_LARGE, registry, output);
            }
            Err(httparse::Error::Version) => return self.refuse(Status::VERSION_NOT_SUPPORTED, registry, output),
            Err(_) => return self.refuse(Status::BAD_REQUEST, registry, output),
        };
        let headers = Headers::new(raw.headers);
        let parsed = match head::understand(raw.method, raw.path, raw.version, headers) {
            Ok(parsed) => parsed,
            Err(status) => return self.refuse(status, registry, output),
        };
        self.respond(&parsed, headers, input, used, registry, stop, output)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one request, borrowed from one buffer")]
    fn respond(
        &mut self,
        parsed: &Parsed<'_>,
        headers: Headers<'_>,
        input: &[u8],
        used: usize,
        registry: &Registry,
        stop: &Stop,
        output: &mut Vec<u8>,
    ) -> Exchange {
        let (begun, clock) = (SystemTime::now(), Instant::now());
        let options = &registry.options;
        if self.link.is_secure() && self.certificates.is_none() {
            self.certificates = Some(self.link.certificates().into());
        }
        let head = Head {
            method: parsed.method,
            target: parsed.target,
            path: &parsed.path,
            query: Query::new(parsed.query),
            headers,
            peer: self.peer,
            certificates: self.certificates.as_deref().unwrap_or_default(),
            is_secure: self.link.is_secure(),
            length: parsed.framing.length(),
        };
        let pace = || Pace::new(options.stall, options.slowest);
        registry.counters.active.add(1);
        let mut body = Incoming::new(&mut self.link, &input[used..], parsed.framing, parsed.expects, pace());
        let answered = answer(registry, &mut Request { head, body: &mut body });
        let received = body.received();
        let after = body.finish(UNWANTED);
        let keeps = parsed.keeps && matches!(after, After::Next(_)) && !stop.is_set();
        let form = Form { method: parsed.method, is_current: parsed.is_current, keeps };
        let status = answered.response.status;
        let sent = reply::send(&mut self.link, answered.response, form, output, pace());
        registry.counters.active.add(-1);
        let failure = sent.result.as_ref().err().map(|error| format!("the answer was cut: {error}"));
        let record = Record {
            begun,
            took: clock.elapsed(),
            peer: self.peer,
            identity: answered.identity.as_deref(),
            method: parsed.method,
            target: parsed.target,
            kind: answered.kind,
            repository: answered.repository.as_ref().map(crate::names::Name::as_str),
            agent: headers.get("user-agent"),
            status,
            code: answered.code,
            reason: answered.reason.as_deref().or(failure.as_deref()),
            received,
            sent: sent.bytes,
            is_complete: sent.result.is_ok(),
        };
        registry.counters.count(&record);
        registry.log.record(&record);
        match after {
            After::Next(rest) if sent.keeps => Exchange::Next(match rest {
                None => Rest::Behind(used),
                Some(bytes) => Rest::Bytes(bytes),
            }),
            _ => Exchange::Close,
        }
    }

    /// Answers what was not understood.
    fn refuse(&mut self, status: Status, registry: &Registry, output: &mut Vec<u8>) -> Exchange {
        let options = &registry.options;
        let Answered { response, kind, code, .. } = refuse(status);
        let form = Form { method: Method::Other, is_current: true, keeps: false };
        let pace = Pace::new(options.stall, options.slowest);
        let sent = reply::send(&mut self.link, response, form, output, pace);
        let is_complete = sent.result.is_ok();
        let record = Record { kind, code, sent: sent.bytes, is_complete, ..self.unread(status) };
        registry.counters.count(&record);
        registry.log.record(&record);
        Exchange::Close
    }

    /// Says why a client was not understood that is not told so itself: no agreement on TLS was reached, or it was broken.
    fn note_broken(&self, error: &io::Error, registry: &Registry) {
        let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) else { return };
        let reason = format!("TLS failed: {error}");
        let record = Record { reason: Some(&reason), ..self.unread(Status::BAD_REQUEST) };
        registry.counters.count(&record);
        registry.log.record(&record);
    }

    /// What is known of something that was not read as a request.
    fn unread(&self, status: Status) -> Record<'static> {
        Record {
            begun: SystemTime::now(),
            took: Duration::ZERO,
            peer: self.peer,
            identity: None,
            method: Method::Other,
            target: "",
            kind: Kind::Unknown,
            repository: None,
            agent: None,
            status,
            code: None,
            reason: None,
            received: 0,
            sent: 0,
            is_complete: false,
        }
    }
}
