//! Archives that can be read only once, from front to back: each member is stored as it comes, and what the members
//! are is found out at the end.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};

use oci::{Compression, Descriptor, Digest, ImageConfig, MediaType};

use super::docker::{self, Item};
use super::load::verify_layers;
use super::member::{self, Members};
use super::{DOCUMENT_LIMIT, foreign, open};
use crate::graph;
use crate::packing::Packing;
use crate::roots::{self, Roots};
use crate::tar::{EntryKind, TarError, TarReader};
use crate::{ContentError, Disk, Event, Ingest, Named, Observer, Sink, Sparse, copy, fetch_document};

/// Bytes moved at a time.
const BUFFER: usize = 1 << 20;
/// How messages call a member that was kept as bytes before anybody knew what it is.
const UNKNOWN: &str = "application/octet-stream";

/// A member that was stored.
#[derive(Clone, Copy, Debug)]
struct Stored {
    digest: Digest,
    size: u64,
    compression: Compression,
}

/// Stores a stream's members and returns its images, verified and whole, but without making them visible.
pub(super) fn receive(
    name: &str,
    reader: &mut (dyn Read + Send),
    store: &Disk,
    observer: &dyn Observer,
) -> Result<Vec<Named>, ContentError> {
    let buffered = BufReader::with_capacity(BUFFER, reader);
    let (packing, input) = Packing::detect(buffered).map_err(ContentError::io(format!("read {name}")))?;
    let mut receiver =
        Receiver { name, store, observer, documents: HashMap::new(), members: Members::new(), buffer: vec![0; BUFFER] };
    let unpacked = packing.open(input).map_err(ContentError::io(format!("decompress {name}")))?;
    let reading = match packing {
        Packing::NONE => format!("read {name}"),
        _ => format!("decompress {name}"),
    };
    let tar = foreign::refuse(name, unpacked).map_err(ContentError::io(reading))??;
    receiver.read(BufReader::with_capacity(BUFFER, tar))?;
    receiver.images()
}

struct Receiver<'a> {
    name: &'a str,
    store: &'a Disk,
    observer: &'a dyn Observer,
    documents: HashMap<&'static str, Vec<u8>>,
    members: Members<Stored>,
    buffer: Vec<u8>,
}

impl Receiver<'_> {
    fn place(&self) -> String {
        format!("the archive {}", self.name)
    }

    fn read(&mut self, input: impl Read) -> Result<(), ContentError> {
        let mut tar = TarReader::new(input);
        while let Some(entry) = tar.next().map_err(|error| self.damaged(&error))? {
            match entry.kind {
                EntryKind::File { size } => self.member(entry.path, size, &mut tar)?,
                EntryKind::HardLink { target } => self.members.add_hard_link(entry.path, target),
                EntryKind::Symlink { target } => self.members.add_symlink(entry.path, &target),
                _ => {}
            }
        }
        // To the stream's end: whoever writes it should not die of a broken pipe, and a compressed one has a checksum.
        let rest = io::copy(&mut tar.into_inner(), &mut io::sink());
        rest.map(drop).map_err(ContentError::io(format!("read {}", self.place())))
    }

    fn damaged(&self, error: &TarError) -> ContentError {
        docker::wrong(self.name, error.to_string())
    }

    fn member(&mut self, path: Vec<u8>, size: u64, content: &mut dyn Read) -> Result<(), ContentError> {
        for name in [roots::INDEX, roots::MARKER, "manifest.json"] {
            if path == name.as_bytes() {
                let bytes = self.document(name, size, content)?;
                self.documents.insert(name, bytes);
                return Ok(());
            }
        }
        if is_legacy(&path) {
            return Ok(());
        }
        let digest = member::blob_digest(&path);
        let stored = self.store(&path, digest, size, content)?;
        self.members.add(path, stored);
        Ok(())
    }

    fn document(&self, name: &str, size: u64, content: &mut dyn Read) -> Result<Vec<u8>, ContentError> {
        if size > DOCUMENT_LIMIT {
            let reason = format!("{name} has {size} bytes, more than the limit of {DOCUMENT_LIMIT}");
            return Err(docker::wrong(self.name, reason));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(ContentError::io(format!("read {name} of {}", self.place())))?;
        Ok(bytes)
    }

    fn store(
        &mut self,
        path: &[u8],
        digest: Option<Digest>,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<Stored, ContentError> {
        let promised = digest.map(|digest| Descriptor::new(UNKNOWN, digest, size));
        if let Some(what) = &promised
            && self.store.has(what)?
        {
            self.observer.event(&Event::Skipped(what.clone()));
            // Nobody asks how a blob of a layout is compressed.
            return Ok(Stored { digest: what.digest, size, compression: Compression::None });
        }
        if let Some(what) = &promised {
            self.observer.event(&Event::Started(what.clone()));
        }
        let result = self.ingest(path, promised.as_ref(), content);
        match &result {
            Ok(stored) => {
                let what = Descriptor::new(UNKNOWN, stored.digest, size);
                if promised.is_none() {
                    self.observer.event(&Event::Started(what.clone()));
                    self.observer.event(&Event::Progress { what: what.clone(), bytes: size });
                }
                self.observer.event(&Event::Finished(what));
            }
            Err(error) => {
                if let Some(what) = promised {
                    self.observer.event(&Event::Failed { what, error: error.to_string() });
                }
            }
        }
        result
    }

    fn ingest(
        &mut self,
        path: &[u8],
        promised: Option<&Descriptor>,
        content: &mut dyn Read,
    ) -> Result<Stored, ContentError> {
        let place = self.place();
        let doing = || format!("read {} of {place}", String::from_utf8_lossy(path));
        let mut ingest = Ingest::begin(self.store, promised)?;
        // The stream cannot be read from the middle: what an interrupted attempt has of the blob is passed over.
        let mut skip = ingest.resume_at();
        let mut head = None;
        loop {
            let count = copy::read_full(content, &mut self.buffer).map_err(ContentError::io(doing()))?;
            if count == 0 {
                break;
            }
            head.get_or_insert_with(|| Compression::detect(&self.buffer[..count]));
            let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(count);
            skip -= passed as u64;
            ingest.take(&self.buffer[passed..count]).map_err(|error| error.blame(place.clone()))?;
            if let Some(what) = promised {
                self.observer.event(&Event::Progress { what: what.clone(), bytes: count as u64 });
            }
        }
        let sealed = ingest.commit().map_err(|error| error.blame(place.clone()))?;
        let compression = head.unwrap_or(Compression::None);
        Ok(Stored { digest: sealed.digest(), size: sealed.size(), compression })
    }

    fn images(&self) -> Result<Vec<Named>, ContentError> {
        let manifest = self.documents.get("manifest.json");
        let items = manifest.map(|bytes| docker::parse(self.name, bytes)).transpose()?;
        match (self.documents.get(roots::INDEX), items) {
            (Some(index), items) => self.oci_images(index, items),
            (None, Some(items)) => items.iter().try_fold(Vec::new(), |mut images, item| {
                images.extend(self.docker_image(item)?);
                Ok(images)
            }),
            (None, None) => {
                Err(docker::wrong(self.name, "it has neither an index.json nor a manifest.json".to_owned()))
            }
        }
    }

    fn oci_images(&self, index: &[u8], items: Option<Vec<Item>>) -> Result<Vec<Named>, ContentError> {
        if let Some(marker) = self.documents.get(roots::MARKER) {
            roots::check_marker(self.name, marker)?;
        }
        let mut images = Roots::parse(self.name, index)?.named();
        let sparse = if items.is_some() { Sparse::Allow } else { Sparse::Refuse };
        if let Some(items) = items {
            let configs = open::configs(self.store, &images);
            docker::add_names(&mut images, &items, &configs);
        }
        let wanted: Vec<Descriptor> = images.iter().map(|image| image.root.clone()).collect();
        let whole = graph::walk(self.store, &wanted, sparse, 1, self.observer).map_err(|e| e.blame(self.place()))?;
        for what in whole.blobs.iter().chain(whole.documents().map(|document| &document.what)) {
            if !what.is_elsewhere() && !self.store.has(what)? {
                return Err(ContentError::MissingBlob { place: self.place(), digest: what.digest });
            }
        }
        Ok(images)
    }

    fn docker_image(&self, item: &Item) -> Result<Vec<Named>, ContentError> {
        let find = |path: &str| {
            let lacks = || format!("it lacks {path}, which its manifest.json names");
            self.members.find(path).copied().ok_or_else(|| docker::wrong(self.name, lacks()))
        };
        let stored = find(&item.config)?;
        let config = Descriptor::new(MediaType::DOCKER_CONFIG, stored.digest, stored.size);
        let bytes = fetch_document(self.store, &config)?;
        let (config, parsed): (_, oci::Raw<ImageConfig>) = docker::config(self.name, bytes)?;
        let mut layers = Vec::new();
        let mut compressed = Vec::new();
        for (path, diff_id) in docker::pair(self.name, item, parsed.value())? {
            let stored = find(path)?;
            let layer = docker::layer(stored.digest, stored.size, stored.compression);
            match stored.compression {
                Compression::None if stored.digest != diff_id.0 => {
                    let (place, expected, actual) = (self.place(), diff_id.0, stored.digest);
                    return Err(ContentError::DigestMismatch { place, expected, actual });
                }
                Compression::None => {}
                _ => compressed.push((layer.clone(), diff_id)),
            }
            layers.push(layer);
        }
        verify_layers(self.store, &compressed).map_err(|error| error.blame(self.place()))?;
        let (root, bytes) = docker::manifest(self.name, config, layers)?;
        self.store.publish(&root, &bytes)?;
        self.observer.event(&Event::Started(root.clone()));
        self.observer.event(&Event::Finished(root.clone()));
        Ok(docker::named(item.names(), &root))
    }
}

/// What `docker save` writes for versions before 1.10: nothing that an image needs.
fn is_legacy(path: &[u8]) -> bool {
    path == b"repositories" || path.ends_with(b"/json") || path.ends_with(b"/VERSION")
}
