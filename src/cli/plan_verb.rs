//! `sealos plan -f Clusterfile`

use clap::Args;

use super::apply::ApplyFlags;
use super::error::CommandError;
use super::hosts::bring::{Aim, Unreachable};
use super::world::World;

/// Say what `sealos apply` would do
///
/// All hosts are asked, nothing is changed. The exit code is 0 if nothing is left to do, 2 if something is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos plan -f Clusterfile
  sealos plan -f Clusterfile --json | jq '.steps[].host'")]
pub(crate) struct Plan {
    #[command(flatten)]
    flags: ApplyFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let aim = if self.json { Aim::TellJson } else { Aim::Tell };
        self.flags.bring(aim, Unreachable::Forget, world)
    }
}
