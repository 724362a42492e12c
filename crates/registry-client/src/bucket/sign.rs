//! AWS Signature Version 4, for requests whose body is not part of it.
//!
//! Source: "Signature Version 4 signing process", Amazon S3 API reference.

use std::time::{Duration, SystemTime};

use content::rfc3339;
use ring::hmac;
use url::Url;

use crate::credentials::Secret;
use crate::http::authority;

/// Bodies are verified by whoever reads them, and protected by TLS where it matters.
pub(super) const PAYLOAD: &str = "UNSIGNED-PAYLOAD";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who asks.
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) session: Option<Secret>,
}

/// What is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// With everything escaped that has to be.
    pub(super) path: &'a str,
    /// In the order of its keys, escaped.
    pub(super) query: &'a str,
    /// Names in lower case, in their order; with the host.
    pub(super) headers: &'a [(&'a str, &'a str)],
}

/// The moment of a request, as the protocol writes it: `20261125T091500Z`.
pub(super) fn moment(now: SystemTime) -> String {
    rfc3339::format(now).replace(['-', ':'], "")
}

/// The value of `Authorization`.
pub(super) fn authorization(keys: &Keys, region: &str, moment: &str, what: &Signed<'_>) -> String {
    let (id, scope, names) = (&keys.id, scope(region, moment), names(what));
    let signature = signature(keys, region, moment, what);
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// The query that lets whoever has the URL read what it names, for so long.
pub(super) fn query(keys: &Keys, region: &str, now: SystemTime, valid: Duration, url: &Url) -> String {
    let (moment, host) = (moment(now), authority(url));
    let credential = format!("{}/{}", keys.id, scope(region, &moment));
    let mut query = format!(
        "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={moment}&X-Amz-Expires={}",
        escaped(&credential),
        valid.as_secs()
    );
    if let Some(token) = &keys.session {
        query.push_str(&format!("&X-Amz-Security-Token={}", escaped(token.reveal())));
    }
    query.push_str("&X-Amz-SignedHeaders=host");
    let what = Signed { method: "GET", path: url.path(), query: &query, headers: &[("host", host.as_str())] };
    let signature = signature(keys, region, &moment, &what);
    format!("{query}&X-Amz-Signature={signature}")
}

fn scope(region: &str, moment: &str) -> String {
    format!("{}/{region}/s3/aws4_request", &moment[..8])
}

fn names(what: &Signed<'_>) -> String {
    what.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";")
}

fn signature(keys: &Keys, region: &str, moment: &str, what: &Signed<'_>) -> String {
    let headers: String = what.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let Signed { method, path, query, .. } = what;
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{}\n{PAYLOAD}", names(what));
    let hashed = hex(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("{ALGORITHM}\n{moment}\n{}\n{hashed}", scope(region, moment));
    let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", keys.secret.reveal()).as_bytes());
    let key = [&moment[..8], region, "s3", "aws4_request"]
        .iter()
        .fold(first, |key, part| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()));
    hex(hmac::sign(&key, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything but letters, digits and `-_.~` as a percent sign and two digits.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the source, "Authenticating Requests: Using Query Parameters".
    #[test]
    fn a_url_is_signed_as_in_the_specification() {
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session: None,
        };
        let now = rfc3339::parse("2013-05-24T00:00:00Z").unwrap();
        let url = Url::parse("https://examplebucket.s3.amazonaws.com/test.txt").unwrap();
        assert_eq!(
            query(&keys, "us-east-1", now, Duration::from_secs(86_400), &url),
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F\
             aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=\
             aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }
}
