//! Which blobs are needed: what the kept roots and the leases lead to.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use oci::{Descriptor, Digest, Manifest, MediaType};

use super::{Disk, lease, lock};
use crate::{ContentError, fetch_document};

/// Blobs that stay.
#[derive(Debug, Default)]
pub(super) struct Marks {
    blobs: HashSet<Digest>,
    /// Documents whose successors are marked. A blob may have been marked as mere bytes before.
    read: HashSet<Digest>,
}

impl Marks {
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains(digest)
    }

    /// Marks a root and everything that it needs.
    ///
    /// # Errors
    /// When a document is there but cannot be read: what it needs is not known, and nothing may be removed.
    pub(super) fn follow(&mut self, store: &Disk, root: &Descriptor) -> Result<(), ContentError> {
        let mut open = vec![root.clone()];
        while let Some(what) = open.pop() {
            self.blobs.insert(what.digest);
            if !what.media_type.is_manifest() || !self.read.insert(what.digest) {
                continue;
            }
            let bytes = match fetch_document(store, &what) {
                // A sparse index, or an image that is damaged already.
                Err(ContentError::MissingBlob { .. }) => continue,
                bytes => bytes?,
            };
            let parsed = Manifest::parse(&what.media_type, bytes).map_err(|error| ContentError::Document {
                place: crate::Source::place(store),
                digest: what.digest,
                source: error.into(),
            })?;
            match &parsed {
                Manifest::Index(_) => open.extend(parsed.successors()),
                // What an image lists is bytes, whatever its media type says.
                Manifest::Image(_) => self.blobs.extend(parsed.successors().iter().map(|blob| blob.digest)),
            }
        }
        Ok(())
    }

    /// Marks what live leases hold, except the lease at `without`.
    pub(super) fn follow_leases(&mut self, store: &Disk, without: Option<&Path>) -> Result<(), ContentError> {
        for (digest, media_type) in live_leases(store, without)? {
            self.blobs.insert(digest);
            let size = store.blobs.size(&digest).map_err(ContentError::io(format!("look for {digest}")))?;
            let (Some(media_type), Some(size)) = (media_type, size) else { continue };
            self.follow(store, &Descriptor::new(media_type, digest, size))?;
        }
        Ok(())
    }
}

/// What live handles rely on.
pub(super) fn live_leases(
    store: &Disk,
    without: Option<&Path>,
) -> Result<Vec<(Digest, Option<MediaType>)>, ContentError> {
    let directory = store.directory("leases");
    let doing = || ContentError::io(format!("read {}", directory.display()));
    let mut held = Vec::new();
    for file in fs::read_dir(&directory).map_err(doing())? {
        let path = file.map_err(doing())?.path();
        if without == Some(path.as_path()) {
            continue;
        }
        match lock::is_owned(&path).and_then(|is_live| if is_live { lease::read(&path) } else { Ok(Vec::new()) }) {
            // Its owner ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            lines => held.extend(lines.map_err(doing())?),
        }
    }
    Ok(held)
}
