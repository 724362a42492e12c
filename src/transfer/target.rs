//! Where images are written to.

use std::fs;
use std::path::{Path, PathBuf};

use content::archive::{self, Format, SaveOptions};
use content::{
    ContentError, CopyJob, CopyOptions, Disk, Layout, Location, Observer, Sink, Source, Storage, Upload, copy, copy_all,
};
use oci::{Descriptor, Platform, Reference};
use registry_client::{Client, Repository};

use super::error::TransferError;
use super::foreign::{self, Address};
use super::places::LazyStore;

/// A place that one image is written to.
pub(crate) enum Target<'a> {
    /// The store, under a name or without one.
    Store(&'a Disk, Option<Reference>),
    /// A repository, under a tag; by digest alone where the reference has no tag.
    Registry(Repository<'a>, Reference),
    /// A layout, which keeps what it has; under a name, letter by letter.
    Layout(PathBuf, Option<String>),
    /// An archive, which is replaced.
    Archive(Format, PathBuf, Option<String>),
    /// A flat directory, which is replaced.
    Directory(PathBuf),
    /// Another program's store.
    Foreign(Address),
}

impl<'a> Target<'a> {
    /// A location to be written to. `name` is what the image is called where the location does not say it.
    ///
    /// # Errors
    /// When the place cannot be opened, or cannot be written to.
    pub(crate) fn open(
        location: &Location,
        name: Option<&Reference>,
        store: &'a LazyStore,
        client: &'a Client,
    ) -> Result<Self, TransferError> {
        Ok(match location {
            Location::Store(text) => Self::Store(store.disk()?, Some(text.parse()?)),
            Location::Registry(reference) => Self::Registry(client.repository(reference)?, reference.clone()),
            Location::File { format, path, name: label } => {
                let label = label.clone().or_else(|| name.map(Reference::familiar));
                match format {
                    None | Some(Format::OciDir) => Self::Layout(path.clone(), label),
                    Some(Format::DockerDir) => Self::Directory(path.clone()),
                    Some(format) => Self::Archive(*format, path.clone(), label),
                }
            }
            Location::Foreign { keeper, name } => Self::Foreign(Address::new(*keeper, name)),
        })
    }

    /// How the place is called in messages.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Store(disk, _) => Sink::place(*disk),
            Self::Registry(repository, _) => Sink::place(repository),
            Self::Layout(path, _) => format!("the layout {}", path.display()),
            Self::Archive(_, path, _) => format!("the archive {}", path.display()),
            Self::Directory(path) => format!("the image directory {}", path.display()),
            Self::Foreign(address) => address.to_string(),
        }
    }

    /// The name that an image gets there, where it is one.
    pub(crate) fn name(&self) -> Option<&Reference> {
        match self {
            Self::Store(_, name) => name.as_ref(),
            Self::Registry(_, name) => Some(name),
            _ => None,
        }
    }

    /// Whether only an image of one platform can be there.
    pub(crate) fn takes_one_platform(&self) -> bool {
        matches!(self, Self::Archive(Format::DockerArchive, ..) | Self::Foreign(_))
    }

    /// Writes an image that is whole, and names it.
    ///
    /// # Errors
    /// When a side fails; what is wrong with the place shows before anything moves where it can.
    pub(crate) fn write(
        &self,
        from: &dyn Source,
        root: &Descriptor,
        store: &LazyStore,
        options: &CopyOptions,
        observer: &dyn Observer,
    ) -> Result<(), TransferError> {
        let roots = std::slice::from_ref(root);
        match self {
            Self::Store(disk, name) => {
                copy(from, *disk, roots, options, observer)?;
                match name {
                    Some(name) => disk.tag(name, root)?,
                    None => disk.add_root(root)?,
                }
            }
            Self::Registry(repository, name) => {
                let names = vec![(name.clone(), root.clone())];
                let job = CopyJob { from, to: repository, roots: vec![root.clone()], names };
                copy_all(&[job], options, observer).into_iter().try_for_each(|done| done.map(drop))?;
            }
            Self::Layout(path, label) => {
                let layout = Layout::create(path)?;
                copy(from, &layout, roots, options, observer)?;
                match label {
                    Some(label) => layout.label(label, root)?,
                    None => layout.add_root(root)?,
                }
            }
            Self::Archive(format, path, label) => {
                self.archive(from, root, *format, path, label.as_deref(), store, observer)?
            }
            Self::Directory(path) => archive::save_directory(from, root, path, options, observer)?,
            // skopeo would take the image for this machine, and say nothing.
            Self::Foreign(address) if root.media_type.is_index() => {
                return Err(TransferError::OnePlatform { place: address.to_string() });
            }
            Self::Foreign(address) => {
                let scratch = store.disk()?.scratch("foreign")?;
                let layout = Layout::create(scratch.path().join("layout"))?;
                copy(from, &layout, roots, options, observer)?;
                let facade = scratch.path().join("facade");
                fs::create_dir(&facade).map_err(ContentError::io(format!("make {}", facade.display())))?;
                foreign::write(&scratch.path().join("layout/blobs"), root, &facade, address)?;
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are parts of one archive")]
    fn archive(
        &self,
        from: &dyn Source,
        root: &Descriptor,
        format: Format,
        path: &Path,
        label: Option<&str>,
        store: &LazyStore,
        observer: &dyn Observer,
    ) -> Result<(), TransferError> {
        let mut options = SaveOptions { platform: Platform::host(), ..SaveOptions::default() };
        // Only a docker-archive unpacks layers on the way.
        let scratch = matches!(format, Format::DockerArchive).then(|| store.disk()?.scratch("archive")).transpose()?;
        if let Some(scratch) = &scratch {
            options.scratch = scratch.path().to_owned();
        }
        let mut name = None;
        match (format, label) {
            (Format::DockerArchive, Some(label)) => name = Some(label.parse::<Reference>()?),
            (_, label) => options.label = label.map(str::to_owned),
        }
        archive::save(from, &[(name, root.clone())], format, path, &options, observer)?;
        Ok(())
    }
}

/// The store, taking the name of an index of which only a part is copied.
pub(crate) struct Indexed<'a> {
    pub(crate) store: &'a Disk,
    /// The indexes, outermost first, with their bytes.
    pub(crate) indexes: Vec<(Descriptor, Vec<u8>)>,
}

impl Sink for Indexed<'_> {
    fn place(&self) -> String {
        Sink::place(self.store)
    }

    fn has(&self, what: &Descriptor) -> Result<bool, ContentError> {
        self.store.has(what)
    }

    fn begin(&self, what: Option<&Descriptor>) -> Result<Box<dyn Upload + '_>, ContentError> {
        self.store.begin(what)
    }

    fn publish(&self, what: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
        self.store.publish(what, bytes)
    }

    fn tag(&self, name: &Reference, what: &Descriptor) -> Result<(), ContentError> {
        self.indexes.iter().rev().try_for_each(|(index, bytes)| self.store.publish(index, bytes))?;
        self.store.tag(name, what)
    }

    fn storage(&self) -> Storage {
        self.store.storage()
    }

    fn has_whole(&self, root: &Descriptor) -> Result<Option<bool>, ContentError> {
        self.store.has_whole(root)
    }

    fn is_tagged(&self, name: &Reference, what: &Descriptor) -> Result<bool, ContentError> {
        self.store.is_tagged(name, what)
    }
}
