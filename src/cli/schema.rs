//! `sealos schema`

use clap::Args;

use super::error::CommandError;
use super::world::World;
use crate::clusterfile;

/// Print the JSON Schema of Clusterfiles
///
/// Editors complete and check a Clusterfile by it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos schema > clusterfile.schema.json")]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let schema = serde_json::to_string_pretty(&clusterfile::json_schema())?;
        world.say(schema)
    }
}
