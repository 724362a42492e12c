//! Images in another form: layers compressed otherwise, manifests of the other family (OCI's, Docker's).
//!
//! ```text
//! plan ──▶ layers to convert ── convert_layer, on all cores ──▶ blobs
//!      └─▶ documents ── finish: only what names the layers is changed ──▶ documents, the root last
//! ```
//!
//! A layer that has the wanted compression already is left as it is, whatever its level. What an image's configuration
//! says of a layer is the digest of its tar, so that configurations, and with them the ids of images, stay as they are.
//! Fields of documents that nobody here knows are kept.

mod document;

use std::collections::{HashMap, HashSet};
use std::io;

use oci::{Compression, Descriptor, DiffId, Digest, ImageConfig, ImageManifest, Manifest, MediaType};

use crate::layer::{LayerOptions, LayerReader, LayerWriter};
use crate::{ContentError, DocumentKind, Event, Observer, Sink, Source, Sparse, copy, fetch_document, graph};

/// Bytes moved at a time.
const BUFFER: usize = 256 << 10;

/// Whose media types documents have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// The OCI image specification's.
    Oci,
    /// Docker's version 2, schema 2; it has no zstd.
    Docker,
}

/// What is changed. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    /// How layers shall be compressed; none for as they are.
    pub compression: Option<Compression>,
    /// gzip: 0 to 9, zstd: 1 to 19; none for the default.
    pub level: Option<i32>,
    /// Whose media types documents shall have; none for as they are.
    pub family: Option<Family>,
}

impl Conversion {
    /// Whether anything is changed at all.
    pub fn is_none(&self) -> bool {
        self.compression.is_none() && self.family.is_none()
    }

    /// Looks whether this can be done.
    ///
    /// # Errors
    /// When the compressor has no such level, or the family no such compression.
    pub fn check(&self) -> Result<(), ContentError> {
        if self.family == Some(Family::Docker) && self.compression == Some(Compression::Zstd) {
            let verb = "hold zstd layers; choose gzip, or OCI manifests";
            return Err(ContentError::Unsupported { place: "a Docker manifest".to_owned(), verb });
        }
        self.options(self.compression.unwrap_or(Compression::Gzip)).check()
    }

    /// How a layer of this media type is to be compressed; none if it stays as it is.
    fn wanted(&self, layer: &MediaType) -> Option<Compression> {
        let is_ours = layer.is_layer() && !layer.is_foreign_layer() && !layer.as_str().ends_with("+encrypted");
        let zstd_to_docker = self.family == Some(Family::Docker) && layer.compression() == Compression::Zstd;
        let wanted = self.compression.or(zstd_to_docker.then_some(Compression::Gzip))?;
        (is_ours && layer.compression() != wanted).then_some(wanted)
    }

    fn options(&self, compression: Compression) -> LayerOptions {
        LayerOptions { compression, level: self.level.filter(|_| self.compression.is_some()), threads: 0 }
    }
}

/// A layer that has to be converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLayer {
    /// The layer as it is.
    pub layer: Descriptor,
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// How it shall be compressed.
    pub options: LayerOptions,
}

/// What has to be done to an image.
#[derive(Debug)]
pub struct ConversionPlan {
    conversion: Conversion,
    root: Digest,
    /// Children before parents.
    documents: Vec<(Descriptor, Manifest)>,
    layers: Vec<PendingLayer>,
}

impl ConversionPlan {
    /// Reads the documents of an image and finds what has to be done.
    ///
    /// # Errors
    /// When a document cannot be read, or the conversion is not possible.
    pub fn new(
        source: &dyn Source,
        root: &Descriptor,
        conversion: &Conversion,
        observer: &dyn Observer,
    ) -> Result<Self, ContentError> {
        conversion.check()?;
        let graph = graph::walk(source, std::slice::from_ref(root), Sparse::Refuse, copy::JOBS, observer)?;
        let mut plan =
            Self { conversion: conversion.clone(), root: root.digest, documents: Vec::new(), layers: Vec::new() };
        let mut seen = HashSet::new();
        for document in graph.documents() {
            let what = document.what.clone();
            let parsed = Manifest::parse(&what.media_type, document.bytes(source)?)
                .map_err(|error| invalid(source, &what, error.into()))?;
            if let Manifest::Image(image) = &parsed {
                plan.add_layers(source, &what, image.value(), &mut seen)?;
            }
            plan.documents.push((what, parsed));
        }
        Ok(plan)
    }

    fn add_layers(
        &mut self,
        source: &dyn Source,
        what: &Descriptor,
        image: &ImageManifest,
        seen: &mut HashSet<Digest>,
    ) -> Result<(), ContentError> {
        let is_pending = |layer: &Descriptor| self.conversion.wanted(&layer.media_type).is_some();
        if !image.config.media_type.is_config() || !image.layers.iter().any(is_pending) {
            return Ok(());
        }
        let config = ImageConfig::parse(fetch_document(source, &image.config)?)
            .map_err(|error| invalid(source, &image.config, error.into()))?;
        let diff_ids = &config.value().rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() {
            let (place, manifest) = (source.place(), what.digest);
            let (layers, diff_ids) = (image.layers.len(), diff_ids.len());
            return Err(ContentError::LayerCount { place, manifest, layers, diff_ids });
        }
        for (layer, diff_id) in image.layers.iter().zip(diff_ids) {
            if let Some(compression) = self.conversion.wanted(&layer.media_type)
                && seen.insert(layer.digest)
            {
                let options = self.conversion.options(compression);
                self.layers.push(PendingLayer { layer: layer.clone(), diff_id: *diff_id, options });
            }
        }
        Ok(())
    }

    /// The layers to convert, each once.
    pub fn layers(&self) -> &[PendingLayer] {
        &self.layers
    }

    /// The documents that name what the layers became, children before parents; the last one is the image. Documents
    /// that nothing changes in are not among them, so that there may be none.
    ///
    /// # Errors
    /// When a layer is not among those converted, or a document cannot be written.
    pub fn finish(&self, converted: &HashMap<Digest, Descriptor>) -> Result<Converted, ContentError> {
        let mut renamed: HashMap<Digest, (Descriptor, bool)> = HashMap::new();
        let mut documents = Vec::new();
        let mut root = None;
        for (what, manifest) in &self.documents {
            let changed = match manifest {
                Manifest::Image(image) => document::image(image, what, &self.conversion, converted),
                Manifest::Index(index) => document::index(index, what, self.conversion.family, &renamed),
            };
            let doing = || ContentError::io(format!("rewrite the manifest {}", what.digest));
            let changed = changed.map_err(|error| doing()(error.into()))?;
            let now = changed.as_ref().map_or(what, |(now, _)| now).clone();
            if what.digest == self.root {
                root = Some(now.clone());
            }
            if let Some((now, bytes)) = changed {
                let is_zstd = document::has_zstd(&bytes).map_err(|error| doing()(error.into()))?;
                renamed.insert(what.digest, (now.clone(), is_zstd));
                documents.push((now, bytes));
            }
        }
        let lost = || ContentError::MissingBlob { place: "the conversion".to_owned(), digest: self.root };
        Ok(Converted { root: root.ok_or_else(lost)?, documents })
    }
}

/// An image in its new form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The root.
    pub root: Descriptor,
    /// The documents that are new, children before parents.
    pub documents: Vec<(Descriptor, Vec<u8>)>,
}

/// Converts a layer; the blob in `sink`. If its media type lied and it is compressed as wanted already, nothing is
/// written and the descriptor is that of the layer with the right media type.
///
/// # Errors
/// When the layer is damaged or cannot be read, or the sink does not take it.
pub fn convert_layer(
    source: &dyn Source,
    pending: &PendingLayer,
    sink: &dyn Sink,
    observer: &dyn Observer,
) -> Result<Descriptor, ContentError> {
    let PendingLayer { layer, diff_id, options } = pending;
    observer.event(&Event::Started(layer.clone()));
    let result = squeeze(source, layer, *diff_id, options, sink, observer);
    match &result {
        Ok(_) => observer.event(&Event::Finished(layer.clone())),
        Err(error) => observer.event(&Event::Failed { what: layer.clone(), error: error.to_string() }),
    }
    result
}

fn squeeze(
    source: &dyn Source,
    layer: &Descriptor,
    diff_id: DiffId,
    options: &LayerOptions,
    sink: &dyn Sink,
    observer: &dyn Observer,
) -> Result<Descriptor, ContentError> {
    let watched = Watched { source, observer };
    let reader = LayerReader::open(&watched, layer)?;
    if reader.compression() == options.compression {
        return Ok(Descriptor { media_type: MediaType::oci_layer(options.compression), ..layer.clone() });
    }
    let mut reader = reader.verify_diff_id(diff_id)?;
    let mut writer = LayerWriter::begin(sink, options)?;
    let doing = || ContentError::io(format!("convert the layer {} of {}", layer.digest, source.place()));
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = copy::read_full(&mut reader, &mut buffer).map_err(doing())?;
        if count == 0 {
            break;
        }
        io::Write::write_all(&mut writer, &buffer[..count]).map_err(doing())?;
    }
    Ok(writer.finish()?.descriptor)
}

fn invalid(source: &dyn Source, what: &Descriptor, error: DocumentKind) -> ContentError {
    ContentError::Document { place: source.place(), digest: what.digest, source: error }
}

/// A source that tells about what is read from it.
struct Watched<'a> {
    source: &'a dyn Source,
    observer: &'a dyn Observer,
}

impl Source for Watched<'_> {
    fn place(&self) -> String {
        self.source.place()
    }

    fn resolve(&self, name: &oci::Reference) -> Result<Descriptor, ContentError> {
        self.source.resolve(name)
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<crate::BlobReader<'_>, ContentError> {
        let inner = self.source.fetch(what, from)?;
        Ok(Box::new(Counting { inner, what: what.clone(), observer: self.observer }))
    }
}

struct Counting<'a> {
    inner: crate::BlobReader<'a>,
    what: Descriptor,
    observer: &'a dyn Observer,
}

impl io::Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count > 0 {
            self.observer.event(&Event::Progress { what: self.what.clone(), bytes: count as u64 });
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
