//! What a directory is to hold: the files of layers that lie over each other, and of texts that lie over them.
//!
//! A manifest names every byte by its digest, so two of them can be compared without reading a layer, and a directory
//! can be brought from one to the other by its differences alone ([`super::Syncer`]).

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};

use content::{Memory, Source};
use oci::{Descriptor, DiffId, Digest};

use super::path::split;
use super::record::{FileKind, FileRecord, PathBytes};
use super::{LayerIndex, RootfsError, Tree};

/// No line of a manifest is longer, in bytes.
const LINE_LIMIT: u64 = 1 << 20;

/// A layer whose entries are known.
#[derive(Clone, Debug)]
pub struct IndexedLayer {
    /// Its blob.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// Its entries.
    pub index: LayerIndex,
}

/// The files of a directory, sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeManifest {
    /// The files.
    pub files: Vec<FileRecord>,
}

/// A text that takes the place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayText {
    /// The file's path.
    pub path: Vec<u8>,
    /// The text.
    pub text: Vec<u8>,
}

impl TreeManifest {
    /// The merged view of layers, bottom to top, without the paths that `leave_out` says, and with `overlays` in the
    /// place of files.
    ///
    /// # Errors
    /// When a hard link has no target or a path leads through too many links.
    pub fn of(
        layers: &[IndexedLayer],
        leave_out: &dyn Fn(&[u8]) -> bool,
        overlays: &[OverlayText],
    ) -> Result<Self, RootfsError> {
        // The view is made of entries alone: no byte is read from anywhere.
        let nothing = Memory::default();
        let mut tree = Tree::open(&nothing as &dyn Source, &[])?;
        let mut contents: Vec<HashMap<&[u8], Digest>> = Vec::new();
        for layer in layers {
            let entries: Vec<_> = layer.index.files.iter().map(FileRecord::entry).collect();
            tree.apply(layer.descriptor.clone(), layer.diff_id, &entries)?;
            let digests = layer.index.files.iter().filter_map(|file| Some((file.path.0.as_slice(), file.content()?.1)));
            contents.push(digests.collect());
        }
        let mut files = Vec::new();
        let mut first_names: HashMap<(usize, Vec<u8>), PathBytes> = HashMap::new();
        for node in tree.nodes().filter(|node| !leave_out(&node.entry.path)) {
            let (layer, content) = node.identity();
            let digest = contents[layer].get(content).copied();
            let mut file = FileRecord::of(&node.entry, digest);
            if let FileKind::File { .. } = file.kind {
                match first_names.get(&(layer, content.to_vec())) {
                    Some(first) => file.kind = FileKind::Link { target: first.clone() },
                    None => {
                        first_names.insert((layer, content.to_vec()), file.path.clone());
                        file.layer = u32::try_from(layer).ok();
                        file.from = (content != file.path.0).then(|| PathBytes(content.to_vec()));
                    }
                }
            }
            files.push(file);
        }
        for overlay in overlays {
            let path = overlay_path(&tree, &overlay.path)?;
            lay_over(&mut files, &path, &overlay.text);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// Lets everybody who may read a file also execute it. The Go sealos gives all files mode 0755, and images have
    /// scripts and programs that rely on it.
    pub fn make_runnable(&mut self) {
        for file in &mut self.files {
            if matches!(file.kind, FileKind::File { .. } | FileKind::Link { .. }) {
                file.mode |= (file.mode & 0o444) >> 2;
            }
        }
    }

    /// The name of what is listed: two manifests with one name mean the same directory.
    pub fn id(&self) -> Digest {
        let mut text = Vec::new();
        for file in &self.files {
            // Where the bytes come from is no part of what the directory is.
            let file = FileRecord { layer: None, from: None, ..file.clone() };
            serde_json::to_writer(&mut text, &file).unwrap_or_default();
            text.push(b'\n');
        }
        Digest::of(&text)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(FileRecord::content).map(|(size, _)| size).sum()
    }

    /// Writes one JSON document a line.
    ///
    /// # Errors
    /// What writing said.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for file in &self.files {
            serde_json::to_writer(&mut *out, file)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads what [`TreeManifest::write`] wrote.
    ///
    /// # Errors
    /// When it is something else; paths that could leave the directory are refused.
    pub fn read(from: &mut dyn Read) -> std::io::Result<Self> {
        let mut reader = BufReader::new(from);
        let mut files = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line)? == 0 {
                return Ok(Self { files });
            }
            let file: FileRecord = serde_json::from_slice(&line)?;
            if !is_inside(&file.path.0) {
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a path leaves the directory"));
            }
            files.push(file);
        }
    }
}

/// Whether a path is relative and climbs nowhere; the root itself is empty.
fn is_inside(path: &[u8]) -> bool {
    path.is_empty() || path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

/// Where a text goes: a link to a directory on the way is followed, a link in its own place is replaced.
fn overlay_path(tree: &Tree<'_>, path: &[u8]) -> Result<Vec<u8>, RootfsError> {
    let (parent, name) = split(path);
    Ok(super::join(&tree.resolve(parent)?, name))
}

fn lay_over(files: &mut Vec<FileRecord>, path: &[u8], text: &[u8]) {
    for prefix in super::path::prefixes(split(path).0) {
        if !files.iter().any(|file| file.path.0 == prefix) {
            files.push(FileRecord::of(&super::extract::implied(prefix), None));
        }
    }
    let old = files.iter().position(|file| file.path.0 == path);
    let old = old.map(|at| files.remove(at));
    // Other names of the file keep its old bytes: the first of them is the file now.
    if let Some(FileRecord { kind: kind @ FileKind::File { .. }, layer, from, .. }) = &old {
        let mut others =
            files.iter_mut().filter(|file| matches!(&file.kind, FileKind::Link { target } if target.0 == path));
        if let Some(heir) = others.next() {
            let name = heir.path.clone();
            heir.kind = kind.clone();
            heir.layer = *layer;
            heir.from = from.clone().or_else(|| Some(PathBytes(path.to_vec())));
            for other in others {
                other.kind = FileKind::Link { target: name.clone() };
            }
        }
    }
    let mut file = FileRecord::of(&super::extract::implied(path), None);
    file.kind = FileKind::File { size: text.len() as u64, digest: Digest::of(text) };
    file.mode = old.map_or(0o644, |old| old.mode);
    files.push(file);
}
