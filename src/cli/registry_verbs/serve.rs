//! `sealos registry serve`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use registry::access::Guard;
use registry::access::watched::{Keeper, Reload};
use registry::access_log::{AccessLog, Destination, Format};
use registry::backend::{PullThrough, Upstream, UpstreamError};
use registry::listener::Certificates;
use registry::notify::Manager;
use registry::options::{Completeness, Mode, Redirects, ServeOptions};
use registry::service::Registry;
use registry::stop::Stop;
use registry::tls::Tls;
use registry_client::ClientOptions;

use super::access::AccessArgs;
use super::failure::RegistryFailure;
use super::listeners::{self, Exposure};
use super::operation::{self, Heart, PidFile};
use super::place::{self, Use};
use super::places::Places;
use super::signals::Signals;
use crate::cli::error::CommandError;
use crate::cli::world::World;

/// Serve images
///
/// PATH is a directory in the layout of docker's registry (`filesystem DIR` makes a new one), an OCI image layout, a
/// content store, or an oci-archive or docker-archive, which is served as it lies; `s3://BUCKET/PREFIX` is a bucket, found
/// and signed in to with the variables and files of AWS's tools (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, …);
/// `memory` forgets everything at the end. Without PATH it is this machine's images. Several are served as one: who has
/// something first answers, and what is pushed goes to the first that takes it.
///
/// Nobody from outside this machine gets in unless `--listen` says so, and nobody without credentials can write unless
/// `--anonymous` says so.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos registry serve                                   this machine's images, to be pulled
  sealos registry serve myapp.tar                         an archive, without unpacking it
  sealos registry serve filesystem /var/lib/registry --anonymous push
  AWS_ENDPOINT_URL=https://s3.example AWS_SHARED_CREDENTIALS_FILE=keys sealos registry serve s3://images/hub
  sealos registry serve filesystem /var/lib/registry --listen 0.0.0.0:5000 \\
      --htpasswd users --tls-cert hub.crt --tls-key hub.key
  sealos registry serve filesystem cache --read-only --upstream docker.io=https://registry-1.docker.io")]
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
    /// Listen elsewhere than on this machine although there is no TLS or no authentication
    #[arg(long, visible_alias = "insecure-listen")]
    unprotected: bool,
    /// Take no pushes and no deletes
    #[arg(long)]
    read_only: bool,
    /// Take manifests whose blobs are not there
    #[arg(long)]
    sparse: bool,
    /// Send who pulls a blob to the bucket that it lies in, instead of passing its bytes on
    #[arg(long)]
    redirect: bool,
    /// The largest manifest, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    max_manifest: u16,
    /// A registry that is asked for images of HOST which are not here, and whose answers are kept; can be given several
    /// times
    #[arg(long, value_name = "HOST=URL", help_heading = "Registries behind this one")]
    // Read when it is needed: whoever writes credentials into it finds them in no error of the command line's own.
    upstream: Vec<String>,
    /// The file with credentials for them
    #[arg(
        long,
        env = "REGISTRY_AUTH_FILE",
        hide_env = true,
        value_name = "FILE",
        help_heading = "Registries behind this one"
    )]
    authfile: Option<PathBuf>,
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
        let tls = self.access.tls().map(Tls::open).transpose().map_err(RegistryFailure::from)?.map(Arc::new);
        let certificates = tls.as_ref().map(|tls| Arc::clone(tls) as Arc<dyn Certificates>);
        let exposure = if self.unprotected { Exposure::Meant } else { Exposure::Refused };
        let listeners = listeners::open(&self.addresses(), certificates.as_ref(), self.access.protection(), exposure)?;
        let store = world.store_place()?;
        let mut registry = Registry::new(place::open(&self.paths, &store, self.how())?, self.options());
        self.look_behind(&mut registry)?;
        let guard =
            Guard::open(self.access.options(), Arc::clone(&registry.counters)).map_err(RegistryFailure::from)?;
        let mut watched: Vec<Arc<dyn Reload>> = guard.watched();
        watched.extend(tls.as_ref().map(|tls| tls.watched()));
        let log = self.log()?;
        if let Some(log) = &log {
            registry.log = Arc::clone(log) as _;
        }
        let places = Places::new(self.served(&store), self.how());
        operation::routes(&mut registry, Arc::new(guard), tls.as_ref(), places, &stop, log.as_ref());
        let keeper = Keeper::start(watched, operation::tell).map_err(CommandError::io("watch files"))?;
        for listener in &listeners {
            world.say(format_args!("listening on {listener}"))?;
        }
        world.out.flush().map_err(CommandError::Output)?;
        let pid_file = self.pid_file.as_deref().map(PidFile::write).transpose()?;
        let manager = Manager::of_environment();
        operation::hear(signals, &manager, &stop, keeper.nudge(), log.clone());
        let status = format!("serving {}", registry.backend.place());
        let heart = Heart::start(&manager, &stop, &status)?;
        let served = registry::serve(listeners, Arc::new(registry), &stop);
        drop((heart, pid_file, keeper));
        if let Some(log) = log {
            log.end();
        }
        Ok(served.map_err(RegistryFailure::from)?)
    }

    /// What is fetched from elsewhere is kept, whether clients may write or not.
    fn how(&self) -> Use {
        if self.read_only && self.upstream.is_empty() { Use::Read } else { Use::Write }
    }

    fn look_behind(&self, registry: &mut Registry) -> Result<(), CommandError> {
        if self.upstream.is_empty() {
            return Ok(());
        }
        if registry.backend.writer().is_none() {
            return Err(RegistryFailure::NothingToKeepIn(registry.backend.place()).into());
        }
        let options = ClientOptions { authfile: self.authfile.clone(), ..ClientOptions::default() };
        let upstreams: Result<Vec<Upstream>, _> = self.upstream.iter().map(|text| text.parse()).collect();
        let upstreams = upstreams.map_err(|error: UpstreamError| CommandError::Usage(error.to_string()))?;
        let (local, counters) = (Arc::clone(&registry.backend), Arc::clone(&registry.counters));
        registry.backend = Arc::new(PullThrough::new(local, upstreams, &options, counters));
        Ok(())
    }

    fn options(&self) -> ServeOptions {
        ServeOptions {
            mode: if self.read_only { Mode::ReadOnly } else { Mode::Writable },
            completeness: if self.sparse { Completeness::Sparse } else { Completeness::Required },
            redirects: if self.redirect { Redirects::ToStore } else { Redirects::Never },
            manifest_limit: usize::from(self.max_manifest) << 20,
            ..ServeOptions::default()
        }
    }

    /// Where it listens.
    pub(super) fn addresses(&self) -> Vec<String> {
        match self.listen.is_empty() {
            true => vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port.unwrap_or(5000)).to_string()],
            false => self.listen.clone(),
        }
    }

    /// How long answers being given may take at the end, in seconds.
    pub(super) fn drain(&self) -> u64 {
        self.options().drain.as_secs()
    }

    /// The files and directories that are served; the store where none is named.
    fn served(&self, store: &Path) -> Vec<PathBuf> {
        let words = ["filesystem", "fs", "memory", "inmem"];
        let is_path = |word: &&String| !words.contains(&word.as_str()) && !place::is_bucket(word);
        let named = self.paths.iter().filter(is_path);
        if self.paths.is_empty() { vec![store.to_owned()] } else { named.map(PathBuf::from).collect() }
    }

    /// What it reads and what it writes.
    pub(super) fn touches(&self, store: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut reads: Vec<PathBuf> = self.access.files().map(Path::to_owned).chain(self.authfile.clone()).collect();
        let log = (!matches!(self.access_log.as_str(), "stderr" | "stdout")).then(|| PathBuf::from(&self.access_log));
        let beside = [self.access.token_key(), self.pid_file.as_deref(), log.as_deref()];
        let mut writes: Vec<PathBuf> =
            beside.into_iter().flatten().map(|file| file.parent().unwrap_or(file).to_owned()).collect();
        match self.how() {
            Use::Read => reads.append(&mut self.served(store)),
            Use::Write => writes.append(&mut self.served(store)),
        }
        (reads, writes)
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
