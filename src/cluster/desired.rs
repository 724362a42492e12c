//! A cluster as its user wants it.

use std::collections::BTreeMap;

use crate::cluster::{Address, ClusterName, Host, Role, Ssh};

/// A cluster as its user wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// Its images, in the order in which they are installed.
    pub images: Vec<String>,
    /// Its hosts, in the order of the file.
    pub hosts: Vec<Host>,
    /// `NAME=VALUE`, over those of the images.
    pub env: Vec<String>,
    /// `NAME=VALUE` of the command line, by image: over all others.
    pub image_env: BTreeMap<String, Vec<String>>,
    /// Commands in the place of CMD that the command line gave, by image.
    pub image_cmd: BTreeMap<String, Vec<String>>,
    /// How hosts are reached that have no settings of their own.
    pub ssh: Ssh,
    /// Commands in the place of the CMD of the first image that is installed.
    pub command: Vec<String>,
    /// Changes of files of the images.
    pub configs: Vec<FileChange>,
}

impl Cluster {
    /// The host that applications are installed from: the first master.
    pub fn first_master(&self) -> Option<&Host> {
        self.hosts.iter().find(|host| host.is(&Role::Master))
    }

    /// The hosts that serve container images: those with the role, else the first master.
    pub fn registries(&self) -> Vec<&Host> {
        let named: Vec<_> = self.hosts.iter().filter(|host| host.is(&Role::Registry)).collect();
        if named.is_empty() { self.first_master().into_iter().collect() } else { named }
    }

    /// How a host is reached: its own settings over the cluster's.
    pub fn ssh_of(&self, host: &Host) -> Ssh {
        host.ssh.over(&self.ssh)
    }

    /// The host at an address; one without port is looked up with the cluster's.
    pub fn host(&self, address: &Address) -> Option<&Host> {
        let address = address.at_port(self.ssh.port_or_default());
        self.hosts.iter().find(|host| host.address == address)
    }
}

/// How text meets the file that it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// It replaces the file.
    #[default]
    Override,
    /// It is merged into each YAML document of the file.
    Merge,
    /// It goes before the file's text.
    Insert,
    /// It goes behind the file's text.
    Append,
}

/// A change of a file of an image: a `Config` document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The document's name.
    pub name: String,
    /// The image, as the cluster's list has it; none for every image.
    pub image: Option<String>,
    /// The file, by its path in the image.
    pub path: String,
    /// The text.
    pub data: String,
    /// What happens with it.
    pub strategy: Strategy,
}
