//! `sealos images [NAME]`

use std::time::SystemTime;

use clap::Args;
use serde_json::Value;

use super::carried_tree;
use super::error::CommandError;
use super::filter;
use super::images_verbs;
use super::row::{self, HEADINGS, Ids, Listed};
use super::show;
use super::world::World;
use crate::report::table::Table;
use crate::report::time::Moment;

/// List the images of the store, newest first
///
/// With list, why, update or diff: the container images that a context, a chart or an image asks for or carries.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "\
An image that is called list, why, update or diff is meant by `sealos images -- list`.

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
  sealos images --format 'table {{.Repository}}\\t{{.Size}}'"
)]
pub(crate) struct Images {
    #[command(subcommand)]
    verb: Option<images_verbs::Verb>,
    /// Only images of this name
    name: Option<String>,
    /// Show the container images that each image carries below it
    #[arg(long, conflicts_with_all = ["quiet", "json", "format"])]
    tree: bool,
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
    pub(crate) fn run(mut self, world: &mut World<'_>) -> Result<(), CommandError> {
        if let Some(verb) = self.verb.take() {
            return verb.run(world);
        }
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
            None if self.tree => self.tree_table(world, &images, ids, now),
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

    fn columns(&self) -> Vec<&'static str> {
        let mut columns = vec!["Repository", "Tag"];
        columns.extend(self.digests.then_some("Digest"));
        columns.extend(["ID", "Created", "Size"]);
        columns.extend(self.history.then_some("History"));
        columns
    }

    /// A table with its headings, if they are wanted.
    fn headed(&self) -> Table {
        let mut table = Table::new();
        if !self.noheading {
            let heading = |column: &&str| HEADINGS.iter().find(|(key, _)| key == column).map_or("", |(_, text)| text);
            table.row(self.columns().iter().map(heading));
        }
        table
    }

    fn table(&self, rows: &[Value]) -> Table {
        let (columns, mut table) = (self.columns(), self.headed());
        for row in rows {
            table.row(columns.iter().map(|column| row[*column].as_str().unwrap_or_default()));
        }
        table
    }

    /// Images, and below each the container images that it carries.
    fn tree_table(&self, world: &mut World<'_>, images: &[Listed], ids: Ids, now: Moment) -> Result<(), CommandError> {
        let (disk, columns, mut table) = (world.disk()?, self.columns(), self.headed());
        for image in images {
            for row in image.rows(now, ids) {
                table.row(columns.iter().map(|column| row[*column].as_str().unwrap_or_default().to_owned()));
            }
            for [name, tag, digest, platforms, size] in carried_tree::rows(&disk, image, ids)? {
                let cell = |column: &&str| match *column {
                    "Repository" => name.clone(),
                    "Tag" => tag.clone(),
                    "ID" => digest.clone(),
                    "Created" => platforms.clone(),
                    "Size" => size.clone(),
                    _ => String::new(),
                };
                table.row(columns.iter().map(cell));
            }
        }
        table.write(world.out).map_err(CommandError::Output)
    }
}
