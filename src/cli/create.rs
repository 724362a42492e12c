//! `sealos create IMAGE`

use std::fs;
use std::path::Path;

use clap::Args;
use oci::Platform;

use super::error::CommandError;
use super::execution::{engine, unpack_options};
use super::image_layers::image_layers;
use super::run::variable;
use super::world::{Silence, World};
use crate::cluster::{ClusterName, Environment};
use crate::execute;
use crate::report::Event;
use crate::rootfs;

/// Unpack an image into a directory and print its path
///
/// Nothing is run. The directory lies in the store and belongs to the cluster named; an older one of that cluster is
/// replaced.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ls \"$(sealos create app:v1)\"
  sealos create -c test -e domain=hub.example app:v1")]
pub(crate) struct Create {
    /// The image: a name or id
    image: String,
    /// The name of the cluster that the directory is for
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    cluster: ClusterName,
    /// Fill in the image's templates, with this and the image's own environment; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<String>,
    /// Of an index, the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// Only the path is printed anyway
    #[arg(long, hide = true)]
    short: bool,
}

impl Create {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let disk = world.disk()?;
        let root = disk.find(&self.image)?.root;
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let image = image_layers(&disk, &root, &platform, &self.image)?;
        let reporter = world.reporter(Silence::Unasked);
        // Unpacked aside and renamed: whoever looks sees a whole tree.
        let scratch = disk.scratch("create")?;
        let fresh = scratch.path().join("root");
        for warning in rootfs::unpack(&disk, &image.layer_pairs(), &fresh, &unpack_options())?.warnings {
            reporter.event(&Event::Warning(warning.to_string()));
        }
        if !self.env.is_empty() {
            let environment = Environment::of_image(&image.config.value().config.env).overlaid(&self.env)?;
            execute::render_templates(&self.image, &fresh, &environment, &engine())?;
        }
        let target = disk.root().join("created").join(self.cluster.to_string());
        replace(&fresh, &target, &scratch.path().join("old"))?;
        world.say(target.display())
    }
}

/// Puts `fresh` where `target` is; what was there goes to `old`.
fn replace(fresh: &Path, target: &Path, old: &Path) -> Result<(), CommandError> {
    let doing = || CommandError::io(format!("put the files at {}", target.display()));
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(doing())?;
    }
    if fs::symlink_metadata(target).is_ok() {
        fs::rename(target, old).map_err(doing())?;
    }
    fs::rename(fresh, target).map_err(doing())
}
