//! `sealos prune`

use std::collections::BTreeSet;

use clap::Args;
use content::{Disk, PruneMode, PruneScope, Store};
use oci::Reference;
use serde_json::json;

use super::error::CommandError;
use super::show;
use super::world::{Silence, World};
use crate::report::{Watch, size};

/// Remove what no image needs, and images without a name
///
/// Removes images that have no name, blobs that no image needs, and what interrupted commands left behind. Images
/// with a name stay, unless `--all` is given. Commands that run at the same time lose nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos prune --dry-run
  sealos prune
  sealos prune --all                  everything, also images with a name and the build cache")]
pub(crate) struct Prune {
    /// Remove every image, with or without a name, and the build cache
    #[arg(short, long)]
    all: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Accepted because other tools ask for it; nothing is asked here
    #[arg(short, long, hide = true)]
    force: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// What went, or would go.
struct Gone {
    images: Vec<String>,
    blobs: u64,
    bytes: u64,
}

impl Prune {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let disk = world.disk()?;
        let reporter = world.reporter(Silence::Unasked);
        let gone = match (self.all, self.dry_run) {
            (true, true) => everything(&disk)?,
            (true, false) => {
                let images = everything(&disk)?.images;
                for record in disk.records()? {
                    disk.forget(&record.root.digest)?;
                }
                empty_cache(&disk)?;
                let pruned = disk.prune(PruneScope::Unreferenced, PruneMode::Delete, &Watch(&*reporter))?;
                Gone { images, blobs: pruned.blobs, bytes: pruned.bytes }
            }
            (false, dry) => {
                let mode = if dry { PruneMode::DryRun } else { PruneMode::Delete };
                let pruned = disk.prune(PruneScope::Dangling, mode, &Watch(&*reporter))?;
                let name = |name: Option<&Reference>, digest: oci::Digest| {
                    name.map_or_else(|| digest.to_string(), Reference::familiar)
                };
                let images = pruned.images.iter().map(|image| name(image.name.as_ref(), image.root.digest));
                Gone { images: images.collect(), blobs: pruned.blobs, bytes: pruned.bytes }
            }
        };
        reporter.finish();
        self.tell(world, &gone)
    }

    fn tell(&self, world: &mut World<'_>, gone: &Gone) -> Result<(), CommandError> {
        if self.json {
            let (images, blobs, bytes) = (&gone.images, gone.blobs, gone.bytes);
            let document = json!({"images": images, "blobs": blobs, "bytes": bytes, "dryRun": self.dry_run});
            return show::json(world, &document);
        }
        for image in &gone.images {
            world.say(image)?;
        }
        let verb = if self.dry_run { "Would free" } else { "Freed" };
        world.say(format_args!("{verb} {}", size::human(gone.bytes)))
    }
}

/// What `--all` removes: every image, every blob.
fn everything(disk: &Disk) -> Result<Gone, CommandError> {
    let mut names = BTreeSet::new();
    for record in disk.records()? {
        names.insert(record.name.map_or_else(|| record.root.digest.to_string(), |name| name.familiar()));
    }
    let blobs = disk.blobs()?;
    let bytes = blobs.iter().map(|(_, size)| size).sum();
    Ok(Gone { images: names.into_iter().collect(), blobs: blobs.len() as u64, bytes })
}

fn empty_cache(disk: &Disk) -> Result<(), CommandError> {
    let cache = disk.cache_dir();
    match std::fs::remove_dir_all(&cache) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CommandError::io(format!("empty the build cache {}", cache.display()))(error))
        }
        _ => Ok(()),
    }
}
