//! A cluster that is known on this machine, as the verbs name it that ask its hosts or act on them.

use std::collections::BTreeMap;

use clap::Args;

use super::bring::places;
use super::flags::{ClusterFlag, SshFlags, WorkFlags};
use super::reach;
use super::state::State;
use crate::cli::error::CommandError;
use crate::cluster::Address;
use crate::clusterfile::Clusterfile;
use crate::probe::{Found, ProbeError, probe};

/// Which cluster, and how its hosts are talked with.
#[derive(Clone, Debug, Args)]
pub(crate) struct KnownFlags {
    #[command(flatten)]
    pub(crate) name: ClusterFlag,
    #[command(flatten)]
    ssh: SshFlags,
    #[command(flatten)]
    pub(crate) work: WorkFlags,
}

impl KnownFlags {
    /// The cluster as it was stored, with what was typed over its settings.
    pub(crate) fn load(&self) -> Result<Clusterfile, CommandError> {
        let cluster = &self.name.cluster;
        let mut file = State::of(cluster)?.needed(cluster)?;
        self.ssh.typed_over(&mut file.cluster)?;
        Ok(file)
    }

    /// Asks all of its hosts.
    pub(crate) fn ask(&self, file: &Clusterfile) -> Result<BTreeMap<Address, Result<Found, ProbeError>>, CommandError> {
        let (_, places) = places(&self.name.cluster)?;
        let hosts = reach::ways(&file.cluster, &file.cluster.hosts, &self.work)?;
        Ok(probe(&hosts, &places, self.work.parallel))
    }
}
