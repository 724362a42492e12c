//! The files of an image, as its layers put together show them: names, kinds, owners, digests of contents.
//!
//! Nothing is unpacked: layers are read as streams, once to know what is there, and once more for contents that are
//! wanted. Whiteouts take away what lower layers brought.
//!
//! Source: OCI image specification, layer.md, "Applying Changesets" and "Whiteouts".

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read};

use content::Source;
use content::layer::LayerReader;
use content::tar::{Entry, EntryKind, TarReader, TarWriter};
use oci::{Algorithm, Descriptor, DiffId, Digest, Hasher};

use super::error::CommandError;

/// A file and where its content is.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) entry: Entry,
    /// The number of the layer that brought it, from 0.
    layer: usize,
    /// Of a regular file.
    content: Option<Digest>,
}

/// All files, by their paths.
pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

/// A layer and the digest of its tar.
pub(crate) type LayerName = (Descriptor, DiffId);

/// Reads the files of an image.
pub(crate) fn read(source: &dyn Source, layers: &[LayerName]) -> Result<Tree, CommandError> {
    let mut tree = Tree::new();
    for (number, layer) in layers.iter().enumerate() {
        each_entry(source, layer, |entry, content| {
            let digest = match entry.kind {
                EntryKind::File { .. } => Some(hash(content).map_err(CommandError::io("read a layer"))?),
                _ => None,
            };
            apply(&mut tree, number, entry, digest);
            Ok(())
        })?;
    }
    Ok(tree)
}

/// Writes the wanted files of an image as a tar, with the files that they are hard links to.
pub(crate) fn write(
    source: &dyn Source,
    layers: &[LayerName],
    tree: &Tree,
    mut wanted: BTreeSet<Vec<u8>>,
    out: &mut dyn std::io::Write,
) -> Result<(), CommandError> {
    let mut links: Vec<Vec<u8>> = wanted.iter().cloned().collect();
    while let Some(path) = links.pop() {
        if let Some(EntryKind::HardLink { target }) = tree.get(&path).map(|node| &node.entry.kind)
            && wanted.insert(target.clone())
        {
            links.push(target.clone());
        }
    }
    let mut tar = TarWriter::new(out);
    for (number, layer) in layers.iter().enumerate() {
        // A layer may name a path twice; the tree knows the last one.
        each_entry(source, layer, |entry, content| {
            let node = tree.get(&entry.path).filter(|node| node.layer == number && node.entry == entry);
            if node.is_some() && wanted.remove(&entry.path) {
                tar.append(&entry, content)?;
            }
            Ok(())
        })?;
    }
    tar.finish()?;
    Ok(())
}

fn each_entry(
    source: &dyn Source,
    (descriptor, diff_id): &LayerName,
    mut act: impl FnMut(Entry, &mut dyn Read) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let layer = LayerReader::open(source, descriptor)?.verify_diff_id(*diff_id)?;
    let mut tar = TarReader::new(BufReader::with_capacity(1 << 16, layer));
    while let Some(entry) = tar.next()? {
        act(entry, &mut tar.content())?;
    }
    tar.into_inner().into_inner().finish()?;
    Ok(())
}

fn apply(tree: &mut Tree, layer: usize, entry: Entry, content: Option<Digest>) {
    let at = entry.path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let (directory, name) = entry.path.split_at(at);
    if name == b".wh..wh..opq" {
        remove_below(tree, directory, layer);
        return;
    }
    if let Some(hidden) = name.strip_prefix(b".wh.") {
        let path = [directory, hidden].concat();
        remove_below(tree, &[&path[..], b"/"].concat(), layer);
        if tree.get(&path).is_some_and(|node| node.layer < layer) {
            tree.remove(&path);
        }
        return;
    }
    if entry.kind != EntryKind::Directory {
        remove_below(tree, &[&entry.path[..], b"/"].concat(), layer + 1);
    }
    tree.insert(entry.path.clone(), Node { entry, layer, content });
}

/// Takes away what layers before `layer` brought under a path that ends in a slash.
fn remove_below(tree: &mut Tree, front: &[u8], layer: usize) {
    let below = tree.range(front.to_vec()..).take_while(|(path, _)| path.starts_with(front));
    let gone: Vec<Vec<u8>> = below.filter(|(_, node)| node.layer < layer).map(|(path, _)| path.clone()).collect();
    for path in gone {
        tree.remove(&path);
    }
}

fn hash(content: &mut dyn Read) -> std::io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

impl Node {
    /// Whether a user would call both the same file: everything but the times.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let facts = |entry: &Entry| (entry.mode, entry.uid, entry.gid);
        facts(&self.entry) == facts(&other.entry)
            && self.entry.kind == other.entry.kind
            && self.entry.xattrs == other.entry.xattrs
            && self.content == other.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree_of(layers: &[&[&str]]) -> Vec<String> {
        let mut tree = Tree::new();
        for (number, paths) in layers.iter().enumerate() {
            for path in *paths {
                let kind = match path.strip_suffix('/') {
                    Some(_) => EntryKind::Directory,
                    None => EntryKind::Fifo,
                };
                let path = path.trim_end_matches('/').as_bytes().to_vec();
                let xattrs = BTreeMap::new();
                apply(&mut tree, number, Entry { path, kind, mode: 0, uid: 0, gid: 0, mtime: 0, xattrs }, None);
            }
        }
        tree.into_keys().map(|path| String::from_utf8(path).unwrap()).collect()
    }

    #[test]
    fn whiteouts_take_away_what_lower_layers_brought() {
        for (layers, want) in [
            (&[&["a", "d/", "d/x"][..], &[".wh.a", "d/.wh.x", "d/y"]][..], &["d", "d/y"][..]),
            (&[&["d/", "d/x", "d/y"], &["d/z", "d/.wh..wh..opq"]], &["d", "d/z"]),
            (&[&["d/", "d/x"], &["d"]], &["d"]),
            (&[&["d/", "d/x", "d-x"], &[".wh.d"]], &["d-x"]),
            (&[&["a"], &["a", ".wh.a"]], &["a"]),
            (&[&["d", "d/", "d/x"]], &["d", "d/x"]),
        ] {
            assert_eq!(tree_of(layers), want, "{layers:?}");
        }
    }
}
