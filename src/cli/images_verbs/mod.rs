//! `sealos images list|why|update|diff`: the container images that something asks for or carries.

mod diff;
mod list;
mod subject;
mod update;
mod why;

use clap::Subcommand;

pub(crate) use diff::changes;
pub(crate) use subject::outlines;

use super::error::CommandError;
use super::world::World;

/// What is done with carried images.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    List(list::List),
    Why(why::Why),
    Update(update::Update),
    Diff(diff::Diff),
}

impl Verb {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        match self {
            Self::List(verb) => verb.run(world),
            Self::Why(verb) => verb.run(world),
            Self::Update(verb) => verb.run(world),
            Self::Diff(verb) => verb.run(world),
        }
    }
}
