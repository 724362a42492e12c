//! A bucket of an S3-compatible store: objects are read, written in parts, listed, copied and removed.
//!
//! ```text
//! Bucket ── ask (retries, signature) ──▶ http ──▶ the store          keys: the environment, or a shared file
//!    └── parts: large objects          └── reader: goes on where a connection broke
//! ```
//!
//! Invariants: an object is there whole or not at all; keys and what signs for them are in no error. Requests are signed
//! (version 4) without their bodies; buckets are named in the path.

mod ask;
mod document;
mod keys;
mod parts;
mod reader;
mod sign;

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use url::Url;

use crate::client::{Client, parse_url};
use crate::credentials::Secret;
use crate::error::RegistryError;
use crate::http::{Body, Method};
use ask::Ask;
pub use parts::{Parts, Unfinished};
use reader::Reader;
use sign::Keys;

/// The largest object that is copied in one piece, and the pieces of larger ones, in bytes.
const COPY: u64 = 1 << 30;
/// Keys of a list that are asked for at a time; the protocol's most.
const PAGE: usize = 1000;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its size in bytes.
    pub size: u64,
    /// When it was written, by the store's clock, to the second.
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

impl Bucket {
    /// The bucket and prefix of `s3://BUCKET/PREFIX`. Where it is and who asks is told by the environment, as for AWS's
    /// tools: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, or a
    /// shared file of credentials. Nothing is connected yet.
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
        let prefix = prefix.trim_matches('/');
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let is_part = |part: &str| !part.is_empty() && is_plain(part) && part != "." && part != "..";
        if !is_part(name) || !(prefix.is_empty() || prefix.split('/').all(is_part)) {
            return Err(wrong("expected s3://BUCKET/PREFIX of letters, digits, dots, dashes and underscores"));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { client, endpoint: parse_url(endpoint)?, name: name.to_owned(), prefix, region, keys })
    }

    /// How it is called in messages.
    pub fn place(&self) -> String {
        format!("s3://{}/{}", self.name, self.prefix).trim_end_matches('/').to_owned()
    }

    /// Asks whether the bucket is there and may be listed.
    ///
    /// # Errors
    /// When it is not, or the store does not answer.
    pub fn check(&self) -> Result<(), RegistryError> {
        self.list("", Depth::One, 1).map(drop)
    }

    /// What is known of an object, if it is there.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn head(&self, key: &str) -> Result<Option<Object>, RegistryError> {
        let ask = Ask::new(Method::Head, key);
        let Some(answer) = self.find(&ask, Ok)? else { return Ok(None) };
        let modified = answer.head.header("last-modified").and_then(|text| httpdate::parse_http_date(text).ok());
        let modified = modified.ok_or_else(|| self.wrong("an answer to HEAD", "it has no date"))?;
        let size = answer.head.length().ok_or_else(|| self.wrong("an answer to HEAD", "it has no length"))?;
        Ok(Some(Object { size, modified }))
    }

    /// The bytes of an object, if it is there; of one of more than `limit` bytes, a few more than these.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn get(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, RegistryError> {
        self.find(&Ask::new(Method::Get, key), |mut answer| {
            let mut bytes = Vec::new();
            let mut body = (&mut answer.body).take(limit.saturating_add(1));
            body.read_to_end(&mut bytes).map_err(|error| self.broken(error))?;
            // The end of what is short is read, and its connection kept.
            if bytes.len() as u64 <= limit {
                answer.body.drain();
            }
            Ok(bytes)
        })
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
        Ok(Box::new(Reader::new(self, key, range, body)))
    }

    fn body(&self, key: &str, range: &Range<u64>) -> Result<Body, RegistryError> {
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = self.ask(&Ask { range: Some(&bytes), ..Ask::new(Method::Get, key) }, Ok)?;
        match (answer.head.status, range.start) {
            (206, _) | (200, 0) => Ok(answer.body),
            (status, _) => Err(self.wrong("a part of an object", &format!("it answered {status} to a range"))),
        }
    }

    /// A URL by which anybody can read an object for so long.
    pub fn link(&self, key: &str, valid: Duration) -> String {
        let mut url = self.url(key);
        let query = sign::query(&self.keys, &self.region, SystemTime::now(), valid, &url);
        url.set_query(Some(&query));
        url.into()
    }

    /// Writes an object.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn put(&self, key: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        self.ask(&Ask { body: Some(bytes), ..Ask::new(Method::Put, key) }, Ok)?.body.drain();
        Ok(())
    }

    /// Removes an object. That it is gone already is no error.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn delete(&self, key: &str) -> Result<(), RegistryError> {
        self.find(&Ask::new(Method::Delete, key), Ok)?.into_iter().for_each(|answer| answer.body.drain());
        Ok(())
    }

    /// What is below a prefix, which is empty or ends with a slash; `most` bounds how much is asked for, a page.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn list(&self, below: &str, depth: Depth, most: usize) -> Result<Vec<Below>, RegistryError> {
        let (full, page) = (format!("{}{below}", self.prefix), most.min(PAGE).to_string());
        let mut found = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(next.as_deref().map(|next| ("continuation-token", next)));
            query.extend((depth == Depth::One).then_some(("delimiter", "/")));
            query.extend([("list-type", "2"), ("max-keys", page.as_str()), ("prefix", full.as_str())]);
            let text = self.ask(&Ask { query: &query, ..Ask::new(Method::Get, "") }, |answer| self.text(answer))?;
            found.extend(self.inside(&text, "Contents", "Key").map(Below::Object));
            found.extend(self.inside(&text, "CommonPrefixes", "Prefix").map(Below::Prefix));
            next = document::first(&text, "NextContinuationToken");
            if next.is_none() || found.len() >= most {
                return Ok(found);
            }
        }
    }

    /// The keys of a list's entries, without the prefix that all have here.
    fn inside<'a>(&'a self, text: &'a str, entry: &str, tag: &str) -> impl Iterator<Item = String> + use<'a> {
        let keys: Vec<&str> =
            document::all(text, entry).into_iter().flat_map(|entry| document::all(entry, tag)).collect();
        keys.into_iter().filter_map(|key| document::plain(key).strip_prefix(&self.prefix).map(str::to_owned))
    }

    /// Copies an object of that size inside of the store.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn copy(&self, from: &str, to: &str, size: u64) -> Result<(), RegistryError> {
        if size <= COPY {
            let source = self.source(from);
            let headers = [("x-amz-copy-source", source.as_str())];
            let ask = Ask { headers: &headers, body: Some(b""), is_long: true, ..Ask::new(Method::Put, to) };
            return self.ask(&ask, |answer| self.done(answer)).map(drop);
        }
        let mut parts = self.begin(to)?;
        let copied = self.copy_parts(from, &mut parts, size).and_then(|()| self.complete(&parts));
        if copied.is_err() {
            // The first error counts.
            self.abort(&parts).ok();
        }
        copied
    }

    fn source(&self, key: &str) -> String {
        format!("/{}/{}{key}", self.name, self.prefix)
    }

    fn url(&self, key: &str) -> Url {
        let key = if key.is_empty() { String::new() } else { format!("/{}{key}", self.prefix) };
        let mut url = self.endpoint.clone();
        url.set_path(&format!("{}/{}{key}", self.endpoint.path().trim_end_matches('/'), self.name));
        url
    }
}
