//! The distribution protocol: `/v2/`.
//!
//! Source: OCI distribution specification, 1.1 and what is to become 1.2 (digest algorithms, tag parameters, cancelling
//! uploads, namespaces).

mod aliases;
mod blobs;
mod endpoint;
mod fault;
mod hashing;
mod lists;
mod manifests;
mod range;
mod sessions;
mod uploads;

use crate::gate::{Action, Identity, Need};
use crate::http::{Body, Head, Method, Request, Response, Status};
use crate::options::Mode;
use crate::service::Registry;

pub(crate) use aliases::{Aliases, component, host_and_path};
pub(crate) use endpoint::Endpoint;
pub(crate) use fault::{Code, Fault};
pub(crate) use sessions::Sessions;

/// What a handler knows besides the endpoint.
pub(crate) struct Context<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) identity: &'a Identity,
}

/// What a request to an endpoint needs to be allowed.
pub(crate) fn needs<'a>(endpoint: &'a Endpoint, method: Method) -> Need<'a> {
    let action = match method {
        Method::Delete if !matches!(endpoint, Endpoint::Upload(..)) => Action::Delete,
        Method::Get | Method::Head | Method::Options if !matches!(endpoint, Endpoint::Upload(..)) => Action::Pull,
        _ => Action::Push,
    };
    match (endpoint, endpoint.repository()) {
        (Endpoint::Catalog, _) => Need::Catalog,
        (_, Some(name)) => Need::Repository { name: name.as_str(), action },
        (_, None) => Need::Base,
    }
}

/// Answers a request that is allowed.
pub(crate) fn serve(context: &Context<'_>, endpoint: &Endpoint, request: &mut Request<'_>) -> Result<Response, Fault> {
    let head = request.head;
    let read_only = context.registry.options.mode == Mode::ReadOnly || context.registry.backend.writer().is_none();
    if !head.method.is_read() && head.method != Method::Options && read_only {
        return Err(Fault::read_only());
    }
    match (endpoint, head.method) {
        (_, Method::Options) => Ok(Response::new(Status::NO_CONTENT).with("Allow", allowed(endpoint))),
        (Endpoint::Base, Method::Get | Method::Head) => {
            let offers = context.registry.access.offers(&head, context.identity);
            let offer = |response: Response, offer| response.with("WWW-Authenticate", offer);
            Ok(offers.into_iter().fold(json(b"{}".to_vec()), offer))
        }
        (Endpoint::Discover, Method::Get | Method::Head) => Ok(json(b"{\"extensions\":[]}".to_vec())),
        (Endpoint::Catalog, Method::Get | Method::Head) => lists::catalog(context, &head),
        (Endpoint::Tags(name), Method::Get | Method::Head) => lists::tags(context, name, &head),
        (Endpoint::Referrers(name, digest), Method::Get | Method::Head) => {
            lists::referrers(context, name, digest, &head)
        }
        (Endpoint::Blob(name, digest), Method::Get | Method::Head) => blobs::read(context, name, digest, &head),
        (Endpoint::Blob(name, digest), Method::Delete) => blobs::delete(context, name, digest),
        (Endpoint::Manifest(name, which), Method::Get | Method::Head) => manifests::read(context, name, which, &head),
        (Endpoint::Manifest(name, which), Method::Put) => manifests::store(context, name, which, request),
        (Endpoint::Manifest(name, which), Method::Delete) => manifests::delete(context, name, which),
        (Endpoint::Uploads(name), Method::Post) => uploads::begin(context, name, request),
        (Endpoint::Upload(name, id), Method::Get | Method::Head) => uploads::state(context, name, id),
        (Endpoint::Upload(name, id), Method::Patch) => uploads::append(context, name, id, request),
        (Endpoint::Upload(name, id), Method::Put) => uploads::finish(context, name, id, request),
        (Endpoint::Upload(name, id), Method::Delete) => uploads::cancel(context, name, id),
        _ => Err(Fault::method(allowed(endpoint))),
    }
}

fn allowed(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Base | Endpoint::Discover | Endpoint::Catalog | Endpoint::Tags(_) | Endpoint::Referrers(..) => {
            "GET, HEAD"
        }
        Endpoint::Blob(..) => "GET, HEAD, DELETE",
        Endpoint::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Endpoint::Uploads(_) => "POST",
        Endpoint::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
    }
}

pub(crate) fn json(bytes: Vec<u8>) -> Response {
    Response::new(Status::OK).with("Content-Type", "application/json").body(Body::Bytes(bytes.into()))
}

/// Whether the client has what it asks for: one of its `If-None-Match` is this entity tag.
pub(crate) fn is_known(head: &Head<'_>, tag: &str) -> bool {
    let mut known = head.headers.all("if-none-match").flat_map(|field| field.split(','));
    // `W/` marks a weak comparison, which is what `If-None-Match` is.
    known.any(|known| {
        let known = known.trim();
        let known = known.strip_prefix("W/").unwrap_or(known);
        known == "*" || known.trim_matches('"') == tag
    })
}
