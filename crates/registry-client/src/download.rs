//! Plain downloads: build contexts, files for ADD, archives.

use std::io::Read;

use crate::client::{Client, parse_url, redacted};
use crate::error::RegistryError;
use crate::exchange::{Request, Target, web};
use crate::http::{Body, Method, authority};
use crate::routes::trust;

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
        let url = parse_url(url)?;
        let (host, what) = (authority(&url), redacted(url.as_str()));
        let end = web(&url, trust(&self.options, &host, &host)?);
        let request = Request::to(Method::Get, Target::Url(url), &what, None).header("accept-encoding", "identity");
        let (answer, _) = self.send(&[&end], &request)?;
        let header = |name: &str| answer.head.header(name).map(str::to_owned);
        let (etag, last_modified, size) = (header("etag"), header("last-modified"), answer.head.length());
        let body = Counted { body: answer.body, left: size, host, what };
        Ok(Download { body: Box::new(body), size, etag, last_modified })
    }
}

/// A body that says where it ended when it ends early.
struct Counted {
    body: Body,
    left: Option<u64>,
    host: String,
    what: String,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let early = |reason: String| {
            RegistryError::Protocol { host: self.host.clone(), expected: "the whole file", reason }.into()
        };
        match (self.body.read(buffer), &mut self.left) {
            (Ok(count), left) => {
                if let Some(left) = left {
                    *left = left.saturating_sub(count as u64);
                }
                Ok(count)
            }
            (Err(error), Some(left)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(early(format!("`{}` ended {left} bytes early", self.what)))
            }
            (Err(error), _) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(early(format!("`{}` ended early", self.what)))
            }
            (Err(error), _) => Err(error),
        }
    }
}
