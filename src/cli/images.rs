//! `sealos images [NAME]`

use std::time::SystemTime;

use clap::Args;
use serde_json::Value;

use super::error::CommandError;
use super::filter;
use super::row::{self, HEADINGS, Ids, Listed};
use super::show;
use super::world::World;
use crate::report::table::Table;
use crate::report::time::Moment;

/// List the images of the store, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Filters (KEY=VALUE; KEY!=VALUE for the opposite):
  reference=PATTERN       a name, with *, ** and ? as in file names
  label=NAME[=VALUE]      a label of the image
  after=IMAGE (or since), before=IMAGE, until=TIME
                          made after or before an image, a time, or a span ago (24h)
  dangling=BOOL           without a name
  manifest=BOOL           an index of several images
  id=, digest=            the beginning of the id or the digest
  containers=BOOL         something that is installed here came from it
  intermediate=, readonly=
                          known for the sake of scripts; no image here is any of these

Fields of --format:
  .ID .Repository .Tag .Digest .Created .CreatedAt .CreatedSince .Size .Bytes .Names .Platforms

Examples:
  sealos images
  sealos images labring/helm
  sealos images --filter 'reference=team/*' --filter until=168h
  sealos images --format 'table {{.Repository}}\\t{{.Size}}'")]
pub(crate) struct Images {
    /// Only images of this name
    name: Option<String>,
    /// Show images without a name too; they always are
    #[arg(short, long, hide = true)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Only images that fit
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A Go template for each row; a table with the prefix `table `; `json` for `--json`
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["quiet", "json"])]
    format: Option<String>,
    /// Show the names that an image is known to have had
    #[arg(long)]
    history: bool,
    /// Print a JSON array, one object an image
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Leave out the headings
    #[arg(short, long)]
    noheading: bool,
    /// Show ids in full
    #[arg(long)]
    no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
}

impl Images {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let now = Moment::from(SystemTime::now());
        let images = self.select(world, now)?;
        let ids = if self.no_trunc { Ids::Whole } else { Ids::Short };
        // As docker and podman have it; a template that says `json` and nothing else helps nobody.
        if self.json || self.format.as_deref() == Some("json") {
            return show::json(world, &images.iter().map(|image| image.json(now)).collect::<Vec<_>>());
        }
        if self.quiet {
            return images.iter().try_for_each(|image| world.say(image.id(ids)));
        }
        let rows: Vec<Value> = images.iter().flat_map(|image| image.rows(now, ids)).collect();
        match &self.format {
            Some(format) => show::rows(world, format, HEADINGS, &rows),
            None => self.table(&rows).write(world.out).map_err(CommandError::Output),
        }
    }

    fn select(&self, world: &World<'_>, now: Moment) -> Result<Vec<Listed>, CommandError> {
        let disk = world.disk()?;
        let mut images = row::all(&disk)?;
        if let Some(name) = &self.name {
            let pattern = filter::glob(name);
            let named = |image: &Listed| {
                pattern.as_ref().is_some_and(|p| image.names.iter().any(|name| filter::matches_name(p, name)))
            };
            if images.iter().any(named) {
                images.retain(named);
            } else {
                let digest = disk.find(name)?.root.digest;
                images.retain(|image| image.summary.root.digest == digest);
            }
        }
        row::filtered(&disk, images, &self.filter, &filter::KEYS, now)
    }

    fn table(&self, rows: &[Value]) -> Table {
        let mut columns = vec!["Repository", "Tag"];
        columns.extend(self.digests.then_some("Digest"));
        columns.extend(["ID", "Created", "Size"]);
        columns.extend(self.history.then_some("History"));
        let mut table = Table::new();
        if !self.noheading {
            let heading = |column: &&str| HEADINGS.iter().find(|(key, _)| key == column).map_or("", |(_, text)| text);
            table.row(columns.iter().map(heading));
        }
        for row in rows {
            table.row(columns.iter().map(|column| row[*column].as_str().unwrap_or_default()));
        }
        table
    }
}
