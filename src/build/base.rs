//! Images that a build starts from or copies from: in the store, or brought there by the resolver.

use std::path::{Path, PathBuf};

use content::archive;
use content::{ContentError, CopyOptions, Image, LayerInfo, Named, Silent, Source, copy_image, find_image, load_image};
use oci::{Descriptor, ImageConfig, Platform};

use super::error::BuildError;
use super::request::PullPolicy;
use super::world::World;

/// An image that is whole in the store.
pub(crate) struct BaseImage {
    /// Its configuration.
    pub(crate) config: ImageConfig,
    /// Its layers, lowest first.
    pub(crate) layers: Vec<LayerInfo>,
}

/// Finds an image as the user names it.
///
/// # Errors
/// When it is neither in the store nor can be pulled, or is for another platform.
pub(crate) fn find(
    world: &World<'_>,
    name: &str,
    platform: &Platform,
    policy: PullPolicy,
) -> Result<BaseImage, BuildError> {
    let pull = || {
        let pulled = world.resolver.resolve_and_pull(name, platform, policy);
        pulled.map_err(|source| BuildError::Pull { name: name.to_owned(), source })
    };
    if matches!(policy, PullPolicy::Always | PullPolicy::Newer)
        && let Some(root) = pull()?
    {
        return load(world, name, &root, platform);
    }
    let here = world.store.find(name).map_err(BuildError::Content);
    let here = here.and_then(|record| load(world, name, &record.root, platform));
    let error = match here {
        Ok(image) => return Ok(image),
        Err(error) => error,
    };
    // Another platform of it may be all that is here.
    let is_absent = matches!(
        error,
        BuildError::WrongPlatform { .. }
            | BuildError::Content(
                ContentError::UnknownImage { .. } | ContentError::MissingBlob { .. } | ContentError::NoPlatform { .. }
            )
    );
    if is_absent
        && policy == PullPolicy::Missing
        && let Some(root) = pull()?
    {
        return load(world, name, &root, platform);
    }
    Err(match error {
        BuildError::Content(source @ ContentError::UnknownImage { .. }) => {
            BuildError::NoImage { name: name.to_owned(), source, pull_forbidden: policy == PullPolicy::Never }
        }
        other => other,
    })
}

fn load(world: &World<'_>, name: &str, root: &Descriptor, platform: &Platform) -> Result<BaseImage, BuildError> {
    let wrong = |available| wrong_platform(name, platform, available);
    let image: Image = match load_image(world.store, root, platform) {
        Err(ContentError::NoPlatform { available, .. }) => return Err(wrong(available)),
        other => other?,
    };
    let config = image.config.value().clone();
    let own = config.platform();
    // Old cluster images say nothing about it.
    if !own.os.is_empty() && !own.architecture.is_empty() && !own.serves(platform) {
        return Err(wrong(own.to_string()));
    }
    Ok(BaseImage { config, layers: image.layers })
}

fn wrong_platform(name: &str, platform: &Platform, available: String) -> BuildError {
    BuildError::WrongPlatform { name: name.to_owned(), wanted: platform.to_string(), available }
}

/// Finds an image of an OCI layout (directory or archive), and brings it into the store. Behind the path, `:TAG` and
/// `@DIGEST` may say which of several.
///
/// # Errors
/// When it is not there.
pub(crate) fn from_layout(
    world: &World<'_>,
    name: &str,
    place: &Path,
    platform: &Platform,
) -> Result<BaseImage, BuildError> {
    let (path, wanted) = layout_place(place);
    let layout = archive::open(&path)?;
    let is_wanted = |image: &&Named| match &wanted {
        None => true,
        Some(wanted) => {
            let tag = image.name.as_ref().and_then(|name| name.tag_or_default());
            tag == Some(wanted) || image.root.digest.to_string() == *wanted
        }
    };
    let missing = || {
        let place = layout.place();
        let similar = layout.images().iter().filter_map(|image| Some(image.name.as_ref()?.familiar())).collect();
        ContentError::UnknownImage { place, name: wanted.clone().unwrap_or_else(|| name.to_owned()), similar }
    };
    let root = layout.images().iter().find(is_wanted).ok_or_else(missing)?.root.clone();
    match find_image(&layout, &root, platform) {
        Ok(found) => {
            copy_image(&layout, world.store, &found, &CopyOptions::default(), &Silent)?;
            load(world, name, &root, platform)
        }
        Err(ContentError::NoPlatform { available, .. }) => Err(wrong_platform(name, platform, available)),
        Err(error) => Err(error.into()),
    }
}

/// A place as path and tag or digest.
fn layout_place(place: &Path) -> (PathBuf, Option<String>) {
    let text = place.to_string_lossy();
    if place.exists() {
        return (place.to_owned(), None);
    }
    if let Some((path, digest)) = text.split_once('@') {
        let path = path.rsplit_once(':').filter(|_| !Path::new(path).exists()).map_or(path, |(path, _)| path);
        return (PathBuf::from(path), Some(digest.to_owned()));
    }
    match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (PathBuf::from(path), Some(tag.to_owned())),
        _ => (place.to_owned(), None),
    }
}
