//! How a response is sent.

use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::link::{Link, More};
use super::pace::Pace;
use crate::http::{Body, Method, Response, http_date};
use crate::seat;

/// A file this long is sent on a thread that has given up its seat.
const LONG: u64 = 256 << 10;
/// Bytes of a stream that are read at a time.
const PIECE: usize = 256 << 10;

/// What the client wants of the answer's form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) method: Method,
    /// HTTP/1.1: chunks are understood.
    pub(super) is_current: bool,
    /// The connection stays open afterwards.
    pub(super) keeps: bool,
}

/// What became of a response.
#[derive(Debug)]
pub(super) struct Sent {
    /// Bytes of its body.
    pub(super) bytes: u64,
    /// Whether another request can follow.
    pub(super) keeps: bool,
    /// Whether it went out whole.
    pub(super) result: io::Result<()>,
}

/// Sends a response. `scratch` is reused from one to the next.
pub(super) fn send(link: &mut Link, response: Response, form: Form, scratch: &mut Vec<u8>, mut pace: Pace) -> Sent {
    let length = response.body.length();
    let has_body = !matches!(response.status.0, 100..=199 | 204 | 304);
    let keeps = form.keeps && (length.is_some() || form.is_current || !has_body);
    head(scratch, &response, length.filter(|_| has_body), has_body && form.is_current && length.is_none(), keeps);
    let mut bytes = 0;
    let is_chunked = length.is_none() && form.is_current;
    let result = match response.body {
        _ if form.method == Method::Head || !has_body => link.write_all(scratch, &[], More::Nothing, &mut pace),
        body => send_body(link, scratch, body, is_chunked, &mut pace, &mut bytes),
    };
    Sent { bytes, keeps: keeps && result.is_ok(), result }
}

fn head(out: &mut Vec<u8>, response: &Response, length: Option<u64>, is_chunked: bool, keeps: bool) {
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, response.status.0.into());
    out.push(b' ');
    out.extend_from_slice(response.status.reason().as_bytes());
    out.extend_from_slice(b"\r\nDate: ");
    date(out);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(response.fields());
    if let Some(length) = length {
        out.extend_from_slice(b"Content-Length: ");
        number(out, length);
        out.extend_from_slice(b"\r\n");
    }
    if is_chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if !keeps {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn send_body(
    link: &mut Link,
    head: &[u8],
    body: Body,
    is_chunked: bool,
    pace: &mut Pace,
    sent: &mut u64,
) -> io::Result<()> {
    match body {
        Body::Empty | Body::Absent(_) => link.write_all(head, &[], More::Nothing, pace),
        Body::Bytes(bytes) => whole(link, head, &bytes, pace, sent),
        Body::Shared(bytes, range) => whole(link, head, &bytes[range], pace, sent),
        Body::File { file, from, length } => {
            if length >= LONG {
                seat::leave();
            }
            let more = if length > 0 { More::Follows } else { More::Nothing };
            link.write_all(head, &[], more, pace)?;
            link.send_file(&file, from, length, pace, sent)
        }
        Body::Stream { reader, length } => {
            seat::leave();
            stream(link, head, reader, length, is_chunked, pace, sent)
        }
    }
}

fn whole(link: &mut Link, head: &[u8], bytes: &[u8], pace: &mut Pace, sent: &mut u64) -> io::Result<()> {
    link.write_all(head, bytes, More::Nothing, pace)?;
    *sent += bytes.len() as u64;
    Ok(())
}

fn stream(
    link: &mut Link,
    head: &[u8],
    mut reader: Box<dyn Read + Send>,
    length: Option<u64>,
    is_chunked: bool,
    pace: &mut Pace,
    sent: &mut u64,
) -> io::Result<()> {
    link.write_all(head, &[], More::Nothing, pace)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let most = length.map_or(PIECE, |length| usize::try_from(length - *sent).unwrap_or(PIECE).min(PIECE));
        let count = match reader.read(&mut buffer[..most]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        let piece = &buffer[..count];
        match (is_chunked, count) {
            (true, 0) => return link.write_all(b"0\r\n\r\n", &[], More::Nothing, pace),
            (true, _) => {
                link.write_all(format!("{count:x}\r\n").as_bytes(), piece, More::Follows, pace)?;
                link.write_all(b"\r\n", &[], More::Nothing, pace)?;
            }
            (false, 0) if length.is_some_and(|length| length > *sent) => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            (false, 0) => return Ok(()),
            (false, _) => link.write_all(piece, &[], More::Nothing, pace)?,
        }
        *sent += count as u64;
        if length == Some(*sent) {
            return Ok(());
        }
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    // Writing to a vector cannot fail.
    write!(out, "{number}").ok();
}

/// The current date; formatted once a second.
fn date(out: &mut Vec<u8>) {
    thread_local! {
        static LAST: std::cell::RefCell<(u64, String)> = const { std::cell::RefCell::new((u64::MAX, String::new())) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|(second, text)| {
        if *second != now {
            (*second, *text) = (now, http_date(now));
        }
        out.extend_from_slice(text.as_bytes());
    });
}
