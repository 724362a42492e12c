//! Where images are read from, opened.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use content::archive::{self, Archive, Format};
use content::{ContentError, Disk, Facts, Location, Named, Source};
use oci::{Descriptor, Reference};
use registry_client::{Client, Repository};

use super::error::TransferError;
use super::foreign::{Address, Foreign};
use super::scattered::Scattered;

/// The store, opened (and made) when it is needed first: looking at a registry or a file needs none.
pub(crate) struct LazyStore {
    root: PathBuf,
    disk: OnceLock<Disk>,
}

impl LazyStore {
    /// The store that is or will be in a directory.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root, disk: OnceLock::new() }
    }

    /// The store.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn disk(&self) -> Result<&Disk, ContentError> {
        match self.disk.get() {
            Some(disk) => Ok(disk),
            None => {
                let disk = Disk::open(&self.root)?;
                Ok(self.disk.get_or_init(|| disk))
            }
        }
    }
}

impl Facts for LazyStore {
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_image(&self, name: &str) -> bool {
        // A store that cannot be opened is an error of whoever needs it.
        self.disk().is_ok_and(|disk| disk.find(name).is_ok())
    }
}

/// A place that images are read from, and those of its images that were meant.
pub(crate) struct Origin<'a> {
    kind: Kind<'a>,
    /// The images, with all names that they have there.
    pub(crate) images: Vec<Named>,
}

enum Kind<'a> {
    Store(&'a Disk),
    List(Box<Scattered<'a>>),
    Registry(Repository<'a>),
    Archive(Box<Archive>),
    Foreign(Box<Foreign>),
}

impl Origin<'_> {
    /// The place.
    pub(crate) fn source(&self) -> &dyn Source {
        match &self.kind {
            Kind::Store(disk) => *disk,
            Kind::List(scattered) => &**scattered,
            Kind::Registry(repository) => repository,
            Kind::Archive(archive) => &**archive,
            Kind::Foreign(foreign) => &**foreign,
        }
    }

    /// The store, if that is the place.
    pub(crate) fn store(&self) -> Option<&Disk> {
        match &self.kind {
            Kind::Store(disk) => Some(disk),
            Kind::List(scattered) => Some(scattered.store()),
            _ => None,
        }
    }

    /// Whether the place has no manifests of its own, so that ours was made for it.
    pub(crate) fn has_made_manifests(&self) -> bool {
        match &self.kind {
            Kind::Foreign(_) => true,
            Kind::Archive(archive) => archive.has_made_manifests(),
            Kind::Store(_) | Kind::List(_) | Kind::Registry(_) => false,
        }
    }

    /// Whether a network lies between here and there.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.kind, Kind::Registry(_) | Kind::List(_))
    }

    /// Repositories that blobs of the image may be mounted from.
    pub(crate) fn repositories(&self) -> Vec<Reference> {
        match &self.kind {
            Kind::List(scattered) => scattered.names().to_vec(),
            Kind::Registry(_) => self.images.iter().filter_map(|image| image.name.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// The image, where only one was meant.
    ///
    /// # Errors
    /// When there are several.
    pub(crate) fn image(&self) -> Result<&Named, TransferError> {
        let first = self.images.first();
        match first.filter(|first| self.images.iter().all(|other| other.root.digest == first.root.digest)) {
            Some(image) => Ok(image),
            None => {
                let shown =
                    |image: &Named| image.name.as_ref().map_or(image.root.digest.to_string(), Reference::familiar);
                let names = self.images.iter().map(shown).collect();
                Err(TransferError::SeveralImages { place: self.source().place(), names })
            }
        }
    }
}

/// Opens a location to be read from.
///
/// # Errors
/// When there is no such image, or the place cannot be read.
pub(crate) fn open<'a>(
    location: &Location,
    store: &'a LazyStore,
    client: &'a Client,
) -> Result<Origin<'a>, TransferError> {
    match location {
        Location::Store(text) => {
            let disk = store.disk()?;
            let record = disk.find(text).map_err(|error| with_path(error, text))?;
            // The name that was asked for comes first.
            let mut images = vec![Named { name: record.name, root: record.root.clone() }];
            let others = disk.records()?.into_iter().filter(|other| other.root.digest == record.root.digest);
            let others = others.filter(|other| other.name != images[0].name && other.name.is_some());
            let others: Vec<Named> = others.map(|other| Named { name: other.name, root: other.root }).collect();
            images.extend(others);
            let kind = match Scattered::of(disk, &record.root, client)? {
                Some(scattered) => Kind::List(Box::new(scattered)),
                None => Kind::Store(disk),
            };
            Ok(Origin { kind, images })
        }
        Location::Registry(name) => {
            let (repository, root, name) = resolve(client, name)?;
            let images = vec![Named { name: Some(name), root }];
            Ok(Origin { kind: Kind::Registry(repository), images })
        }
        Location::File { format, path, name } => {
            let archive = archive::open(path)?;
            check_format(&archive, *format, path)?;
            let images = named_so(&archive, name.as_deref())?;
            Ok(Origin { kind: Kind::Archive(Box::new(archive)), images })
        }
        Location::Foreign { keeper, name } => {
            let foreign = Foreign::open(Address::new(*keeper, name))?;
            // In front of a name in containers-storage may stand where that storage is.
            let bare = name.rsplit(']').next().unwrap_or(name);
            let images = vec![Named { name: bare.parse().ok(), root: foreign.root().clone() }];
            Ok(Origin { kind: Kind::Foreign(Box::new(foreign)), images })
        }
    }
}

/// What a name stands for in a registry: of the registries that it may mean, the first that has it.
///
/// # Errors
/// When none has it, or one that is asked before does not answer.
pub(crate) fn resolve<'a>(
    client: &'a Client,
    name: &Reference,
) -> Result<(Repository<'a>, Descriptor, Reference), TransferError> {
    let mut tried = Vec::new();
    for candidate in client.candidates(&name.familiar())? {
        let repository = client.repository(&candidate)?;
        match repository.resolve(&candidate) {
            Ok(root) => {
                let is_same = candidate == *name;
                return Ok((repository, root, if is_same { name.clone() } else { candidate }));
            }
            Err(ContentError::UnknownImage { place, .. }) => tried.push((candidate, place)),
            Err(error) => return Err(error.into()),
        }
    }
    match tried.len() {
        1 => {
            let (name, place) = tried.remove(0);
            Err(TransferError::NotInRegistry { place, name })
        }
        _ => {
            let places = tried.iter().map(|(candidate, _)| candidate.normal()).collect();
            Err(TransferError::Nowhere { name: name.familiar(), places })
        }
    }
}

/// A name that looks like a transport was looked for in the store because there is no such file: both are said.
fn with_path(error: ContentError, text: &str) -> TransferError {
    let path = text.split_once(':').map(|(_, path)| path.to_owned());
    let is_transport =
        ["oci:", "dir:", "oci-archive:", "docker-archive:"].iter().any(|prefix| text.starts_with(prefix));
    match (error, path) {
        (source @ ContentError::UnknownImage { .. }, Some(path)) if is_transport => {
            TransferError::NeitherFileNorImage { path, source }
        }
        (error, _) => error.into(),
    }
}

/// What the user said a file is, it has to be; what a layout or an archive holds, it says itself.
fn check_format(archive: &Archive, format: Option<Format>, path: &Path) -> Result<(), TransferError> {
    let Some(format) = format else { return Ok(()) };
    match archive.is(format) {
        true => Ok(()),
        false => Err(TransferError::OtherFormat { path: path.to_owned(), actual: archive.format().transport() }),
    }
}

/// The images of an archive that have a name; all of them without one.
fn named_so(archive: &Archive, name: Option<&str>) -> Result<Vec<Named>, TransferError> {
    let Some(name) = name else { return Ok(archive.images().to_vec()) };
    let reference = name.parse::<Reference>().ok();
    // `oci:DIR:TAG` names an image by what stands in the layout, which may be a bare tag.
    let is_it = |image: &Named| match &image.name {
        Some(own) => Some(own) == reference.as_ref() || own.tag() == Some(name),
        None => false,
    };
    let literal = archive.images_called(name);
    let mut found: Vec<Named> = if literal.is_empty() {
        archive.images().iter().filter(|image| is_it(image)).cloned().collect()
    } else {
        literal
    };
    found.dedup();
    match found.is_empty() {
        false => Ok(found),
        true => {
            let similar = archive.images().iter().filter_map(|image| image.name.as_ref().map(Reference::familiar));
            let (place, similar) = (archive.place(), similar.collect());
            Err(ContentError::UnknownImage { place, name: name.to_owned(), similar }.into())
        }
    }
}
