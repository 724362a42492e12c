//! `sealos registry …`: a registry of images, served and kept.

mod access;
mod failure;
mod gc;
mod listeners;
mod ls;
mod operation;
mod passwd;
mod place;
mod places;
mod rm;
mod save;
mod scrub;
mod serve;
mod signals;
mod unit;

use clap::{Args, Subcommand};

pub(crate) use self::failure::RegistryFailure;
use super::error::CommandError;
use super::world::World;

/// Serve and keep a registry of images
///
/// A registry is a directory in the layout of docker's registry, this machine's images, an archive, or memory. It needs
/// no daemon and no database, and what it serves can be read by other tools.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Examples:
  sealos registry serve                       this machine's images, to be pulled from here
  sealos registry serve myapp.tar             an archive, without unpacking it
  sealos registry serve filesystem DIR        a directory that can be pushed to
  sealos registry save --images nginx:1.27    images into a directory
  sealos registry ls DIR
  sealos registry gc --dry-run DIR"
)]
pub(crate) struct Registry {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(Box<serve::Serve>),
    Ls(ls::Ls),
    Rm(rm::Rm),
    Gc(gc::Gc),
    Scrub(scrub::Scrub),
    Passwd(passwd::Passwd),
    Save(Box<save::Save>),
    Unit(unit::Unit),
}

impl Registry {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        match self.verb {
            Verb::Serve(verb) => verb.run(world),
            Verb::Ls(verb) => verb.run(world),
            Verb::Rm(verb) => verb.run(world),
            Verb::Gc(verb) => verb.run(world),
            Verb::Scrub(verb) => verb.run(world),
            Verb::Passwd(verb) => verb.run(world),
            Verb::Save(verb) => verb.run(world),
            Verb::Unit(verb) => verb.run(world),
        }
    }
}
