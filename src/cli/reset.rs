//! `sealos reset`

use clap::Args;

use super::ask::confirm;
use super::error::CommandError;
use super::hosts::bring::{Leaving, take_away};
use super::hosts::known::KnownFlags;
use super::world::{Silence, World};

/// Take a cluster away from its hosts
///
/// What was done is undone, in reverse: `clean` scripts run, files go, lines in /etc/hosts go. What cannot be undone is
/// said, and the exit code is 1 then; the same command again goes on with the rest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos reset
  sealos reset --cluster test --yes")]
pub(crate) struct Reset {
    #[command(flatten)]
    known: KnownFlags,
    /// Do not ask
    #[arg(short, long, alias = "force")]
    yes: bool,
    /// No progress; what commands say is still shown
    #[arg(short, long)]
    quiet: bool,
}

impl Reset {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let file = self.known.load()?;
        let cluster = self.known.name.cluster;
        if !self.yes {
            let hosts = file.cluster.hosts.len();
            confirm(&format!("take the cluster `{cluster}` away from its {hosts} hosts"))?;
        }
        let silence = Silence::from(self.quiet);
        take_away(Leaving { cluster, file, work: &self.known.work, silence }, world)
    }
}
