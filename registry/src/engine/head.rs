//! The head of a request: how it is read, and what makes it one that cannot be answered.
//!
//! Whatever two servers could understand differently is refused: two lengths, a length beside chunks, other transfer
//! codings, folded lines, a missing or second `Host` (RFC 9112, sections 3.2, 5.2 and 6).

use crate::http::{Headers, Method, Status, decode};
use std::borrow::Cow;

/// The most header fields.
pub(super) const FIELDS: usize = 64;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// At the chunk of length 0.
    Chunked,
}

/// A head that was understood.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub(super) method: Method,
    pub(super) target: &'a str,
    pub(super) path: Cow<'a, str>,
    pub(super) query: &'a str,
    pub(super) framing: Framing,
    /// The client waits for `100 Continue`.
    pub(super) expects: bool,
    /// The client wants to send more requests on this connection.
    pub(super) keeps: bool,
    /// HTTP/1.1: chunks are understood.
    pub(super) is_current: bool,
}

impl Framing {
    /// The length of the body, if it was said.
    pub(super) fn length(self) -> Option<u64> {
        match self {
            Self::Length(length) => Some(length),
            Self::Chunked => None,
        }
    }
}

/// Understands what `httparse` has read: method, target, minor version and fields.
pub(super) fn understand<'a>(
    method: Option<&str>,
    target: Option<&'a str>,
    version: Option<u8>,
    headers: Headers<'_>,
) -> Result<Parsed<'a>, Status> {
    let bad = Status::BAD_REQUEST;
    let is_current = version == Some(1);
    let target = target.ok_or(bad)?;
    let (path, query) = split(target).ok_or(bad)?;
    let path = decode(path).filter(|path| !path.bytes().any(|byte| byte.is_ascii_control())).ok_or(bad)?;
    if headers.count("host") != usize::from(is_current) && (is_current || headers.count("host") > 1) {
        return Err(bad);
    }
    let expects = match headers.get("expect") {
        None => false,
        Some(what) if what.eq_ignore_ascii_case("100-continue") => is_current,
        Some(_) => return Err(Status::EXPECTATION_FAILED),
    };
    let says = |word: &str| {
        let words = headers.all("connection").flat_map(|value| value.split(','));
        words.map(str::trim).any(|said| said.eq_ignore_ascii_case(word))
    };
    let keeps = if is_current { !says("close") } else { says("keep-alive") };
    let framing = framing(headers, is_current)?;
    Ok(Parsed { method: Method::parse(method.ok_or(bad)?), target, path, query, framing, expects, keeps, is_current })
}

/// Path and query of a target in origin form or absolute form; `*` is a path as well.
fn split(target: &str) -> Option<(&str, &str)> {
    let origin = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    if !origin.starts_with('/') && origin != "*" || origin.contains('#') {
        return None;
    }
    Some(origin.split_once('?').unwrap_or((origin, "")))
}

fn framing(headers: Headers<'_>, is_current: bool) -> Result<Framing, Status> {
    let codings = headers.count("transfer-encoding");
    let lengths = headers.count("content-length");
    match (codings, lengths) {
        (0, 0) => Ok(Framing::Length(0)),
        (0, 1) => {
            let text = headers.get("content-length").ok_or(Status::BAD_REQUEST)?;
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let length = if is_number { text.parse().ok() } else { None };
            length.map(Framing::Length).ok_or(Status::BAD_REQUEST)
        }
        (1, 0) if is_current => match headers.get("transfer-encoding") {
            Some(coding) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            _ => Err(Status::NOT_IMPLEMENTED),
        },
        _ => Err(Status::BAD_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Method, String, String, Framing, bool), Status> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut raw = httparse::Request::new(&mut fields);
        match raw.parse(text.as_bytes()) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err(Status::BAD_REQUEST),
        }
        let headers = Headers::new(raw.headers);
        let head = understand(raw.method, raw.path, raw.version, headers)?;
        Ok((head.method, head.path.into_owned(), head.query.to_owned(), head.framing, head.keeps))
    }

    #[test]
    fn heads_are_understood_or_refused() {
        let bad = Err(Status::BAD_REQUEST);
        let get = |path: &str, query: &str, keeps| {
            Ok((Method::Get, path.to_owned(), query.to_owned(), Framing::Length(0), keeps))
        };
        for (text, want) in [
            ("GET /v2/?n=1 HTTP/1.1\r\nHost: a\r\n\r\n", get("/v2/", "n=1", true)),
            ("GET /v2/%61 HTTP/1.1\r\nhost:a\r\nConnection: x, Close\r\n\r\n", get("/v2/a", "", false)),
            ("GET http://a:1/v2/ HTTP/1.1\r\nHost: a\r\n\r\n", get("/v2/", "", true)),
            ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", get("/", "", true)),
            ("GET / HTTP/1.0\r\n\r\n", get("/", "", false)),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", get("/", "", true)),
            ("GET / HTTP/1.1\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", bad.clone()),
            ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", bad.clone()),
            ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", bad.clone()),
            ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", bad.clone()),
            ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Err(Status::NOT_IMPLEMENTED)),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", Err(Status::EXPECTATION_FAILED)),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", bad.clone()),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", bad),
        ] {
            assert_eq!(read(text), want, "{text:?}");
        }
        let chunked = read("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
        assert_eq!(chunked.map(|head| head.3), Ok(Framing::Chunked));
        let long = read("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n");
        assert_eq!(long.map(|head| head.3), Ok(Framing::Length(12)));
    }
}
