//! Writes an oci-archive: a tar of an image layout.
//!
//! `oci-layout` and `index.json` come first, so that whoever reads a stream knows at once what it is; then the blobs,
//! sorted by digest.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use oci::{Descriptor, Digest, Index, Reference};

use super::ahead::{self, Ahead};
use super::save::{Images, SaveOptions};
use crate::graph::{self, Graph};
use crate::roots;
use crate::tar::{Entry, EntryKind, TarError, TarWriter};
use crate::{ContentError, Event, Observer, Source, copy};

pub(super) fn write(
    source: &dyn Source,
    images: Images<'_>,
    output: impl Write,
    options: &SaveOptions,
    observer: &dyn Observer,
) -> Result<(), ContentError> {
    let roots: Vec<Descriptor> = images.iter().map(|(_, root)| root.clone()).collect();
    let graph = graph::walk(source, &roots, options.sparse, 1, observer)?;
    observer.event(&Event::Planned { blobs: graph.count(), bytes: graph.bytes() });
    let blobs = blobs(source, &graph, observer)?;
    let mut tar = TarWriter::new(output);
    document(&mut tar, roots::MARKER, roots::MARKER_TEXT)?;
    document(&mut tar, roots::INDEX, &index(images, options.label.as_deref())?)?;
    ahead::with(source, &blobs, |ahead| put_blobs(&mut tar, &blobs, ahead, observer))?;
    tar.finish().map(drop).map_err(failed)
}

fn index(images: Images<'_>, label: Option<&str>) -> Result<Vec<u8>, ContentError> {
    let entry = |(at, (name, root)): (usize, &(Option<Reference>, Descriptor))| match label.filter(|_| at == 0) {
        Some(label) => roots::labelled(label, root),
        None => roots::entry(name.as_ref(), root),
    };
    let entries = images.iter().enumerate().map(entry).collect();
    serde_json::to_vec(&Index::new(entries)).map_err(|error| ContentError::io("write index.json")(error.into()))
}

/// Blobs and documents, each once, sorted. Layers that are to be had elsewhere are left out where they are not there.
fn blobs(source: &dyn Source, graph: &Graph, observer: &dyn Observer) -> Result<Vec<Descriptor>, ContentError> {
    let mut all: BTreeMap<Digest, Descriptor> = BTreeMap::new();
    for what in graph.documents().map(|document| &document.what).chain(&graph.blobs) {
        if what.is_elsewhere() {
            match source.fetch(what, 0) {
                Err(ContentError::MissingBlob { .. }) => {
                    observer.event(&Event::Warning(copy::left_out(what)));
                    continue;
                }
                reader => drop(reader?),
            }
        }
        all.entry(what.digest).or_insert_with(|| what.clone());
    }
    Ok(all.into_values().collect())
}

fn put_blobs(
    tar: &mut TarWriter<impl Write>,
    blobs: &[Descriptor],
    ahead: &mut Ahead,
    observer: &dyn Observer,
) -> Result<(), ContentError> {
    let mut last = String::new();
    if !blobs.is_empty() {
        directory(tar, "blobs")?;
    }
    for blob in blobs {
        let algorithm = format!("blobs/{}", blob.digest.algorithm().name());
        if algorithm != last {
            directory(tar, &algorithm)?;
            last = algorithm;
        }
        let path = format!("{last}/{}", blob.digest.hex());
        watched(observer, blob, ahead.next(), |content| file(tar, &path, blob.size, content))?;
    }
    Ok(())
}

/// Writes a blob and tells about it.
pub(super) fn watched(
    observer: &dyn Observer,
    what: &Descriptor,
    content: impl Read,
    write: impl FnOnce(&mut dyn Read) -> Result<(), ContentError>,
) -> Result<(), ContentError> {
    observer.event(&Event::Started(what.clone()));
    let mut content = Watched { content, what, observer };
    match write(&mut content) {
        Ok(()) => {
            observer.event(&Event::Finished(what.clone()));
            Ok(())
        }
        Err(error) => {
            observer.event(&Event::Failed { what: what.clone(), error: error.to_string() });
            Err(error)
        }
    }
}

struct Watched<'a, R> {
    content: R,
    what: &'a Descriptor,
    observer: &'a dyn Observer,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        if count > 0 {
            self.observer.event(&Event::Progress { what: self.what.clone(), bytes: count as u64 });
        }
        Ok(count)
    }
}

pub(super) fn document(tar: &mut TarWriter<impl Write>, path: &str, bytes: &[u8]) -> Result<(), ContentError> {
    file(tar, path, bytes.len() as u64, &mut &bytes[..])
}

pub(super) fn file(
    tar: &mut TarWriter<impl Write>,
    path: &str,
    size: u64,
    content: &mut dyn Read,
) -> Result<(), ContentError> {
    tar.append(&entry(path, EntryKind::File { size }, 0o644), content).map_err(failed)
}

fn directory(tar: &mut TarWriter<impl Write>, path: &str) -> Result<(), ContentError> {
    tar.append(&entry(path, EntryKind::Directory, 0o755), &mut io::empty()).map_err(failed)
}

fn entry(path: &str, kind: EntryKind, mode: u32) -> Entry {
    Entry { path: path.as_bytes().to_vec(), kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() }
}

/// What a content said when it was read is the error, not that the tar could not be written.
pub(super) fn failed(error: TarError) -> ContentError {
    match error {
        TarError::Content { source, .. } => ContentError::io("read an image")(source),
        TarError::Write { source } => ContentError::io("write the archive")(source),
        other => ContentError::io("write the archive")(io::Error::other(other)),
    }
}
