//! Where an image is that a user named: in the store, in an archive or layout, or in a registry.
//!
//! `docker://NAME` is a registry; `oci-archive:`, `docker-archive:`, `oci:` and `dir:` and a path are files, with
//! `:NAME` behind the path where a file holds several images; everything else is looked up in the store first and is
//! a path second. A name in the store may begin like a transport: a transport is only one where its path exists.

use std::path::Path;

use content::{ContentError, Source, archive};
use oci::{Descriptor, Reference};
use registry_client::{Client, ClientOptions};

use super::error::CommandError;
use super::world::World;

/// An image and where it is.
pub(crate) struct Located<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) root: Descriptor,
    /// All its names there.
    pub(crate) names: Vec<Reference>,
}

/// Finds an image and does something with it.
pub(crate) fn with<T>(
    world: &World<'_>,
    text: &str,
    act: impl FnOnce(&Located<'_>) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    if let Some(name) = text.strip_prefix("docker://") {
        let name: Reference = name.parse()?;
        let client = Client::new(ClientOptions::default());
        let repository = client.repository(&name)?;
        let root = repository.resolve(&name)?;
        return act(&Located { source: &repository, root, names: vec![name] });
    }
    let transports = ["oci-archive:", "docker-archive:", "oci:", "dir:"];
    if let Some(rest) = transports.iter().find_map(|transport| text.strip_prefix(transport))
        && let Some((path, name)) = split(rest)
    {
        return in_archive(path, name, act);
    }
    let disk = world.disk()?;
    match disk.find(text) {
        Ok(record) => {
            let records = disk.records()?.into_iter().filter(|other| other.root.digest == record.root.digest);
            let names = records.filter_map(|record| record.name).collect();
            act(&Located { source: &disk, root: record.root, names })
        }
        Err(error @ ContentError::UnknownImage { .. }) => match split(text) {
            Some((path, name)) => in_archive(path, name, act),
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// `PATH[:NAME]`, where both may contain colons: the longest path that exists.
fn split(text: &str) -> Option<(&Path, Option<&str>)> {
    if Path::new(text).exists() {
        return Some((Path::new(text), None));
    }
    let ends = text.rmatch_indices(':').map(|(at, _)| at);
    let at = ends.into_iter().find(|at| Path::new(&text[..*at]).exists())?;
    Some((Path::new(&text[..at]), Some(&text[at + 1..])))
}

fn in_archive<T>(
    path: &Path,
    name: Option<&str>,
    act: impl FnOnce(&Located<'_>) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let archive = archive::open(path)?;
    let images = archive.images();
    let wanted = |reference: &Reference, name: &str| {
        // `oci:DIR:TAG` names an image by what stands in the layout, which may be a bare tag.
        name.parse::<Reference>().is_ok_and(|name| name == *reference) || reference.tag() == Some(name)
    };
    let found = images.iter().find(|image| match (name, &image.name) {
        (None, _) => true,
        (Some(name), Some(reference)) => wanted(reference, name),
        (Some(_), None) => false,
    });
    let Some(found) = found else {
        let similar = images.iter().filter_map(|image| image.name.as_ref().map(Reference::familiar)).collect();
        let name = name.unwrap_or_default().to_owned();
        return Err(ContentError::UnknownImage { place: archive.place(), name, similar }.into());
    };
    let names = images.iter().filter(|image| image.root.digest == found.root.digest);
    let names = names.filter_map(|image| image.name.clone()).collect();
    act(&Located { source: &archive, root: found.root.clone(), names })
}
