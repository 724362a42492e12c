//! Plain downloads: build contexts, files for ADD, archives.

use std::io::Read;

use url::Url;

use crate::client::{Client, parse_url, redacted};
use crate::credentials::Secret;
use crate::error::RegistryError;
use crate::exchange::{Request, Target, basic, web};
use crate::http::{Body, Method, authority, percent_decoded};
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
    /// Fetches a URL. User and password in it are sent to its own server; credentials of registries never are.
    ///
    /// # Errors
    /// When the URL is not http(s), or the server cannot be reached or refuses.
    pub fn download(&self, url: &str) -> Result<Download, RegistryError> {
        let mut url = parse_url(url)?;
        let (host, what) = (authority(&url), redacted(url.as_str()));
        let authorization = take_login(&mut url);
        let end = web(&url, trust(&self.options, &host, &host)?);
        let request = Request::to(Method::Get, Target::Url(url), &what, None).header("accept-encoding", "identity");
        let request = Request { authorization, ..request };
        let (answer, _) = self.send(&[&end], &request).map_err(|error| match error {
            RegistryError::Unauthorized { host, what, .. } if request.authorization.is_some() => {
                RegistryError::Unauthorized { host, who: "our credentials", what }
            }
            error => error,
        })?;
        let header = |name: &str| answer.head.header(name).map(str::to_owned);
        let (etag, last_modified, size) = (header("etag"), header("last-modified"), answer.head.length());
        let body = Counted { body: answer.body, left: size, host, what };
        Ok(Download { body: Box::new(body), size, etag, last_modified })
    }
}

/// User and password of a URL, which goes on without them.
fn take_login(url: &mut Url) -> Option<Secret> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_decoded(text);
    let login = basic(&decoded(url.username()), &Secret::new(decoded(url.password().unwrap_or_default())));
    // URLs of http and https have a place for them, so taking them away succeeds.
    (url.set_username("").is_ok() && url.set_password(None).is_ok()).then_some(login)
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
