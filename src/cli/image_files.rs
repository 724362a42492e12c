//! The files of an image with the digests of their contents: what `sealos diff` compares and packs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Write};

use content::tar::{Entry, EntryKind, TarWriter};
use oci::Digest;

use super::error::CommandError;
use crate::rootfs::{Node, Tree};

/// A file and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct File {
    entry: Entry,
    /// Of a regular file.
    content: Option<Digest>,
}

/// All files, by their paths.
pub(crate) type Files = BTreeMap<Vec<u8>, File>;

/// The files that a tree shows.
pub(crate) fn of(tree: &Tree<'_>) -> Files {
    let file = |node: &Node| File { entry: node.entry.clone(), content: tree.digest(node) };
    tree.nodes().map(|node| (node.entry.path.clone(), file(node))).collect()
}

impl File {
    /// Whether a user would call both the same file: everything but the times.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let facts = |entry: &Entry| (entry.mode, entry.uid, entry.gid);
        facts(&self.entry) == facts(&other.entry)
            && self.entry.kind == other.entry.kind
            && self.entry.xattrs == other.entry.xattrs
            && self.content == other.content
    }
}

/// Writes some files of a tree as a tar: first all that have no content, then the others, layer by layer. Of several
/// names of one file the first has its content, the others are hard links to it.
pub(crate) fn write(tree: &Tree<'_>, wanted: &BTreeSet<Vec<u8>>, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut tar = TarWriter::new(out);
    let mut names: BTreeMap<(usize, &[u8]), Vec<&Node>> = BTreeMap::new();
    for node in wanted.iter().filter_map(|path| tree.get(path)) {
        match node.entry.kind {
            EntryKind::File { .. } => names.entry(node.identity()).or_default().push(node),
            _ => tar.append(&node.entry, &mut io::empty())?,
        }
    }
    for layer in 0..tree.layer_count() {
        let here = names.keys().filter(|(number, _)| *number == layer);
        let contents: HashSet<&[u8]> = here.map(|(_, path)| *path).collect();
        if contents.is_empty() {
            continue;
        }
        tree.read_layer(layer, &contents, &mut |entry, content| {
            let Some((first, others)) = names.get(&(layer, &entry.path[..])).and_then(|nodes| nodes.split_first())
            else {
                return Ok(());
            };
            // A layer may name a path twice; the tree knows the last one.
            if (&entry.kind, entry.mtime) != (&first.entry.kind, first.entry.mtime) {
                return Ok(());
            }
            tar.append(&first.entry, content)?;
            for other in others {
                let kind = EntryKind::HardLink { target: first.entry.path.clone() };
                tar.append(&Entry { kind, ..other.entry.clone() }, &mut io::empty())?;
            }
            Ok(())
        })?;
    }
    tar.finish()?;
    Ok(())
}
