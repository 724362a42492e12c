//! What is said of an image that was sent.

use content::Store;
use oci::{Platform, Reference};
use serde_json::json;

use super::error::CommandError;
use super::show;
use super::world::World;
use crate::report::size;
use crate::transfer::{CopyOutcome, Origin};

/// How it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The digest alone.
    Digest,
    /// A JSON object.
    Json,
}

/// Says what was sent; of a dry run, what would be.
pub(crate) fn say(world: &mut World<'_>, outcome: &CopyOutcome, form: Form) -> Result<(), CommandError> {
    let root = &outcome.root;
    match (form, outcome.missing) {
        (Form::Json, missing) => show::json(
            world,
            &json!({
                "name": outcome.name.as_ref().map(Reference::familiar),
                "digest": root.digest,
                "mediaType": root.media_type,
                "size": root.size,
                "platforms": outcome.platforms.iter().map(Platform::to_string).collect::<Vec<_>>(),
                "dryRun": missing.map(|missing| {
                    json!({"blobs": missing.blobs, "bytes": missing.bytes, "of": missing.of})
                }),
            }),
        ),
        (Form::Digest, None) => world.say(root.digest),
        (Form::Digest, Some(missing)) => {
            let (blobs, of, bytes) = (missing.blobs, missing.of, size::human(missing.bytes));
            world.say(format_args!("{}: {blobs} of {of} blobs would be copied, {bytes}", root.digest))
        }
    }
}

/// Takes a name away, or the image where it has no name.
pub(crate) fn forget(origin: &Origin<'_>, name: Option<&Reference>) -> Result<(), CommandError> {
    let (Some(disk), Some(image)) = (origin.store(), origin.images.first()) else { return Ok(()) };
    match name {
        Some(name) if origin.images.len() > 1 => disk.untag(name).map(drop)?,
        _ => disk.forget(&image.root.digest)?,
    }
    Ok(())
}
