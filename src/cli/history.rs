//! `sealos history NAME`

use std::time::SystemTime;

use clap::{ArgAction, Args};
use oci::{Descriptor, History as Entry, Platform};
use serde_json::{Value, json};

use super::error::CommandError;
use super::registry::Registry;
use super::summary::{PlatformImage, summarise};
use super::world::World;
use super::{go_bool, locate, show};
use crate::report::size;
use crate::report::table::Table;
use crate::report::time::Moment;

/// Show how an image came about, the newest step first
#[derive(Debug, Args)]
#[command(after_help = "\
Fields of --format:
  .Layer .Created .CreatedAt .CreatedSince .CreatedBy .Size .Comment

Examples:
  sealos history app:v1
  sealos history --no-trunc --format '{{.CreatedBy}}' app:v1")]
pub(crate) struct History {
    /// The image: a name or id, an archive, or docker://NAME
    name: String,
    /// A Go template for each row; a table with the prefix `table `
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["quiet", "json"])]
    format: Option<String>,
    /// Print a JSON array, one object a step
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Show digests and commands in full
    #[arg(long)]
    no_trunc: bool,
    /// Print the digests of the layers only
    #[arg(short, long)]
    quiet: bool,
    /// Show sizes and times for people
    #[arg(short = 'H', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value = "true", default_missing_value = "true", value_parser = go_bool::parser(),
          hide_possible_values = true)]
    human: bool,
    /// Of an index, the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    #[command(flatten)]
    registry: Registry,
}

const HEADINGS: &[(&str, &str)] = &[
    ("Layer", "LAYER"),
    ("ID", "LAYER"),
    ("Created", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

const COLUMNS: [&str; 5] = ["Layer", "Created", "CreatedBy", "Size", "Comment"];

/// Commands longer than this are cut in tables.
const COMMAND_WIDTH: usize = 45;

impl History {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let wanted = self.platform.clone().unwrap_or_else(Platform::host);
        let image = locate::with(world, &self.registry, &self.name, |found| {
            Ok(summarise(found.source, &found.root, &wanted)?.image)
        })?;
        let steps = image.as_ref().and_then(steps);
        let steps = steps.ok_or_else(|| CommandError::NotAnImage(self.name.clone()))?;
        if self.json {
            return show::json(world, &steps.iter().map(document).collect::<Vec<_>>());
        }
        if self.quiet {
            let digest = |layer: &Descriptor| layer.digest.to_string();
            let texts = steps.iter().map(|(_, layer)| layer.as_ref().map_or("<none>".to_owned(), digest));
            return texts.into_iter().try_for_each(|text| world.say(text));
        }
        let rows: Vec<Value> = steps.iter().map(|step| self.row(step)).collect();
        if let Some(format) = &self.format {
            return show::rows(world, format, HEADINGS, &rows);
        }
        let mut table = Table::new();
        table.row(COLUMNS.map(|column| HEADINGS.iter().find(|(key, _)| *key == column).map_or("", |(_, text)| text)));
        for row in rows {
            table.row(COLUMNS.map(|column| row[column].as_str().unwrap_or_default()));
        }
        table.write(world.out).map_err(CommandError::Output)
    }

    fn row(&self, (entry, layer): &Step) -> Value {
        let made = entry.created.as_deref().and_then(Moment::parse).filter(|made| *made > Moment::at(1));
        let since = made.map(|made| made.ago(SystemTime::now().into())).unwrap_or_default();
        let at = entry.created.clone().unwrap_or_default();
        let bytes = layer.as_ref().map_or(0, |layer| layer.size);
        let mut command = entry.created_by.clone().unwrap_or_default();
        if !self.no_trunc && command.chars().count() > COMMAND_WIDTH {
            command = command.chars().take(COMMAND_WIDTH - 1).chain(['…']).collect();
        }
        let digest = layer.as_ref().map(|layer| match self.no_trunc {
            true => layer.digest.to_string(),
            false => layer.digest.short(),
        });
        let digest = digest.unwrap_or_else(|| "<none>".to_owned());
        json!({
            "Layer": digest,
            "ID": digest,
            "Created": if self.human { &since } else { &at },
            "CreatedAt": at,
            "CreatedSince": since,
            "CreatedBy": command,
            "Size": if self.human { size::human(bytes) } else { bytes.to_string() },
            "Comment": entry.comment.as_deref().unwrap_or_default(),
        })
    }
}

/// A step and the layer it made, if any.
type Step = (Entry, Option<Descriptor>);

/// Newest first. Layers that the history does not tell of stand at its newer end, with nothing known about them.
fn steps(image: &PlatformImage) -> Option<Vec<Step>> {
    let mut layers = image.manifest.value().layers.iter().cloned();
    let entries = image.config.as_ref()?.value().history.iter();
    let mut steps: Vec<Step> =
        entries.map(|entry| (entry.clone(), if entry.empty_layer { None } else { layers.next() })).collect();
    steps.extend(layers.map(|layer| (Entry::default(), Some(layer))));
    steps.reverse();
    Some(steps)
}

fn document((entry, layer): &Step) -> Value {
    json!({
        "layer": layer.as_ref().map(|layer| layer.digest),
        "created": entry.created,
        "createdBy": entry.created_by.as_deref().unwrap_or_default(),
        "size": layer.as_ref().map_or(0, |layer| layer.size),
        "comment": entry.comment.as_deref().unwrap_or_default(),
        "emptyLayer": entry.empty_layer,
    })
}
