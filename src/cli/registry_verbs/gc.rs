//! `sealos registry gc`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use registry::backend::{GcOptions, Leftovers, Pruning, Step, Untagged};
use serde_json::json;

use super::failure::RegistryFailure;
use super::place::{self, Use};
use crate::cli::error::CommandError;
use crate::cli::show;
use crate::cli::world::World;
use crate::report::size;

/// Free the space of what no image needs
///
/// Can be run while the registry is served, by this or another process of `sealos`: what is being pushed or was relied
/// on within the time of grace stays. (While docker's own registry writes to the directory, it must not be run.)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos registry gc --dry-run /var/lib/registry
  sealos registry gc /var/lib/registry
  sealos registry gc --untagged --keep 5 /var/lib/registry")]
pub(crate) struct Gc {
    /// The registry's directory, or s3://BUCKET/PREFIX
    directory: PathBuf,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// How long something stays that nothing needs (yet), such as 30m or 2h
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = duration)]
    grace: Duration,
    /// Also remove manifests that no tag leads to
    #[arg(long)]
    untagged: bool,
    /// Keep only so many tags in each repository, the newest
    #[arg(long, value_name = "COUNT")]
    keep: Option<usize>,
    /// How long an interrupted upload stays
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    uploads: Duration,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Gc {
    pub(crate) fn run(&self, world: &mut World<'_>) -> Result<(), CommandError> {
        if self.directory.join("oci-layout").exists() {
            return Err(RegistryFailure::NotKept(self.directory.clone()).into());
        }
        let tree = place::tree(&self.directory, Use::Write)?;
        let options = GcOptions {
            grace: self.grace,
            pruning: if self.dry_run { Pruning::DryRun } else { Pruning::Remove },
            untagged: if self.untagged { Untagged::Remove } else { Untagged::Keep },
            leftovers: Leftovers::Older(self.uploads),
            keep: self.keep,
        };
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let mut tell = |step: &Step| match step {
            Step::Marking(name) => crate::cli::note(format_args!("{name}")),
            Step::Tag(name, tag) => crate::cli::note(format_args!("{verb} {name}:{tag}")),
            Step::Manifest(name, digest) => crate::cli::note(format_args!("{verb} {name}@{digest}")),
            Step::Blob(digest, bytes) => crate::cli::note(format_args!("{verb} {digest}, {}", size::human(*bytes))),
            Step::Odd(text) => crate::cli::note(format_args!("warning: {text}")),
        };
        let collected = tree.collect(&options, &mut tell).map_err(RegistryFailure::from)?;
        if self.json {
            let document = json!({
                "tags": collected.tags,
                "manifests": collected.manifests,
                "blobs": collected.blobs,
                "uploads": collected.uploads,
                "links": collected.links,
                "bytes": collected.bytes,
                "dryRun": self.dry_run,
            });
            return show::json(world, &document);
        }
        let verb = if self.dry_run { "Would free" } else { "Freed" };
        world.say(format_args!("{verb} {} ({} blobs)", size::human(collected.bytes), collected.blobs))
    }
}

/// A time such as `90s`, `30m`, `2h`, `7d`; a number alone is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        Some(b'd') => (&text[..text.len() - 1], 86_400),
        _ => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(|| "expected a time such as 90s, 30m, 2h or 7d".to_owned())
}
