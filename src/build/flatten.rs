//! Several layers as what is seen of them: what `--squash` stores, and what `--output` writes as a tar or into a
//! directory that has something in it.
//!
//! ```text
//! entries of all layers ─▶ merged view ─▶ whiteouts, directories, links … then contents, layer by layer
//! ```
//!
//! Layers are read once to learn what they hold (those that were seen before, not even that) and once more for the
//! contents that are still seen. No content is kept in between. A file's content goes to the first of its names that
//! is seen, wherever the name was that it came under; its other names are hard links.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read, Write};

use content::layer::LayerReader;
use content::tar::{Entry, EntryKind, TarReader, TarWriter};
use content::{Disk, LayerInfo};

use super::destination::join;
use super::error::BuildError;
use super::files;
use super::walk::split;
use crate::rootfs::{Node, Tree};

/// A layer, and the path that a content has in it: the same for all names of one file.
type Identity = (usize, Vec<u8>);

/// Takes what is seen, parents before what is in them.
pub(crate) type Visitor<'a> = dyn FnMut(&Entry, &mut dyn Read) -> Result<(), BuildError> + 'a;

/// Writes what is seen of the layers, lowest first, as a tar. The first `below` of them stay below it: the tar is the
/// layer that makes of them what all are together.
///
/// # Errors
/// When a layer cannot be read or the tar cannot be written.
pub(crate) fn flatten<W: Write>(store: &Disk, layers: &[LayerInfo], below: usize, output: W) -> Result<W, BuildError> {
    let mut tar = TarWriter::new(output);
    visit(store, layers, below, &mut |entry, content| tar.append(entry, content).map_err(BuildError::Tar))?;
    tar.finish().map_err(BuildError::Tar)
}

/// Hands out what is seen of the layers above the first `below`.
///
/// # Errors
/// When a layer cannot be read, or the visitor's.
pub(crate) fn visit(
    store: &Disk,
    layers: &[LayerInfo],
    below: usize,
    visitor: &mut Visitor<'_>,
) -> Result<(), BuildError> {
    let view = View::of(store, layers, below)?;
    for entry in view.without_content() {
        visitor(&entry, &mut io::empty())?;
    }
    let mut names = view.names();
    for (number, layer) in layers.iter().enumerate() {
        let is_wanted = names.keys().any(|(layer, _)| *layer == number);
        if !is_wanted {
            continue;
        }
        let reader = LayerReader::open(store, &layer.descriptor)?.verify_diff_id(layer.diff_id)?;
        let mut tar = TarReader::new(reader);
        let mut at = 0;
        while let Some(entry) = tar.next().map_err(BuildError::Tar)? {
            let is_last = view.last[number].get(&entry.path) == Some(&at);
            at += 1;
            if is_last && let Some(found) = names.remove(&(number, entry.path.clone())) {
                found.hand_out(&entry, &mut tar, visitor)?;
            }
        }
        tar.into_inner().finish()?;
    }
    Ok(())
}

/// The merged view, and what it was before the layers that are wanted.
struct View<'a> {
    tree: Tree<'a>,
    before: BTreeMap<Vec<u8>, Node>,
    /// For every layer, the place of the entry that counts for each regular file.
    last: Vec<HashMap<Vec<u8>, usize>>,
}

/// The names of one file.
#[derive(Default)]
struct Names {
    /// One that the layers below have already.
    old: Option<Vec<u8>>,
    new: Vec<Vec<u8>>,
}

impl<'a> View<'a> {
    fn of(store: &'a Disk, layers: &[LayerInfo], below: usize) -> Result<Self, BuildError> {
        let mut view = Self { tree: Tree::open(store, &[])?, before: BTreeMap::new(), last: Vec::new() };
        for (number, layer) in layers.iter().enumerate() {
            if number == below {
                view.before = view.tree.nodes().map(|node| (node.entry.path.clone(), node.clone())).collect();
            }
            let entries = files::scan(store, layer)?;
            view.tree.apply(layer.descriptor.clone(), layer.diff_id, &entries)?;
            let files = entries.into_iter().enumerate().filter(|(_, it)| matches!(it.kind, EntryKind::File { .. }));
            view.last.push(files.map(|(at, entry)| (entry.path, at)).collect());
        }
        Ok(view)
    }

    fn is_new(&self, node: &Node) -> bool {
        self.before.get(&node.entry.path) != Some(node)
    }

    /// Whiteouts, directories, links and nodes, by path.
    fn without_content(&self) -> Vec<Entry> {
        let new = self.tree.nodes().filter(|node| self.is_new(node));
        let mut entries: Vec<Entry> = new.map(|node| node.entry.clone()).filter(|entry| !is_file(entry)).collect();
        let gone: BTreeSet<&Vec<u8>> = self.before.keys().filter(|path| self.tree.get(path).is_none()).collect();
        for path in gone {
            let (parent, name) = split(path);
            // What was in a directory that is gone, or something else now, went with it.
            let is_there = parent.is_empty() || self.tree.get(parent).is_some_and(is_directory);
            if is_there {
                entries.push(whiteout(join(parent, &[b".wh.", name].concat())));
            }
        }
        entries.sort_by(|a, b| super::item::order(&a.path, &b.path));
        entries
    }

    /// The new names of all files that have any.
    fn names(&self) -> HashMap<Identity, Names> {
        let mut names: HashMap<Identity, Names> = HashMap::new();
        for node in self.tree.nodes().filter(|node| is_file(&node.entry)) {
            let (layer, content) = node.identity();
            let names = names.entry((layer, content.to_vec())).or_default();
            match self.is_new(node) {
                true => names.new.push(node.entry.path.clone()),
                false => names.old = Some(node.entry.path.clone()),
            }
        }
        names.retain(|_, names| !names.new.is_empty());
        names
    }
}

impl Names {
    fn hand_out(self, entry: &Entry, content: &mut dyn Read, visitor: &mut Visitor<'_>) -> Result<(), BuildError> {
        let mut names = self.new.into_iter();
        let target = match self.old {
            Some(old) => old,
            None => {
                let Some(path) = names.next() else { return Ok(()) };
                let entry = Entry { path, ..entry.clone() };
                visitor(&entry, content)?;
                entry.path
            }
        };
        for path in names {
            let kind = EntryKind::HardLink { target: target.clone() };
            visitor(&Entry { path, kind, ..entry.clone() }, &mut io::empty())?;
        }
        Ok(())
    }
}

fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::File { .. })
}

fn is_directory(node: &Node) -> bool {
    node.entry.kind == EntryKind::Directory
}

fn whiteout(path: Vec<u8>) -> Entry {
    let (kind, xattrs) = (EntryKind::File { size: 0 }, BTreeMap::new());
    Entry { path, kind, mode: 0, uid: 0, gid: 0, mtime: 0, xattrs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use content::layer::{LayerOptions, LayerWriter};

    fn layer(store: &Disk, lines: &str) -> LayerInfo {
        let mut tar = TarWriter::new(LayerWriter::begin(store, &LayerOptions::default()).unwrap());
        for line in lines.split_whitespace() {
            let (path, kind, text) = match line.split_once(['=', '>', '~']) {
                Some((path, text)) if line.contains('=') => (path, EntryKind::File { size: text.len() as u64 }, text),
                Some((path, to)) if line.contains('>') => (path, EntryKind::Symlink { target: to.into() }, ""),
                Some((path, to)) => (path, EntryKind::HardLink { target: to.into() }, ""),
                None => match line.strip_suffix('/') {
                    Some(path) => (path, EntryKind::Directory, ""),
                    None => (line, EntryKind::File { size: 0 }, ""),
                },
            };
            let (path, xattrs) = (path.as_bytes().to_vec(), BTreeMap::new());
            let entry = Entry { path, kind, mode: 0o755, uid: 0, gid: 0, mtime: 7, xattrs };
            tar.append(&entry, &mut text.as_bytes()).unwrap();
        }
        let layer = tar.finish().unwrap().finish().unwrap();
        LayerInfo { descriptor: layer.descriptor, diff_id: layer.diff_id }
    }

    fn seen(layers: &[&str], below: usize) -> String {
        let place = tempfile::tempdir().unwrap();
        let store = Disk::open(place.path()).unwrap();
        let layers: Vec<LayerInfo> = layers.iter().map(|lines| layer(&store, lines)).collect();
        let mut lines = Vec::new();
        visit(&store, &layers, below, &mut |entry, content| {
            let path = String::from_utf8(entry.path.clone()).unwrap();
            lines.push(match &entry.kind {
                EntryKind::Directory => format!("{path}/"),
                EntryKind::Symlink { target } => format!("{path}>{}", String::from_utf8_lossy(target)),
                EntryKind::HardLink { target } => format!("{path}~{}", String::from_utf8_lossy(target)),
                _ => {
                    let mut text = String::new();
                    content.read_to_string(&mut text).unwrap();
                    format!("{path}={text}").trim_end_matches('=').to_owned()
                }
            });
            Ok(())
        })
        .unwrap();
        lines.join(" ")
    }

    #[test]
    fn what_is_seen_is_handed_out_once() {
        for (layers, below, want) in [
            (&["d/ d/a=1 b=2", "d/a=3 .wh.b"][..], 0, "d/ d/a=3"),
            // A name that is hidden does not take the content from those that are seen.
            (&["a=1", "b~a", ".wh.a"], 0, "b=1"),
            (&["a=1 b~a c~a", ".wh.a"], 0, "b=1 c~b"),
            (&["a=1", "b~a", "a=2"], 0, "b=1 a=2"),
            (&["a=1 a=2", "b~a"], 0, "a=2 b~a"),
            // What goes through a link of a lower layer is where the link leads.
            (&["usr/ usr/lib/ lib>usr/lib", "lib/x=1"], 0, "lib>usr/lib usr/ usr/lib/ usr/lib/x=1"),
            (&["d/ d/a=1", "d/ d/.wh..wh..opq d/b=2"], 0, "d/ d/b=2"),
            // On top of a base.
            (&["d/ d/a=1 b=2", "c=3", ".wh.b c=4 d/.wh.a"], 1, ".wh.b d/.wh.a c=4"),
            (&["d/ d/e/ d/e/a=1", ".wh.d", "f=1"], 1, ".wh.d f=1"),
            (&["d/ d/a=1", ".wh.d", "d/ d/b=2"], 1, "d/ d/.wh.a d/b=2"),
            (&["d/ d/a=1", "d=file"], 1, "d=file"),
            (&["a=1", "b~a"], 1, "b~a"),
            (&["a=1", "b~a", ".wh.a c=2"], 1, ".wh.a b=1 c=2"),
            (&["a=1 b~a", ".wh.a", "c~b"], 1, ".wh.a c~b"),
            (&["a=1", "x=1", ".wh.x"], 1, ""),
        ] {
            assert_eq!(seen(layers, below), want, "{layers:?} on {below}");
        }
    }
}
