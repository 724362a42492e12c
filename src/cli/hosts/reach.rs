//! How the hosts of a cluster are reached: this machine directly, others by SSH.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use content::side_by_side;

use super::flags::WorkFlags;
use super::{on_all, problem};
use crate::cli::ask;
use crate::cli::error::CommandError;
use crate::cli::world::is_real_root;
use crate::cluster::{Address, Cluster, Host, HostName, Problem, Secret};
use crate::transport::{HostKeys, Interrupt, Local, Question, Ssh, SshNetwork, SshOptions, Transport, TransportError};

/// The hosts of a cluster, each with the way to it.
pub(crate) type Hosts = BTreeMap<Address, Box<dyn Transport>>;

/// The network that all connections share.
pub(crate) fn network(host_keys: HostKeys) -> Result<Arc<SshNetwork>, CommandError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let network = SshNetwork::of_user(variable("HOME"), variable("SSH_AUTH_SOCK"));
    let mut network = network.map_err(CommandError::io("prepare SSH"))?;
    network.host_keys = host_keys;
    network.ask = Some(Arc::new(|question: &Question| {
        let text = match question {
            Question::Password { user, host } => format!("password of {user} on {host}: "),
            Question::Passphrase { key } => format!("passphrase of {}: ", key.display()),
        };
        // Nobody to ask is no answer; the login then says what it tried.
        ask::secret(&text).ok().map(|secret| Secret::new(secret.reveal()))
    }));
    Ok(Arc::new(network))
}

/// The way to each of these hosts of a cluster. Nothing is connected yet.
pub(crate) fn hosts<'a>(
    cluster: &Cluster,
    hosts: impl IntoIterator<Item = &'a Host>,
    network: &Arc<SshNetwork>,
) -> Hosts {
    let interrupt = Interrupt::default();
    let way = |host: &Host| -> Box<dyn Transport> {
        let port = host.address.port.unwrap_or_else(|| cluster.ssh.port_or_default());
        match &host.address.name {
            HostName::Ip(ip) if is_real_root() && is_own(*ip) => {
                Box::new(Local::new(std::env::vars_os(), interrupt.clone()))
            }
            name => {
                let options = SshOptions::new(&name.to_string(), port, &cluster.ssh_of(host));
                Box::new(Ssh::new(Arc::clone(network), options, interrupt.clone()))
            }
        }
    };
    hosts.into_iter().map(|host| (host.address.clone(), way(host))).collect()
}

/// The same, through a network of their own.
pub(crate) fn ways(cluster: &Cluster, chosen: &[Host], work: &WorkFlags) -> Result<Hosts, CommandError> {
    Ok(hosts(cluster, chosen, &network(work.host_keys.into())?))
}

/// Whether an address is one of this machine's own.
fn is_own(ip: IpAddr) -> bool {
    !ip.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()
}

/// What is done on a host; it says what went wrong there, if anything did.
pub(crate) type Act<'a> = dyn Fn(&Host, &dyn Transport) -> Result<Option<String>, TransportError> + Sync + 'a;

/// Does something on each of these hosts, many at a time; tells of all on which it failed.
pub(crate) fn on_each(cluster: &Cluster, chosen: &[Host], work: &WorkFlags, act: &Act<'_>) -> Result<(), CommandError> {
    let ways = ways(cluster, chosen, work)?;
    let done = side_by_side(work.parallel, chosen, |host| {
        let way = ways.get(&host.address)?;
        match act(host, way.as_ref()) {
            Ok(what) => what.map(|what| Problem { host: host.address.clone(), what, help: None }),
            Err(error) => Some(problem(&host.address, &error.into())),
        }
    });
    let mut problems: Vec<Problem> = done.into_iter().flatten().collect();
    problems.sort_by(|a, b| a.host.cmp(&b.host));
    on_all(problems, chosen.len())
}
