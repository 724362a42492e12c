//! `sealos registry serve`

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use registry::access::watched::{Keeper, Reload};
use registry::access::{Guard, TokenRoute};
use registry::access_log::{AccessLog, Destination, Format};
use registry::health::HealthRoute;
use registry::listener::Listener;
use registry::metrics::MetricsRoute;
use registry::notify::{self, Manager, State};
use registry::options::{Completeness, Mode, ServeOptions};
use registry::service::Registry;
use registry::stop::Stop;
use registry::tls::Tls;

use super::access::AccessArgs;
use super::failure::RegistryFailure;
use super::place::{self, Use};
use super::signals::{Signal, Signals};
use crate::cli::error::CommandError;
use crate::cli::world::World;

/// Serve images
///
/// PATH is a directory in the layout of docker's registry (`filesystem DIR` makes a new one), an OCI image layout, a
/// content store, or an oci-archive or docker-archive, which is served as it lies; `memory` forgets everything at the
/// end. Without PATH it is this machine's images. Several are served as one: who has something first answers, and what
/// is pushed goes to the first that takes it.
///
/// Nobody from outside this machine gets in unless `--listen` says so, and nobody without credentials can write unless
/// `--anonymous` says so.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos registry serve                                   this machine's images, to be pulled
  sealos registry serve myapp.tar                         an archive, without unpacking it
  sealos registry serve filesystem /var/lib/registry --anonymous push
  sealos registry serve filesystem /var/lib/registry --listen 0.0.0.0:5000 \\
      --htpasswd users --tls-cert hub.crt --tls-key hub.key")]
pub(crate) struct Serve {
    /// What is served
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// An address and port to listen on, or unix:PATH; can be given several times [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(short, long, value_name = "PORT", conflicts_with = "listen")]
    port: Option<u16>,
    /// Listen elsewhere than on this machine although there is neither TLS nor any authentication
    #[arg(long)]
    unprotected: bool,
    /// Take no pushes and no deletes
    #[arg(long)]
    read_only: bool,
    /// Take manifests whose blobs are not there
    #[arg(long)]
    sparse: bool,
    /// The largest manifest, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    max_manifest: u16,
    #[command(flatten)]
    access: AccessArgs,
    /// A file that the process's number is written to
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    pid_file: Option<PathBuf>,
    /// Where requests are logged: stderr, stdout or a file, which SIGHUP opens anew
    #[arg(long, value_name = "WHERE", default_value = "stderr", help_heading = "Operation")]
    access_log: String,
    /// How they are logged: json or combined
    #[arg(long, value_name = "FORM", default_value = "json", value_parser = ["json", "combined"],
          hide_possible_values = true, help_heading = "Operation")]
    access_log_format: String,
    /// Do not log requests
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL",
          hide_possible_values = true, help_heading = "Operation")]
    disable_logging: Option<bool>,
}

impl Serve {
    pub(crate) fn run(&self, world: &mut World<'_>) -> Result<(), CommandError> {
        let signals = Signals::take().map_err(CommandError::io("listen for signals"))?;
        let stop = Stop::new().map_err(CommandError::io("prepare the end"))?;
        let how = if self.read_only { Use::Read } else { Use::Write };
        let store = world.store_place()?;
        let backend = place::open(&self.paths, &store, how)?;
        let options = ServeOptions {
            mode: if self.read_only { Mode::ReadOnly } else { Mode::Writable },
            completeness: if self.sparse { Completeness::Sparse } else { Completeness::Required },
            manifest_limit: usize::from(self.max_manifest) << 20,
            ..ServeOptions::default()
        };
        let mut registry = Registry::new(backend, options);
        let guard = Guard::open(self.access.options(), Arc::clone(&registry.counters));
        let guard = Arc::new(guard.map_err(RegistryFailure::from)?);
        let tls = self.access.tls().map(Tls::open).transpose().map_err(RegistryFailure::from)?;
        let mut watched: Vec<Arc<dyn Reload>> = guard.watched();
        watched.extend(tls.as_ref().map(Tls::watched));
        let listeners = self.listeners(tls)?;
        let log = self.log()?;
        registry.access = Arc::clone(&guard) as _;
        registry.routes = vec![
            Arc::new(HealthRoute::new(stop.clone())),
            Arc::new(MetricsRoute::new(Arc::clone(&registry.counters))),
            Arc::new(TokenRoute(guard)),
        ];
        if let Some(log) = &log {
            registry.log = Arc::clone(log) as _;
        }
        let told = |files: &[PathBuf], error: Option<&registry::access::watched::LoadError>| {
            let files = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
            match error {
                None => crate::cli::note(format_args!("{files}: read again")),
                Some(error) => crate::cli::note(format_args!("{files}: not used, the old one stays: {error}")),
            }
        };
        let keeper = Keeper::start(watched, told).map_err(CommandError::io("watch files"))?;
        for listener in &listeners {
            world.say(format_args!("listening on {listener}"))?;
        }
        world.out.flush().map_err(CommandError::Output)?;
        let pid_file = self.pid_file.as_deref().map(PidFile::write).transpose()?;
        let manager = Manager::of_environment();
        listen_to(signals, &stop, keeper.nudge(), log.clone());
        announce(&manager, &stop)?;
        let served = registry::serve(listeners, Arc::new(registry), &stop);
        manager.tell(&[State::Stopping]).ok();
        drop((pid_file, keeper));
        if let Some(log) = log {
            log.end();
        }
        Ok(served.map_err(RegistryFailure::from)?)
    }

    fn listeners(&self, tls: Option<Tls>) -> Result<Vec<Listener>, CommandError> {
        let tls = tls.map(|tls| Arc::new(tls) as Arc<dyn registry::listener::Certificates>);
        let secured = |listener: Listener| match &tls {
            Some(tls) => listener.secured(Arc::clone(tls)),
            None => listener,
        };
        let inherited =
            notify::inherited().map_err(CommandError::io("take over the sockets of the service manager"))?;
        if !inherited.is_empty() {
            let listener = |one: notify::Inherited| Listener::inherited(one.socket).map(secured);
            let all: Result<Vec<_>, _> = inherited.into_iter().map(listener).collect();
            return all.map_err(CommandError::io("take over the sockets of the service manager"));
        }
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port.unwrap_or(5000)).to_string();
        let addresses = if self.listen.is_empty() { vec![local] } else { self.listen.clone() };
        let is_open = tls.is_none() && !self.access.options().is_authenticating() && !self.unprotected;
        let mut listeners = Vec::new();
        for address in addresses {
            let failed = |source| RegistryFailure::Listen { address: address.clone(), source };
            listeners.push(match address.strip_prefix("unix:") {
                Some(path) => {
                    // What an earlier process left is in the way; one that is in use is not connected to any more.
                    if fs::symlink_metadata(path).is_ok_and(|found| is_socket(&found)) {
                        fs::remove_file(path).map_err(failed)?;
                    }
                    UnixListener::bind(path).and_then(Listener::unix).map_err(failed)?
                }
                None => {
                    if is_open && !is_loopback(&address) {
                        return Err(RegistryFailure::Unprotected(address).into());
                    }
                    let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.clone() };
                    secured(Listener::tcp(address.as_str()).map_err(failed)?)
                }
            });
        }
        Ok(listeners)
    }

    fn log(&self) -> Result<Option<Arc<AccessLog>>, CommandError> {
        if self.disable_logging == Some(true) {
            return Ok(None);
        }
        let format = if self.access_log_format == "combined" { Format::Combined } else { Format::Json };
        let destination = match self.access_log.as_str() {
            "stderr" => Destination::Stderr,
            "stdout" => Destination::Stdout,
            path => Destination::File(path.into()),
        };
        let log = AccessLog::start(format, &destination).map_err(CommandError::io("begin the log of requests"))?;
        Ok(Some(Arc::new(log)))
    }
}

/// Whether every address that a text stands for is this machine's own.
fn is_loopback(address: &str) -> bool {
    use std::net::ToSocketAddrs;
    let all = address.to_socket_addrs();
    all.is_ok_and(|all| all.map(|one| one.ip()).all(|ip| ip.is_loopback()))
}

fn is_socket(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_socket()
}

/// Hears signals until the end.
fn listen_to(signals: Signals, stop: &Stop, nudge: registry::access::watched::Nudge, log: Option<Arc<AccessLog>>) {
    let stop = stop.clone();
    // It waits for a signal that may never come; the process ends without it.
    thread::spawn(move || {
        loop {
            match signals.wait() {
                // A second one is for whoever does not want to wait.
                Signal::End if stop.is_set() => std::process::exit(130),
                Signal::End => stop.set(),
                Signal::Reload => {
                    nudge.now();
                    log.iter().for_each(|log| log.reopen());
                }
            }
        }
    });
}

/// Tells the service manager that requests are answered, and from then on that this process is alive.
fn announce(manager: &Manager, stop: &Stop) -> Result<(), CommandError> {
    manager.tell(&[State::Ready]).map_err(CommandError::io("tell the service manager"))?;
    if let Some(every) = manager.heartbeat() {
        let (manager, stop) = (manager.clone(), stop.clone());
        thread::spawn(move || {
            while !stop.is_set() {
                // What cannot be told now is told the next time.
                manager.tell(&[State::Alive]).ok();
                thread::sleep(every.min(Duration::from_secs(10)));
            }
        });
    }
    Ok(())
}

/// A file with this process's number, while it runs.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<Self, CommandError> {
        let written = fs::write(path, format!("{}\n", std::process::id()));
        written.map_err(CommandError::io(format!("write {}", path.display())))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        fs::remove_file(&self.0).ok();
    }
}
