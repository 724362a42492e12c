//! `sealos run IMAGE… --masters LIST --nodes LIST`: images on the hosts of a cluster, new or known.

use std::collections::{BTreeMap, BTreeSet};

use oci::Descriptor;

use super::apply::merge_env;
use super::error::CommandError;
use super::hosts::bring::{Aim, Job, Unreachable, bring};
use super::hosts::flags::{HostFlags, SshFlags, WorkFlags};
use super::hosts::images;
use super::registry::Registry;
use super::world::{Silence, World};
use crate::cluster::{Cluster, ClusterName, ImageKind, Ssh};
use crate::clusterfile::Clusterfile;
use crate::plan::hosts::lineage;

/// What is run, and where.
pub(crate) struct OnHosts<'a> {
    pub(crate) cluster: &'a ClusterName,
    /// The images: name and root.
    pub(crate) wanted: Vec<(String, Descriptor)>,
    pub(crate) env: &'a [String],
    pub(crate) cmd: &'a [String],
    pub(crate) force: bool,
    pub(crate) dry_run: bool,
    pub(crate) hosts: &'a HostFlags,
    pub(crate) ssh: &'a SshFlags,
    pub(crate) work: &'a WorkFlags,
    pub(crate) registry: &'a Registry,
    pub(crate) silence: Silence,
}

impl OnHosts<'_> {
    pub(crate) fn run(&self, world: &mut World<'_>) -> Result<(), CommandError> {
        let disk = world.disk()?;
        let mut kinds = BTreeMap::new();
        for wanted in &self.wanted {
            let image = images::load(wanted, &disk)?;
            kinds.insert(wanted.0.clone(), ImageKind::of(&image.facts.config.labels)?);
        }
        let typed = self.ssh.typed()?;
        let wish = |current: Option<&Clusterfile>| {
            let mut file = current.cloned().unwrap_or_default();
            file.cluster.name = self.cluster.clone();
            let roots = file.status.mounts.iter().filter(|mount| mount.kind == ImageKind::Rootfs.to_string());
            let roots: BTreeSet<String> = roots.map(|mount| mount.image_name.clone()).collect();
            self.change(&mut file.cluster, &typed, &kinds, &roots)?;
            Ok(file)
        };
        let again = if self.force { kinds.keys().cloned().collect() } else { BTreeSet::new() };
        let job = Job {
            cluster: self.cluster.clone(),
            wish: &wish,
            again,
            work: self.work,
            registry: self.registry,
            silence: self.silence,
            unreachable: Unreachable::Refuse,
            aim: if self.dry_run { Aim::Tell } else { Aim::Do },
        };
        match bring(&job, world) {
            // A dry run of `run` says what it says and succeeds.
            Err(CommandError::Changes) => Ok(()),
            done => done,
        }
    }

    /// Changes what is wanted; `roots` are the root file systems that are installed.
    fn change(
        &self,
        cluster: &mut Cluster,
        typed: &Ssh,
        kinds: &BTreeMap<String, ImageKind>,
        roots: &BTreeSet<String>,
    ) -> Result<(), CommandError> {
        cluster.ssh = typed.over(&cluster.ssh);
        self.hosts.add_to(cluster, &Ssh::default())?;
        if cluster.first_master().is_none() {
            return Err(CommandError::NoMaster);
        }
        for (number, (name, _)) in self.wanted.iter().enumerate() {
            let is_rootfs = kinds.get(name) == Some(&ImageKind::Rootfs);
            let old = cluster
                .images
                .iter()
                .position(|known| lineage(known) == lineage(name) || (is_rootfs && roots.contains(known)));
            match old {
                Some(at) => {
                    // A new version takes the place of the old one, and what was said about that goes on.
                    let before = std::mem::replace(&mut cluster.images[at], name.clone());
                    if let Some(env) = cluster.image_env.remove(&before) {
                        cluster.image_env.insert(name.clone(), env);
                    }
                    if let Some(cmd) = cluster.image_cmd.remove(&before) {
                        cluster.image_cmd.insert(name.clone(), cmd);
                    }
                }
                // What everything else stands on comes first.
                None if is_rootfs => cluster.images.insert(0, name.clone()),
                None => cluster.images.push(name.clone()),
            }
            merge_env(cluster.image_env.entry(name.clone()).or_default(), self.env);
            if number == 0 && !self.cmd.is_empty() {
                cluster.image_cmd.insert(name.clone(), self.cmd.to_vec());
            } else if self.force {
                // Said anew without commands of one's own, it runs its own again.
                cluster.image_cmd.remove(name);
            }
        }
        cluster.image_env.retain(|_, env| !env.is_empty());
        Ok(())
    }
}
