//! One blob on its way into a registry.
//!
//! ```text
//! POST ──▶ session ──▶ PUT with all of it                       small
//!                 └──▶ PATCH as a stream ──▶ PUT                large, or size not known
//!                 └──▶ PATCH, PATCH, … ──▶ PUT                  a proxy limits requests
//! ```
//!
//! A broken upload is an interruption: whoever sends begins it again, and the registry is asked how far it got. Docker's
//! registry (up to 3.0) forgets an upload whose request broke in the middle; a stream can be ended anywhere, so one that
//! is left on purpose ends properly, and that registry knows it too.

use std::io::{self, Write};
use std::time::Duration;

use content::{ContentError, Sealed, Sink, Source, Upload};
use oci::{Descriptor, Digest, Hasher};
use url::Url;

use super::Repository;
use crate::auth::{Scope, Scopes};
use crate::client::parse_url;
use crate::error::RegistryError;
use crate::exchange::{Request, Target};
use crate::http::{Answer, Length, Method, Sending};
use crate::retry::{refusal, retry_after};
use crate::uploads::{Known, Session};

/// Requests where something on the way limits their size; each refusal makes them smaller.
const CHUNKS: [u64; 4] = [64 << 20, 8 << 20, 1 << 20, 512 << 10];
/// Larger blobs go as a stream, which can be left without losing it. Smaller ones save a request.
const STREAM_FROM: u64 = 32 << 20;
/// How long the answer to a stream that is left may take.
const PARTING: Duration = Duration::from_secs(8);
/// Registries hash and move large blobs before they answer.
const COMMIT: Duration = Duration::from_secs(15 * 60);

/// How the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// One PUT with all of it.
    Whole,
    /// Pieces of at most so many bytes.
    Chunks(u64),
    /// One PATCH that ends when it ends, behind what the registry has.
    Stream,
}

pub(super) struct BlobUpload<'a> {
    repository: &'a Repository<'a>,
    what: Option<Descriptor>,
    session: Option<Session<'a>>,
    location: Url,
    /// Bytes that the registry had when it began.
    offset: u64,
    /// Bytes sent, those included.
    at: u64,
    way: Way,
    /// How small the host's requests had to be when this began.
    level: usize,
    sending: Option<Sending>,
    /// An answer that came before all was sent broke it off.
    is_broken: bool,
}

/// A blob that turned out to be there.
struct Present {
    size: u64,
}

/// Begins a blob, or goes on with one.
pub(super) fn begin<'a>(
    repository: &'a Repository<'a>,
    what: Option<&Descriptor>,
) -> Result<Box<dyn Upload + 'a>, ContentError> {
    let failed = |error| repository.interrupted(error);
    let Some(what) = what else {
        let nothing = Digest::of(b"");
        // The registry cannot mount what nobody knows the name of.
        let request = Request::new(Method::Post, "blobs/uploads/", &repository.name, Scope::Push);
        let answer = repository.send(&[repository.own()], &request).map_err(failed)?.0;
        let location = repository.location(&answer, &nothing).map_err(failed)?;
        answer.body.drain();
        return Ok(Box::new(BlobUpload {
            repository,
            what: None,
            session: None,
            location,
            offset: 0,
            at: 0,
            way: Way::Stream,
            level: 0,
            sending: None,
            is_broken: false,
        }));
    };
    let sessions = &repository.client.sessions;
    let (mut session, known) = sessions.open(&repository.registry, &repository.name, &what.digest, what.size);
    let mut begun = match known {
        Some(known) => repository.progress(&known, what).map_err(failed)?,
        None => None,
    };
    if begun.is_none() {
        let answer = repository.start(what).map_err(failed)?;
        if answer.head.status == 201 {
            answer.body.drain();
            session.forget();
            return Ok(Box::new(Present { size: what.size }));
        }
        repository.note_chunk_minimum(&answer);
        begun = Some((repository.location(&answer, &what.digest).map_err(failed)?, 0));
        answer.body.drain();
    }
    let Some((location, offset)) = begun else { return Err(failed(repository.broken("no upload".into()))) };
    session.set(location.as_str());
    let level = repository.client.chunk_level(&repository.own().host);
    let way = match repository.chunk(level) {
        Some(chunk) => Way::Chunks(chunk),
        None if offset > 0 || what.size >= STREAM_FROM => Way::Stream,
        None => Way::Whole,
    };
    Ok(Box::new(BlobUpload {
        repository,
        what: Some(what.clone()),
        session: Some(session),
        location,
        offset,
        at: offset,
        way,
        level,
        sending: None,
        is_broken: false,
    }))
}

impl Repository<'_> {
    /// Begins an upload; a registry that finds the blob in another repository answers 201.
    fn start(&self, what: &Descriptor) -> Result<Answer, RegistryError> {
        match self.post_upload(&what.digest, None, Scopes::default()) {
            // A mount without a repository is new; what does not know it may refuse it.
            Err(RegistryError::Status { status: 400..=499, .. } | RegistryError::NotFound { .. }) => {
                let name = format!("{}@{}", self.name, what.digest);
                let request = Request::new(Method::Post, "blobs/uploads/", &name, Scope::Push);
                Ok(self.send(&[self.own()], &request)?.0)
            }
            answer => answer,
        }
    }

    /// How far a session got, and its address now; none if the registry does not know it any more.
    fn progress(&self, known: &Known, what: &Descriptor) -> Result<Option<(Url, u64)>, RegistryError> {
        let name = format!("{}@{}", self.name, what.digest);
        let Ok(location) = self.absolute(&known.location) else { return Ok(None) };
        if known.is_fresh {
            return Ok(Some((location, 0)));
        }
        match self.send(&[self.own()], &self.at(Method::Get, &location, &name)) {
            Ok((answer, _)) => {
                let range = answer.head.header("range").or(answer.head.header("content-range"));
                let last = range.and_then(|range| range.rsplit('-').next()).and_then(|last| last.parse::<u64>().ok());
                // `0-0` is what registries say of an upload without a byte, and of one with a single one.
                let offset = last.filter(|last| *last > 0).map_or(0, |last| last + 1);
                let next = self.location(&answer, &what.digest).unwrap_or(location);
                answer.body.drain();
                Ok((offset <= what.size).then_some((next, offset)))
            }
            Err(RegistryError::NotFound { .. } | RegistryError::Status { status: 400..=499, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The address that an answer gives.
    fn location(&self, answer: &Answer, digest: &Digest) -> Result<Url, RegistryError> {
        let wrong = |reason: String| RegistryError::Protocol {
            host: self.own().host.clone(),
            expected: "an upload",
            reason: format!("{reason} ({digest})"),
        };
        let location = answer.head.header("location").ok_or_else(|| wrong("it has no Location header".to_owned()))?;
        self.absolute(location)
    }

    fn absolute(&self, location: &str) -> Result<Url, RegistryError> {
        let here = self.client.url(self.own(), &Target::Registry(String::new()))?;
        let url = here.join(location);
        let url =
            url.map_err(|error| RegistryError::Url { url: self.own().host.clone(), reason: error.to_string() })?;
        parse_url(url.as_str())
    }

    /// Remembers what the answer that begins an upload says of the size of its pieces.
    pub(super) fn note_chunk_minimum(&self, answer: &Answer) {
        if let Some(minimum) = answer.head.header("oci-chunk-min-length").and_then(|text| text.parse().ok()) {
            self.client.set_chunk_minimum(&self.own().host, minimum);
        }
    }

    /// The size of chunks, where requests have to be small.
    fn chunk(&self, level: usize) -> Option<u64> {
        let least = self.client.chunk_minimum(&self.own().host);
        (level > 0).then(|| CHUNKS[(level - 1).min(CHUNKS.len() - 1)].max(least))
    }

    /// An error that the upload can be taken up after, if it is temporary.
    fn interrupted(&self, error: RegistryError) -> ContentError {
        if !error.is_temporary() {
            return self.remote(error);
        }
        let (help, wait) = (error.help(), Some(self.client.options.retry_delay));
        ContentError::Interrupted { place: Source::place(self), source: Box::new(error), help, wait }
    }
}

impl BlobUpload<'_> {
    fn name(&self) -> String {
        let digest = self.what.as_ref().map(|what| format!("@{}", what.digest)).unwrap_or_default();
        format!("{}{digest}", self.repository.name)
    }

    fn size(&self) -> u64 {
        self.what.as_ref().map_or(0, |what| what.size)
    }

    /// The request that takes the next bytes.
    fn open(&mut self) -> Result<(), ContentError> {
        let name = self.name();
        let left = self.size() - self.at.min(self.size());
        let (method, url, length) = match (self.way, &self.what) {
            (Way::Whole, Some(what)) => (Method::Put, with_digest(&self.location, &what.digest), Length::Known(left)),
            (Way::Chunks(chunk), _) => (Method::Patch, self.location.clone(), Length::Known(left.min(chunk))),
            _ => (Method::Patch, self.location.clone(), Length::Unknown),
        };
        let mut request = self.repository.at(method, &url, &name).header("content-type", "application/octet-stream");
        if let (Way::Chunks(_), Length::Known(length)) = (self.way, length) {
            let end = self.at + length.saturating_sub(1);
            request = request.header("content-range", format!("{}-{end}", self.at));
        }
        let sending = self.repository.client.open(self.repository.own(), &url, &request, length);
        self.sending = Some(sending.map_err(|error| self.interrupted(error))?);
        Ok(())
    }

    /// Reads the answer to a chunk or stream, which says where the next one goes.
    fn end_request(&mut self) -> Result<(), ContentError> {
        let Some(sending) = self.sending.take() else { return Ok(()) };
        let answer = sending.finish(COMMIT).map_err(|error| {
            let error = RegistryError::http(&self.repository.own().host, error);
            self.interrupted(error)
        })?;
        self.after(answer)
    }

    fn after(&mut self, answer: Answer) -> Result<(), ContentError> {
        if !(200..300).contains(&answer.head.status) {
            return Err(self.refused(answer));
        }
        if answer.head.header("location").is_some() {
            let nothing = Digest::of(b"");
            let location = self.repository.location(&answer, &nothing);
            self.location = location.map_err(|error| self.repository.remote(error))?;
            if let Some(session) = &mut self.session {
                session.set(self.location.as_str());
            }
        }
        answer.body.drain();
        Ok(())
    }

    fn interrupted(&mut self, error: RegistryError) -> ContentError {
        self.is_broken = true;
        self.sending = None;
        self.repository.interrupted(error)
    }

    /// What an answer without success means for the upload.
    fn refused(&mut self, answer: Answer) -> ContentError {
        self.is_broken = true;
        self.sending = None;
        let status = answer.head.status;
        let pause = retry_after(&answer).unwrap_or(self.repository.client.options.retry_delay);
        // Smaller requests are another attempt, and not the same again.
        let wait = (status != 413).then_some(pause);
        let location = answer.head.header("location").map(str::to_owned);
        let host = self.repository.own().host.clone();
        let error = refusal(&host, &self.name(), answer);
        let can_go_on = match status {
            413 => self.repository.client.raise_chunk_level(&host, self.level) <= CHUNKS.len(),
            307 | 308 => match location.map(|location| self.repository.absolute(&location)) {
                Some(Ok(next)) => {
                    self.location = next;
                    true
                }
                _ => false,
            },
            // The token ended, the registry forgot the upload or is elsewhere in it: asking it tells.
            401 | 404 | 416 => true,
            _ => error.is_temporary(),
        };
        if let (true, Some(what)) = (error.is_about_digest(), &self.what) {
            // The registry has thrown away what it got.
            let session = self.session.take();
            session.into_iter().for_each(|mut session| session.forget());
            return ContentError::Refused { place: Source::place(self.repository), digest: what.digest };
        }
        let help = error.help();
        match can_go_on {
            true => {
                let place = Source::place(self.repository);
                ContentError::Interrupted { place, source: Box::new(error), help, wait }
            }
            false => self.repository.remote(error),
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), ContentError> {
        while !bytes.is_empty() {
            if self.is_broken {
                return Err(self.interrupted(self.repository.broken("the upload was broken off".into())));
            }
            if self.sending.is_none() {
                self.open()?;
            }
            let Some(sending) = &mut self.sending else { continue };
            let room = sending.left().map_or(bytes.len(), |left| usize::try_from(left).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            match sending.write(now) {
                Ok(None) => {}
                Ok(Some(answer)) => return Err(self.refused(answer)),
                Err(error) => {
                    let error = RegistryError::http(&self.repository.own().host, error);
                    return Err(self.interrupted(error));
                }
            }
            self.at += now.len() as u64;
            let is_full = sending.left() == Some(0);
            if is_full && matches!(self.way, Way::Chunks(_)) {
                self.end_request()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// The last request: the whole blob's answer, or a PUT that closes the session.
    fn close(&mut self, digest: &Digest) -> Result<(), ContentError> {
        if self.way == Way::Whole && self.sending.is_none() {
            self.open()?;
        }
        if self.way == Way::Whole {
            return self.end_request();
        }
        self.end_request()?;
        let url = with_digest(&self.location, digest);
        let mut request = self.repository.at(Method::Put, &url, &self.name());
        request.wait = COMMIT;
        let answer = self.repository.client.ask(self.repository.own(), &request);
        let answer = answer.map_err(|error| self.interrupted(error))?;
        self.after(answer)
    }
}

fn with_digest(location: &Url, digest: &Digest) -> Url {
    let mut url = location.clone();
    url.query_pairs_mut().append_pair("digest", &digest.to_string());
    url
}

impl Write for BlobUpload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for BlobUpload<'_> {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn replay(&mut self, _hasher: &mut Hasher) -> Result<bool, ContentError> {
        Ok(false)
    }

    fn verifies(&self) -> bool {
        true
    }

    fn commit(mut self: Box<Self>, sealed: &Sealed) -> Result<(), ContentError> {
        match self.close(&sealed.digest()) {
            // The answer may have been lost on its way.
            Err(ContentError::Interrupted { place, source, help, wait }) => {
                let is_there = self.what.as_ref().is_some_and(|what| self.repository.has(what).unwrap_or(false));
                if !is_there {
                    return Err(ContentError::Interrupted { place, source, help, wait });
                }
            }
            closed => closed?,
        }
        if let Some(mut session) = self.session.take() {
            session.forget();
        }
        Ok(())
    }

    fn discard(mut self: Box<Self>) -> Result<(), ContentError> {
        if let Some(mut session) = self.session.take() {
            session.forget();
        }
        // Registries that cannot cancel an upload forget it by themselves.
        let request = self.repository.at(Method::Delete, &self.location, &self.name());
        drop(self.repository.client.ask(self.repository.own(), &request));
        Ok(())
    }
}

impl Drop for BlobUpload<'_> {
    fn drop(&mut self) {
        // Without an answer the registry is asked later how far it got; it may have forgotten the upload.
        let stream = self.sending.take().filter(|_| self.way == Way::Stream && self.session.is_some());
        if let Some(Ok(answer)) = stream.map(|stream| stream.finish(PARTING)) {
            drop(self.after(answer));
        }
        if let Some(session) = self.session.take() {
            session.suspend(self.location.as_str());
        }
    }
}

impl Write for Present {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Present {
    fn offset(&self) -> u64 {
        self.size
    }

    fn replay(&mut self, _hasher: &mut Hasher) -> Result<bool, ContentError> {
        Ok(false)
    }

    fn verifies(&self) -> bool {
        true
    }

    fn commit(self: Box<Self>, _sealed: &Sealed) -> Result<(), ContentError> {
        Ok(())
    }

    fn discard(self: Box<Self>) -> Result<(), ContentError> {
        Ok(())
    }
}
