//! The files of images whose layers are in a store or an archive.

use std::path::Path;

use content::Source;
use oci::{Descriptor, DiffId, Digest};

use crate::execute::Files;
use crate::rootfs::{RootfsError, UnpackOptions, Warning, unpack};

/// Images by their manifests: their layers, lowest first, in a place that has them.
pub struct Images<'a> {
    source: &'a dyn Source,
    options: UnpackOptions,
    images: Vec<(Digest, Vec<(Descriptor, DiffId)>)>,
}

impl<'a> Images<'a> {
    /// No images yet, whose layers are in `source` and which are unpacked with `options`.
    pub fn new(source: &'a dyn Source, options: UnpackOptions) -> Self {
        Self { source, options, images: Vec::new() }
    }

    /// Adds an image by the digest of its manifest.
    #[must_use]
    pub fn with(mut self, manifest: Digest, layers: Vec<(Descriptor, DiffId)>) -> Self {
        self.images.push((manifest, layers));
        self
    }
}

impl Files for Images<'_> {
    fn unpack(&self, image: &Digest, into: &Path) -> Result<Vec<Warning>, RootfsError> {
        let (_, layers) = self.images.iter().find(|(known, _)| known == image).ok_or_else(|| {
            let (place, digest) = (self.source.place(), *image);
            content::ContentError::MissingBlob { place, digest }
        })?;
        Ok(unpack(self.source, layers, into, &self.options)?.warnings)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use content::Memory;
    use content::layer::{LayerOptions, LayerWriter};
    use content::tar::{Entry, EntryKind, TarWriter};

    use super::*;
    use crate::rootfs::Ownership;

    fn layer(store: &Memory, files: &[(&str, &str)]) -> (Descriptor, DiffId) {
        let mut tar = TarWriter::new(LayerWriter::begin(store, &LayerOptions::default()).unwrap());
        for (path, text) in files {
            let kind = EntryKind::File { size: text.len() as u64 };
            let path = path.as_bytes().to_vec();
            let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: Default::default() };
            tar.append(&entry, &mut text.as_bytes()).unwrap();
        }
        let layer = tar.finish().unwrap().finish().unwrap();
        (layer.descriptor, layer.diff_id)
    }

    #[test]
    fn layers_lie_over_each_other_and_a_wrong_one_is_refused() {
        let store = Memory::default();
        let lower = layer(&store, &[("a", "1"), ("b", "1")]);
        let upper = layer(&store, &[(".wh.a", ""), ("c", "2")]);
        let (good, bad, unknown) = (Digest::of(b"good"), Digest::of(b"bad"), Digest::of(b"unknown"));
        let swapped = (upper.0.clone(), lower.1);
        let options = UnpackOptions { ownership: Ownership::Caller, ..UnpackOptions::default() };
        let images = Images::new(&store, options).with(good, vec![lower, upper]).with(bad, vec![swapped]);
        let directory = tempfile::tempdir().unwrap();
        let into = |name: &str| directory.path().join(name);
        assert_eq!(images.unpack(&good, &into("good")).unwrap(), []);
        let mut names: Vec<_> = fs::read_dir(into("good"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["b", "c"]);
        assert!(images.unpack(&bad, &into("bad")).is_err());
        assert!(images.unpack(&unknown, &into("unknown")).is_err());
    }
}
