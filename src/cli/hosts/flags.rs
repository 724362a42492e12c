//! Flags about clusters and their hosts. Only what was typed counts: nothing of it replaces what nobody mentioned.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::error::CommandError;
use crate::cluster::{Address, Cluster, ClusterName, Host, Role, Secret, Ssh};
use crate::transport::HostKeys;

/// How hosts are logged in to.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "SSH")]
pub(crate) struct SshFlags {
    /// The user to log in as; root is reached by sudo [default: root]
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,
    /// The user's password, for login and sudo; others can see it in the list of processes: better use --passwd-file
    #[arg(short, long, value_name = "PASSWORD", env = "SEALOS_SSH_PASSWORD", hide_env_values = true)]
    passwd: Option<String>,
    /// A file with the user's password
    #[arg(long, value_name = "FILE", conflicts_with = "passwd")]
    passwd_file: Option<PathBuf>,
    /// The file of a private key [default: the agent's, and those in ~/.ssh]
    #[arg(short = 'i', long, value_name = "FILE")]
    pk: Option<PathBuf>,
    /// What decrypts the key; better use --pk-passwd-file
    #[arg(long, value_name = "PASSPHRASE", env = "SEALOS_SSH_PASSPHRASE", hide_env_values = true)]
    pk_passwd: Option<String>,
    /// A file with what decrypts the key
    #[arg(long, value_name = "FILE", conflicts_with = "pk_passwd")]
    pk_passwd_file: Option<PathBuf>,
    /// The port of hosts that are named without one [default: 22]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

impl SshFlags {
    /// What was typed.
    pub(crate) fn typed(&self) -> Result<Ssh, CommandError> {
        let secret = |text: &Option<String>, file: &Option<PathBuf>| -> Result<_, CommandError> {
            match (text, file) {
                (Some(text), _) => Ok(Some(Secret::new(text.clone()))),
                (None, Some(file)) => {
                    let read =
                        fs::read_to_string(file).map_err(CommandError::io(format!("read {}", file.display())))?;
                    Ok(Some(Secret::new(read.trim_end_matches(['\n', '\r']))))
                }
                (None, None) => Ok(None),
            }
        };
        Ok(Ssh {
            user: self.user.clone(),
            password: secret(&self.passwd, &self.passwd_file)?,
            key: self.pk.clone(),
            passphrase: secret(&self.pk_passwd, &self.pk_passwd_file)?,
            port: self.port,
            ..Ssh::default()
        })
    }

    /// Puts what was typed over the settings of a cluster and of its hosts.
    pub(crate) fn typed_over(&self, cluster: &mut Cluster) -> Result<(), CommandError> {
        let typed = self.typed()?;
        cluster.ssh = typed.over(&cluster.ssh);
        for host in &mut cluster.hosts {
            host.ssh = typed.over(&host.ssh);
        }
        Ok(())
    }
}

/// Which hosts.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Hosts")]
pub(crate) struct HostFlags {
    /// Hosts of the control plane: IPs, ranges (10.0.0.1-10.0.0.3), networks (10.0.0.0/29), names, each with :PORT if
    /// need be, with commas between them
    #[arg(short, long, value_name = "LIST")]
    pub(crate) masters: Option<String>,
    /// Other hosts, in the same form
    #[arg(short, long, value_name = "LIST")]
    pub(crate) nodes: Option<String>,
}

impl HostFlags {
    /// Whether none was named.
    pub(crate) fn is_empty(&self) -> bool {
        self.masters.is_none() && self.nodes.is_none()
    }

    /// One has to be named.
    pub(crate) fn needed(&self) -> Result<(), CommandError> {
        match self.is_empty() {
            true => Err(CommandError::Usage("no host is named: give --masters or --nodes".to_owned())),
            false => Ok(()),
        }
    }

    /// The addresses of a role.
    pub(crate) fn list(&self, role: &Role, port: u16) -> Result<Vec<Address>, CommandError> {
        let text = if *role == Role::Master { &self.masters } else { &self.nodes };
        let list = Address::parse_list(text.as_deref().unwrap_or_default(), port)?;
        Ok(list.iter().map(|address| address.at_port(port)).collect())
    }

    /// Adds the named hosts to a cluster; those it has already stay as they are. Returns how many were new.
    pub(crate) fn add_to(&self, cluster: &mut Cluster, own: &Ssh) -> Result<usize, CommandError> {
        let port = own.over(&cluster.ssh).port_or_default();
        let mut new = 0;
        for role in [Role::Master, Role::Node] {
            for address in self.list(&role, port)? {
                match cluster.hosts.iter().find(|host| host.address == address) {
                    Some(known) if known.is(&role) => {}
                    Some(_) => return Err(CommandError::TwoRoles(address)),
                    None => {
                        let roles = [role.clone()].into();
                        cluster.hosts.push(Host { address, roles, env: Vec::new(), ssh: own.clone() });
                        new += 1;
                    }
                }
            }
        }
        Ok(new)
    }
}

/// What happens with hosts whose key is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyPolicy {
    /// It is noted in known_hosts and taken from then on
    #[default]
    AcceptNew,
    /// The host is not talked to
    Strict,
}

impl From<KeyPolicy> for HostKeys {
    fn from(policy: KeyPolicy) -> Self {
        match policy {
            KeyPolicy::AcceptNew => Self::AcceptNew,
            KeyPolicy::Strict => Self::Strict,
        }
    }
}

/// How hosts are talked with.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Work")]
pub(crate) struct WorkFlags {
    /// How many hosts are worked on at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = parallel)]
    pub(crate) parallel: usize,
    /// How long one command of an image may take: seconds, or 90s, 10m, 2h; 0 is as long as it wants
    #[arg(long, value_name = "TIME", default_value = "0", env = "SEALOS_EXECUTION_TIMEOUT", hide_env = true,
          value_parser = time)]
    pub(crate) timeout: Duration,
    /// What happens with hosts whose key is not known
    #[arg(long, value_name = "HOW", value_enum, default_value_t = KeyPolicy::AcceptNew)]
    pub(crate) host_keys: KeyPolicy,
}

impl WorkFlags {
    /// How long a command may take, if there is a limit.
    pub(crate) fn limit(&self) -> Option<Duration> {
        Some(self.timeout).filter(|timeout| !timeout.is_zero())
    }
}

fn parallel(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number from 1".to_owned()),
        Ok(count) => Ok(count),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    crate::report::time::parse_span(text).ok_or_else(|| "expected seconds, or 90s, 10m, 2h".to_owned())
}

/// Which cluster.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClusterFlag {
    /// The name of the cluster
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub(crate) cluster: ClusterName,
}

/// Which hosts of a cluster.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Hosts")]
pub(crate) struct ChoiceFlags {
    /// Hosts that have one of these roles, with commas between them
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    roles: Vec<String>,
    /// These hosts
    #[arg(long, value_name = "LIST")]
    ips: Option<String>,
}

impl ChoiceFlags {
    /// The hosts that are meant: those named, else those with a role, else all.
    pub(crate) fn of(&self, cluster: &Cluster) -> Result<Vec<Host>, CommandError> {
        let port = cluster.ssh.port_or_default();
        if let Some(text) = &self.ips {
            let named = Address::parse_list(text, port)?;
            let find = |address: &Address| {
                let host = cluster
                    .hosts
                    .iter()
                    .find(|host| host.address == address.at_port(host.address.port.unwrap_or(port)));
                host.cloned().ok_or_else(|| CommandError::NotInCluster {
                    address: address.clone(),
                    cluster: cluster.name.clone(),
                })
            };
            return named.iter().map(find).collect();
        }
        if self.roles.is_empty() {
            return Ok(cluster.hosts.clone());
        }
        let wanted: Vec<Role> = self.roles.iter().cloned().map(Role::from).collect();
        let has = |host: &&Host| wanted.iter().any(|role| host.is(role));
        let hosts: Vec<Host> = cluster.hosts.iter().filter(has).cloned().collect();
        if hosts.is_empty() {
            return Err(CommandError::NoSuchRole { roles: self.roles.join(", "), cluster: cluster.name.clone() });
        }
        Ok(hosts)
    }
}
