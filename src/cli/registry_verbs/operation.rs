//! What a server does besides answering: it hears signals, tells the service manager, and shows how it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use registry::access::watched::{LoadError, Nudge};
use registry::access::{Guard, TokenRoute};
use registry::access_log::AccessLog;
use registry::health::{Condition, HealthRoute};
use registry::metrics::{Exposition, Family, MetricsRoute};
use registry::notify::{Manager, State};
use registry::page::PageRoute;
use registry::service::Registry;
use registry::stop::Stop;
use registry::tls::Tls;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::places::Places;
use super::signals::{Signal, Signals};
use crate::cli::error::CommandError;

/// A certificate that ends within this time is warned about.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// How often the service manager is told that this process is alive, at least.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What is served beside `/v2/`.
pub(super) fn routes(
    registry: &mut Registry,
    guard: Arc<Guard>,
    tls: Option<&Arc<Tls>>,
    places: Places,
    stop: &Stop,
    log: Option<&Arc<AccessLog>>,
) {
    let backend = Arc::clone(&registry.backend);
    let mut health = HealthRoute::new(stop.clone()).with("storage", move || match backend.repositories() {
        Ok(_) => places.condition(),
        // Where content lies is not for everybody.
        Err(_) => Condition::NotReady("the content cannot be read".to_owned()),
    });
    let backend = Arc::clone(&registry.backend);
    let mut metrics = MetricsRoute::new(Arc::clone(&registry.counters)).with(move |out| repositories(out, &*backend));
    if let Some(tls) = tls {
        let (asked, shown) = (Arc::clone(tls), Arc::clone(tls));
        health = health.with("certificate", move || certificate(asked.valid_until()));
        metrics = metrics.with(move |out| expiry(out, shown.valid_until()));
    }
    if let Some(log) = log {
        let log = Arc::clone(log);
        let help = "Lines of the access log that could not be written in time.";
        metrics = metrics.with(move |out| {
            out.single("sealos_registry_log_dropped_total", Family::Counter, help, log.dropped());
        });
    }
    let page = PageRoute::new(Arc::clone(&registry.backend), Arc::clone(&guard) as _);
    registry.access = Arc::clone(&guard) as _;
    registry.routes = vec![Arc::new(health), Arc::new(metrics), Arc::new(TokenRoute(guard)), Arc::new(page)];
}

fn repositories(out: &mut Exposition, backend: &dyn registry::backend::Backend) {
    // What cannot be read is not shown; /readyz says that it cannot.
    if let Ok(all) = backend.repositories() {
        out.single("sealos_registry_repositories", Family::Gauge, "Repositories that are served.", all.len());
    }
}

fn certificate(until: Option<SystemTime>) -> Condition {
    let left = until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default());
    match left {
        Some(left) if left.is_zero() => Condition::Warning("the certificate has expired".to_owned()),
        Some(left) if left < SOON => {
            Condition::Warning(format!("the certificate expires in {} hours", left.as_secs() / 3600))
        }
        _ => Condition::Ready,
    }
}

fn expiry(out: &mut Exposition, until: Option<SystemTime>) {
    if let Some(since) = until.and_then(|until| until.duration_since(SystemTime::UNIX_EPOCH).ok()) {
        let help = "When the certificate expires, in seconds of the Unix epoch.";
        out.single("sealos_registry_certificate_expiry_seconds", Family::Gauge, help, since.as_secs());
    }
}

/// Says that files were read again, or why not.
pub(super) fn tell(files: &[PathBuf], error: Option<&LoadError>) {
    let files = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    match error {
        None => crate::cli::note(format_args!("{files}: read again")),
        Some(error) => crate::cli::note(format_args!("{files}: not used, what was read before stays: {error}")),
    }
}

/// Hears signals until the end.
pub(super) fn hear(signals: Signals, manager: &Manager, stop: &Stop, nudge: Nudge, log: Option<Arc<AccessLog>>) {
    let (manager, stop) = (manager.clone(), stop.clone());
    // It waits for a signal that may never come; the process ends without it.
    thread::spawn(move || {
        loop {
            match signals.wait() {
                // A second one is for whoever does not want to wait.
                Signal::End if stop.is_set() => std::process::exit(130),
                Signal::End => {
                    // A manager that cannot be told sees for itself that the process ends.
                    manager.tell(&[State::Stopping, State::Status("finishing answers")]).ok();
                    stop.set();
                }
                Signal::Reload => {
                    nudge.now();
                    log.iter().for_each(|log| log.reopen());
                }
            }
        }
    });
}

/// The thread that tells the service manager that this process is alive, joined when dropped.
pub(super) struct Heart {
    thread: Option<JoinHandle<()>>,
    stop: Stop,
}

impl Heart {
    /// Says that requests are answered, and from then on that this process is alive, if the manager wants to know.
    pub(super) fn start(manager: &Manager, stop: &Stop, status: &str) -> Result<Self, CommandError> {
        manager.tell(&[State::Ready, State::Status(status)]).map_err(CommandError::io("tell the service manager"))?;
        let beat = manager.heartbeat().map(|every| {
            let (manager, stop) = (manager.clone(), stop.clone());
            let every = Timespec::try_from(every.min(HEARTBEAT)).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
            thread::spawn(move || {
                while !stop.is_set() {
                    // What cannot be told now is told the next time; waiting ends when the end is asked for.
                    manager.tell(&[State::Alive]).ok();
                    poll(&mut [PollFd::new(&stop, PollFlags::IN)], Some(&every)).ok();
                }
            })
        });
        Ok(Self { thread: beat, stop: stop.clone() })
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed; there is nothing to be saved.
            thread.join().ok();
        }
    }
}

/// A file with this process's number, while it runs.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    pub(super) fn write(path: &Path) -> Result<Self, CommandError> {
        let written = std::fs::write(path, format!("{}\n", std::process::id()));
        written.map_err(CommandError::io(format!("write {}", path.display())))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        std::fs::remove_file(&self.0).ok();
    }
}
