//! The text of a line.

use std::cell::RefCell;
use std::io::Write;
use std::time::{Duration, SystemTime};

use content::rfc3339;

use super::Format;
use crate::record::Record;

/// The longest text of a client that is logged, in bytes.
const LONGEST: usize = 2048;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A line, with its line break.
pub(super) fn line(format: Format, record: &Record<'_>, run: u32, number: u64) -> Vec<u8> {
    let mut line = Line(Vec::with_capacity(512));
    match format {
        Format::Json => json(&mut line, record, run, number),
        Format::Combined => combined(&mut line, record),
    }
    line.0.push(b'\n');
    line.0
}

/// The line that says how many lines are missing.
pub(super) fn dropped(format: Format, count: u64) -> Vec<u8> {
    let time = rfc3339::format(SystemTime::now());
    match format {
        Format::Json => format!("{{\"time\":\"{time}\",\"dropped\":{count}}}\n").into_bytes(),
        Format::Combined => format!("# {time} {count} lines are missing\n").into_bytes(),
    }
}

struct Line(Vec<u8>);

impl Line {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn shown(&mut self, value: impl std::fmt::Display) {
        // Writing to a vector cannot fail.
        write!(self.0, "{value}").unwrap_or_default();
    }

    /// Text of a client, escaped as JSON has it.
    fn json(&mut self, text: &str) {
        self.escaped(text, |line, c| match c {
            '"' => line.raw("\\\""),
            '\\' => line.raw("\\\\"),
            c => line.shown(format_args!("\\u{:04x}", u32::from(c))),
        });
    }

    /// Text of a client, escaped as Apache has it.
    fn apache(&mut self, text: &str) {
        self.escaped(text, |line, c| match c {
            '"' => line.raw("\\\""),
            '\\' => line.raw("\\\\"),
            c => line.shown(format_args!("\\x{:02x}", u32::from(c))),
        });
    }

    fn escaped(&mut self, text: &str, escape: impl Fn(&mut Self, char)) {
        let end = text.floor_char_boundary(LONGEST.min(text.len()));
        let text = &text[..end];
        let special = |c: char| c.is_control() || matches!(c, '"' | '\\');
        let mut from = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| special(*c)) {
            self.raw(&text[from..at]);
            escape(self, c);
            from = at + c.len_utf8();
        }
        self.raw(&text[from..]);
    }

    fn field(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.raw(name);
            self.json(value);
            self.raw("\"");
        }
    }
}

fn json(line: &mut Line, record: &Record<'_>, run: u32, number: u64) {
    let since = since_epoch(record);
    line.raw("{\"time\":\"");
    second(since.as_secs(), |text| line.raw(text.trim_end_matches('Z')));
    line.shown(format_args!(".{:03}Z\",\"id\":\"{run:08x}-{number:x}\"", since.subsec_millis()));
    line.shown(format_args!(",\"client\":\"{}\"", record.peer));
    line.field(",\"user\":\"", record.identity);
    line.shown(format_args!(",\"method\":\"{}\",\"kind\":\"{}\"", record.method, record.kind.name()));
    line.field(",\"path\":\"", Some(shown_target(record.target)));
    line.field(",\"repository\":\"", record.repository);
    line.shown(format_args!(
        ",\"status\":{},\"received\":{},\"sent\":{},\"seconds\":{}.{:06}",
        record.status.0,
        record.received,
        record.sent,
        record.took.as_secs(),
        record.took.subsec_micros()
    ));
    line.field(",\"code\":\"", record.code);
    line.field(",\"reason\":\"", record.reason);
    if !record.is_complete {
        line.raw(",\"complete\":false");
    }
    line.field(",\"agent\":\"", record.agent);
    line.raw("}");
}

fn combined(line: &mut Line, record: &Record<'_>) {
    let client = record.peer.to_string();
    // Without the port.
    let host = client.rsplit_once(':').map_or(client.as_str(), |(host, _)| host);
    line.raw(host.trim_start_matches('[').trim_end_matches(']'));
    line.raw(" - ");
    match record.identity {
        Some(user) if user.contains(char::is_whitespace) => {
            line.raw("\"");
            line.apache(user);
            line.raw("\"");
        }
        user => line.apache(user.unwrap_or("-")),
    }
    let since = since_epoch(record);
    line.raw(" [");
    second(since.as_secs(), |text| {
        // 2026-11-25T02:33:09Z
        let month = text.get(5..7).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
        let part = |from, to| text.get(from..to).unwrap_or_default();
        let name = MONTHS.get(month - 1).unwrap_or(&"Jan");
        line.shown(format_args!("{}/{name}/{}:{} +0000", part(8, 10), part(0, 4), part(11, 19)));
    });
    line.shown(format_args!("] \"{} ", record.method));
    line.apache(shown_target(record.target));
    line.shown(format_args!(" HTTP/1.1\" {} {} \"-\" \"", record.status.0, record.sent));
    line.apache(record.agent.unwrap_or("-"));
    line.shown(format_args!("\" {}.{:06}", record.took.as_secs(), record.took.subsec_micros()));
}

fn since_epoch(record: &Record<'_>) -> Duration {
    record.begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A second as text; requests come many to a second.
fn second(seconds: u64, then: impl FnOnce(&str)) {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    LAST.with_borrow_mut(|(last, text)| {
        if *last != seconds {
            *text = rfc3339::format(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            *last = seconds;
        }
        then(text);
    });
}

/// The target without what may be a secret: name and password of an absolute one, and the query of what is not the
/// distribution protocol's.
fn shown_target(target: &str) -> &str {
    let path = match target.find("://") {
        Some(at) if !target.starts_with('/') => {
            let rest = &target[at + 3..];
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    };
    match path.split_once('?') {
        Some((path, _)) if !path.starts_with("/v2/") => path,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Method, Peer, Status};
    use crate::record::Kind;
    use proptest::prelude::*;
    use serde_json::Value;

    fn record<'a>(target: &'a str, agent: &'a str, user: &'a str) -> Record<'a> {
        Record {
            begun: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_573_989_042),
            took: Duration::from_micros(1_000_123),
            peer: Peer::Net("[2001:db8::1]:4711".parse().unwrap()),
            identity: Some(user),
            method: Method::Get,
            target,
            kind: Kind::Manifest,
            repository: Some("team/app"),
            agent: Some(agent),
            status: Status::NOT_FOUND,
            code: Some("MANIFEST_UNKNOWN"),
            reason: None,
            received: 0,
            sent: 87,
            is_complete: true,
        }
    }

    fn text(format: Format, record: &Record<'_>) -> String {
        String::from_utf8(line(format, record, 0xabc, 255)).unwrap()
    }

    #[test]
    fn lines_have_everything_about_a_request() {
        let mut record = record("/v2/team/app/manifests/v1?ns=docker.io", "skopeo/1.9", "anna");
        assert_eq!(
            text(Format::Json, &record),
            "{\"time\":\"2026-11-25T02:33:09.042Z\",\"id\":\"00000abc-ff\",\"client\":\"[2001:db8::1]:4711\",\"user\":\"anna\",\
             \"method\":\"GET\",\"kind\":\"manifest\",\"path\":\"/v2/team/app/manifests/v1?ns=docker.io\",\"repository\":\"team/app\",\
             \"status\":404,\"received\":0,\"sent\":87,\"seconds\":1.000123,\"code\":\"MANIFEST_UNKNOWN\",\"agent\":\"skopeo/1.9\"}\n"
        );
        assert_eq!(
            text(Format::Combined, &record),
            "2001:db8::1 - anna [25/Nov/2026:02:33:09 +0000] \"GET /v2/team/app/manifests/v1?ns=docker.io HTTP/1.1\" 404 87 \
             \"-\" \"skopeo/1.9\" 1.000123\n"
        );
        record.peer = Peer::Local;
        (record.identity, record.agent, record.is_complete, record.reason) = (None, None, false, Some("disk full"));
        assert!(text(Format::Combined, &record).starts_with("local - - [25/"));
        let json: Value = serde_json::from_str(&text(Format::Json, &record)).unwrap();
        assert_eq!(
            (&json["client"], &json["complete"], &json["reason"]),
            (&"local".into(), &false.into(), &"disk full".into())
        );
    }

    #[test]
    fn what_may_be_a_secret_is_left_out() {
        for (target, want) in [
            ("/v2/", "/v2/"),
            ("/v2/a/blobs/uploads/?digest=sha256:1", "/v2/a/blobs/uploads/?digest=sha256:1"),
            ("/token?account=me&password=hunter2", "/token"),
            ("http://me:hunter2@hub/v2/", "/v2/"),
            ("http://me:hunter2@hub", "/"),
            ("/v2/http://me", "/v2/http://me"),
            ("*", "*"),
        ] {
            assert_eq!(shown_target(target), want, "{target}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_client_sends_breaks_a_line(target in "/v2/\\PC*|(.|\n|\r|\t|\"|\\\\){0,60}", agent in "(.|\n|\u{1}|\"){0,40}", user in "[^\n]{0,9}") {
            let record = record(&target, &agent, &user);
            let json = text(Format::Json, &record);
            prop_assert_eq!(json.matches('\n').count(), 1);
            let json: Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(json["agent"].as_str(), Some(&*agent));
            let combined = text(Format::Combined, &record);
            prop_assert_eq!(combined.matches(|c: char| c.is_control()).count(), 1, "{:?}", combined);
        }
    }
}
