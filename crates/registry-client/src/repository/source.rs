//! Reading: manifests and blobs, verified by whoever takes them in.

use std::io::{self, Read};
use std::sync::PoisonError;

use content::{BlobReader, ContentError, Source};
use oci::{Descriptor, Digest, Reference};

use super::{ACCEPT, Repository};
use crate::auth::Scope;
use crate::error::RegistryError;
use crate::exchange::Request;
use crate::http::{Answer, Body, Method};
use crate::retry::Pauses;
use crate::routes::Endpoint;

impl Repository<'_> {
    /// How large a blob of the repository is, in bytes; none when the repository does not have it or does not tell.
    ///
    /// # Errors
    /// When the registry refuses or does not answer.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let name = format!("{}@{digest}", self.name);
        let request = Request::new(Method::Head, format!("blobs/{digest}"), &name, Scope::Pull);
        let ends: Vec<&Endpoint> = self.routes.read.iter().filter(|end| end.roles.pull).collect();
        match self.send(&ends, &request) {
            Ok((answer, _)) => Ok(answer.head.length()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the bytes of a blob or manifest from a byte on, at the first of these servers that has it. Returns the
    /// body, how many bytes of it come before the one asked for (a server may ignore ranges), and the server.
    fn open(&self, ends: &[&Endpoint], what: &Descriptor, from: u64) -> Result<(Body, u64, usize), RegistryError> {
        let kind = if what.media_type.is_manifest() { "manifests" } else { "blobs" };
        let name = format!("{}@{}", self.name, what.digest);
        // A compressed transfer would change offsets and sizes.
        let mut request = Request::new(Method::Get, format!("{kind}/{}", what.digest), &name, Scope::Pull)
            .header("accept-encoding", "identity");
        if kind == "manifests" {
            request = request.header("accept", format!("{}, {}", what.media_type, ACCEPT.join(", ")));
        }
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        let (answer, at) = self.send(ends, &request)?;
        let ahead = bytes_ahead(&answer, what, from, &ends[at].host)?;
        Ok((answer.body, ahead, at))
    }

    pub(super) fn remote(&self, error: RegistryError) -> ContentError {
        let help = error.help();
        ContentError::Remote { place: Source::place(self), source: Box::new(error), help }
    }

    /// The servers that a blob is read from: those whose bytes turned out to be wrong are not asked again.
    fn readers(&self, what: &Descriptor) -> Vec<&Endpoint> {
        let rejected = self.seen.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        let bad = |end: &Endpoint| rejected.contains(&(what.digest, end.host.clone()));
        self.routes.read.iter().filter(|end| end.roles.pull && !bad(end)).collect()
    }
}

/// Where a body begins, and whether it has as many bytes as it should.
fn bytes_ahead(answer: &Answer, what: &Descriptor, from: u64, host: &str) -> Result<u64, RegistryError> {
    let wrong =
        |reason: String| RegistryError::Protocol { host: host.to_owned(), expected: "the blob asked for", reason };
    let check = |total: Option<u64>| match total {
        Some(total) if total != what.size => {
            Err(wrong(format!("it has {total} bytes, {} should have {}", what.digest, what.size)))
        }
        _ => Ok(()),
    };
    if answer.head.status != 206 {
        check(answer.head.length())?;
        return Ok(from);
    }
    let range = answer.head.header("content-range");
    let (start, total) = range
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| Some((range.split('-').next()?, range.rsplit('/').next()?)))
        .unwrap_or_default();
    check(total.parse().ok())?;
    match start.parse::<u64>() {
        Ok(start) if start <= from => Ok(from - start),
        _ => Err(wrong(format!("Content-Range is {range:?}, wanted from byte {from}"))),
    }
}

impl Source for Repository<'_> {
    fn place(&self) -> String {
        format!("registry {}", self.registry)
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        self.head(name).map_err(|error| match error {
            RegistryError::NotFound { .. } => {
                ContentError::UnknownImage { place: Source::place(self), name: name.familiar(), similar: Vec::new() }
            }
            error => self.remote(error),
        })
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        // Behind the end there is nothing to ask for.
        if from > 0 && from >= what.size {
            return Ok(Box::new(io::empty()));
        }
        let order = self.readers(what);
        let mut stream = Stream { repository: self, what: what.clone(), order, at: from, body: None, failures: 0 };
        stream.connect().map_err(|error| match error {
            error if error.is_not_found() => {
                ContentError::MissingBlob { place: Source::place(self), digest: what.digest }
            }
            error => self.remote(error),
        })?;
        Ok(Box::new(stream))
    }

    fn reject(&self, what: &Descriptor) -> bool {
        let served = self.seen.served.lock().unwrap_or_else(PoisonError::into_inner).get(&what.digest).cloned();
        let Some(host) = served else { return false };
        self.seen.rejected.lock().unwrap_or_else(PoisonError::into_inner).insert((what.digest, host.clone()));
        let left = self.readers(what);
        if let Some(next) = left.first() {
            self.client.tell(&format!("{host} gave wrong bytes for {}; going on with {}", what.digest, next.host));
        }
        !left.is_empty()
    }
}

/// The bytes of a blob, taken up again where the connection broke.
struct Stream<'a> {
    repository: &'a Repository<'a>,
    what: Descriptor,
    /// The servers, in the order in which they are asked next.
    order: Vec<&'a Endpoint>,
    at: u64,
    body: Option<Body>,
    /// Failures since the last byte that came.
    failures: u32,
}

impl Stream<'_> {
    fn connect(&mut self) -> Result<(), RegistryError> {
        let (mut body, mut ahead, end) = self.repository.open(&self.order, &self.what, self.at)?;
        // The one that serves is the first that is asked again, until it breaks.
        let serving = self.order.remove(end);
        self.order.insert(0, serving);
        if self.repository.routes.read.len() > 1 {
            let mut served = self.repository.seen.served.lock().unwrap_or_else(PoisonError::into_inner);
            served.insert(self.what.digest, serving.host.clone());
        }
        let mut waste = vec![0; if ahead > 0 { 64 << 10 } else { 0 }];
        while ahead > 0 {
            let take = usize::try_from(ahead).unwrap_or(usize::MAX).min(waste.len());
            let failed =
                |source: io::Error| RegistryError::Connection { host: serving.host.clone(), source: Box::new(source) };
            match body.read(&mut waste[..take]).map_err(failed)? {
                0 => break,
                count => ahead -= count as u64,
            }
        }
        self.body = Some(body);
        Ok(())
    }

    /// Connects again after a failure, or gives up with it.
    fn recover(&mut self, error: io::Error) -> io::Result<()> {
        let client = self.repository.client;
        let host = self.order.first().map(|end| end.host.clone()).unwrap_or_default();
        let mut last = RegistryError::Connection { host, source: Box::new(error) };
        let mut pauses = Pauses::new(client.options.retry_delay);
        self.body = None;
        while self.failures < client.options.retries {
            // Each other server gets its chance before anybody waits.
            if self.failures as usize % self.order.len().max(1) + 1 >= self.order.len() {
                client.pause(&mut pauses, std::time::Duration::ZERO, Some(&last));
            }
            self.failures += 1;
            if self.order.len() > 1 {
                self.order.rotate_left(1);
                client.tell(&format!("{last}; going on with {}", self.order[0].host));
            }
            match self.connect() {
                Ok(()) => return Ok(()),
                Err(error) if error.is_temporary() => last = error,
                Err(error) => return Err(self.repository.remote(error).into()),
            }
        }
        Err(self.repository.remote(last).into())
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self.body.as_mut() {
                Some(body) => body.read(buffer),
                None => Err(crate::http::ended_early()),
            };
            let result = match result {
                Ok(0) if self.at < self.what.size && !buffer.is_empty() => Err(crate::http::ended_early()),
                other => other,
            };
            match result {
                Ok(count) => {
                    self.at += count as u64;
                    if count > 0 {
                        self.failures = 0;
                    }
                    return Ok(count);
                }
                Err(error) if crate::http::is_timeout(&error) => {
                    let text = format!("no byte came for {} s", crate::http::IDLE.as_secs());
                    self.recover(io::Error::new(io::ErrorKind::TimedOut, text))?;
                }
                Err(error) => self.recover(error)?,
            }
        }
    }
}
