//! `sealos gen IMAGE… --masters LIST`

use std::path::PathBuf;

use clap::Args;

use super::error::CommandError;
use super::hosts::flags::{HostFlags, SshFlags};
use super::run::variable;
use super::whole_file;
use super::world::World;
use crate::cluster::{Cluster, ClusterName, Environment};
use crate::clusterfile::generate;

/// Write a Clusterfile
///
/// Nothing is looked up and nothing is stored: edit the file, then `sealos apply -f` it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos gen labring/kubernetes:v1.29.0 labring/helm:v3.8.2 --masters 10.0.0.1 --nodes 10.0.0.2-10.0.0.4
  sealos gen app:v1 --masters 10.0.0.1 -o Clusterfile")]
pub(crate) struct Gen {
    /// Images, in the order in which they are installed
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten)]
    hosts: HostFlags,
    #[command(flatten)]
    ssh: SshFlags,
    /// The name of the cluster
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    cluster: ClusterName,
    /// An environment variable for templates and commands of all images; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<String>,
    /// A command instead of the first image's CMD; may be given several times
    #[arg(long, value_name = "COMMAND")]
    cmd: Vec<String>,
    /// The file to write [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Gen {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        Environment::default().overlaid(&self.env)?;
        let mut cluster = Cluster {
            name: self.cluster,
            images: self.images,
            env: self.env,
            command: self.cmd,
            ssh: self.ssh.typed()?,
            ..Cluster::default()
        };
        self.hosts.add_to(&mut cluster, &Default::default())?;
        let text = generate(&cluster)
            .map_err(|source| CommandError::Clusterfile { path: "the new Clusterfile".to_owned(), source })?;
        match self.output.filter(|path| path.as_os_str() != "stdout") {
            Some(path) => whole_file::write(&path, text.as_bytes()),
            None => write!(world.out, "{text}").map_err(CommandError::Output),
        }
    }
}
