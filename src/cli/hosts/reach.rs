//! How the hosts of a cluster are reached: this machine directly, others by SSH.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::bring::causes;
use super::flags::WorkFlags;
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

/// Whether an address is one of this machine's own.
fn is_own(ip: IpAddr) -> bool {
    !ip.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()
}

/// What is done on a host; it says what went wrong there, if anything did.
pub(crate) type Act<'a> = dyn Fn(&Host, &dyn Transport) -> Result<Option<String>, TransportError> + Sync + 'a;

/// Does something on each of these hosts, many at a time; tells of all on which it failed.
pub(crate) fn on_each(cluster: &Cluster, chosen: &[Host], work: &WorkFlags, act: &Act<'_>) -> Result<(), CommandError> {
    let network = network(work.host_keys.into())?;
    let ways = hosts(cluster, chosen, &network);
    let (next, problems) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..work.parallel.clamp(1, chosen.len().max(1)) {
            scope.spawn(|| {
                while let Some(host) = chosen.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let Some(way) = ways.get(&host.address) else { continue };
                    let problem = match act(host, way.as_ref()) {
                        Ok(None) => continue,
                        Ok(Some(what)) => Problem { host: host.address.clone(), what, help: None },
                        Err(error) => {
                            let (what, help) = (causes(&error), error.help());
                            Problem { host: host.address.clone(), what, help }
                        }
                    };
                    problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
                }
            });
        }
    });
    let mut problems: Vec<Problem> = problems.into_inner().unwrap_or_else(PoisonError::into_inner);
    problems.sort_by(|a, b| a.host.cmp(&b.host));
    if problems.is_empty() { Ok(()) } else { Err(CommandError::SomeHosts { problems, of: chosen.len() }) }
}
