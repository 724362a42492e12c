//! The files that a stage has so far, by its layers. Layers are looked into only when somebody asks, and what was seen
//! of one is kept under `<store>/cache/trees/`, so that it is read once.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use content::tar::{Entry, EntryKind};
use content::{Disk, LayerInfo};
use oci::DiffId;
use serde::{Deserialize, Serialize};

use super::destination::Places;
use super::error::BuildError;
use super::fingerprint::Fingerprint;
use super::walk::split;
use crate::rootfs::Tree;

/// The files of a stage.
pub(crate) struct Files<'a> {
    store: &'a Disk,
    layers: Vec<LayerInfo>,
    /// The entries of layers that this build made or saw; none for those that have to be read.
    entries: Vec<Option<Vec<Entry>>>,
    /// The merged view of the first layers.
    tree: Tree<'a>,
}

impl<'a> Files<'a> {
    /// The files of some layers, lowest first.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub(crate) fn new(store: &'a Disk, layers: Vec<LayerInfo>) -> Result<Self, BuildError> {
        let entries = layers.iter().map(|_| None).collect();
        Ok(Self { store, layers, entries, tree: Tree::open(store, &[])? })
    }

    /// The layers, lowest first.
    pub(crate) fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// Puts a layer on top; its entries, if they are known.
    pub(crate) fn push(&mut self, layer: LayerInfo, entries: Option<Vec<Entry>>) {
        self.layers.push(layer);
        self.entries.push(entries);
    }

    /// The merged view of all layers.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub(crate) fn tree(&mut self) -> Result<&Tree<'a>, BuildError> {
        while self.tree.layer_count() < self.layers.len() {
            let number = self.tree.layer_count();
            let layer = &self.layers[number];
            let entries = match self.entries[number].take() {
                Some(entries) => entries,
                None => self.scan(layer)?,
            };
            self.tree.apply(layer.descriptor.clone(), layer.diff_id, &entries)?;
        }
        Ok(&self.tree)
    }

    /// What of the files decides where a copy ends up: the symbolic links.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub(crate) fn fingerprint_links(&mut self, key: &mut Fingerprint) -> Result<(), BuildError> {
        for node in self.tree()?.nodes() {
            if let EntryKind::Symlink { target } = &node.entry.kind {
                key.bytes(&node.entry.path).bytes(target);
            }
        }
        Ok(())
    }

    /// Whether a layer from number `first` on hides files of those below.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub(crate) fn has_whiteouts(&self, first: usize) -> Result<bool, BuildError> {
        for layer in &self.layers[first..] {
            if self.scan(layer)?.iter().any(|entry| split(&entry.path).1.starts_with(b".wh.")) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn scan(&self, layer: &LayerInfo) -> Result<Vec<Entry>, BuildError> {
        scan(self.store, layer)
    }
}

/// The entries of a layer, in its order, whiteouts included; read once for a store.
///
/// # Errors
/// When the layer cannot be read.
pub(crate) fn scan(store: &Disk, layer: &LayerInfo) -> Result<Vec<Entry>, BuildError> {
    let path = kept(store, &layer.diff_id);
    if let Some(entries) = load(&path) {
        return Ok(entries);
    }
    let entries = Tree::scan(store, &layer.descriptor, layer.diff_id)?;
    keep(&path, &entries).map_err(|source| BuildError::Cache { path, source })?;
    Ok(entries)
}

fn kept(store: &Disk, diff_id: &DiffId) -> PathBuf {
    store.cache_dir().join("trees").join(format!("{}.json", diff_id.0.hex()))
}

impl Places for Tree<'_> {
    fn at(&self, path: &[u8]) -> Result<Option<EntryKind>, BuildError> {
        Ok(match path.is_empty() {
            true => Some(EntryKind::Directory),
            false => self.get(path).map(|node| node.entry.kind.clone()),
        })
    }
}

/// An entry as it is kept; names are hexadecimal, as they need not be text.
#[derive(Serialize, Deserialize)]
struct Kept {
    path: String,
    kind: KeptKind,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
enum KeptKind {
    File(u64),
    Directory,
    Symlink(String),
    HardLink(String),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}

fn keep(path: &Path, entries: &[Entry]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    let kept: Vec<Kept> = entries.iter().map(to_kept).collect();
    file.write_all(&serde_json::to_vec(&kept)?)?;
    file.persist(path)?;
    Ok(())
}

/// What was kept; none if it is not there or damaged, and the layer is read again.
fn load(path: &Path) -> Option<Vec<Entry>> {
    let kept: Vec<Kept> = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    kept.into_iter().map(from_kept).collect()
}

fn to_kept(entry: &Entry) -> Kept {
    let kind = match &entry.kind {
        EntryKind::File { size } => KeptKind::File(*size),
        EntryKind::Directory => KeptKind::Directory,
        EntryKind::Symlink { target } => KeptKind::Symlink(hex::encode(target)),
        EntryKind::HardLink { target } => KeptKind::HardLink(hex::encode(target)),
        EntryKind::CharDevice { major, minor } => KeptKind::CharDevice(*major, *minor),
        EntryKind::BlockDevice { major, minor } => KeptKind::BlockDevice(*major, *minor),
        EntryKind::Fifo => KeptKind::Fifo,
    };
    let xattrs = entry.xattrs.iter().map(|(name, value)| (hex::encode(name), hex::encode(value))).collect();
    let Entry { mode, uid, gid, mtime, .. } = *entry;
    Kept { path: hex::encode(&entry.path), kind, mode, uid, gid, mtime, xattrs }
}

fn from_kept(kept: Kept) -> Option<Entry> {
    let bytes = |text: &str| hex::decode(text).ok();
    let kind = match kept.kind {
        KeptKind::File(size) => EntryKind::File { size },
        KeptKind::Directory => EntryKind::Directory,
        KeptKind::Symlink(target) => EntryKind::Symlink { target: bytes(&target)? },
        KeptKind::HardLink(target) => EntryKind::HardLink { target: bytes(&target)? },
        KeptKind::CharDevice(major, minor) => EntryKind::CharDevice { major, minor },
        KeptKind::BlockDevice(major, minor) => EntryKind::BlockDevice { major, minor },
        KeptKind::Fifo => EntryKind::Fifo,
    };
    let xattrs = kept.xattrs.iter().map(|(name, value)| Some((bytes(name)?, bytes(value)?)));
    let Kept { mode, uid, gid, mtime, .. } = kept;
    Some(Entry { path: bytes(&kept.path)?, kind, mode, uid, gid, mtime, xattrs: xattrs.collect::<Option<_>>()? })
}
