//! The web page at `/`: repositories, tags, images, what they are made of, and why images are carried.
//!
//! ```text
//! browser ─▶ /  page.html, /_sealos/page.css, /_sealos/page.js      in the program, nothing from elsewhere
//!         ─▶ /_sealos/v1/…  JSON, worked out here from the backend  only what the asker may pull
//! ```
//!
//! Invariants: the page loads nothing from anywhere else and runs no script that is not its own (its policy forbids
//! both); everything shown is data and never markup; who may not pull from a repository does not learn that it exists.

mod api;
mod assets;
mod documents;
mod images;
mod sharing;

use std::fmt;
use std::sync::Arc;

use crate::backend::Backend;
use crate::gate::{Access, Need};
use crate::http::{Head, Method, Request, Response, Status};
use crate::route::Route;

use sharing::Sharing;

/// The route.
pub struct PageRoute {
    backend: Arc<dyn Backend>,
    access: Arc<dyn Access>,
    sharing: Sharing,
}

impl PageRoute {
    /// Shows what a backend holds to those whom the access lets see it.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, access: Arc<dyn Access>) -> Self {
        Self { backend, access, sharing: Sharing::default() }
    }
}

impl Route for PageRoute {
    fn needs(&self, head: &Head<'_>) -> Option<Vec<Need<'static>>> {
        match head.path {
            "/" => Some(vec![Need::Base]),
            // Not a secret, and a page that asked for a password must not ask again for its style.
            path if assets::find(path).is_some() => Some(Vec::new()),
            path if path.starts_with(api::PREFIX) => Some(vec![Need::Base]),
            _ => None,
        }
    }

    fn serve(&self, request: &mut Request<'_>) -> Response {
        let head = &request.head;
        if !matches!(head.method, Method::Get | Method::Head) {
            return Response::new(Status::METHOD_NOT_ALLOWED).with("Allow", "GET, HEAD");
        }
        match head.path {
            "/" if !takes_html(head) => assets::pointer(),
            path => match assets::find(path) {
                Some(asset) => asset.response(head),
                None => api::serve(self, head),
            },
        }
    }
}

impl fmt::Debug for PageRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageRoute({})", self.backend.place())
    }
}

/// Whether the client is one for people: it names `text/html`.
fn takes_html(head: &Head<'_>) -> bool {
    let mut types = head.headers.all("accept").flat_map(|field| field.split(','));
    types.any(|one| one.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("text/html")))
}
