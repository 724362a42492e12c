//! Reading, storing and removing manifests.

use std::sync::Arc;

use oci::{Algorithm, Descriptor, Digest, Hasher};
use serde_json::Value;

use super::{Code, Context, Fault, aliases, is_known};
use crate::backend::{BackendError, Put, Target, Verified};
use crate::document::Document;
use crate::http::{Body, Head, Request, Response, Status};
use crate::names::{Name, Tag, Which};
use crate::options::Completeness;

/// The most tags that one request may set.
const TAGS: usize = 128;

/// `GET` and `HEAD /v2/NAME/manifests/REFERENCE`
pub(super) fn read(context: &Context<'_>, name: &Name, which: &Which, head: &Head<'_>) -> Result<Response, Fault> {
    let backend = &context.registry.backend;
    let found = aliases::find(context, head, name, |name| backend.manifest(name, which))?;
    let found = found.ok_or_else(Fault::no_manifest)?;
    let stored = &found.value;
    let text = stored.digest.to_string();
    let mut response = Response::new(Status::OK)
        .with("Content-Type", &stored.media_type)
        .with("Docker-Content-Digest", &text)
        .with("ETag", format_args!("\"{text}\""));
    found.note(&mut response);
    if let Some(origin) = &stored.origin {
        origin.note(&mut response);
    }
    if is_known(head, &text) {
        response.status = Status::NOT_MODIFIED;
        return Ok(response);
    }
    let length = stored.bytes.len();
    Ok(response.body(Body::Shared(Arc::clone(&stored.bytes), 0..length)))
}

/// `PUT /v2/NAME/manifests/REFERENCE`
pub(super) fn store(
    context: &Context<'_>,
    name: &Name,
    which: &Which,
    request: &mut Request<'_>,
) -> Result<Response, Fault> {
    let registry = context.registry;
    let writer = registry.backend.writer().ok_or_else(Fault::read_only)?;
    let tags = tags(which, &request.head)?;
    let media_type = request.head.headers.get("content-type").map(|field| field.split(';').next().unwrap_or_default());
    let media_type = media_type.map(str::trim).filter(|text| !text.is_empty());
    let limit = registry.options.manifest_limit;
    let bytes = request.read_small(limit).map_err(|error| too_large(&error, limit))?;
    let document = Document::read(&bytes).map_err(|error| invalid(error.to_string()))?;
    if let Some(said) = media_type.filter(|said| *said != document.media_type) {
        return Err(invalid(format!("it was sent as `{said}`, but its content is `{}`", document.media_type)));
    }
    let canonical = Digest::of(&bytes);
    let digest = match which {
        Which::Tag(_) => canonical,
        Which::Digest(wanted) => verify(wanted, canonical, &bytes)?,
    };
    let needs = match registry.options.completeness {
        Completeness::Required => document.needs(),
        Completeness::Sparse => Vec::new(),
    };
    let put = Put {
        verified: Verified { digest, canonical },
        media_type: &document.media_type,
        bytes: &bytes,
        tags: &tags,
        needs: &needs,
    };
    match writer.put_manifest(name, &put) {
        Err(BackendError::Missing(missing)) => {
            adopt(context, &request.head, name, &missing)?;
            writer.put_manifest(name, &put)?;
        }
        stored => stored?,
    }
    registry.counters.manifests_stored.one();
    let mut response = Response::new(Status::CREATED)
        .with("Location", format_args!("/v2/{name}/manifests/{digest}"))
        .with("Docker-Content-Digest", digest);
    if let Some(subject) = &document.subject {
        response.add("OCI-Subject", subject.digest);
    }
    if matches!(which, Which::Digest(_)) && !tags.is_empty() {
        let list: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        response.add("OCI-Tag", list.join(", "));
    }
    Ok(response)
}

/// Takes over blobs from the repositories that this name can stand for as well: whoever asked whether they are here was
/// told so, and did not send them.
fn adopt(context: &Context<'_>, head: &Head<'_>, name: &Name, missing: &[Digest]) -> Result<(), Fault> {
    let backend = &context.registry.backend;
    let writer = backend.writer().ok_or_else(Fault::read_only)?;
    for digest in missing {
        let owner = |name: &Name| Ok(backend.blob(name, digest)?.map(|_| name.clone()));
        if let Some(found) = aliases::find(context, head, name, owner)? {
            writer.mount(name, digest, Some(&found.value))?;
        }
    }
    Ok(())
}

/// `DELETE /v2/NAME/manifests/REFERENCE`
pub(super) fn delete(context: &Context<'_>, name: &Name, which: &Which) -> Result<Response, Fault> {
    let writer = context.registry.backend.writer().ok_or_else(Fault::read_only)?;
    let target = match which {
        Which::Tag(tag) => Target::Tag(tag.clone()),
        Which::Digest(digest) => Target::Manifest(*digest),
    };
    match writer.delete(name, &target)? {
        true => Ok(Response::new(Status::ACCEPTED)),
        false => Err(Fault::no_manifest()),
    }
}

/// The tags that a request sets: its reference, or the parameters beside a digest.
fn tags(which: &Which, head: &Head<'_>) -> Result<Vec<Tag>, Fault> {
    if let Which::Tag(tag) = which {
        return Ok(vec![tag.clone()]);
    }
    let refused = |error: crate::names::TagError| Fault::new(Status::BAD_REQUEST, Code::TagInvalid, error.to_string());
    let mut tags = Vec::new();
    for tag in head.query.all("tag") {
        let tag: Tag = tag.parse().map_err(refused)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    match tags.len() > TAGS {
        true => Err(Fault::new(Status::URI_TOO_LONG, Code::TagInvalid, format!("at most {TAGS} tags at once"))),
        false => Ok(tags),
    }
}

fn verify(wanted: &Digest, canonical: Digest, bytes: &[u8]) -> Result<Digest, Fault> {
    let actual = match wanted.algorithm() {
        Algorithm::Sha256 => canonical,
        other => {
            let mut hasher = Hasher::new(other);
            hasher.update(bytes);
            hasher.finish()
        }
    };
    match actual == *wanted {
        true => Ok(actual),
        false => {
            let message = format!("the manifest has the digest {actual}");
            Err(Fault::new(Status::BAD_REQUEST, Code::DigestInvalid, message))
        }
    }
}

fn invalid(message: String) -> Fault {
    Fault::new(Status::BAD_REQUEST, Code::ManifestInvalid, message)
}

fn too_large(error: &std::io::Error, limit: usize) -> Fault {
    match error.kind() {
        std::io::ErrorKind::FileTooLarge => {
            let message = format!("a manifest may have {limit} bytes here");
            Fault::new(Status::PAYLOAD_TOO_LARGE, Code::ManifestInvalid, message)
        }
        _ => Fault::body(error),
    }
}

/// The document that the referrers endpoint answers with.
pub(super) fn index(manifests: &[&Descriptor]) -> Result<Vec<u8>, Fault> {
    let document = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": oci::MediaType::OCI_INDEX,
        "manifests": manifests,
    });
    let failed = |error: serde_json::Error| {
        let mut fault = Fault::new(Status::INTERNAL_SERVER_ERROR, Code::Unknown, "the list cannot be written");
        fault.reason = Some(error.to_string());
        fault
    };
    serde_json::to_vec::<Value>(&document).map_err(failed)
}
