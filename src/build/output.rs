//! Where a result goes besides the store: a directory, a tar, an archive, and small files for scripts.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use content::archive::{Format as ArchiveFormat, SaveOptions, save};
use content::{LayerInfo, Silent};
use oci::Descriptor;
use serde_json::json;

use super::BuildOutcome;
use super::error::BuildError;
use super::event::BuildEvent;
use super::flatten::{flatten, visit};
use super::image::BuiltImage;
use super::request::{BuildRequest, Output};
use super::world::World;
use crate::rootfs::{Extractor, Ownership, UnpackOptions, unpack};

/// An image and its layers.
pub(crate) struct Exported<'a> {
    pub(crate) image: &'a BuiltImage,
    pub(crate) layers: &'a [LayerInfo],
}

/// Writes the root file systems of the images to where the request wants them.
///
/// # Errors
/// When a place cannot be written.
pub(crate) fn export(request: &BuildRequest, world: &World<'_>, results: &[Exported<'_>]) -> Result<(), BuildError> {
    for output in &request.outputs {
        match output {
            Output::Directory(path) => {
                let path = request.working_directory.join(path);
                for result in results {
                    let into = match results {
                        [_] => path.clone(),
                        _ => path.join(result.image.platform.to_string().replace('/', "_")),
                    };
                    directory(world, result.layers, &into)?;
                }
            }
            Output::Tar(path) => {
                let path = request.working_directory.join(path);
                atomically(&path, |file| flatten(world.store, single(results)?, 0, file).map(drop))?;
            }
            Output::TarStream => {
                let mut stdout = world.stdout.lock().unwrap_or_else(PoisonError::into_inner);
                flatten(world.store, single(results)?, 0, &mut **stdout).map(drop)?;
            }
            Output::OciArchive(_) => {}
        }
    }
    Ok(())
}

fn single<'a>(results: &[Exported<'a>]) -> Result<&'a [LayerInfo], BuildError> {
    match results {
        [result] => Ok(result.layers),
        _ => Err(BuildError::Unsupported {
            what: "one tar of several platforms".to_owned(),
            instead: Some("build one platform, or use `type=local`"),
        }),
    }
}

/// Writes into a directory. What is in it stays, as with docker and buildah, where the image has nothing of that name.
fn directory(world: &World<'_>, layers: &[LayerInfo], into: &Path) -> Result<(), BuildError> {
    let ownership = if rustix::process::geteuid().is_root() { Ownership::Preserve } else { Ownership::Caller };
    let options = UnpackOptions { ownership, ..UnpackOptions::default() };
    let unpacked = match has_entries(into) {
        false => {
            let pairs: Vec<_> = layers.iter().map(|layer| (layer.descriptor.clone(), layer.diff_id)).collect();
            unpack(world.store, &pairs, into, &options)?
        }
        true => {
            let mut extractor = Extractor::new(into, &options)?;
            // Whiteouts would take away what is not the image's, and the directory itself is somebody else's.
            visit(world.store, layers, 0, &mut |entry, content| match entry.path.is_empty() {
                true => Ok(()),
                false => Ok(extractor.apply(entry, content)?),
            })?;
            extractor.finish()?
        }
    };
    for warning in unpacked.warnings {
        world.observer.event(&BuildEvent::Warning(warning.to_string()));
    }
    Ok(())
}

/// Whether something is in a directory. One that cannot be read is left to whoever writes into it.
fn has_entries(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// Writes a file so that nobody sees half of it.
fn atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let problem = |source: io::Error| BuildError::Output { path: path.to_owned(), source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(directory).map_err(problem)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file.as_file());
    fill(&mut writer)?;
    writer.flush().map_err(problem)?;
    drop(writer);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).map_err(problem)?;
    file.persist(path).map_err(|error| problem(error.error))?;
    Ok(())
}

/// Writes the archives that the request wants.
///
/// # Errors
/// When one cannot be written.
pub(crate) fn archives(request: &BuildRequest, world: &World<'_>, root: &Descriptor) -> Result<(), BuildError> {
    for output in &request.outputs {
        if let Output::OciArchive(path) = output {
            let images = match request.tags.is_empty() {
                true => vec![(None, root.clone())],
                false => request.tags.iter().map(|name| (Some(name.clone()), root.clone())).collect(),
            };
            let path = request.working_directory.join(path);
            let options = SaveOptions::default();
            save(world.store, &images, ArchiveFormat::OciArchive, &path, &options, &Silent)?;
        }
    }
    Ok(())
}

/// Writes the id file and the metadata file.
///
/// # Errors
/// When one cannot be written.
pub(crate) fn facts(request: &BuildRequest, outcome: &BuildOutcome) -> Result<(), BuildError> {
    let write = |path: &PathBuf, text: &str| {
        let path = request.working_directory.join(path);
        atomically(&path, |file| {
            let written = file.write_all(text.as_bytes());
            written.map_err(|source| BuildError::Output { path: path.clone(), source })
        })
    };
    if let Some(path) = &request.iidfile {
        write(path, &outcome.id.to_string())?;
    }
    if let Some(path) = &request.metadata_file {
        let names: Vec<String> = outcome.names.iter().map(oci::Reference::normal).collect();
        let mut facts = json!({
            "containerimage.digest": outcome.root.digest,
            "containerimage.descriptor": outcome.root,
            "image.name": names.join(","),
        });
        if let [image] = &outcome.images[..] {
            facts["containerimage.config.digest"] = json!(image.config);
        }
        write(path, &format!("{}\n", serde_json::to_string_pretty(&facts)?))?;
    }
    Ok(())
}
