//! From a source into an archive.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oci::{Descriptor, Platform, Reference};

use super::directory::save_directory;
use super::{docker_writer, oci_writer};
use crate::durable;
use crate::layout::Layout;
use crate::write_back::WriteBack;
use crate::{ContentError, CopyOptions, Observer, Sink, Source, Sparse, copy};

/// A form that images are carried in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A tar of an OCI image layout; indexes with all their children.
    OciArchive,
    /// An OCI image layout; an existing one gets the images added.
    OciDir,
    /// What `docker save` writes and everything can load; one platform.
    DockerArchive,
    /// A flat directory with one image, as other tools' `dir:` transport has it.
    DockerDir,
}

impl Format {
    /// What stands in front of the path where a user says it.
    pub fn transport(self) -> &'static str {
        match self {
            Self::OciArchive => "oci-archive",
            Self::OciDir => "oci",
            Self::DockerArchive => "docker-archive",
            Self::DockerDir => "dir",
        }
    }
}

/// How to save.
#[derive(Clone, Debug)]
pub struct SaveOptions {
    /// The platform of a docker-archive's images.
    pub platform: Platform,
    /// What to do about an index whose children are not all there.
    pub sparse: Sparse,
    /// What the first image is called letter by letter in an oci-archive or layout, whatever its name: other tools look
    /// for exactly that.
    pub label: Option<String>,
    /// Where a layer is put while its uncompressed size is found out (one at a time, without a name).
    pub scratch: PathBuf,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self { platform: Platform::host(), sparse: Sparse::Refuse, label: None, scratch: std::env::temp_dir() }
    }
}

/// The images to save: each root as often as it has names.
pub type Images<'a> = &'a [(Option<Reference>, Descriptor)];

/// Saves images to a path. A file is written beside the path and renamed when it is whole and synced, so that an older
/// file stays until then and an interrupted run leaves none that looks whole; what it leaves, the next run removes.
///
/// # Errors
/// When an image is not whole or is damaged (the blob is named), the format cannot hold the images, or writing fails.
pub fn save(
    source: &dyn Source,
    images: Images<'_>,
    format: Format,
    path: &Path,
    options: &SaveOptions,
    observer: &dyn Observer,
) -> Result<(), ContentError> {
    match format {
        Format::OciArchive | Format::DockerArchive => {
            let doing = || format!("write {}", path.display());
            // A pipe or a device is written as it is; renaming would replace it.
            let is_special = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
            if is_special {
                let file = OpenOptions::new().write(true).open(path).map_err(ContentError::io(doing()))?;
                return save_stream(source, images, format, file, options, observer);
            }
            let mut fresh = Fresh::create(path).map_err(ContentError::io(doing()))?;
            save_stream(source, images, format, &mut fresh, options, observer)?;
            fresh.keep().map_err(ContentError::io(doing()))
        }
        Format::OciDir => {
            let layout = Layout::create(path)?;
            copy_roots(source, &layout, images, options, observer)?;
            for (at, (name, root)) in images.iter().enumerate() {
                match (options.label.as_ref().filter(|_| at == 0), name) {
                    (Some(label), _) => layout.label(label, root)?,
                    (None, Some(name)) => layout.tag(name, root)?,
                    (None, None) => layout.add_root(root)?,
                }
            }
            Ok(())
        }
        Format::DockerDir => docker_dir(source, images, path, options, observer),
    }
}

/// Saves images to a stream.
///
/// # Errors
/// As [`save`]; [`ContentError::Unsupported`] for the formats that are directories.
pub fn save_stream(
    source: &dyn Source,
    images: Images<'_>,
    format: Format,
    output: impl Write,
    options: &SaveOptions,
    observer: &dyn Observer,
) -> Result<(), ContentError> {
    match format {
        Format::OciArchive => oci_writer::write(source, images, output, options, observer),
        Format::DockerArchive => docker_writer::write(source, images, output, options, observer),
        Format::OciDir | Format::DockerDir => Err(ContentError::Unsupported {
            place: "a stream".to_owned(),
            verb: "hold a directory; choose oci-archive or docker-archive, or give a path",
        }),
    }
}

fn copy_roots(
    source: &dyn Source,
    sink: &dyn Sink,
    images: Images<'_>,
    options: &SaveOptions,
    observer: &dyn Observer,
) -> Result<(), ContentError> {
    let roots: Vec<Descriptor> = images.iter().map(|(_, root)| root.clone()).collect();
    let options = CopyOptions { sparse: options.sparse, ..CopyOptions::default() };
    copy(source, sink, &roots, &options, observer).map(drop)
}

fn docker_dir(
    source: &dyn Source,
    images: Images<'_>,
    path: &Path,
    options: &SaveOptions,
    observer: &dyn Observer,
) -> Result<(), ContentError> {
    let Some((_, root)) = images.first().filter(|(_, root)| images.iter().all(|(_, other)| other == root)) else {
        let place = path.display().to_string();
        return Err(ContentError::Unsupported { place, verb: "hold several images; choose another format" });
    };
    let options = CopyOptions { sparse: options.sparse, ..CopyOptions::default() };
    save_directory(source, root, path, &options, observer)
}

/// A temporary name beside a path.
pub(super) fn beside(path: &Path, ending: &str) -> io::Result<PathBuf> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"))?;
    Ok(path.with_file_name(format!(".{}.{ending}", name.to_string_lossy())))
}

/// A file that replaces another one when it is whole; removed when dropped before.
struct Fresh {
    file: File,
    path: PathBuf,
    target: PathBuf,
    write_back: WriteBack,
    is_kept: bool,
}

impl Fresh {
    fn create(path: &Path) -> io::Result<Self> {
        // What a link points at is replaced, not the link.
        let target = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            target => target?,
        };
        let path = beside(&target, "unfinished")?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing it"));
            }
        }
        // What an interrupted run left.
        file.set_len(0)?;
        Ok(Self { file, path, target, write_back: WriteBack::default(), is_kept: false })
    }

    fn keep(mut self) -> io::Result<()> {
        self.file.sync_data()?;
        fs::rename(&self.path, &self.target)?;
        self.is_kept = true;
        match self.target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(directory) => durable::sync_directory(directory),
            None => durable::sync_directory(Path::new(".")),
        }
    }
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.write_back.wrote(&self.file, count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.is_kept {
            // The next run would remove it too.
            drop(fs::remove_file(&self.path));
        }
    }
}
