//! The files of the page, in the program.

use std::sync::LazyLock;

use ring::digest::{SHA256, digest};

use crate::http::{Head, Response, Status};

/// Nothing from elsewhere, no script and no style but the page's own, nobody frames it, no form goes anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
pub(super) struct Asset {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
    tag: LazyLock<String>,
}

impl Asset {
    const fn new(path: &'static str, media_type: &'static str, text: &'static str, tag: fn() -> String) -> Self {
        Self { path, media_type, text, tag: LazyLock::new(tag) }
    }

    /// The file, or that the client has it already.
    pub(super) fn response(&self, head: &Head<'_>) -> Response {
        let tag = &**self.tag;
        let is_known = head.headers.all("if-none-match").any(|known| known.contains(tag));
        let response = match is_known {
            true => Response::new(Status::NOT_MODIFIED),
            false => Response::text(Status::OK, self.media_type, self.text.as_bytes()),
        };
        response
            .with("ETag", format_args!("\"{tag}\""))
            .with("Cache-Control", "no-cache")
            .with("Vary", "Accept")
            .with("Content-Security-Policy", POLICY)
            .with("X-Content-Type-Options", "nosniff")
            .with("Referrer-Policy", "no-referrer")
    }
}

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

static ASSETS: [Asset; 3] = [
    Asset::new("/", "text/html; charset=utf-8", HTML, || tag(HTML)),
    Asset::new("/_sealos/page.css", "text/css; charset=utf-8", STYLE, || tag(STYLE)),
    Asset::new("/_sealos/page.js", "text/javascript; charset=utf-8", SCRIPT, || tag(SCRIPT)),
];

fn tag(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file at a path.
pub(super) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// For clients that are not for people.
pub(super) fn pointer() -> Response {
    let text = "{\"registry\":\"sealos\",\"api\":\"/v2/\"}\n";
    Response::text(Status::OK, "application/json", text.as_bytes()).with("Vary", "Accept")
}
