//! `sealos version`

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::error::CommandError;
use super::show;
use super::world::World;
use crate::report::table::Table;

/// Show the version of this program
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos version
  sealos version -o json
  sealos version --short")]
pub(crate) struct Version {
    /// How it is written
    #[arg(short, long, value_enum, default_value_t = Form::Table, value_name = "FORM")]
    output: Form,
    /// The same as `-o short`
    #[arg(long)]
    short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
    Yaml,
    Short,
}

#[derive(Serialize)]
struct Facts {
    version: &'static str,
    platform: String,
}

impl Version {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let facts = Facts { version: env!("CARGO_PKG_VERSION"), platform: oci::Platform::host().to_string() };
        match if self.short { Form::Short } else { self.output } {
            Form::Short => world.say(facts.version),
            Form::Json => show::json(world, &facts),
            // Two plain words need no quoting.
            Form::Yaml => world.say(format_args!("version: {}\nplatform: {}", facts.version, facts.platform)),
            Form::Table => {
                let mut table = Table::new();
                table.row(["VERSION", "PLATFORM"]);
                table.row([facts.version, &facts.platform]);
                table.write(world.out).map_err(CommandError::Output)
            }
        }
    }
}
