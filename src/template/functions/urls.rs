//! URL functions on the text alone, as Go's `net/url` splits and joins.

use super::super::bytes::{bytes_of, text_of};
use super::super::error::CallError;
use super::super::value::{Map, Value};
use super::{Answer, Builtin, map, row, text};

pub(crate) const TABLE: &[Builtin] =
    &[row("urlParse", "s", |_, a| parse(text(a, 0))), row("urlJoin", "m", |_, a| join(&map(a, 0)))];

/// `url.QueryEscape`.
pub(crate) fn query_escape(source: &str) -> String {
    escape(source, "-_.~").replace("%20", "+")
}

fn escape(source: &str, keep: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for &byte in bytes_of(source).iter() {
        if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unescape(source: &str) -> Result<String, CallError> {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let digits = source.get(at + 1..at + 3).and_then(|d| u8::from_str_radix(d, 16).ok());
        let Some(byte) = digits else {
            return Err(CallError::argument(format!("unable to parse url: invalid URL escape in {source:?}")));
        };
        out.push(byte);
        at += 3;
    }
    Ok(text_of(&out))
}

fn parse(source: &str) -> Answer {
    if source.contains(|c: char| c.is_ascii_control()) {
        return Err(CallError::argument("unable to parse url: invalid control character in URL"));
    }
    let (rest, fragment) = source.split_once('#').unwrap_or((source, ""));
    let is_scheme = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some(("", _)) => return Err(CallError::argument("unable to parse url: missing protocol scheme")),
        Some((s, r)) if is_scheme(s) => (s.to_ascii_lowercase(), r),
        _ => (String::new(), rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let first = rest.split('/').next().unwrap_or("");
    if scheme.is_empty() && first.contains(':') {
        return Err(CallError::argument("unable to parse url: first path segment in URL cannot contain colon"));
    }
    let (mut authority, mut path, mut opaque) = ("", rest, "");
    if !scheme.is_empty() && !rest.starts_with('/') {
        (path, opaque) = ("", rest);
    } else if let Some(after) = rest.strip_prefix("//") {
        let end = after.find('/').unwrap_or(after.len());
        (authority, path) = after.split_at(end);
    }
    let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.contains(' ') {
        return Err(CallError::argument("unable to parse url: invalid character \" \" in host name"));
    }
    let port = host.rsplit_once(':').filter(|(h, _)| !h.contains(':') || h.ends_with(']'));
    if port.is_some_and(|(_, p)| !p.bytes().all(|b| b.is_ascii_digit())) {
        return Err(CallError::argument("unable to parse url: invalid port after host"));
    }
    let hostname = port.map_or(host, |(h, _)| h).trim_start_matches('[').trim_end_matches(']');
    let out = Map::new();
    for (key, value) in [
        ("scheme", scheme.as_str()),
        ("host", host),
        ("hostname", hostname),
        ("path", &unescape(path)?),
        ("query", query),
        ("opaque", opaque),
        ("fragment", &unescape(fragment)?),
        ("userinfo", userinfo),
    ] {
        out.insert(key, Value::string(value));
    }
    Ok(Value::Map(out))
}

fn join(parts: &Map) -> Answer {
    let get = |key: &str| match parts.get(key) {
        None => Ok(String::new()),
        Some(Value::String(s)) => Ok(s.to_string()),
        Some(other) => Err(CallError::argument(format!(
            "unable to parse {key} key, must be of type string, but {} found",
            other.kind_name()
        ))),
    };
    let (scheme, host, path, userinfo) = (get("scheme")?, get("host")?, get("path")?, get("userinfo")?);
    let (query, opaque, fragment) = (get("query")?, get("opaque")?, get("fragment")?);
    let mut out = String::new();
    if !scheme.is_empty() {
        out.push_str(&scheme);
        out.push(':');
    }
    if opaque.is_empty() {
        if !scheme.is_empty() && (!host.is_empty() || path.starts_with('/') && scheme == "file")
            || !host.is_empty()
            || !userinfo.is_empty()
        {
            out.push_str("//");
            if !userinfo.is_empty() {
                out.push_str(&userinfo);
                out.push('@');
            }
            out.push_str(&host);
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        out.push_str(&escape(&path, "-_.~$&+,/:;=@"));
    } else {
        out.push_str(&opaque);
    }
    if !query.is_empty() {
        out.push('?');
        out.push_str(&query);
    }
    if !fragment.is_empty() {
        out.push('#');
        out.push_str(&escape(&fragment, "-_.~$&+,/:;=?@!()*"));
    }
    Ok(Value::from(out))
}
