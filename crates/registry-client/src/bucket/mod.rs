//! A bucket of an S3-compatible store: objects are read, written in parts, listed, copied and removed.
//!
//! Invariants: an object is there whole or not at all; keys and what signs for them are in no error. Requests are signed
//! (version 4) without their bodies; buckets are named in the path.

mod document;
mod keys;
mod sign;

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use url::Url;

use crate::client::{Client, parse_url};
use crate::credentials::Secret;
use crate::error::{RegistryError, ServerMessage};
use crate::http::{Answer, Body, CONNECT, Call, Method, authority};
use crate::routes::trust;
use sign::{Keys, PAYLOAD, Signed};

/// How long the store may think about an answer; joining a thousand parts takes it a while.
const THINK: Duration = Duration::from_secs(300);
/// The longest document that is read.
const DOCUMENT: u64 = 16 << 20;
/// The largest object that is copied in one piece, and the pieces of larger ones.
const COPY: u64 = 1 << 30;
/// Attempts at what fails for a while.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// A part of a bucket: the objects below a prefix.
pub struct Bucket {
    client: Client,
    endpoint: Url,
    name: String,
    /// Empty, or with a slash at its end.
    prefix: String,
    region: String,
    keys: Keys,
}

/// What is known of an object.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// Its size in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// What stands below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Below {
    /// An object, by its key.
    Object(String),
    /// What further keys begin with, with the slash at its end.
    Prefix(String),
}

/// How a prefix is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Up to the next slash.
    One,
    /// All the way.
    All,
}

/// An object that is written part by part.
#[derive(Debug)]
pub struct Parts {
    key: String,
    id: String,
    /// What the store calls the parts that it has.
    tags: Vec<String>,
}

struct Ask<'a> {
    method: Method,
    key: &'a str,
    /// Keys and values, in the order of the keys.
    query: &'a [(&'a str, &'a str)],
    headers: &'a [(&'a str, &'a str)],
    body: Option<&'a [u8]>,
}

impl Bucket {
    /// The bucket and prefix of `s3://BUCKET/PREFIX`. Where it is and who asks is told by the environment, as for AWS's
    /// tools: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, or a
    /// file of credentials.
    ///
    /// # Errors
    /// When the location or the environment cannot be understood, or there are no keys.
    pub fn open(location: &str, client: Client) -> Result<Self, RegistryError> {
        let region = keys::region();
        let endpoint = keys::endpoint(&region);
        Self::at(location, client, &endpoint, region, keys::keys()?)
    }

    /// The same at an endpoint (a URL), with keys that are given.
    ///
    /// # Errors
    /// When the location or the endpoint cannot be understood.
    pub fn with_keys(
        location: &str,
        client: Client,
        endpoint: &str,
        id: &str,
        secret: &str,
    ) -> Result<Self, RegistryError> {
        let keys = Keys { id: id.to_owned(), secret: Secret::new(secret), session: None };
        Self::at(location, client, endpoint, keys::region(), keys)
    }

    fn at(location: &str, client: Client, endpoint: &str, region: String, keys: Keys) -> Result<Self, RegistryError> {
        let wrong = |reason: &str| RegistryError::Url { url: location.to_owned(), reason: reason.to_owned() };
        let rest = location.strip_prefix("s3://").ok_or_else(|| wrong("expected s3://BUCKET/PREFIX"))?;
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
        if name.is_empty() || !is_plain(rest) || rest.split('/').any(|part| part == "..") {
            return Err(wrong("expected s3://BUCKET/PREFIX of letters, digits, dots, dashes and underscores"));
        }
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { client, endpoint: parse_url(endpoint)?, name: name.to_owned(), prefix, region, keys })
    }

    /// How it is called in messages.
    pub fn place(&self) -> String {
        format!("s3://{}/{}", self.name, self.prefix.trim_end_matches('/'))
    }

    /// What is known of an object, if it is there.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn head(&self, key: &str) -> Result<Option<Object>, RegistryError> {
        let ask = Ask { method: Method::Head, key, query: &[], headers: &[], body: None };
        let Some(answer) = self.find(&ask)? else { return Ok(None) };
        let modified = answer.head.header("last-modified").and_then(|text| httpdate::parse_http_date(text).ok());
        let size = answer.head.length().ok_or_else(|| self.wrong("an answer to HEAD", "it has no length"))?;
        Ok(Some(Object { size, modified: modified.unwrap_or_else(SystemTime::now) }))
    }

    /// The bytes of an object of at most `limit` bytes, if it is there.
    ///
    /// # Errors
    /// When the store refuses or does not answer, or the object is longer.
    pub fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, RegistryError> {
        let ask = Ask { method: Method::Get, key, query: &[], headers: &[], body: None };
        let Some(mut answer) = self.find(&ask)? else { return Ok(None) };
        answer.body.read_up_to(limit + 1).map(Some).map_err(|error| self.broken(error))
    }

    /// A range of an object's bytes; it lies inside the object. Where the connection breaks, it is gone on with.
    ///
    /// # Errors
    /// When the object is not there, or the store refuses or does not answer.
    pub fn read(self: &Arc<Self>, key: &str, range: Range<u64>) -> Result<Box<dyn Read + Send>, RegistryError> {
        if range.is_empty() {
            return Ok(Box::new(io::empty()));
        }
        let body = self.body(key, &range)?;
        Ok(Box::new(Reader { bucket: Arc::clone(self), key: key.to_owned(), range, body: Some(body), failures: 0 }))
    }

    fn body(&self, key: &str, range: &Range<u64>) -> Result<Body, RegistryError> {
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let ask = Ask { method: Method::Get, key, query: &[], headers: &[("range", &bytes)], body: None };
        let answer = self.ask(&ask)?;
        match (answer.head.status, range.start) {
            (206, _) | (200, 0) => Ok(answer.body),
            (status, _) => Err(self.wrong("a part of an object", &format!("it answered {status} to a range"))),
        }
    }

    /// Writes an object.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn put(&self, key: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        self.ask(&Ask { method: Method::Put, key, query: &[], headers: &[], body: Some(bytes) })?.body.drain();
        Ok(())
    }

    /// Removes an object. That it is gone already is no error.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn delete(&self, key: &str) -> Result<(), RegistryError> {
        let ask = Ask { method: Method::Delete, key, query: &[], headers: &[], body: None };
        self.find(&ask)?.into_iter().for_each(|answer| answer.body.drain());
        Ok(())
    }

    /// What is below a prefix, which ends with a slash; at most so many.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn list(&self, below: &str, depth: Depth, most: usize) -> Result<Vec<Below>, RegistryError> {
        let (full, most_text) = (format!("{}{below}", self.prefix), most.min(1000).to_string());
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(next.as_deref().map(|next| ("continuation-token", next)));
            query.extend((depth == Depth::One).then_some(("delimiter", "/")));
            query.extend([("list-type", "2"), ("max-keys", most_text.as_str()), ("prefix", full.as_str())]);
            let text = self.text(&Ask { method: Method::Get, key: "", query: &query, headers: &[], body: None })?;
            let own = |key: &str| document::plain(key).strip_prefix(&self.prefix).map(str::to_owned);
            let inner = |tag: &str, name: &str| -> Vec<String> {
                document::all(&text, tag).iter().flat_map(|one| document::all(one, name)).filter_map(own).collect()
            };
            found.extend(inner("Contents", "Key").into_iter().map(Below::Object));
            found.extend(inner("CommonPrefixes", "Prefix").into_iter().map(Below::Prefix));
            next = document::first(&text, "NextContinuationToken");
            if next.is_none() || found.len() >= most {
                return Ok(found);
            }
        }
    }

    /// Begins an object that is written part by part. Nothing is there before [`Bucket::complete`].
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn begin(&self, key: &str) -> Result<Parts, RegistryError> {
        let text =
            self.text(&Ask { method: Method::Post, key, query: &[("uploads", "")], headers: &[], body: Some(b"") })?;
        let id = document::first(&text, "UploadId").ok_or_else(|| self.wrong("an upload", "it has no id"))?;
        Ok(Parts { key: key.to_owned(), id, tags: Vec::new() })
    }

    /// Writes the next part; all but the last have at least 5 MiB.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn part(&self, parts: &mut Parts, bytes: &[u8]) -> Result<(), RegistryError> {
        let number = (parts.tags.len() + 1).to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", parts.id.as_str())];
        let answer =
            self.ask(&Ask { method: Method::Put, key: &parts.key, query: &query, headers: &[], body: Some(bytes) })?;
        let tag = answer.head.header("etag").map(str::to_owned);
        answer.body.drain();
        parts.tags.push(tag.ok_or_else(|| self.wrong("a stored part", "it has no ETag"))?);
        Ok(())
    }

    /// Makes the parts an object.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn complete(&self, parts: &Parts) -> Result<(), RegistryError> {
        let one = |(tag, number): (&String, usize)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", tag.replace('"', "&quot;"))
        };
        let list: String = parts.tags.iter().zip(1..).map(one).collect();
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let query = [("uploadId", parts.id.as_str())];
        let ask =
            Ask { method: Method::Post, key: &parts.key, query: &query, headers: &[], body: Some(body.as_bytes()) };
        self.done(&self.text(&ask)?)
    }

    /// Throws the parts away.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn abort(&self, parts: &Parts) -> Result<(), RegistryError> {
        let query = [("uploadId", parts.id.as_str())];
        let ask = Ask { method: Method::Delete, key: &parts.key, query: &query, headers: &[], body: None };
        self.find(&ask)?.into_iter().for_each(|answer| answer.body.drain());
        Ok(())
    }

    /// Copies an object of that size inside of the store.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn copy(&self, from: &str, to: &str, size: u64) -> Result<(), RegistryError> {
        let source = format!("/{}/{}{from}", self.name, self.prefix);
        if size <= COPY {
            let headers = [("x-amz-copy-source", source.as_str())];
            return self.done(&self.text(&Ask {
                method: Method::Put,
                key: to,
                query: &[],
                headers: &headers,
                body: Some(b""),
            })?);
        }
        let mut parts = self.begin(to)?;
        let copied = self.copy_parts(&source, &mut parts, size).and_then(|()| self.complete(&parts));
        if copied.is_err() {
            // The first error counts.
            self.abort(&parts).ok();
        }
        copied
    }

    fn copy_parts(&self, source: &str, parts: &mut Parts, size: u64) -> Result<(), RegistryError> {
        for (number, start) in (0..size).step_by(usize::try_from(COPY).unwrap_or(usize::MAX)).enumerate() {
            let (number, range) = ((number + 1).to_string(), format!("bytes={start}-{}", (start + COPY).min(size) - 1));
            let headers = [("x-amz-copy-source", source), ("x-amz-copy-source-range", range.as_str())];
            let query = [("partNumber", number.as_str()), ("uploadId", parts.id.as_str())];
            let text = self.text(&Ask {
                method: Method::Put,
                key: &parts.key,
                query: &query,
                headers: &headers,
                body: Some(b""),
            })?;
            self.done(&text)?;
            let tag = document::first(&text, "ETag").ok_or_else(|| self.wrong("a copied part", "it has no ETag"))?;
            parts.tags.push(tag);
        }
        Ok(())
    }

    /// What takes long is answered with 200 before it is known how it ends.
    fn done(&self, text: &str) -> Result<(), RegistryError> {
        match document::first(text, "Code") {
            Some(code) if text.contains("<Error>") => {
                let message = document::first(text, "Message").unwrap_or_default();
                let (host, what) = (authority(&self.endpoint), self.place());
                Err(RegistryError::Status { host, status: 500, what, message: Some(ServerMessage { code, message }) })
            }
            _ => Ok(()),
        }
    }

    fn text(&self, ask: &Ask<'_>) -> Result<String, RegistryError> {
        let mut answer = self.ask(ask)?;
        let bytes = answer.body.read_up_to(DOCUMENT).map_err(|error| self.broken(error))?;
        String::from_utf8(bytes).map_err(|_not_text| self.wrong("a document", "it is not text"))
    }

    fn find(&self, ask: &Ask<'_>) -> Result<Option<Answer>, RegistryError> {
        match self.ask(ask) {
            Err(RegistryError::NotFound { message, .. })
                if message.as_ref().is_none_or(|message| message.code != "NoSuchBucket") =>
            {
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    /// Asks until there is an answer that counts.
    fn ask(&self, ask: &Ask<'_>) -> Result<Answer, RegistryError> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            match self.once(ask) {
                Err(error) if attempt < ATTEMPTS && error.is_temporary() => std::thread::sleep(pause),
                result => return result,
            }
            pause *= 2;
        }
        self.once(ask)
    }

    fn once(&self, ask: &Ask<'_>) -> Result<Answer, RegistryError> {
        let key = if ask.key.is_empty() { String::new() } else { format!("/{}{}", self.prefix, ask.key) };
        let path = format!("{}/{}{key}", self.endpoint.path().trim_end_matches('/'), self.name);
        let query: Vec<String> = ask.query.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        let query = query.join("&");
        let mut url = self.endpoint.clone();
        url.set_path(&path);
        url.set_query((!query.is_empty()).then_some(&query));
        let (host, moment) = (authority(&url), sign::moment(SystemTime::now()));
        let mut headers: Vec<(&str, &str)> = ask.headers.iter().copied().filter(|(name, _)| *name != "range").collect();
        headers.extend([("host", host.as_str()), ("x-amz-content-sha256", PAYLOAD), ("x-amz-date", &moment)]);
        headers.extend(self.keys.session.as_ref().map(|token| ("x-amz-security-token", token.reveal())));
        headers.sort_unstable();
        let signed = Signed { method: ask.method.name(), path: url.path(), query: &query, headers: &headers };
        let authorization = sign::authorization(&self.keys, &self.region, &moment, &signed);
        headers.retain(|(name, _)| *name != "host");
        headers.push(("authorization", &authorization));
        headers.extend(ask.headers.iter().copied().filter(|(name, _)| *name == "range"));
        let profile = self.client.profile(&trust(&self.client.options, &host, &host)?, CONNECT);
        let call = Call { method: ask.method, url: &url, headers: &headers, wait: THINK };
        let answer = self.client.transport()?.exchange(&call, ask.body, &profile);
        let answer = answer.map_err(|error| RegistryError::http(&host, error))?;
        match answer.head.status {
            200..300 => Ok(answer),
            _ => Err(self.refusal(host, answer)),
        }
    }

    fn refusal(&self, host: String, mut answer: Answer) -> RegistryError {
        let (status, what) = (answer.head.status, self.place());
        // An answer that cannot be read has nothing to add to the status.
        let text = answer.body.read_up_to(DOCUMENT).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let message = text.and_then(|text| {
            let message = document::first(&text, "Message").unwrap_or_default();
            Some(ServerMessage { code: document::first(&text, "Code")?, message })
        });
        match status {
            404 => RegistryError::NotFound { host, what, message },
            403 => RegistryError::Denied { host, what, message },
            _ => RegistryError::Status { host, status, what, message },
        }
    }

    fn broken(&self, error: io::Error) -> RegistryError {
        RegistryError::Connection { host: authority(&self.endpoint), source: Box::new(error) }
    }

    fn wrong(&self, expected: &'static str, reason: &str) -> RegistryError {
        RegistryError::Protocol { host: authority(&self.endpoint), expected, reason: reason.to_owned() }
    }
}

/// Everything but letters, digits and `-_.~` as a percent sign and two digits.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The bytes of an object, gone on with where the connection broke.
struct Reader {
    bucket: Arc<Bucket>,
    key: String,
    /// What is left.
    range: Range<u64>,
    body: Option<Body>,
    failures: u32,
}

impl Reader {
    /// Gives up with an error, or lets the next attempt be made.
    fn fail(&mut self, error: io::Error) -> io::Result<()> {
        self.body = None;
        self.failures += 1;
        if self.failures > ATTEMPTS {
            return Err(error);
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.range.is_empty() || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(body) = &mut self.body else {
                match self.bucket.body(&self.key, &self.range) {
                    Ok(body) => self.body = Some(body),
                    Err(error) => self.fail(error.into())?,
                }
                continue;
            };
            match body.read(buffer) {
                Ok(0) => self.fail(io::ErrorKind::UnexpectedEof.into())?,
                Ok(count) => {
                    self.range.start += count as u64;
                    self.failures = 0;
                    return Ok(count);
                }
                Err(error) => self.fail(error)?,
            }
        }
    }
}
