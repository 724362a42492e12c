//! Reading and removing blobs.

use oci::Digest;

use super::range::{Wanted, wanted};
use super::{Code, Context, Fault, aliases, is_known};
use crate::backend::Target;
use crate::http::{Head, Method, Response, Status};
use crate::names::Name;
use crate::options::Redirects;

/// A blob never changes.
const FOREVER: &str = "max-age=31536000";

/// `GET` and `HEAD /v2/NAME/blobs/DIGEST`
pub(super) fn read(context: &Context<'_>, name: &Name, digest: &Digest, head: &Head<'_>) -> Result<Response, Fault> {
    let backend = &context.registry.backend;
    let found = aliases::find(context, head, name, |name| backend.blob(name, digest))?;
    let found = found.ok_or_else(Fault::no_blob)?;
    let size = found.value.size;
    let text = digest.to_string();
    let fields = |status| {
        Response::new(status)
            .with("Docker-Content-Digest", &text)
            .with("ETag", format_args!("\"{text}\""))
            .with("Cache-Control", FOREVER)
            .with("Accept-Ranges", "bytes")
    };
    if is_known(head, &text) {
        return Ok(fields(Status::NOT_MODIFIED));
    }
    // A part is wanted only of the blob that the client has the rest of.
    let is_other = head.headers.get("if-range").is_some_and(|tag| tag.trim_matches('"') != text);
    let range = if is_other { None } else { head.headers.get("range") };
    let (status, part) = match wanted(range, size) {
        Wanted::All => (Status::OK, 0..size),
        Wanted::Part(part) => (Status::PARTIAL_CONTENT, part),
        Wanted::Nothing => {
            let message = format!("the blob has {size} bytes, none of them in this range");
            return Err(Fault::new(Status::RANGE_NOT_SATISFIABLE, Code::SizeInvalid, message)
                .with("Content-Range", format!("bytes */{size}")));
        }
    };
    let mut response = fields(status).with("Content-Type", "application/octet-stream");
    if status == Status::PARTIAL_CONTENT {
        response.add("Content-Range", format_args!("bytes {}-{}/{size}", part.start, part.end - 1));
    }
    found.note(&mut response);
    if let Some(origin) = &found.value.origin {
        origin.note(&mut response);
    }
    let redirects = context.registry.options.redirects;
    if head.method == Method::Get
        && redirects == Redirects::ToStore
        && let Some(url) = (found.value.elsewhere)()
    {
        // The URL does not last.
        let response = Response::new(Status::TEMPORARY_REDIRECT).with("Location", url);
        return Ok(response.with("Docker-Content-Digest", &text).with("Cache-Control", "no-store"));
    }
    Ok(match head.method {
        Method::Head => response.length(part.end - part.start),
        _ => response.body((found.value.open)(part)?),
    })
}

/// `DELETE /v2/NAME/blobs/DIGEST`
pub(super) fn delete(context: &Context<'_>, name: &Name, digest: &Digest) -> Result<Response, Fault> {
    let writer = context.registry.backend.writer().ok_or_else(Fault::read_only)?;
    match writer.delete(name, &Target::Blob(*digest))? {
        true => Ok(Response::new(Status::ACCEPTED).with("Docker-Content-Digest", digest)),
        false => Err(Fault::no_blob()),
    }
}
