//! `sealos images update [DIR]`

use std::path::{Path, PathBuf};

use clap::Args;
use content::cluster_image::LOCK_FILE;
use content::{CopyOptions, ImageLock, LockedImage};
use oci::{Platform, Reference};

use super::super::carrying::{ChartFlags, Registries, read_lock, tell, write_lock};
use super::super::error::CommandError;
use super::super::registry::Registry;
use super::super::world::{Silence, World};
use super::diff::changes;
use super::subject::outlines;
use crate::carry::{self, Binding, CarryError, Effort, GatherOrder, Lookup, RegistryTree, Wanted};
use crate::discover::Ignore;
use crate::report::Watch;

/// Look up what the images of a context stand for now, and write images.lock.json
///
/// Nothing is built; only names are looked up. What changed is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos images update .
  sealos images update --platform linux/amd64,linux/arm64 app
  sealos images update . nginx 'quay.io/team/*'")]
pub(crate) struct Update {
    /// The context
    #[arg(default_value = ".", value_name = "DIR")]
    context: PathBuf,
    /// Only these images, names or patterns; the others stay as they are locked
    images: Vec<String>,
    /// The recipe in the context
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// The platforms [default: those of the lock, else this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    platform: Vec<Platform>,
    /// Every platform that an image has
    #[arg(long = "all")]
    every_platform: bool,
    /// Only print what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    charts: ChartFlags,
    #[command(flatten)]
    registry: Registry,
}

impl Update {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let outlines = outlines(world, &self.context, self.file.as_deref())?;
        let findings = self.charts.scan(&self.context, &outlines)?;
        let reporter = world.reporter(Silence::Unasked);
        tell(&findings, &*reporter);
        let mistakes: Vec<_> = findings.mistakes().cloned().collect();
        if !mistakes.is_empty() {
            return Err(CarryError::Mistakes { mistakes }.into());
        }
        let path = self.lock_path();
        let earlier = read_lock(&path)?;
        let kept = self.kept(earlier.as_ref());
        let args = self.registry.clone().complete()?;
        let registries = Registries::new(&args, findings.images().map(|found| &found.reference));
        let disk = world.disk()?;
        let tree = RegistryTree::open(&self.context.join("registry"));
        let gathered = carry::gather(&GatherOrder {
            store: &disk,
            context: &self.context,
            findings: &findings,
            tree: tree.as_ref(),
            effort: Effort::Resolve,
            wanted: self.wanted(earlier.as_ref()),
            lookup: Lookup::Always,
            lock: kept.as_ref(),
            binding: Binding::Prefer,
            ignore_missing: &[],
            registries: &registries,
            beside: Vec::new(),
            options: &CopyOptions::default(),
            observer: &Watch(&*reporter),
        });
        reporter.finish();
        let fresh = gathered?.lock;
        let old = earlier.unwrap_or_else(|| ImageLock::new([]));
        for line in changes(&old, &fresh) {
            world.say(line)?;
        }
        match self.dry_run {
            true => Ok(()),
            false => write_lock(&path, &fresh).map_err(|source| CommandError::WriteLock { path, source }),
        }
    }

    /// Where the lock lies: beside the recipe.
    fn lock_path(&self) -> PathBuf {
        let beside = self.file.as_deref().map(Path::new).and_then(Path::parent).filter(|it| !it.as_os_str().is_empty());
        beside.unwrap_or(&self.context).join(LOCK_FILE)
    }

    /// Entries that stay: where images are named, all others.
    fn kept(&self, earlier: Option<&ImageLock>) -> Option<ImageLock> {
        if self.images.is_empty() {
            return None;
        }
        let mut named = Ignore::default();
        self.images.iter().for_each(|image| named.add(image));
        let stays = |image: &&LockedImage| image.normalised.parse::<Reference>().is_ok_and(|name| !named.has(&name));
        earlier.map(|lock| ImageLock::new(lock.images.iter().filter(stays).cloned()))
    }

    fn wanted(&self, earlier: Option<&ImageLock>) -> Wanted {
        if self.every_platform {
            return Wanted::All;
        }
        if !self.platform.is_empty() {
            return Wanted::Platforms(self.platform.clone());
        }
        let mut locked: Vec<Platform> = earlier
            .iter()
            .flat_map(|lock| &lock.images)
            .flat_map(|image| &image.platforms)
            .filter_map(|it| it.platform.parse().ok())
            .collect();
        locked.sort();
        locked.dedup();
        match locked.is_empty() {
            true => Wanted::Platforms(vec![Platform::host()]),
            false => Wanted::Platforms(locked),
        }
    }
}
