//! `sealos delete --masters LIST --nodes LIST`

use std::collections::BTreeSet;

use clap::Args;

use super::ask::confirm;
use super::error::CommandError;
use super::hosts::bring::{Aim, Job, Unreachable, bring, stored};
use super::hosts::flags::{ClusterFlag, HostFlags, WorkFlags};
use super::registry::{Registry, Trust};
use super::world::{Silence, World};
use crate::cluster::Role;
use crate::clusterfile::Clusterfile;

/// Remove hosts from a cluster
///
/// What was done on them is undone, in reverse.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos delete --nodes 10.0.0.5
  sealos delete --nodes 10.0.0.5 --yes
  sealos delete --nodes 10.0.0.5 --force      forget it, too, if it does not answer")]
pub(crate) struct Delete {
    #[command(flatten)]
    hosts: HostFlags,
    #[command(flatten)]
    cluster: ClusterFlag,
    #[command(flatten)]
    work: WorkFlags,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Do not ask, and forget hosts that do not answer
    #[arg(long)]
    force: bool,
    /// No progress; what commands say is still shown
    #[arg(short, long)]
    quiet: bool,
}

impl Delete {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        self.hosts.needed()?;
        let cluster = self.cluster.cluster;
        let wish = |current: Option<&Clusterfile>| {
            let mut file = stored(current, &cluster)?;
            for role in [Role::Master, Role::Node] {
                for address in self.hosts.list(&role, file.cluster.ssh.port_or_default())? {
                    let before = file.cluster.hosts.len();
                    file.cluster.hosts.retain(|host| host.address != address || !host.is(&role));
                    if file.cluster.hosts.len() == before {
                        return Err(CommandError::NotInCluster { address, cluster: cluster.clone() });
                    }
                }
            }
            match file.cluster.first_master() {
                Some(_) => Ok(file),
                None => Err(CommandError::LastMaster),
            }
        };
        if !self.yes && !self.force {
            let lists = [self.hosts.masters.as_deref(), self.hosts.nodes.as_deref()];
            let named: Vec<&str> = lists.into_iter().flatten().collect();
            confirm(&format!("remove {} from the cluster `{cluster}`", named.join(", ")))?;
        }
        let registry = Registry::from(Trust::default()).complete()?;
        let job = Job {
            cluster: cluster.clone(),
            wish: &wish,
            again: BTreeSet::new(),
            work: &self.work,
            registry: &registry,
            silence: Silence::from(self.quiet),
            unreachable: if self.force { Unreachable::Forget } else { Unreachable::Refuse },
            aim: Aim::Do,
        };
        bring(&job, world)
    }
}
