//! `sealos add --masters LIST --nodes LIST`

use std::collections::BTreeSet;

use clap::Args;

use super::error::CommandError;
use super::hosts::bring::{Aim, Job, Unreachable, bring, stored};
use super::hosts::flags::{ClusterFlag, HostFlags, SshFlags, WorkFlags};
use super::registry::{Registry, Trust};
use super::world::{Silence, World};
use crate::clusterfile::Clusterfile;

/// Add hosts to a cluster
///
/// They get what the cluster's hosts have. What was interrupted continues with the same command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos add --nodes 10.0.0.4,10.0.0.5
  sealos add --nodes 10.0.0.6:2222 --user admin --passwd-file ./password")]
pub(crate) struct Add {
    #[command(flatten)]
    hosts: HostFlags,
    #[command(flatten)]
    cluster: ClusterFlag,
    #[command(flatten)]
    ssh: SshFlags,
    #[command(flatten)]
    work: WorkFlags,
    /// No progress; what commands say is still shown
    #[arg(short, long)]
    quiet: bool,
}

impl Add {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        self.hosts.needed()?;
        let cluster = self.cluster.cluster;
        let own = self.ssh.typed()?;
        let wish = |current: Option<&Clusterfile>| {
            let mut file = stored(current, &cluster)?;
            self.hosts.add_to(&mut file.cluster, &own)?;
            Ok(file)
        };
        let registry = Registry::from(Trust::default()).complete()?;
        let job = Job {
            cluster: cluster.clone(),
            wish: &wish,
            again: BTreeSet::new(),
            work: &self.work,
            registry: &registry,
            silence: Silence::from(self.quiet),
            unreachable: Unreachable::Refuse,
            aim: Aim::Do,
        };
        bring(&job, world)
    }
}
