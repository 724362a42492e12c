//! `sealos tag SRC NEW…`

use clap::Args;
use content::Sink;
use oci::Reference;

use super::error::CommandError;
use super::world::World;

/// Give an image more names
///
/// A name that another image has is moved. Nothing is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos tag app:v1 app:latest
  sealos tag app:v1 hub.example/team/app:v1 hub.example/team/app:latest")]
pub(crate) struct Tag {
    /// The image: a name or id
    source: String,
    /// Its new names
    #[arg(required = true, value_name = "NEW")]
    names: Vec<String>,
}

impl Tag {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        // All names are read before the first is given: a wrong one changes nothing.
        let names = self.names.iter().map(|text| new_name(text)).collect::<Result<Vec<_>, _>>()?;
        let disk = world.disk()?;
        let root = disk.find(&self.source)?.root;
        names.iter().try_for_each(|name| Ok(disk.tag(name, &root)?))
    }
}

fn new_name(text: &str) -> Result<Reference, CommandError> {
    let name: Reference = text.parse()?;
    match name.digest() {
        None => Ok(name),
        Some(_) => Err(CommandError::TagWithDigest(text.to_owned())),
    }
}
