//! Archives as sources: read where they lie, with an index of the tar's members.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use oci::{Compression, Descriptor, DiffId, Digest, Hasher, Manifest, Reference};

use super::bytes::{Bytes, Extent};
use super::docker::{self, Item};
use super::member::{self, Members};
use super::{DOCUMENT_LIMIT, FORMAT, Format};
use crate::docker_dir::DockerDir;
use crate::layout::Layout;
use crate::packing::Packing;
use crate::roots::{self, Roots};
use crate::tar::EntryKind;
use crate::{BlobReader, ContentError, Named, Source, Sparse, fetch_document};

/// An archive (a file that can be seeked in, or a directory) and the images in it.
#[derive(Debug)]
pub struct Archive {
    kind: Kind,
    images: Vec<Named>,
    /// What stands as names in the layout, whether or not these are names of images.
    labels: Vec<(String, Descriptor)>,
    /// Layers whose tar is not the blob itself: their configuration's promise has to be checked by decompressing them.
    pub(super) compressed: Vec<(Descriptor, DiffId)>,
    pub(super) sparse: Sparse,
}

#[derive(Debug)]
enum Kind {
    Layout(Layout),
    Directory(Box<DockerDir>),
    Tar(Tar),
}

#[derive(Debug)]
struct Tar {
    path: PathBuf,
    bytes: Bytes,
    blobs: HashMap<Digest, Extent>,
    /// Manifests that were made for a docker-archive.
    made: HashMap<Digest, Vec<u8>>,
    /// The forms that it is a valid archive of; newer Dockers write both into one.
    formats: Vec<Format>,
}

/// Opens a layout, an image directory, an oci-archive or a docker-archive; which one, its contents tell. One that is
/// compressed as a whole is unpacked once to see what it holds, and again for every layer that is read.
///
/// # Errors
/// When it is none of these or is damaged.
pub fn open(path: &Path) -> Result<Archive, ContentError> {
    let found = std::fs::metadata(path).map_err(ContentError::io(format!("read {}", path.display())))?;
    if found.is_dir() { directory(path) } else { tar(path) }
}

/// How a file is packed as a whole.
pub(super) fn sniff(path: &Path) -> io::Result<Packing> {
    Ok(Packing::detect(BufReader::new(File::open(path)?))?.0)
}

fn directory(path: &Path) -> Result<Archive, ContentError> {
    let archive =
        |kind, images, labels| Archive { kind, images, labels, compressed: Vec::new(), sparse: Sparse::Refuse };
    if path.join(roots::MARKER).exists() {
        let layout = Layout::open(path)?;
        let (images, labels) = (layout.images()?, layout.labels()?);
        return Ok(archive(Kind::Layout(layout), images, labels));
    }
    if path.join("manifest.json").exists() {
        let directory = DockerDir::open(path)?;
        let images = directory.root().map(|root| docker::named(Vec::new(), root)).unwrap_or_default();
        return Ok(archive(Kind::Directory(Box::new(directory)), images, Vec::new()));
    }
    let reason = "the directory has neither an oci-layout nor a manifest.json".to_owned();
    Err(docker::wrong(&path.display().to_string(), reason))
}

fn tar(path: &Path) -> Result<Archive, ContentError> {
    let place = path.display().to_string();
    let (bytes, entries) = Bytes::open(path)?;
    let mut members = Members::new();
    for (entry, offset) in entries {
        match entry.kind {
            EntryKind::File { size } => members.add(entry.path, Extent { offset, size }),
            EntryKind::HardLink { target } => members.add_hard_link(entry.path, target),
            EntryKind::Symlink { target } => members.add_symlink(entry.path, &target),
            _ => {}
        }
    }
    let blobs = members.contents().filter_map(|(path, extent)| Some((member::blob_digest(path)?, *extent))).collect();
    let is_there = [(roots::INDEX, Format::OciArchive), ("manifest.json", Format::DockerArchive)];
    let formats = is_there.into_iter().filter(|(name, _)| members.find(name).is_some()).map(|(_, format)| format);
    let tar = Tar { path: path.to_owned(), bytes, blobs, made: HashMap::new(), formats: formats.collect() };
    let items = match members.find("manifest.json") {
        Some(extent) => Some(docker::parse(&place, &tar.document("manifest.json", *extent)?)?),
        None => None,
    };
    match (members.find(roots::INDEX), items) {
        (Some(index), items) => oci_archive(tar, &members, *index, items),
        (None, Some(items)) => docker_archive(tar, &members, &items),
        (None, None) => Err(docker::wrong(&place, "it has neither an index.json nor a manifest.json".to_owned())),
    }
}

fn oci_archive(
    tar: Tar,
    members: &Members<Extent>,
    index: Extent,
    items: Option<Vec<Item>>,
) -> Result<Archive, ContentError> {
    let place = tar.path.display().to_string();
    if let Some(marker) = members.find(roots::MARKER) {
        roots::check_marker(&place, &tar.document(roots::MARKER, *marker)?)?;
    }
    let roots = Roots::parse(&place, &tar.document(roots::INDEX, index)?)?;
    let (mut images, labels) = (roots.named(), roots.labels());
    // Docker exports an index with all platforms although it may have pulled only one.
    let sparse = if items.is_some() { Sparse::Allow } else { Sparse::Refuse };
    let mut archive = Archive { kind: Kind::Tar(tar), images: Vec::new(), labels, compressed: Vec::new(), sparse };
    if let Some(items) = items {
        let configs = configs(&archive, &images);
        docker::add_names(&mut images, &items, &configs);
    }
    archive.images = images;
    Ok(archive)
}

/// The digest of each root's configuration. What cannot be read has none here: copying it tells why.
pub(super) fn configs(source: &dyn Source, images: &[Named]) -> HashMap<Digest, Digest> {
    let config = |root: &Descriptor| match Manifest::parse(&root.media_type, fetch_document(source, root).ok()?).ok()? {
        Manifest::Image(image) => Some((root.digest, image.value().config.digest)),
        Manifest::Index(_) => None,
    };
    images.iter().filter_map(|image| config(&image.root)).collect()
}

fn docker_archive(mut tar: Tar, members: &Members<Extent>, items: &[Item]) -> Result<Archive, ContentError> {
    let place = tar.path.display().to_string();
    let lacks = |path: &str| docker::wrong(&place, format!("it lacks {path}, which its manifest.json names"));
    let (mut images, mut compressed) = (Vec::new(), Vec::new());
    for item in items {
        let extent = *members.find(&item.config).ok_or_else(|| lacks(&item.config))?;
        let (config, parsed) = docker::config(&place, tar.document(&item.config, extent)?)?;
        tar.blobs.insert(config.digest, extent);
        let mut layers = Vec::new();
        for (path, diff_id) in docker::pair(&place, item, parsed.value())? {
            let extent = *members.find(path).ok_or_else(|| lacks(path))?;
            let layer = tar.layer(path, extent, diff_id)?;
            tar.blobs.insert(layer.digest, extent);
            if layer.digest != diff_id.0 {
                compressed.push((layer.clone(), diff_id));
            }
            layers.push(layer);
        }
        let (root, bytes) = docker::manifest(&place, config, layers)?;
        tar.made.insert(root.digest, bytes);
        images.extend(docker::named(item.names(), &root));
    }
    Ok(Archive { kind: Kind::Tar(tar), images, labels: Vec::new(), compressed, sparse: Sparse::Refuse })
}

impl Tar {
    fn document(&self, name: &str, extent: Extent) -> Result<Vec<u8>, ContentError> {
        if extent.size > DOCUMENT_LIMIT {
            let reason = format!("{name} has {} bytes, more than the limit of {DOCUMENT_LIMIT}", extent.size);
            return Err(ContentError::Format { place: self.path.display().to_string(), format: FORMAT, reason });
        }
        let mut bytes = Vec::new();
        let read = self.bytes.reader(extent, 0).and_then(|mut reader| reader.read_to_end(&mut bytes));
        read.map_err(ContentError::io(format!("read {name} of {}", self.path.display())))?;
        Ok(bytes)
    }

    /// What a layer of a docker-archive is called. A plain tar's digest is known from the configuration (and compared
    /// when the layer is copied); that of a compressed one has to be found out.
    fn layer(&self, path: &str, extent: Extent, diff_id: DiffId) -> Result<Descriptor, ContentError> {
        let doing = || ContentError::io(format!("read {path} of {}", self.path.display()));
        let compression = Compression::detect(&self.bytes.head(extent).map_err(doing())?);
        if compression == Compression::None {
            return Ok(docker::layer(diff_id.0, extent.size, compression));
        }
        let mut hasher = Hasher::new(oci::Algorithm::Sha256);
        let (mut reader, mut buffer) = (self.bytes.reader(extent, 0).map_err(doing())?, vec![0; 1 << 20]);
        loop {
            match crate::copy::read_full(&mut reader, &mut buffer).map_err(doing())? {
                0 => return Ok(docker::layer(hasher.finish(), extent.size, compression)),
                count => hasher.update(&buffer[..count]),
            }
        }
    }
}

impl Archive {
    /// The images, each name as the archive has it; an image with several names is there several times.
    pub fn images(&self) -> &[Named] {
        &self.images
    }

    /// Where a blob lies in the archive's file: its offset and size in bytes. None when it is not there, was made for
    /// the archive ([`Archive::made`]), or the archive is no plain tar.
    pub fn extent(&self, digest: &Digest) -> Option<(u64, u64)> {
        match &self.kind {
            Kind::Tar(Tar { bytes: Bytes::Plain(_), blobs, .. }) => blobs.get(digest).map(|e| (e.offset, e.size)),
            _ => None,
        }
    }

    /// A manifest that was made for an archive that has none.
    pub fn made(&self, digest: &Digest) -> Option<&[u8]> {
        match &self.kind {
            Kind::Tar(tar) => tar.made.get(digest).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The images that a layout calls so, letter by letter; a bare tag, mostly.
    pub fn images_called(&self, label: &str) -> Vec<Named> {
        let is_it = |(own, _): &&(String, Descriptor)| own == label;
        let named = |(_, root): &(String, Descriptor)| {
            let name = self.images.iter().find(|image| image.root.digest == root.digest && image.name.is_some());
            Named { name: name.and_then(|image| image.name.clone()), root: root.clone() }
        };
        self.labels.iter().filter(is_it).map(named).collect()
    }

    /// The form that it is in; a file that is valid in two is an oci-archive first.
    pub fn format(&self) -> Format {
        match &self.kind {
            Kind::Layout(_) => Format::OciDir,
            Kind::Directory(_) => Format::DockerDir,
            Kind::Tar(tar) => tar.formats.first().copied().unwrap_or(Format::OciArchive),
        }
    }

    /// Whether it can be read as this form.
    pub fn is(&self, format: Format) -> bool {
        match &self.kind {
            Kind::Tar(tar) => tar.formats.contains(&format),
            _ => self.format() == format,
        }
    }

    /// Whether the archive has no manifests, so that some were made for it.
    pub fn has_made_manifests(&self) -> bool {
        matches!(&self.kind, Kind::Tar(tar) if !tar.made.is_empty())
    }
}

impl Source for Archive {
    fn place(&self) -> String {
        match &self.kind {
            Kind::Layout(layout) => Source::place(layout),
            Kind::Directory(directory) => Source::place(&**directory),
            Kind::Tar(tar) => format!("the archive {}", tar.path.display()),
        }
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        if let Kind::Layout(layout) = &self.kind {
            return layout.resolve(name);
        }
        let found = self.images.iter().find(|image| image.name.as_ref() == Some(name));
        found.map(|image| image.root.clone()).ok_or_else(|| {
            let names = self.images.iter().filter_map(|image| image.name.as_ref()).map(Reference::familiar);
            let wanted = name.familiar();
            let similar = crate::similar::rank(&wanted, names);
            ContentError::UnknownImage { place: self.place(), name: wanted, similar }
        })
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        let tar = match &self.kind {
            Kind::Layout(layout) => return layout.fetch(what, from),
            Kind::Directory(directory) => return directory.fetch(what, from),
            Kind::Tar(tar) => tar,
        };
        if let Some(bytes) = tar.made.get(&what.digest) {
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            return Ok(Box::new(&bytes[from..]));
        }
        let missing = || ContentError::MissingBlob { place: self.place(), digest: what.digest };
        let extent = *tar.blobs.get(&what.digest).ok_or_else(missing)?;
        if extent.size != what.size {
            let (place, digest, actual) = (self.place(), what.digest, extent.size);
            return Err(ContentError::SizeMismatch { place, digest, expected: what.size, actual });
        }
        tar.bytes.reader(extent, from).map_err(ContentError::io(format!("read {} of {}", what.digest, self.place())))
    }
}
