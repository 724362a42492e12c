//! The registry of one `sealos run`: what the images carry, served on this machine for as long as their commands run.
//!
//! ```text
//! the store (carried images, by the names of their locks) ─┐
//! WORKDIR/registry of each image (the old form)            ─┴─▶ 127.0.0.1:PORT, read only
//! ```
//!
//! Commands find it by `registryDomain` and `registryPort`. The port is the same for the same cluster where it can be.
//! It asks nobody who they are; scripts that log in anyway, as images for the Go sealos do, find `registryUsername` and
//! `registryPassword`, too.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use oci::{Descriptor, Digest};
use registry::backend::{Backend, BackendError, Blob, Distribution, Images, Layered, Stored, Writer};
use registry::listener::Listener;
use registry::names::{Name, Tag, Which};
use registry::options::{Mode, ServeOptions};
use registry::service::Registry;
use registry::stop::Stop;

use super::error::CommandError;
use crate::cluster::ClusterName;

/// Ports that are tried: where nothing well known listens.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A socket that listens and is not served yet.
pub(crate) struct Prepared {
    listener: Listener,
    port: u16,
}

/// A registry that is served until this is dropped.
pub(crate) struct RunRegistry {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Prepared {
    /// Takes a port.
    pub(crate) fn listen(cluster: &ClusterName) -> Result<Self, CommandError> {
        let hex = Digest::of(cluster.to_string().as_bytes()).hex();
        let number = u16::from_str_radix(&hex[..4], 16).unwrap_or_default();
        let usual = PORTS.start + number % (PORTS.end - PORTS.start);
        // Somebody may have it; then any other will do.
        let bound = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, usual))
            .or_else(|_taken| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let failed = || CommandError::io("listen for the registry of this run");
        let socket = bound.map_err(failed())?;
        let port = socket.local_addr().map_err(failed())?.port();
        Ok(Self { listener: Listener::inherited(socket.into()).map_err(failed())?, port })
    }

    /// What commands are told.
    pub(crate) fn variables(&self) -> Vec<String> {
        variables(self.port)
    }

    /// Serves the store, and the `registry/` in each of the directories.
    pub(crate) fn serve(self, store: &Path, directories: Vec<PathBuf>) -> Result<RunRegistry, CommandError> {
        let stop = Stop::new().map_err(CommandError::io("prepare the registry of this run"))?;
        let images = Images::open(store).map_err(super::registry_verbs::RegistryFailure::from)?;
        let mut places: Vec<Arc<dyn Backend>> = vec![Arc::new(images)];
        for directory in directories {
            places.push(Arc::new(Unpacked { directory: directory.join("registry"), opened: OnceLock::new() }));
        }
        let options = ServeOptions { mode: Mode::ReadOnly, ..ServeOptions::default() };
        let served = Arc::new(Registry::new(Arc::new(Layered::new(places)), options));
        let (listeners, own) = (vec![self.listener], stop.clone());
        let serve = move || {
            // An error ends the service; whoever asks it then says so.
            drop(registry::serve(listeners, served, &own));
        };
        let spawned = std::thread::Builder::new().name("registry".to_owned()).spawn(serve);
        let thread = spawned.map_err(CommandError::io("start the registry of this run"))?;
        Ok(RunRegistry { stop, thread: Some(thread) })
    }
}

/// What commands are told of a registry on a port; 0 where nothing is to run. The names are those that root file systems
/// of the Go sealos set; user and password are theirs as well, and no secret: the registry reads neither.
pub(crate) fn variables(port: u16) -> Vec<String> {
    let facts = [
        ("registryDomain", Ipv4Addr::LOCALHOST.to_string()),
        ("registryPort", port.to_string()),
        ("registryUsername", "admin".to_owned()),
        ("registryPassword", "passw0rd".to_owned()),
    ];
    facts.map(|(name, value)| format!("{name}={value}")).to_vec()
}

impl Drop for RunRegistry {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported where it happened.
            drop(thread.join());
        }
    }
}

/// A directory that is there only after the image was unpacked.
struct Unpacked {
    directory: PathBuf,
    opened: OnceLock<Distribution>,
}

impl Unpacked {
    fn open(&self) -> Result<Option<&Distribution>, BackendError> {
        if let Some(opened) = self.opened.get() {
            return Ok(Some(opened));
        }
        match Distribution::is_at(&self.directory) {
            false => Ok(None),
            true => {
                let opened = Distribution::open_to_read(&self.directory)?;
                Ok(Some(self.opened.get_or_init(|| opened)))
            }
        }
    }
}

impl Backend for Unpacked {
    fn place(&self) -> String {
        self.directory.display().to_string()
    }

    fn manifest(&self, repository: &Name, which: &Which) -> Result<Option<Stored>, BackendError> {
        self.open()?.map_or(Ok(None), |opened| opened.manifest(repository, which))
    }

    fn blob(&self, repository: &Name, digest: &Digest) -> Result<Option<Blob<'_>>, BackendError> {
        self.open()?.map_or(Ok(None), |opened| opened.blob(repository, digest))
    }

    fn tags(&self, repository: &Name) -> Result<Option<Arc<[Tag]>>, BackendError> {
        self.open()?.map_or(Ok(None), |opened| opened.tags(repository))
    }

    fn repositories(&self) -> Result<Arc<[Name]>, BackendError> {
        self.open()?.map_or(Ok(Arc::from([])), Backend::repositories)
    }

    fn referrers(&self, repository: &Name, subject: &Digest) -> Result<Arc<[Descriptor]>, BackendError> {
        self.open()?.map_or(Ok(Arc::from([])), |opened| opened.referrers(repository, subject))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        None
    }
}
