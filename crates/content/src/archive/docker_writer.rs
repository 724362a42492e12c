//! Writes a docker-archive: configurations, uncompressed layers, `manifest.json` and `repositories`, sorted.
//!
//! A tar says a file's size before its bytes, and a compressed layer does not say how large its tar is: it is
//! decompressed once, into an unnamed file, and copied from there.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use oci::{Compression, Descriptor, DiffId, Digest, Reference};

use super::docker::Item;
use super::oci_writer::{document, failed, file, watched};
use super::save::{Images, SaveOptions};
use crate::image::{self, Image, LayerInfo};
use crate::layer::LayerReader;
use crate::tar::TarWriter;
use crate::{ContentError, Event, Observer, Source};

pub(super) fn write(
    source: &dyn Source,
    images: Images<'_>,
    output: impl Write,
    options: &SaveOptions,
    observer: &dyn Observer,
) -> Result<(), ContentError> {
    let contents = Contents::collect(source, images, options)?;
    let bytes = contents.layers.values().map(|layer| layer.descriptor.size).fold(0, u64::saturating_add);
    observer.event(&Event::Planned { blobs: contents.layers.len() as u64, bytes });
    let mut tar = TarWriter::new(output);
    for (path, member) in contents.members() {
        match member {
            Member::Document(bytes) => document(&mut tar, &path, bytes)?,
            Member::Layer(layer) => put_layer(&mut tar, source, &path, layer, &options.scratch, observer)?,
        }
    }
    let json =
        |what: &'static str| move |error: serde_json::Error| ContentError::io(format!("write {what}"))(error.into());
    let manifest = serde_json::to_vec(&contents.items).map_err(json("manifest.json"))?;
    document(&mut tar, "manifest.json", &manifest)?;
    let repositories = serde_json::to_vec(&contents.repositories).map_err(json("repositories"))?;
    document(&mut tar, "repositories", &repositories)?;
    tar.finish().map(drop).map_err(failed)
}

/// What goes into the archive, each once.
#[derive(Default)]
struct Contents {
    items: Vec<Item>,
    configs: BTreeMap<String, Vec<u8>>,
    layers: BTreeMap<DiffId, LayerInfo>,
    /// Repository, tag, and the highest layer: for versions of Docker that know nothing else.
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

enum Member<'a> {
    Document(&'a [u8]),
    Layer(&'a LayerInfo),
}

impl Contents {
    fn collect(source: &dyn Source, images: Images<'_>, options: &SaveOptions) -> Result<Self, ContentError> {
        let mut contents = Self::default();
        let mut seen: HashMap<Digest, usize> = HashMap::new();
        for (name, root) in images {
            let at = match seen.get(&root.digest) {
                Some(at) => *at,
                None => {
                    let image = image::load_image(source, root, &options.platform)?;
                    contents.add(&image);
                    seen.insert(root.digest, contents.items.len() - 1);
                    contents.items.len() - 1
                }
            };
            if let Some((repository, tag)) = name.as_ref().and_then(repo_tag) {
                contents.name(at, repository, tag);
            }
        }
        Ok(contents)
    }

    fn add(&mut self, image: &Image) {
        let config = format!("{}.json", image.config.digest().hex());
        let layers = image.layers.iter().map(|layer| layer_path(&layer.diff_id)).collect();
        self.configs.insert(config.clone(), image.config.bytes().to_vec());
        self.layers.extend(image.layers.iter().map(|layer| (layer.diff_id, layer.clone())));
        self.items.push(Item { config, repo_tags: None, layers });
    }

    fn name(&mut self, at: usize, repository: String, tag: String) {
        let item = &mut self.items[at];
        let text = format!("{repository}:{tag}");
        let tags = item.repo_tags.get_or_insert_default();
        if !tags.contains(&text) {
            tags.push(text);
        }
        if let Some(top) = item.layers.last() {
            let id = top.trim_end_matches(".tar").to_owned();
            self.repositories.entry(repository).or_default().insert(tag, id);
        }
    }

    fn members(&self) -> BTreeMap<String, Member<'_>> {
        let configs = self.configs.iter().map(|(path, bytes)| (path.clone(), Member::Document(bytes)));
        let layers = self.layers.iter().map(|(diff_id, layer)| (layer_path(diff_id), Member::Layer(layer)));
        configs.chain(layers).collect()
    }
}

fn layer_path(diff_id: &DiffId) -> String {
    format!("{}.tar", diff_id.0.hex())
}

/// A name as a docker-archive can have it: with a tag and without a digest.
fn repo_tag(name: &Reference) -> Option<(String, String)> {
    Some((name.familiar_name().to_owned(), name.tag_or_default()?.to_owned()))
}

fn put_layer(
    tar: &mut TarWriter<impl Write>,
    source: &dyn Source,
    path: &str,
    layer: &LayerInfo,
    scratch: &Path,
    observer: &dyn Observer,
) -> Result<(), ContentError> {
    let what: &Descriptor = &layer.descriptor;
    let mut reader = LayerReader::open(source, what)?.verify_diff_id(layer.diff_id)?;
    if reader.compression() == Compression::None {
        return watched(observer, what, reader, |content| file(tar, path, what.size, content));
    }
    let doing = || ContentError::io(format!("decompress the layer {} into {}", what.digest, scratch.display()));
    let mut spool = tempfile::tempfile_in(scratch).map_err(doing())?;
    let size = pour(&mut reader, &mut spool).map_err(doing())?;
    spool.seek(SeekFrom::Start(0)).map_err(doing())?;
    watched(observer, what, spool, |content| file(tar, path, size, content))
}

/// Copies to the end, in pieces of 1 MiB; returns the number of bytes.
fn pour(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
    let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
    loop {
        let count = crate::copy::read_full(from, &mut buffer)?;
        if count == 0 {
            return Ok(total);
        }
        to.write_all(&buffer[..count])?;
        total += count as u64;
    }
}
