//! What an image's files look like, without unpacking it.
//!
//! Nodes are kept by path with all symbolic links on the way resolved. A hard link is a node like its target, whose
//! content is found under the target's name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::ops::Bound;

use content::Source;
use content::tar::{Entry, EntryKind};
use oci::{Descriptor, DiffId, Digest};

use super::RootfsError;
use super::extract::implied;
use super::index::hash;
use super::path::{Marker, join, marker, prefixes, split};
use super::unpack::{next, open_layer};

/// Bytes of a file that are hashed at a time.
const BUFFER: usize = 1 << 16;

/// Links followed on one path at most, as in the kernel.
const MAX_LINKS: u32 = 40;

/// One file of the merged view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is, under the path it has in the merged view. A hard link is an entry like its target.
    pub entry: Entry,
    /// The layer that its content is in, counted from the bottom.
    pub layer: usize,
    /// The path that its content has in that layer.
    pub(super) content: Vec<u8>,
}

impl Node {
    /// What all names of one file have in common: the layer that its content is in, and its path there.
    pub fn identity(&self) -> (usize, &[u8]) {
        (self.layer, &self.content)
    }
}

/// The merged view of an image's layers.
pub struct Tree<'a> {
    source: &'a dyn Source,
    layers: Vec<(Descriptor, DiffId)>,
    nodes: BTreeMap<Vec<u8>, Node>,
    /// Digests of contents, by layer and path there; empty unless they are wanted.
    digests: HashMap<(usize, Vec<u8>), Digest>,
}

impl<'a> Tree<'a> {
    /// Reads all layers once, bottom to top.
    ///
    /// # Errors
    /// When one is missing or corrupt.
    pub fn open(source: &'a dyn Source, layers: &[(Descriptor, DiffId)]) -> Result<Self, RootfsError> {
        let mut tree = Self::empty(source);
        for (layer, diff_id) in layers {
            let entries = Self::scan(source, layer, *diff_id)?;
            tree.apply(layer.clone(), *diff_id, &entries)?;
        }
        Ok(tree)
    }

    /// The same with the digests of all contents, which are read for it.
    ///
    /// # Errors
    /// When a layer is missing or corrupt.
    pub fn open_hashed(source: &'a dyn Source, layers: &[(Descriptor, DiffId)]) -> Result<Self, RootfsError> {
        let (mut tree, mut buffer) = (Self::empty(source), vec![0; BUFFER]);
        for (number, (layer, diff_id)) in layers.iter().enumerate() {
            let mut tar = open_layer(source, layer, *diff_id)?;
            let mut entries = Vec::new();
            while let Some(entry) = next(&mut tar)? {
                if matches!(entry.kind, EntryKind::File { .. }) {
                    let digest = hash(&mut tar, &mut buffer).map_err(RootfsError::io("read", &entry.path))?;
                    // Of entries with the same path the last counts.
                    tree.digests.insert((number, entry.path.clone()), digest);
                }
                entries.push(entry);
            }
            tar.into_inner().finish()?;
            tree.apply(layer.clone(), *diff_id, &entries)?;
        }
        Ok(tree)
    }

    fn empty(source: &'a dyn Source) -> Self {
        Self { source, layers: Vec::new(), nodes: BTreeMap::new(), digests: HashMap::new() }
    }

    /// The digest of a regular file's content, if the tree was opened with them.
    pub fn digest(&self, node: &Node) -> Option<Digest> {
        self.digests.get(&(node.layer, node.content.clone())).copied()
    }

    /// The entries of one layer, in its order, whiteouts included.
    ///
    /// # Errors
    /// When it is missing or corrupt.
    pub fn scan(source: &dyn Source, layer: &Descriptor, diff_id: DiffId) -> Result<Vec<Entry>, RootfsError> {
        let mut tar = open_layer(source, layer, diff_id)?;
        let mut entries = Vec::new();
        while let Some(entry) = next(&mut tar)? {
            entries.push(entry);
        }
        tar.into_inner().finish()?;
        Ok(entries)
    }

    /// Puts a further layer on top, whose entries are known. The layer itself is read only when its contents are asked
    /// for.
    ///
    /// # Errors
    /// When a hard link has no target or a path leads through too many links.
    pub fn apply(&mut self, layer: Descriptor, diff_id: DiffId, entries: &[Entry]) -> Result<(), RootfsError> {
        let number = self.layers.len();
        self.layers.push((layer, diff_id));
        // Whiteouts mean lower layers only, wherever in the tar they stand: all come first.
        for entry in entries {
            let (parent, name) = split(&entry.path);
            match marker(name) {
                Marker::Whiteout(hidden) => {
                    let path = join(&self.resolve(parent)?, hidden);
                    self.remove(&path);
                }
                Marker::Opaque => {
                    let path = self.resolve(parent)?;
                    self.remove_below(&path);
                }
                Marker::None | Marker::Foreign => {}
            }
        }
        for entry in entries.iter().filter(|entry| marker(split(&entry.path).1) == Marker::None) {
            self.insert(entry, number)?;
        }
        Ok(())
    }

    fn insert(&mut self, entry: &Entry, layer: usize) -> Result<(), RootfsError> {
        let (parent, name) = split(&entry.path);
        let parent = self.resolve(parent)?;
        for prefix in prefixes(&parent) {
            if !self.nodes.contains_key(prefix) {
                let node = Node { entry: implied(prefix), layer, content: prefix.to_vec() };
                self.nodes.insert(prefix.to_vec(), node);
            }
        }
        let path = join(&parent, name);
        let mut node = match &entry.kind {
            EntryKind::HardLink { target } => {
                let (target_parent, target_name) = split(target);
                let found = join(&self.resolve(target_parent)?, target_name);
                let missing = || RootfsError::MissingLinkTarget { path: entry.path.clone(), target: target.clone() };
                self.nodes.get(&found).cloned().ok_or_else(missing)?
            }
            _ => Node { entry: entry.clone(), layer, content: entry.path.clone() },
        };
        node.entry.path.clone_from(&path);
        if node.entry.kind != EntryKind::Directory {
            self.remove_below(&path);
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) {
        self.remove_below(path);
        self.nodes.remove(path);
    }

    fn remove_below(&mut self, path: &[u8]) {
        let gone: Vec<_> = self.below(path).map(|node| node.entry.path.clone()).collect();
        for path in gone {
            self.nodes.remove(&path);
        }
    }

    /// The number of layers.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// What is at a path, no link followed. None for the root, if no layer describes it.
    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// All nodes, sorted by path.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// All that is below a directory at any depth, sorted by path.
    pub fn below(&self, path: &[u8]) -> impl Iterator<Item = &Node> {
        let mut first = path.to_vec();
        if !path.is_empty() {
            first.push(b'/');
        }
        let prefix = first.clone();
        let from = if path.is_empty() { Bound::Excluded(first) } else { Bound::Included(first) };
        let range = self.nodes.range((from, Bound::Unbounded));
        range.take_while(move |(path, _)| path.starts_with(&prefix)).map(|(_, node)| node)
    }

    /// What is directly in a directory, sorted by path.
    pub fn children(&self, path: &[u8]) -> impl Iterator<Item = &Node> {
        let mut first = path.to_vec();
        if !path.is_empty() {
            first.push(b'/');
        }
        let mut from = if path.is_empty() { Bound::Excluded(Vec::new()) } else { Bound::Included(first.clone()) };
        std::iter::from_fn(move || {
            loop {
                let range = (from.clone(), Bound::Unbounded);
                let (path, node) = self.nodes.range::<Vec<u8>, _>(range).next()?;
                let rest = path.strip_prefix(first.as_slice())?;
                match rest.iter().position(|byte| *byte == b'/') {
                    None => {
                        from = Bound::Excluded(path.clone());
                        return Some(node);
                    }
                    // Below a child: every directory has a node, so the child was seen; go behind all that is in it.
                    Some(at) => {
                        let mut behind = path[..first.len() + at].to_vec();
                        behind.push(b'/' + 1);
                        from = Bound::Included(behind);
                    }
                }
            }
        })
    }

    /// The path that a path means when all symbolic links are followed, the last included, inside the root: `..` above
    /// the root is the root. What does not exist stays as it is written.
    ///
    /// # Errors
    /// When links lead in circles.
    pub fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, RootfsError> {
        let mut todo: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut found = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    found.truncate(split(&found).0.len());
                    continue;
                }
                _ => {}
            }
            let next = join(&found, &part);
            match self.nodes.get(&next).map(|node| &node.entry.kind) {
                Some(EntryKind::Symlink { target }) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(RootfsError::LinkLoop(path.to_vec()));
                    }
                    if target.first() == Some(&b'/') {
                        found.clear();
                    }
                    todo.extend(target.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
                }
                _ => found = next,
            }
        }
        Ok(found)
    }

    /// The bytes of a small file, links followed. None if there is no such file.
    ///
    /// # Errors
    /// When it is larger than `limit` bytes, or its layer cannot be read.
    pub fn read_file(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>, RootfsError> {
        let path = self.resolve(path)?;
        let Some(node) = self.nodes.get(&path) else { return Ok(None) };
        let EntryKind::File { size } = node.entry.kind else { return Ok(None) };
        if size > limit {
            return Err(RootfsError::FileTooLarge { path, size, limit });
        }
        let mut bytes = Vec::new();
        let wanted = HashSet::from([node.content.as_slice()]);
        self.read_layer(node.layer, &wanted, &mut |_, content| {
            bytes.clear();
            content.take(limit).read_to_end(&mut bytes).map_err(RootfsError::io("read", &path))?;
            Ok(())
        })?;
        Ok(Some(bytes))
    }

    /// Reads one layer to its end, so that it is verified, and hands out the contents wanted. Of entries with the same
    /// path the last counts: the callee replaces.
    ///
    /// # Errors
    /// When it is missing or corrupt, or the callee's.
    pub fn read_layer(
        &self,
        layer: usize,
        wanted: &HashSet<&[u8]>,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), RootfsError>,
    ) -> Result<(), RootfsError> {
        let (descriptor, diff_id) = &self.layers[layer];
        let mut tar = open_layer(self.source, descriptor, *diff_id)?;
        while let Some(entry) = next(&mut tar)? {
            if matches!(entry.kind, EntryKind::File { .. }) && wanted.contains(entry.path.as_slice()) {
                take(&entry, &mut tar)?;
            }
        }
        Ok(tar.into_inner().finish()?)
    }
}
