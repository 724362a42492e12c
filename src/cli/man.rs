//! `sealos man [DIR]`

use std::path::PathBuf;

use clap::Args;

use super::error::CommandError;
use super::world::World;

/// Write the manual pages
///
/// With a directory, all pages are written there, one a command; without one, the page of `sealos` goes to stdout.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos man | man -l -
  sealos man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Where the pages go; it is made if it is not there
    directory: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let command = super::command();
        let Some(directory) = self.directory else {
            return clap_mangen::Man::new(command).render(world.out).map_err(CommandError::Output);
        };
        let doing = || format!("write manual pages to {}", directory.display());
        std::fs::create_dir_all(&directory).map_err(CommandError::io(doing()))?;
        clap_mangen::generate_to(command, &directory).map_err(CommandError::io(doing()))
    }
}
