//! The lists of files that hosts are brought to, made of the layers of images and the changes of a user.
//!
//! A layer is read once to know what is in it; that is kept in a directory for the next time.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use content::layer::LayerReader;
use content::tar::TarReader;
use content::{ContentError, Source};
use oci::{Descriptor, DiffId, Digest};

use super::protocol::Wares;
use crate::cluster::FileChange;
use crate::clusterfile::{ChangeError, change};
use crate::plan::hosts::{Action, ImageRef};
use crate::rootfs::{FileKind, IndexedLayer, LayerIndex, OverlayText, PathBytes, RootfsError, TreeManifest};

/// No file that a change meets is larger, in bytes.
const TEXT_LIMIT: u64 = 16 << 20;

/// Why a list of files cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A layer cannot be read.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The place of the images cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A change does not fit its file.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// What was known of layers cannot be read or written.
    #[error("cannot keep what is in a layer: {0}")]
    Keep(#[source] io::Error),
    /// The file that a change meets is not text.
    #[error("the Config `{config}` cannot change `{path}`: it is no text")]
    NotText {
        /// The document.
        config: String,
        /// The file.
        path: String,
    },
    /// An image that nobody told us of.
    #[error("the image {0} is not at hand")]
    Unknown(Digest),
}

/// An image whose files are at hand.
#[derive(Clone, Debug)]
pub struct ImageLayers {
    /// Its manifest.
    pub digest: Digest,
    /// Its layers, lowest first.
    pub layers: Vec<(Descriptor, DiffId)>,
}

/// Makes lists of files, and gives out bytes.
pub struct Trees<'a> {
    source: &'a dyn Source,
    images: Vec<ImageLayers>,
    changes: &'a [FileChange],
    /// Where it is kept what is in layers.
    indexes: PathBuf,
    made: Mutex<BTreeMap<String, Wares>>,
    texts: Mutex<BTreeMap<Digest, Vec<u8>>>,
}

fn is_registry(path: &[u8]) -> bool {
    path == b"registry" || path.starts_with(b"registry/")
}

impl<'a> Trees<'a> {
    /// Lists of files of these images, whose layers are in `source`; what is in layers is kept in `indexes`.
    pub fn new(source: &'a dyn Source, images: Vec<ImageLayers>, changes: &'a [FileChange], indexes: PathBuf) -> Self {
        Self { source, images, changes, indexes, made: Mutex::default(), texts: Mutex::default() }
    }

    /// The list of files of an action, made once for all hosts that have the same.
    pub(super) fn wares(&self, action: &Action) -> Result<Option<Wares>, TreeError> {
        let Action::Files { images, registry, changes, .. } = action else { return Ok(None) };
        let key = format!("{images:?} {registry:?} {changes:?}");
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(&key) {
            return Ok(Some(known.clone()));
        }
        let names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
        let wares = self.make(images, registry, &names)?;
        made.insert(key, wares.clone());
        Ok(Some(wares))
    }

    fn layers(&self, images: &[ImageRef]) -> Result<Vec<IndexedLayer>, TreeError> {
        let mut all = Vec::new();
        for image in images {
            let known = self.images.iter().find(|known| known.digest == image.digest);
            for (descriptor, diff_id) in &known.ok_or(TreeError::Unknown(image.digest))?.layers {
                let index = self.index(descriptor, *diff_id)?;
                all.push(IndexedLayer { descriptor: descriptor.clone(), diff_id: *diff_id, index });
            }
        }
        Ok(all)
    }

    fn make(&self, images: &[ImageRef], registry: &[ImageRef], names: &[&str]) -> Result<Wares, TreeError> {
        let mut layers: Vec<(Descriptor, DiffId)> = Vec::new();
        let own = self.layers(images)?;
        let mut tree = TreeManifest::of(&own, &is_registry, &[])?;
        place_layers(&mut tree, &own, &mut layers);
        let overlays = self.overlays(&tree, &layers, names)?;
        if !overlays.is_empty() {
            tree = TreeManifest::of(&own, &is_registry, &overlays)?;
            place_layers(&mut tree, &own, &mut layers);
        }
        for image in registry {
            let own = self.layers(std::slice::from_ref(image))?;
            let mut part = TreeManifest::of(&own, &|path| !path.is_empty() && !is_registry(path), &[])?;
            place_layers(&mut part, &own, &mut layers);
            let known: HashMap<PathBytes, usize> =
                tree.files.iter().enumerate().map(|(at, file)| (file.path.clone(), at)).collect();
            for file in part.files {
                match known.get(&file.path).map(|at| &mut tree.files[*at]) {
                    Some(known) if known.kind == FileKind::Directory => {}
                    Some(known) => *known = file,
                    None => tree.files.push(file),
                }
            }
        }
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree.make_runnable();
        let mut list = zstd::Encoder::new(Vec::new(), 3).map_err(TreeError::Keep)?;
        tree.write(&mut list).map_err(TreeError::Keep)?;
        let list = list.finish().map_err(TreeError::Keep)?;
        let manifest = (Digest::of(&list), list.len() as u64);
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.insert(manifest.0, list);
        texts.extend(overlays.into_iter().map(|overlay| (Digest::of(&overlay.text), overlay.text)));
        Ok(Wares { manifest, layers })
    }

    /// The texts that the changes of these names make of files.
    fn overlays(
        &self,
        tree: &TreeManifest,
        layers: &[(Descriptor, DiffId)],
        names: &[&str],
    ) -> Result<Vec<OverlayText>, TreeError> {
        let mut overlays: Vec<OverlayText> = Vec::new();
        for one in self.changes.iter().filter(|change| names.contains(&change.name.as_str())) {
            let path = one.path.as_bytes().to_vec();
            let before = overlays.iter().position(|overlay| overlay.path == path);
            let original = match before {
                Some(at) => Some(overlays[at].text.clone()),
                None => self.original(tree, layers, &path)?,
            };
            let not_text = |_| TreeError::NotText { config: one.name.clone(), path: one.path.clone() };
            let original = original.map(String::from_utf8).transpose().map_err(not_text)?;
            let text = change(original.as_deref(), one)?.into_bytes();
            match before {
                Some(at) => overlays[at].text = text,
                None => overlays.push(OverlayText { path, text }),
            }
        }
        Ok(overlays)
    }

    /// The bytes of a file of the images, if they have it.
    fn original(
        &self,
        tree: &TreeManifest,
        layers: &[(Descriptor, DiffId)],
        path: &[u8],
    ) -> Result<Option<Vec<u8>>, TreeError> {
        let Some(mut file) = tree.files.iter().find(|file| file.path.0 == path) else { return Ok(None) };
        if let FileKind::Link { target } = &file.kind
            && let Some(first) = tree.files.iter().find(|other| other.path == *target)
        {
            file = first;
        }
        let layer = file.layer.and_then(|layer| layers.get(usize::try_from(layer).ok()?));
        let (Some((descriptor, _)), Some((_, digest))) = (layer, file.content()) else { return Ok(None) };
        let mut tar = TarReader::new(LayerReader::open(self.source, descriptor)?);
        while let Some(entry) = tar.next().map_err(RootfsError::from)? {
            if entry.path == file.path_in_layer() {
                let mut bytes = Vec::new();
                (&mut tar).take(TEXT_LIMIT).read_to_end(&mut bytes).map_err(TreeError::Keep)?;
                // A layer can have a path twice.
                if Digest::of(&bytes) == digest {
                    return Ok(Some(bytes));
                }
            }
        }
        Ok(None)
    }

    /// What is in a layer: as it was kept, else by reading it.
    fn index(&self, descriptor: &Descriptor, diff_id: DiffId) -> Result<LayerIndex, TreeError> {
        let path = self.indexes.join(format!("{}.json.zst", diff_id.0.hex()));
        let kept = || -> io::Result<LayerIndex> {
            let file = BufReader::new(zstd::Decoder::new(File::open(&path)?)?);
            Ok(serde_json::from_reader(file)?)
        };
        // What cannot be read is made again.
        if let Ok(known) = kept() {
            return Ok(known);
        }
        let index = LayerIndex::read(self.source, descriptor, diff_id)?;
        let keep = || -> io::Result<()> {
            fs::create_dir_all(&self.indexes)?;
            let mut staged = tempfile::NamedTempFile::new_in(&self.indexes)?;
            let mut encoder = zstd::Encoder::new(BufWriter::new(staged.as_file_mut()), 1)?;
            serde_json::to_writer(&mut encoder, &index)?;
            encoder.finish()?.flush()?;
            staged.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        keep().map_err(TreeError::Keep)?;
        Ok(index)
    }

    /// The bytes of a layer, a list or a text, from a byte on; and how many they are.
    pub(super) fn open(&self, digest: Digest, from: u64) -> Result<(u64, Box<dyn Read + Send + '_>), TreeError> {
        let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(&digest) {
            let (size, mut text) = (text.len() as u64, Cursor::new(text.clone()));
            text.seek(SeekFrom::Start(from)).map_err(TreeError::Keep)?;
            return Ok((size.saturating_sub(from), Box::new(text)));
        }
        drop(texts);
        let layers = self.images.iter().flat_map(|image| &image.layers);
        let layer = layers.map(|(layer, _)| layer).find(|layer| layer.digest == digest);
        let layer = layer.ok_or(TreeError::Unknown(digest))?;
        Ok((layer.size.saturating_sub(from), self.source.fetch(layer, from)?))
    }
}

/// Numbers the layers of a tree as they stand in a common list, which gets those that it has not.
fn place_layers(tree: &mut TreeManifest, own: &[IndexedLayer], all: &mut Vec<(Descriptor, DiffId)>) {
    let mut numbers = Vec::new();
    for layer in own {
        let known = all.iter().position(|(known, _)| known.digest == layer.descriptor.digest);
        numbers.push(known.unwrap_or_else(|| {
            all.push((layer.descriptor.clone(), layer.diff_id));
            all.len() - 1
        }));
    }
    for file in &mut tree.files {
        let number = file.layer.and_then(|layer| numbers.get(usize::try_from(layer).ok()?));
        file.layer = number.and_then(|number| u32::try_from(*number).ok());
    }
}
