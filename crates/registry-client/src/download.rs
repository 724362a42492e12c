//! Plain downloads: build contexts, files for ADD, archives.

use std::io::Read;

use crate::client::{Client, Method, Request, authority, parse_url, redacted};
use crate::error::RegistryError;

/// An answer to a plain GET.
pub struct Download {
    /// The body. It is not verified; whoever has a checksum compares.
    pub body: Box<dyn Read + Send>,
    /// Bytes, if the server said so.
    pub size: Option<u64>,
    /// The validator that the server gave, to recognise the same content later.
    pub etag: Option<String>,
    /// The `Last-Modified` header.
    pub last_modified: Option<String>,
}

impl Client {
    /// Fetches a URL. Credentials of registries are never sent.
    ///
    /// # Errors
    /// When the URL is not http(s), or the server cannot be reached or refuses.
    pub fn download(&self, url: &str) -> Result<Download, RegistryError> {
        let parsed = parse_url(url)?;
        let what = redacted(url);
        let headers = vec![("accept-encoding", "identity".to_owned())];
        let request = Request { method: Method::Get, url: parsed, repository: None, headers, what: what.clone() };
        let response = self.send(&request)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (etag, last_modified) = (header("etag"), header("last-modified"));
        let size: Option<u64> = header("content-length").and_then(|text| text.parse().ok());
        let host = authority(&request.url);
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(Download { body: Box::new(Counted { body, left: size, host, what }), size, etag, last_modified })
    }
}

/// A body that must be as long as was promised.
struct Counted<R> {
    body: R,
    left: Option<u64>,
    host: String,
    what: String,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.body.read(buffer)?;
        if let Some(left) = &mut self.left {
            if count == 0 && *left > 0 && !buffer.is_empty() {
                return Err(RegistryError::Protocol {
                    host: self.host.clone(),
                    expected: "the whole file",
                    reason: format!("`{}` ended {left} bytes early", self.what),
                }
                .into());
            }
            *left = left.saturating_sub(count as u64);
        }
        Ok(count)
    }
}
