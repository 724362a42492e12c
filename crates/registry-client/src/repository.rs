//! One repository of a registry as a source.

use std::io::{self, Read};

use content::{BlobReader, ContentError, Sink, Source, Storage, Upload};
use oci::{Descriptor, Digest, MediaType, Reference};
use ureq::BodyReader;
use url::Url;

use crate::client::{Client, Method, Request, Response, jitter};
use crate::error::RegistryError;

/// Everything a manifest can be; a registry answers with what it has, unconverted.
const ACCEPT: [&str; 4] =
    [MediaType::OCI_INDEX, MediaType::OCI_MANIFEST, MediaType::DOCKER_LIST, MediaType::DOCKER_MANIFEST];

/// One repository of a registry.
pub struct Repository<'a> {
    client: &'a Client,
    host: String,
    name: String,
    base: Url,
}

impl<'a> Repository<'a> {
    pub(crate) fn new(client: &'a Client, host: String, name: String, base: Url) -> Self {
        Self { client, host, name, base }
    }

    /// The descriptor that a tag or digest of this repository stands for.
    ///
    /// # Errors
    /// When there is none, or the registry refuses.
    pub fn head(&self, reference: &Reference) -> Result<Descriptor, RegistryError> {
        let tag = reference.digest().map(ToString::to_string);
        let tag = tag.or_else(|| reference.tag_or_default().map(str::to_owned)).unwrap_or_default();
        let mut request = self.request(Method::Head, &format!("manifests/{tag}"), &reference.familiar())?;
        request.headers.push(("accept", ACCEPT.join(", ")));
        let response = self.client.send(&request)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let digest = match reference.digest() {
            Some(digest) => Some(*digest),
            None => header("docker-content-digest").and_then(|text| text.parse().ok()),
        };
        let media_type = header("content-type").map(|text| text.split(';').next().unwrap_or_default().trim());
        let size = header("content-length").and_then(|text| text.parse().ok());
        match (digest, media_type, size) {
            (Some(digest), Some(media_type), Some(size)) => Ok(Descriptor::new(media_type, digest, size)),
            // The headers are recommended, not required: the document itself tells as well.
            _ => self.describe_by_reading(request),
        }
    }

    fn describe_by_reading(&self, mut request: Request) -> Result<Descriptor, RegistryError> {
        /// Registries refuse manifests above 4 MiB; nothing larger is read into memory here.
        const LIMIT: u64 = 32 << 20;
        request.method = Method::Get;
        let response = self.client.send(&request)?;
        let media_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or(MediaType::OCI_MANIFEST).split(';').next().unwrap_or_default();
        let media_type = MediaType::from(media_type.trim());
        let bytes = response.into_body().into_with_config().limit(LIMIT).read_to_vec();
        let bytes =
            bytes.map_err(|error| RegistryError::Connection { host: self.host.clone(), source: Box::new(error) })?;
        Ok(Descriptor::new(media_type, Digest::of(&bytes), bytes.len() as u64))
    }

    fn request(&self, method: Method, path: &str, what: &str) -> Result<Request, RegistryError> {
        let path = format!("{}/{path}", self.name);
        let url = self.base.join(&path).map_err(|error| RegistryError::Url { url: path, reason: error.to_string() })?;
        let repository = Some((self.host.clone(), self.name.clone()));
        Ok(Request { method, url, repository, headers: Vec::new(), what: what.to_owned() })
    }

    /// Opens the bytes of a blob or manifest from a byte on. Returns the body and how many bytes of it come before
    /// the one asked for (a server may ignore ranges).
    fn open(&self, what: &Descriptor, from: u64) -> Result<(BodyReader<'static>, u64), RegistryError> {
        let kind = if what.media_type.is_manifest() { "manifests" } else { "blobs" };
        let name = format!("{}@{}", self.name, what.digest);
        let mut request = self.request(Method::Get, &format!("{kind}/{}", what.digest), &name)?;
        if kind == "manifests" {
            request.headers.push(("accept", format!("{}, {}", what.media_type, ACCEPT.join(", "))));
        }
        // A compressed transfer would change offsets and sizes.
        request.headers.push(("accept-encoding", "identity".to_owned()));
        if from > 0 {
            request.headers.push(("range", format!("bytes={from}-")));
        }
        let response = self.client.send(&request)?;
        let ahead = self.bytes_ahead(&response, from)?;
        Ok((response.into_body().into_with_config().limit(u64::MAX).reader(), ahead))
    }

    fn bytes_ahead(&self, response: &Response, from: u64) -> Result<u64, RegistryError> {
        if response.status().as_u16() != 206 {
            return Ok(from);
        }
        let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
        let start = range.and_then(|range| range.strip_prefix("bytes ")).and_then(|range| range.split('-').next());
        match start.and_then(|start| start.parse::<u64>().ok()) {
            Some(start) if start <= from => Ok(from - start),
            _ => Err(RegistryError::Protocol {
                host: self.host.clone(),
                expected: "the range asked for",
                reason: format!("Content-Range is {range:?}, wanted from byte {from}"),
            }),
        }
    }

    fn remote(&self, error: RegistryError) -> ContentError {
        let help = error.help();
        ContentError::Remote { place: Source::place(self), source: Box::new(error), help }
    }
}

impl Source for Repository<'_> {
    fn place(&self) -> String {
        format!("registry {}", self.host)
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
        let mut stream = Stream { repository: self, what: what.clone(), at: from, body: None, failures: 0 };
        stream.connect().map_err(|error| match error {
            RegistryError::NotFound { .. } => {
                ContentError::MissingBlob { place: Source::place(self), digest: what.digest }
            }
            error => self.remote(error),
        })?;
        Ok(Box::new(stream))
    }
}

impl Sink for Repository<'_> {
    fn place(&self) -> String {
        Source::place(self)
    }

    fn has(&self, _what: &Descriptor) -> Result<bool, ContentError> {
        Err(self.unsupported("be asked"))
    }

    fn begin(&self, _what: Option<&Descriptor>) -> Result<Box<dyn Upload + '_>, ContentError> {
        Err(self.unsupported("take blobs"))
    }

    fn publish(&self, _what: &Descriptor, _bytes: &[u8]) -> Result<(), ContentError> {
        Err(self.unsupported("take manifests"))
    }

    fn tag(&self, _name: &Reference, _what: &Descriptor) -> Result<(), ContentError> {
        Err(self.unsupported("take names"))
    }

    fn storage(&self) -> Storage {
        Storage { realm: self.host.clone(), repository: Some(format!("{}/{}", self.host, self.name)) }
    }
}

impl Repository<'_> {
    fn unsupported(&self, verb: &'static str) -> ContentError {
        ContentError::Unsupported { place: Source::place(self), verb }
    }

    /// All tags, all pages, sorted as the registry sorts them.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when the registry does not know the repository.
    pub fn tags(&self) -> Result<Vec<String>, RegistryError> {
        Err(self.not_yet("its tags"))
    }

    /// The manifests that refer to another one (signatures, SBOMs), of one artifact type or all.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub fn referrers(&self, _subject: &Digest, _artifact_type: Option<&str>) -> Result<Vec<Descriptor>, RegistryError> {
        Err(self.not_yet("its referrers"))
    }

    /// Deletes what a reference names: the tag if it has only that, the manifest and all its tags if it has a digest.
    ///
    /// # Errors
    /// When the registry does not have it or does not delete.
    pub fn delete(&self, _name: &Reference) -> Result<(), RegistryError> {
        Err(self.not_yet("a manifest to delete"))
    }

    /// Deletes a blob of this repository.
    ///
    /// # Errors
    /// When the registry does not have it or does not delete.
    pub fn delete_blob(&self, _digest: &Digest) -> Result<(), RegistryError> {
        Err(self.not_yet("a blob to delete"))
    }

    fn not_yet(&self, what: &'static str) -> RegistryError {
        RegistryError::Protocol { host: self.host.clone(), expected: what, reason: "not written yet".to_owned() }
    }
}

/// The bytes of a blob, taken up again where the connection broke.
struct Stream<'a> {
    repository: &'a Repository<'a>,
    what: Descriptor,
    at: u64,
    body: Option<BodyReader<'static>>,
    /// Failures since the last byte that came.
    failures: u32,
}

impl Stream<'_> {
    fn connect(&mut self) -> Result<(), RegistryError> {
        let (body, mut ahead) = self.repository.open(&self.what, self.at)?;
        let body = self.body.insert(body);
        let mut waste = vec![0; 64 << 10];
        while ahead > 0 {
            let take = usize::try_from(ahead).unwrap_or(usize::MAX).min(waste.len());
            let failed = |source: io::Error| RegistryError::Connection {
                host: self.repository.host.clone(),
                source: Box::new(source),
            };
            match body.read(&mut waste[..take]).map_err(failed)? {
                0 => break,
                count => ahead -= count as u64,
            }
        }
        Ok(())
    }

    /// Connects again after a failure, or gives up with it.
    fn recover(&mut self, error: io::Error) -> io::Result<()> {
        let options = self.repository.client.options();
        self.body = None;
        let mut last = error;
        while self.failures < options.retries {
            let pause = options.retry_delay * 2u32.saturating_pow(self.failures);
            self.failures += 1;
            std::thread::sleep(pause + jitter(pause));
            match self.connect() {
                Ok(()) => return Ok(()),
                Err(error) if error.is_temporary() => last = error.into(),
                Err(error) => return Err(self.repository.remote(error).into()),
            }
        }
        let host = self.repository.host.clone();
        Err(self.repository.remote(RegistryError::Connection { host, source: Box::new(last) }).into())
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let early = || io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended early");
            let result = match self.body.as_mut() {
                Some(body) => body.read(buffer),
                None => Err(early()),
            };
            let result = match result {
                Ok(0) if self.at < self.what.size && !buffer.is_empty() => Err(early()),
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
                Err(error) => self.recover(error)?,
            }
        }
    }
}
