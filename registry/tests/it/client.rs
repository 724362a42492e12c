//! A client that sends exactly what a test wants, good or bad.

use std::io::{Read, Write};
use std::net::TcpStream;

use oci::Digest;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection, and the next one where the registry has said that it ends this one.
pub(crate) struct Client {
    address: String,
    stream: TcpStream,
    rest: Vec<u8>,
    is_over: bool,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        // A registry that does not answer at all fails the test instead of hanging it.
        stream.set_read_timeout(Some(crate::deadline::LONG)).unwrap();
        stream.set_write_timeout(Some(crate::deadline::LONG)).unwrap();
        Self { address: address.to_owned(), stream, rest: Vec::new(), is_over: false }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request with a body and reads the answer; none when the registry has gone.
    pub(crate) fn ask(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        if self.is_over {
            *self = Self::new(&self.address);
        }
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        self.send(head.as_bytes()).ok()?;
        self.send(body).ok()?;
        self.answer(method == "HEAD")
    }

    /// Reads an answer; none when there is none.
    pub(crate) fn answer(&mut self, is_head: bool) -> Option<Answer> {
        loop {
            if let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.rest[..end]).into_owned();
                self.rest.drain(..end + 4);
                let status = head.split(' ').nth(1)?.parse().ok()?;
                let mut answer = Answer { status, head, body: Vec::new() };
                self.is_over = answer.header("connection").is_some_and(|said| said.eq_ignore_ascii_case("close"));
                let length = answer.header("content-length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
                if !is_head {
                    while self.rest.len() < length {
                        self.more()?;
                    }
                    answer.body = self.rest.drain(..length).collect();
                }
                return Some(answer);
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) | Err(_) => None,
            Ok(count) => {
                self.rest.extend_from_slice(&buffer[..count]);
                Some(())
            }
        }
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        let accepted = [oci::MediaType::OCI_MANIFEST, oci::MediaType::OCI_INDEX, "*/*"].join(", ");
        self.ask("GET", target, &[("Accept", &accepted)], b"").unwrap()
    }

    /// Pushes a blob; none when the registry has gone.
    pub(crate) fn push_blob(&mut self, repository: &str, bytes: &[u8]) -> Option<(Digest, u16)> {
        let digest = Digest::of(bytes);
        let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"")?;
        let location = begun.header("location")?.trim_start_matches("http://test");
        let joint = if location.contains('?') { '&' } else { '?' };
        let done = self.ask("PUT", &format!("{location}{joint}digest={digest}"), &[], bytes)?;
        Some((digest, done.status))
    }

    /// Pushes an image of one layer under a tag; none when the registry has gone.
    pub(crate) fn push_image(&mut self, repository: &str, tag: &str, layer: &[u8]) -> Option<(Digest, u16)> {
        let (config, _) = self.push_blob(repository, b"{}")?;
        let (digest, _) = self.push_blob(repository, layer)?;
        let manifest = manifest(&[(config, 2), (digest, layer.len())]);
        let fields = [("Content-Type", oci::MediaType::OCI_MANIFEST)];
        let done = self.ask("PUT", &format!("/v2/{repository}/manifests/{tag}"), &fields, manifest.as_bytes())?;
        Some((Digest::of(manifest.as_bytes()), done.status))
    }
}

/// The manifest of an image: its configuration, then its layers.
pub(crate) fn manifest(blobs: &[(Digest, usize)]) -> String {
    let descriptor = |media_type: &str, (digest, size): &(Digest, usize)| serde_json::json!({ "mediaType": media_type, "digest": digest, "size": size });
    let layers: Vec<_> = blobs[1..].iter().map(|blob| descriptor(oci::MediaType::OCI_LAYER, blob)).collect();
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": oci::MediaType::OCI_MANIFEST,
        "config": descriptor(oci::MediaType::OCI_CONFIG, &blobs[0]),
        "layers": layers,
    })
    .to_string()
}

/// Checks that everything that a tag leads to can be had and is what its name says.
pub(crate) fn is_whole(address: &str, repository: &str, reference: &str) -> Result<(), String> {
    let mut client = Client::new(address);
    let answer = client.get(&format!("/v2/{repository}/manifests/{reference}"));
    if answer.status != 200 {
        return Err(format!("{repository}:{reference}: {} {}", answer.status, answer.text()));
    }
    let digest = answer.header("docker-content-digest").unwrap_or_default();
    if Digest::of(&answer.body).to_string() != digest {
        return Err(format!("{repository}:{reference}: the manifest is not {digest}"));
    }
    let document: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let mut blobs = vec![document["config"].clone()];
    blobs.extend(document["layers"].as_array().into_iter().flatten().cloned());
    for blob in blobs {
        let digest = blob["digest"].as_str().unwrap_or_default().to_owned();
        let answer = client.get(&format!("/v2/{repository}/blobs/{digest}"));
        if answer.status != 200 || Digest::of(&answer.body).to_string() != digest {
            return Err(format!("{repository}:{reference}: {digest}: {} of {}", answer.status, answer.body.len()));
        }
    }
    Ok(())
}
