//! Several layers as one tar: what `--squash` stores and `--output type=tar` writes.
//!
//! Layers are read from top to bottom once to learn which of their entries are still seen, then from bottom to top to
//! copy those. No content is kept anywhere in between.

use std::collections::{BTreeSet, HashSet};
use std::io::{BufReader, Read, Write};

use content::layer::LayerReader;
use content::tar::{Entry, EntryKind, TarReader, TarWriter};
use content::{Disk, LayerInfo};

use super::destination::join;
use super::error::BuildError;
use super::walk::split;
use crate::rootfs::Tree;

/// What becomes of entries that hide files of layers below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whiteouts {
    /// They are kept: there are layers below.
    Keep,
    /// They are dropped: there is nothing to hide.
    Drop,
}

/// Writes what is seen of the layers, lowest first, as a tar.
///
/// # Errors
/// When a layer cannot be read or the tar cannot be written.
pub(crate) fn flatten<W: Write>(
    store: &Disk,
    layers: &[LayerInfo],
    whiteouts: Whiteouts,
    output: W,
) -> Result<W, BuildError> {
    let seen = visible(store, layers, whiteouts)?;
    let mut tar = TarWriter::new(output);
    for (layer, seen) in layers.iter().zip(&seen) {
        let mut reader = open(store, layer)?;
        let mut number = 0;
        while let Some(entry) = reader.next().map_err(BuildError::Tar)? {
            if seen.contains(&number) {
                tar.append(&entry, &mut reader).map_err(BuildError::Tar)?;
            }
            number += 1;
        }
    }
    tar.finish().map_err(BuildError::Tar)
}

/// For every layer, the numbers of its entries that are seen.
fn visible(store: &Disk, layers: &[LayerInfo], whiteouts: Whiteouts) -> Result<Vec<HashSet<usize>>, BuildError> {
    let mut hidden = Hidden::default();
    let mut seen = vec![HashSet::new(); layers.len()];
    for (at, layer) in layers.iter().enumerate().rev() {
        let entries = Tree::scan(store, &layer.descriptor, layer.diff_id)?;
        // A hard link of this layer keeps its target, which stands before it.
        let mut next = Hidden::default();
        for (number, entry) in entries.iter().enumerate().rev() {
            let (parent, name) = split(&entry.path);
            let is_marker = name.starts_with(b".wh.");
            let is_kept = !hidden.covers(&entry.path) && !next.paths.contains(&entry.path);
            if is_kept && (!is_marker || whiteouts == Whiteouts::Keep) {
                seen[at].insert(number);
            }
            match name.strip_prefix(b".wh.") {
                Some(b".wh..opq") => {
                    next.trees.insert(parent.to_vec());
                }
                Some(gone) => {
                    next.add(join(parent, gone), &EntryKind::Fifo);
                }
                None => next.add(entry.path.clone(), &entry.kind),
            }
        }
        keep_targets(&entries, &mut seen[at]);
        hidden.paths.extend(next.paths);
        hidden.trees.extend(next.trees);
    }
    Ok(seen)
}

/// A hard link that is seen needs its target before it, in the same layer, even if that name is hidden further up: the
/// target's entry is then overwritten by what hides it.
fn keep_targets(entries: &[Entry], seen: &mut HashSet<usize>) {
    for (number, entry) in entries.iter().enumerate() {
        let EntryKind::HardLink { target } = &entry.kind else { continue };
        if seen.contains(&number)
            && let Some(at) = entries[..number].iter().rposition(|other| other.path == *target)
        {
            seen.insert(at);
        }
    }
}

/// What higher layers hide.
#[derive(Default)]
struct Hidden {
    /// These paths.
    paths: BTreeSet<Vec<u8>>,
    /// Everything below these paths.
    trees: BTreeSet<Vec<u8>>,
}

impl Hidden {
    fn add(&mut self, path: Vec<u8>, kind: &EntryKind) {
        if *kind != EntryKind::Directory {
            self.trees.insert(path.clone());
        }
        self.paths.insert(path);
    }

    fn covers(&self, path: &[u8]) -> bool {
        if self.paths.contains(path) {
            return true;
        }
        let mut parent = split(path).0;
        loop {
            if self.trees.contains(parent) {
                return true;
            }
            if parent.is_empty() {
                return false;
            }
            parent = split(parent).0;
        }
    }
}

fn open<'a>(store: &'a Disk, layer: &LayerInfo) -> Result<TarReader<Box<dyn Read + 'a>>, BuildError> {
    let reader = LayerReader::open(store, &layer.descriptor)?.verify_diff_id(layer.diff_id)?;
    Ok(TarReader::new(Box::new(BufReader::with_capacity(256 << 10, reader))))
}
