//! Files of an image that was built already, unpacked as far as images are looked for in them.
//!
//! Unpacked are `charts/`, `manifests/`, `images/`, scripts, the small files at the top, and of `registry/` only what
//! names images: links and manifests' names, not blobs.

use std::path::Path;

use content::tar::{Entry, EntryKind};
use content::{Image, Source};

use super::error::CarryError;
use crate::rootfs::{Ownership, UnpackOptions, unpack_some};

/// Directories whose files are unpacked.
const DIRECTORIES: [&str; 6] = ["charts", "manifests", "images", "scripts", "registry", "deploy"];
/// A file at the top that is larger is no script, in bytes.
const SMALL: u64 = 1 << 20;

/// Unpacks what is looked at of an image into a directory, which is empty or not there.
///
/// # Errors
/// When a layer cannot be read or a file cannot be written.
pub fn unpack(source: &dyn Source, image: &Image, into: &Path) -> Result<(), CarryError> {
    let options = UnpackOptions { ownership: Ownership::Caller, ..UnpackOptions::default() };
    unpack_some(source, &image.layer_pairs(), into, &options, &|entry| is_wanted(entry))?;
    Ok(())
}

fn is_wanted(entry: &Entry) -> bool {
    let is_below = |path: &[u8]| match str::from_utf8(path).ok().map(|path| path.split_once('/').unwrap_or((path, "")))
    {
        Some((top, rest)) => DIRECTORIES.contains(&top) && !rest.starts_with("docker/registry/v2/blobs/"),
        None => false,
    };
    let is_top = !entry.path.contains(&b'/');
    match &entry.kind {
        EntryKind::File { size } => is_top && *size <= SMALL || is_below(&entry.path),
        EntryKind::Directory | EntryKind::Symlink { .. } => is_top || is_below(&entry.path),
        // Without its target it would be an error.
        EntryKind::HardLink { target } => is_below(&entry.path) && is_below(target),
        _ => false,
    }
}
