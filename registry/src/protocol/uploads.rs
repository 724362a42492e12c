//! Blobs on their way in.
//!
//! ```text
//! POST ─▶ session ─▶ PATCH… ─▶ PUT ─▶ blob          POST ?digest ─▶ blob          POST ?mount ─▶ blob
//!                       └──▶ DELETE
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oci::{Algorithm, Digest};

use super::hashing::{Hashing, Stuck};
use super::range::chunk;
use super::sessions::{Open, Session};
use super::{Code, Context, Fault};
use crate::backend::Writer;
use crate::gate::{Action, Need};
use crate::http::{Request, Response, Status, encode};
use crate::names::Name;
use crate::seat;
use crate::service::Registry;

/// `POST /v2/NAME/blobs/uploads/`
pub(super) fn begin(context: &Context<'_>, name: &Name, request: &mut Request<'_>) -> Result<Response, Fault> {
    let registry = context.registry;
    let writer = writer(registry)?;
    let query = request.head.query;
    if let Some(digest) = query.get("mount") {
        let digest: Digest = digest.parse().map_err(|_unsaid: oci::DigestError| Fault::bad_digest(&digest))?;
        // A name that is none, or that may not be read, is as if there were nothing to mount.
        let from = query.get("from").map(|from| from.parse::<Name>().ok());
        let may = match &from {
            Some(from) => from.as_ref().is_some_and(|from| may_pull(context, from.as_str())),
            None => may_pull(context, "*"),
        };
        if may && writer.mount(name, &digest, from.flatten().as_ref())? {
            return Ok(created(name, &digest));
        }
    }
    let hint = match query.get("digest-algorithm").as_deref() {
        None => None,
        Some("sha256") => Some(Algorithm::Sha256),
        Some("sha512") => Some(Algorithm::Sha512),
        Some(other) => return Err(Fault::bad_digest(other)),
    };
    let digest =
        query.get("digest").map(|text| text.parse().map_err(|_unsaid: oci::DigestError| Fault::bad_digest(&text)));
    let digest: Option<Digest> = digest.transpose()?;
    let hint = digest.map(|digest| digest.algorithm()).or(hint);
    let mut open = Open { upload: writer.begin(name)?, hashing: Hashing::new(hint) };
    if let Some(digest) = digest {
        let _place = Place::take(registry)?;
        return match pump(&mut open, request, &|_| ()) {
            Ok(()) => commit(registry, open, name, &digest),
            Err(stuck) => {
                // It has no name that anybody could go on with.
                open.upload.cancel()?;
                Err(fault(stuck))
            }
        };
    }
    let limit = registry.options.upload_sessions;
    let id = open.upload.id().to_owned();
    if registry.sessions.add(name, open, limit).is_none() {
        let message = format!("{limit} uploads are in progress already");
        return Err(Fault::new(Status::TOO_MANY_REQUESTS, Code::TooManyRequests, message).with("Retry-After", "5"));
    }
    Ok(progress(Status::ACCEPTED, name, &id, 0))
}

/// `GET /v2/NAME/blobs/uploads/ID`
pub(super) fn state(context: &Context<'_>, name: &Name, id: &str) -> Result<Response, Fault> {
    let session = session(context.registry, name, id)?;
    Ok(progress(Status::NO_CONTENT, name, id, session.at()))
}

/// `PATCH /v2/NAME/blobs/uploads/ID`
pub(super) fn append(
    context: &Context<'_>,
    name: &Name,
    id: &str,
    request: &mut Request<'_>,
) -> Result<Response, Fault> {
    let registry = context.registry;
    let session = session(registry, name, id)?;
    let _place = Place::take(registry)?;
    let mut guard = session.open().map_err(|_busy| busy())?;
    let open = guard.as_mut().ok_or_else(Fault::no_upload)?;
    fits(open.upload.offset(), name, id, request)?;
    let told = |offset| session.offset.store(offset, Ordering::Relaxed);
    match pump(open, request, &told) {
        Ok(()) => Ok(progress(Status::ACCEPTED, name, id, open.upload.offset())),
        Err(stuck) => {
            if !matches!(stuck, Stuck::Body(_)) {
                // Nobody knows what of the last piece is there.
                registry.sessions.remove(id);
                guard.take().map_or(Ok(()), |open| open.upload.cancel())?;
            }
            Err(fault(stuck))
        }
    }
}

/// `PUT /v2/NAME/blobs/uploads/ID?digest=DIGEST`
pub(super) fn finish(
    context: &Context<'_>,
    name: &Name,
    id: &str,
    request: &mut Request<'_>,
) -> Result<Response, Fault> {
    let registry = context.registry;
    let session = session(registry, name, id)?;
    let digest = request.head.query.get("digest");
    let digest = digest.ok_or_else(|| Fault::bad_digest(""))?;
    let digest: Digest = digest.parse().map_err(|_unsaid: oci::DigestError| Fault::bad_digest(&digest))?;
    let _place = Place::take(registry)?;
    let mut guard = session.open().map_err(|_busy| busy())?;
    let open = guard.as_mut().ok_or_else(Fault::no_upload)?;
    fits(open.upload.offset(), name, id, request)?;
    let told = |offset| session.offset.store(offset, Ordering::Relaxed);
    if let Err(stuck) = pump(open, request, &told) {
        if !matches!(stuck, Stuck::Body(_)) {
            registry.sessions.remove(id);
            guard.take().map_or(Ok(()), |open| open.upload.cancel())?;
        }
        return Err(fault(stuck));
    }
    registry.sessions.remove(id);
    let open = guard.take().ok_or_else(Fault::no_upload)?;
    commit(registry, open, name, &digest)
}

/// `DELETE /v2/NAME/blobs/uploads/ID`
pub(super) fn cancel(context: &Context<'_>, name: &Name, id: &str) -> Result<Response, Fault> {
    let session = session(context.registry, name, id)?;
    let mut guard = session.open().map_err(|_busy| busy())?;
    context.registry.sessions.remove(id);
    guard.take().map_or(Ok(()), |open| open.upload.cancel())?;
    Ok(Response::new(Status::NO_CONTENT))
}

fn commit(registry: &Registry, mut open: Open, name: &Name, digest: &Digest) -> Result<Response, Fault> {
    let verified = match open.hashing.verify(digest, &mut *open.upload) {
        Ok(verified) => verified,
        Err(error) => {
            open.upload.cancel()?;
            return Err(error.into());
        }
    };
    open.upload.commit(&verified)?;
    registry.counters.blobs_stored.one();
    Ok(created(name, digest))
}

fn pump(open: &mut Open, request: &mut Request<'_>, told: &dyn Fn(u64)) -> Result<(), Stuck> {
    match request.head.length {
        Some(0) => Ok(()),
        length => open.hashing.pump(request.body, length, &mut *open.upload, told),
    }
}

/// Finds an upload; one that an earlier process began is taken up.
fn session(registry: &Registry, name: &Name, id: &str) -> Result<Arc<Session>, Fault> {
    if let Some(session) = registry.sessions.get(name, id) {
        return Ok(session);
    }
    let Some(mut upload) = writer(registry)?.resume(name, id)? else { return Err(Fault::no_upload()) };
    seat::leave();
    let hashing = Hashing::replay(&mut *upload, None)?;
    let open = Open { upload, hashing };
    // Two requests may have taken it up at once; the second finds the first one's.
    if let Some(session) = registry.sessions.get(name, id) {
        return Ok(session);
    }
    registry.sessions.add(name, open, usize::MAX).ok_or_else(Fault::no_upload)
}

/// Whether the chunk continues the upload.
fn fits(offset: u64, name: &Name, id: &str, request: &Request<'_>) -> Result<(), Fault> {
    let Some(field) = request.head.headers.get("content-range") else { return Ok(()) };
    let invalid = |message: String| Fault::new(Status::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, message);
    let at_offset = |fault: Fault| {
        fault.with("Location", location(name, id)).with("Range", format!("0-{}", offset.saturating_sub(1)))
    };
    let Some((first, last)) = chunk(field.trim()) else {
        return Err(at_offset(invalid(format!("`{field}` is not the range of a chunk: expected FIRST-LAST"))));
    };
    if first != offset {
        return Err(at_offset(invalid(format!("the upload has {offset} bytes, the chunk begins at {first}"))));
    }
    match request.head.length.filter(|length| *length != last - first + 1) {
        Some(length) => {
            let message = format!("the chunk says {field} but has {length} bytes");
            Err(Fault::new(Status::BAD_REQUEST, Code::SizeInvalid, message))
        }
        None => Ok(()),
    }
}

/// One of the places of requests that carry blobs.
struct Place<'a>(&'a Registry);

impl<'a> Place<'a> {
    fn take(registry: &'a Registry) -> Result<Self, Fault> {
        let limit = registry.options.concurrent_uploads;
        let taken = registry.uploading.fetch_add(1, Ordering::Relaxed);
        let place = Self(registry);
        match taken < limit {
            true => Ok(place),
            false => {
                let message = format!("{limit} blobs are being received already");
                Err(Fault::new(Status::TOO_MANY_REQUESTS, Code::TooManyRequests, message).with("Retry-After", "1"))
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.uploading.fetch_sub(1, Ordering::Relaxed);
    }
}

fn writer(registry: &Registry) -> Result<&dyn Writer, Fault> {
    registry.backend.writer().ok_or_else(Fault::read_only)
}

fn may_pull(context: &Context<'_>, name: &str) -> bool {
    context.registry.access.may(context.identity, Need::Repository { name, action: Action::Pull })
}

fn created(name: &Name, digest: &Digest) -> Response {
    Response::new(Status::CREATED)
        .with("Location", format_args!("/v2/{name}/blobs/{digest}"))
        .with("Docker-Content-Digest", digest)
}

fn progress(status: Status, name: &Name, id: &str, offset: u64) -> Response {
    Response::new(status)
        .with("Location", location(name, id))
        .with("Range", format_args!("0-{}", offset.saturating_sub(1)))
        .with("Docker-Upload-UUID", id)
}

fn location(name: &Name, id: &str) -> String {
    format!("/v2/{name}/blobs/uploads/{}", encode(id))
}

fn busy() -> Fault {
    let message = "another request writes to this upload";
    Fault::new(Status::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, message).with("Retry-After", "1")
}

fn fault(stuck: Stuck) -> Fault {
    match stuck {
        Stuck::Body(error) => Fault::body(&error),
        Stuck::Place(error) => (*error).into(),
        Stuck::Long => Fault::new(Status::BAD_REQUEST, Code::SizeInvalid, "the body is longer than it says"),
    }
}
