//! `sealos images --tree`: what each image carries, below it.

use content::{ClusterImage, Disk, LockedImage, Sink, fetch_document};
use oci::{Manifest, Reference};

use super::error::CommandError;
use super::row::{Ids, Listed};
use crate::report::size;

/// Rows of a table for what an image carries: name, tag, digest, platforms, size.
pub(crate) fn rows(disk: &Disk, image: &Listed, ids: Ids) -> Result<Vec<[String; 5]>, CommandError> {
    let loaded = ClusterImage::load(disk, &image.summary.root)?;
    let last = loaded.lock.images.len().saturating_sub(1);
    let rows = loaded.lock.images.iter().enumerate().map(|(at, carried)| {
        let branch = if at == last { "└─ " } else { "├─ " };
        let digest = match ids {
            Ids::Short => carried.digest.short(),
            Ids::Whole => carried.digest.to_string(),
        };
        let name = carried.reference.parse::<Reference>();
        let (name, tag) = match &name {
            Ok(name) => (name.familiar_name().to_owned(), name.tag_or_default().unwrap_or("<none>").to_owned()),
            Err(_not_a_name) => (carried.reference.clone(), String::new()),
        };
        let (platforms, bytes) = present(disk, carried)?;
        Ok([format!("{branch}{name}"), tag, digest, platforms, size::human(bytes)])
    });
    rows.collect()
}

/// The platforms whose manifests are there, and the bytes of what they need.
fn present(disk: &Disk, carried: &LockedImage) -> Result<(String, u64), CommandError> {
    let mut sizes = std::collections::BTreeMap::new();
    let mut platforms = Vec::new();
    for (platform, manifest) in carried.manifests() {
        if !disk.has(&manifest)? {
            continue;
        }
        platforms.push(platform);
        sizes.insert(manifest.digest, manifest.size);
        let bytes = fetch_document(disk, &manifest)?;
        if let Ok(parsed) = Manifest::parse(&manifest.media_type, bytes) {
            sizes.extend(parsed.successors().iter().map(|child| (child.digest, child.size)));
        }
    }
    Ok((platforms.join(","), sizes.values().sum()))
}
