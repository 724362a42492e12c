//! What a build carries besides the files of its image: container images, brought by whoever knows where they are.
//!
//! ```text
//! outline of the recipe ─▶ Carrier ─▶ Carried { lock } ─┬─ native: an index of the image, the carried ones, the lock
//!                                                       └─ layer: the directory `registry/` on top of the image
//! ```
//!
//! In both forms the context's own `registry/` stays out of COPY and ADD: its images are among the carried ones. A
//! context that has none may still say `COPY registry registry`, as recipes for the Go sealos do.

use std::path::Path;

use content::layer::{LayerOptions, LayerWriter};
use content::tar::TarWriter;
use content::{Disk, ImageLock};
use oci::{Compression, Platform};

use super::cache::CachedLayer;
use super::error::BuildError;
use super::layer::Key;
use super::outline::Outline;
use super::walk::Verdict;
use super::world::SeamError;
use super::{BuildEvent, BuildObserver, Layers};
use crate::carry::RegistryDirectory;
use crate::kubefile::Source;

/// Brings the container images that a context asks for into the store.
pub trait Carrier: Send + Sync {
    /// All images are in the store afterwards, and so are, where that is possible, the images that the recipe begins
    /// with.
    ///
    /// # Errors
    /// When one is missing; the error says who wants it.
    fn carry(&self, order: &CarryOrder<'_>) -> Result<Carried, SeamError>;
}

/// What is built.
#[derive(Debug)]
pub struct CarryOrder<'a> {
    /// The context's directory.
    pub context: &'a Path,
    /// The recipe, if it is a file here.
    pub recipe: Option<&'a Path>,
    /// The platforms.
    pub platforms: &'a [Platform],
    /// What the recipe says, a platform each.
    pub outlines: &'a [Outline],
}

/// How images are carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CarriedForm {
    /// As images beside the image.
    #[default]
    Native,
    /// In a layer of the image, for its platform.
    Layer,
    /// In a layer of the image, for every platform that each of them has.
    WholeLayer,
}

/// What is carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Which images.
    pub lock: ImageLock,
    /// How.
    pub form: CarriedForm,
}

impl Carried {
    /// The platforms that the layer of one platform's image holds.
    pub(crate) fn platforms_beside(&self, platform: &Platform) -> Vec<String> {
        match self.form {
            CarriedForm::WholeLayer => {
                let platforms = self.lock.images.iter().flat_map(|image| &image.platforms);
                platforms.map(|it| it.platform.clone()).collect()
            }
            CarriedForm::Native | CarriedForm::Layer => vec![platform.normalised().to_string()],
        }
    }
}

/// Which paths of the context COPY and ADD do not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptOut {
    /// `registry/`.
    registry: bool,
    /// The image lock.
    lock: bool,
}

const REGISTRY: &[u8] = b"registry";

impl KeptOut {
    /// For a build that carries images from a context.
    pub(crate) fn of(context: &Path) -> Self {
        let registry = context.join("registry");
        // A directory of that name with something else in it is the user's.
        let is_ours = !registry.exists() || registry.join("docker/registry/v2").is_dir();
        Self { registry: is_ours, lock: true }
    }

    /// The word about a file that is found in a directory.
    pub(crate) fn judge(self, path: &[u8]) -> Verdict {
        let is_lock = self.lock && path == content::cluster_image::LOCK_FILE.as_bytes();
        match is_lock || self.registry && is_below(path) {
            true => Verdict::Skip,
            false => Verdict::Take,
        }
    }

    /// The sources of an instruction that are left.
    pub(crate) fn filter(self, sources: &[Source]) -> Vec<Source> {
        let is_out = |source: &&Source| match source {
            Source::Path(path) => self.registry && is_below(&super::destination::absolute(path, "")),
            _ => false,
        };
        sources.iter().filter(|source| !is_out(source)).cloned().collect()
    }
}

fn is_below(path: &[u8]) -> bool {
    path.strip_prefix(REGISTRY).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// The layer that holds `registry/` with the images for some platforms; none if there are none.
///
/// # Errors
/// When it cannot be stored.
pub(crate) fn registry_layer(
    store: &Disk,
    observer: &dyn BuildObserver,
    layers: &Layers<'_>,
    (lock, platforms): (&ImageLock, &[String]),
    timestamp: i64,
) -> Result<Option<CachedLayer>, BuildError> {
    let directory = RegistryDirectory::new(store, lock, platforms);
    for collision in directory.collisions() {
        observer.event(&BuildEvent::Warning(collision.clone()));
    }
    if directory.is_empty() {
        return Ok(None);
    }
    let mut key = layers.key("registry", timestamp);
    for (path, what) in directory.files() {
        key.text(path).text(&what);
    }
    let key = Key::of(key);
    if let Some(found) = layers.find(&key)?.and_then(|made| made.layer) {
        return Ok(Some(found));
    }
    let layer = write(store, &directory, timestamp)?;
    layers.remember(&key, Some(layer.clone()))?;
    Ok(Some(layer))
}

fn write(store: &Disk, directory: &RegistryDirectory<'_>, timestamp: i64) -> Result<CachedLayer, BuildError> {
    // What it holds is compressed already.
    let options = LayerOptions { compression: Compression::None, ..LayerOptions::default() };
    let mut tar = TarWriter::new(LayerWriter::begin(store, &options)?);
    directory
        .visit("registry", timestamp, &mut |entry, content| tar.append(entry, content).map_err(BuildError::Tar))?;
    Ok(tar.finish().map_err(BuildError::Tar)?.finish()?.into())
}
