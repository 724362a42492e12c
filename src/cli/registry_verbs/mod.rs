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
use super::sync::Sync;
use super::world::World;

/// Serve and keep a registry of images
///
/// A registry is a directory in the layout of docker's registry, a bucket, this machine's images, an archive, or memory. It
/// needs no daemon and no database, and what it serves can be read by other tools.
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
  sealos registry sync 10.0.0.1:5000 10.0.0.2:5000
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
    /// Copy all images of one registry to another
    ///
    /// Every tag of every repository goes to the same repository of the other registry, and what is there already is not
    /// sent again. SOURCE may also be one repository, a list, an archive or a layout, and there may be several. Of an image
    /// for many platforms this machine's is copied, unless `--all` or `--platform` says otherwise. It is `sealos sync`.
    #[command(after_help = "\
Examples:
  sealos registry sync --all 10.0.0.1:5000 10.0.0.2:5000
  sealos registry sync --tls-verify=false localhost:5000 hub.example:5000
  sealos registry sync --filter 'repository=^library/' --dry-run hub.example:5000 10.0.0.2:5000")]
    Sync(Box<Sync>),
    /// Copy images to a registry
    ///
    /// Each keeps its path and tag, and the registry takes the place of the one that it was in. Credentials for one registry
    /// are not shown to the other.
    // What its arguments are is settled: images, and a registry.
    #[command(mut_arg("src", |arg| arg.hide(true)))]
    #[command(mut_arg("dest", |arg| arg.hide(true)))]
    #[command(mut_arg("filter", |arg| arg.hide(true)))]
    #[command(after_help = "\
Examples:
  sealos registry copy nginx:1.27 hub.example:5000
  sealos registry copy --all quay.io/team/app:v1 quay.io/team/db:v1 hub.example:5000/mirror")]
    Copy(Box<Sync>),
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
            Verb::Sync(verb) => verb.run(world),
            Verb::Copy(verb) => verb.of_images()?.run(world),
            Verb::Unit(verb) => verb.run(world),
        }
    }
}
