//! Lists: repositories, tags, referrers; and how they are cut into pages.

use std::fmt::Display;

use oci::{Descriptor, Digest, MediaType};
use serde_json::json;

use super::{Code, Context, Fault, aliases, json, manifests};
use crate::gate::Need;
use crate::http::{Body, Head, Response, Status, encode};
use crate::names::Name;

/// Entries of a page where the client does not say how many.
const PAGE: usize = 1000;
/// The most entries of a page.
const LARGEST: usize = 10_000;
/// A page of referrers ends before it has so many bytes: a list is not larger than a manifest may be.
const REFERRERS_BYTES: usize = 3 << 20;

/// `GET /v2/_catalog`
pub(super) fn catalog(context: &Context<'_>, head: &Head<'_>) -> Result<Response, Fault> {
    let Context { registry, identity } = context;
    let all = registry.backend.repositories()?;
    let is_shown = |name: &&Name| registry.access.may(identity, Need::Listed { name: name.as_str() });
    let last = head.query.get("last").unwrap_or_default();
    // The list is in order, so what was shown before is a part at its beginning.
    let start = all.partition_point(|name| name.as_str() <= &*last);
    let (page, next) = page(all[start..].iter().filter(is_shown), count(head)?);
    let response =
        json(json!({ "repositories": page.iter().map(|n| n.as_str()).collect::<Vec<_>>() }).to_string().into());
    Ok(linked(response, next.then(|| page.last()).flatten(), page.len(), "/v2/_catalog", ""))
}

/// `GET /v2/NAME/tags/list`
pub(super) fn tags(context: &Context<'_>, name: &Name, head: &Head<'_>) -> Result<Response, Fault> {
    let backend = &context.registry.backend;
    let found = aliases::find(context, head, name, |name| backend.tags(name))?;
    let found = found.ok_or_else(Fault::no_repository)?;
    let last = head.query.get("last").unwrap_or_default();
    let start = found.value.partition_point(|tag| tag.as_str() <= &*last);
    let (page, next) = page(found.value[start..].iter(), count(head)?);
    let tags: Vec<&str> = page.iter().map(|tag| tag.as_str()).collect();
    let response = json(json!({ "name": name.as_str(), "tags": tags }).to_string().into());
    let path = format!("/v2/{name}/tags/list");
    let mut response = linked(response, next.then(|| page.last()).flatten(), page.len(), &path, "");
    found.note(&mut response);
    Ok(response)
}

/// `GET /v2/NAME/referrers/DIGEST`
pub(super) fn referrers(
    context: &Context<'_>,
    name: &Name,
    subject: &Digest,
    head: &Head<'_>,
) -> Result<Response, Fault> {
    let backend = &context.registry.backend;
    let found = aliases::find(context, head, name, |name| {
        backend.referrers(name, subject).map(|list| Some(list).filter(|list| !list.is_empty()))
    })?;
    let list: &[Descriptor] = found.as_ref().map_or(&[], |found| &found.value);
    // In a query a plus sign is a space, and no media type has one.
    let wanted = head.query.get("artifactType").map(|text| text.replace(' ', "+")).filter(|text| !text.is_empty());
    let is_wanted = |referrer: &&Descriptor| wanted.is_none() || referrer.artifact_type == wanted;
    let last = head.query.get("last").unwrap_or_default();
    let start = list.partition_point(|referrer| referrer.digest.to_string().as_str() <= &*last);
    let (mut shown, mut next) = page(list[start..].iter().filter(is_wanted), count(head)?);
    let mut bytes = manifests::index(&shown)?;
    while bytes.len() > REFERRERS_BYTES && shown.len() > 1 {
        shown.truncate(shown.len() / 2);
        next = true;
        bytes = manifests::index(&shown)?;
    }
    let response = Response::new(Status::OK).with("Content-Type", MediaType::OCI_INDEX).body(Body::Bytes(bytes.into()));
    let filter = wanted.as_ref().map(|wanted| format!("&artifactType={}", encode(wanted))).unwrap_or_default();
    let path = format!("/v2/{name}/referrers/{subject}");
    let last = shown.last().map(|referrer| referrer.digest).filter(|_| next);
    let mut response = linked(response, last.as_ref(), shown.len(), &path, &filter);
    if wanted.is_some() {
        response.add("OCI-Filters-Applied", "artifactType");
    }
    if let Some(found) = &found {
        found.note(&mut response);
    }
    Ok(response)
}

/// How many entries the client wants at most.
fn count(head: &Head<'_>) -> Result<usize, Fault> {
    let Some(text) = head.query.get("n") else { return Ok(PAGE) };
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match is_number {
        true => Ok(text.parse().unwrap_or(LARGEST).min(LARGEST)),
        false => {
            let message = format!("`n` is a number of entries, not `{text}`");
            Err(Fault::new(Status::BAD_REQUEST, Code::Unsupported, message))
        }
    }
}

/// The first entries, and whether there are more.
fn page<'a, T>(mut all: impl Iterator<Item = &'a T>, count: usize) -> (Vec<&'a T>, bool) {
    let page: Vec<&T> = all.by_ref().take(count).collect();
    // Somebody who wants nothing is not told where more of it is.
    let more = count > 0 && all.next().is_some();
    (page, more)
}

fn linked(response: Response, last: Option<&impl Display>, count: usize, path: &str, filter: &str) -> Response {
    match last {
        None => response,
        Some(last) => {
            let last = encode(&last.to_string());
            response.with("Link", format_args!("<{path}?last={last}&n={count}{filter}>; rel=\"next\""))
        }
    }
}
