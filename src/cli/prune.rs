//! `sealos prune`

use std::collections::HashSet;
use std::time::SystemTime;

use clap::Args;
use content::{PruneMode, PruneScope, Pruned, Record};
use oci::{Digest, Reference};
use serde_json::json;

use super::error::CommandError;
use super::filter::PRUNE_KEYS;
use super::world::{Silence, World};
use super::{row, show};
use crate::report::time::Moment;
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
  sealos prune --all                  also images with a name that are not installed here
  sealos prune --all --filter until=720h --filter 'label!=keep'

Filters (KEY=VALUE; KEY!=VALUE for the opposite) say which of these images go:
  until=TIME, before=IMAGE, after=IMAGE (or since), label=NAME[=VALUE], reference=PATTERN, id=, digest=
`sealos images --help` explains them. Blobs that no image needs go in any case.")]
pub(crate) struct Prune {
    /// Also images with a name, except those that something installed here came from
    #[arg(short, long)]
    all: bool,
    /// Only images that fit
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
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

impl Prune {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let disk = world.disk()?;
        let scope = if self.all { PruneScope::Unreferenced } else { PruneScope::Dangling };
        let mode = if self.dry_run { PruneMode::DryRun } else { PruneMode::Delete };
        let reporter = world.reporter(Silence::Unasked);
        let pruned = match self.filter.is_empty() {
            true => disk.prune(scope, mode, &Watch(&*reporter)),
            false => {
                let now = Moment::from(SystemTime::now());
                let listed = row::filtered(&disk, row::all(&disk)?, &self.filter, &PRUNE_KEYS, now)?;
                // What comes meanwhile is in no list, and stays.
                let may_go: HashSet<Digest> = listed.iter().map(|image| image.summary.root.digest).collect();
                disk.prune_some(scope, &|record| may_go.contains(&record.root.digest), mode, &Watch(&*reporter))
            }
        };
        reporter.finish();
        self.tell(world, &pruned?)
    }

    fn tell(&self, world: &mut World<'_>, pruned: &Pruned) -> Result<(), CommandError> {
        let name =
            |image: &Record| image.name.as_ref().map_or_else(|| image.root.digest.to_string(), Reference::familiar);
        let mut images: Vec<String> = pruned.images.iter().map(name).collect();
        images.sort();
        if self.json {
            let document = json!({
                "images": images,
                "blobs": pruned.blobs,
                "uploads": pruned.uploads,
                "scratch": pruned.scratch,
                "cache": pruned.cache,
                "bytes": pruned.bytes,
                "dryRun": self.dry_run,
            });
            return show::json(world, &document);
        }
        for image in &images {
            world.say(image)?;
        }
        let verb = if self.dry_run { "Would free" } else { "Freed" };
        world.say(format_args!("{verb} {}", size::human(pruned.bytes)))
    }
}
