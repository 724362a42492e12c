//! Requests to a bucket: signed, repeated while that helps, and what the store says against them.

use std::io;
use std::time::{Duration, SystemTime};

use super::{Bucket, document, sign};
use crate::error::{RegistryError, ServerMessage};
use crate::http::{Answer, CONNECT, Call, Method, authority};
use crate::routes::trust;
use sign::{PAYLOAD, Signed};

/// How long the store may think about an answer.
const THINK: Duration = Duration::from_secs(60);
/// The same where it has to join or copy gigabytes.
const WORK: Duration = Duration::from_secs(600);
/// The longest document that is read, in bytes: a thousand keys of a thousand bytes, and some.
const DOCUMENT: u64 = 4 << 20;
/// Attempts at what fails for a while.
pub(super) const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; each further one is twice as long.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// What is said of an object or upload that is not there.
const ABSENT: [&str; 3] = ["NoSuchKey", "NoSuchUpload", "NotFound"];

/// A request.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Empty for the bucket itself.
    pub(super) key: &'a str,
    /// Keys and values, in the order of the keys.
    pub(super) query: &'a [(&'a str, &'a str)],
    /// Names in lower case; they are signed.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) range: Option<&'a str>,
    pub(super) body: Option<&'a [u8]>,
    /// Whether the store has much to do.
    pub(super) is_long: bool,
}

impl<'a> Ask<'a> {
    /// A request without anything special.
    pub(super) fn new(method: Method, key: &'a str) -> Self {
        Self { method, key, query: &[], headers: &[], range: None, body: None, is_long: false }
    }
}

impl Bucket {
    /// Asks until there is an answer that counts, which `take` reads.
    pub(super) fn ask<T>(
        &self,
        ask: &Ask<'_>,
        take: impl Fn(Answer) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut attempt = 1;
        loop {
            match self.once(ask).and_then(&take) {
                Err(error) if attempt < ATTEMPTS && error.is_temporary() => {
                    std::thread::sleep(PAUSE * 2_u32.pow(attempt - 1));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// The same for what need not be there. That the bucket or who asks is not known is an error all the same; answers
    /// without a document do not say.
    pub(super) fn find<T>(
        &self,
        ask: &Ask<'_>,
        take: impl Fn(Answer) -> Result<T, RegistryError>,
    ) -> Result<Option<T>, RegistryError> {
        match self.ask(ask, take) {
            Err(RegistryError::Bucket { status: 404, message, .. })
                if message.as_ref().is_none_or(|message| ABSENT.contains(&message.code.as_str())) =>
            {
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    fn once(&self, ask: &Ask<'_>) -> Result<Answer, RegistryError> {
        let query: Vec<String> =
            ask.query.iter().map(|(key, value)| format!("{key}={}", sign::escaped(value))).collect();
        let query = query.join("&");
        let mut url = self.url(ask.key);
        url.set_query((!query.is_empty()).then_some(&query));
        let (host, moment) = (authority(&url), sign::moment(SystemTime::now()));
        let mut headers = ask.headers.to_vec();
        headers.extend([("host", host.as_str()), ("x-amz-content-sha256", PAYLOAD), ("x-amz-date", &moment)]);
        headers.extend(self.keys.session.as_ref().map(|token| ("x-amz-security-token", token.reveal())));
        headers.sort_unstable();
        let signed = Signed { method: ask.method.name(), path: url.path(), query: &query, headers: &headers };
        let authorization = sign::authorization(&self.keys, &self.region, &moment, &signed);
        // The transport sends its own.
        headers.retain(|(name, _)| *name != "host");
        headers.push(("authorization", &authorization));
        headers.extend(ask.range.map(|range| ("range", range)));
        let profile = self.client.profile(&trust(&self.client.options, &host, &host)?, CONNECT);
        let wait = if ask.is_long { WORK } else { THINK };
        let call = Call { method: ask.method, url: &url, headers: &headers, wait };
        let answer = self.client.transport()?.exchange(&call, ask.body, &profile);
        let answer = answer.map_err(|error| RegistryError::http(&host, error))?;
        match answer.head.status {
            200..300 => Ok(answer),
            status => {
                let message = self.text(answer).ok().and_then(|text| said(&text));
                Err(RegistryError::Bucket { host, status, what: self.place(), message })
            }
        }
    }

    /// A document.
    pub(super) fn text(&self, mut answer: Answer) -> Result<String, RegistryError> {
        let bytes = answer.body.read_up_to(DOCUMENT).map_err(|error| self.broken(error))?;
        String::from_utf8(bytes).map_err(|_not_text| self.wrong("a document", "it is not text"))
    }

    /// The document of what takes long: it is answered with 200 before it is known how it ends.
    pub(super) fn done(&self, answer: Answer) -> Result<String, RegistryError> {
        let text = self.text(answer)?;
        match said(&text).filter(|_| text.contains("<Error>")) {
            None => Ok(text),
            Some(message) => Err(RegistryError::Bucket {
                host: authority(&self.endpoint),
                status: 500,
                what: self.place(),
                message: Some(message),
            }),
        }
    }

    pub(super) fn broken(&self, error: io::Error) -> RegistryError {
        RegistryError::Connection { host: authority(&self.endpoint), source: Box::new(error) }
    }

    pub(super) fn wrong(&self, expected: &'static str, reason: &str) -> RegistryError {
        RegistryError::Protocol { host: authority(&self.endpoint), expected, reason: reason.to_owned() }
    }
}

/// What a store says when it refuses. Of what else is in such a document, some should not be repeated.
fn said(text: &str) -> Option<ServerMessage> {
    let message = document::first(text, "Message").unwrap_or_default();
    Some(ServerMessage { code: document::first(text, "Code")?, message })
}
