//! What a build needs from elsewhere: files behind URLs, base images from registries, and someone who listens.

use std::sync::{Mutex, PoisonError};

use content::{ContentError, CopyOptions, Disk, Image, load_image, platforms_of};
use oci::{Descriptor, ImageConfig, Platform, Reference};
use registry_client::RegistryError;

use super::carrying::{BuildCarrier, CarryFlags};
use super::error::CommandError;
use super::registry::{Registry, client};
use super::world::World;
use crate::build::{
    self, BuildError, BuildEvent, BuildObserver, BuildOutcome, BuildRequest, ContextPlace, Fetch, Fetched,
    KubefilePlace, OutputStream, PullPolicy, Resolver, SeamError,
};
use crate::report::{self, Event, Reporter, Step, StepState};
use crate::sandbox::{self, SandboxError};
use crate::transfer::{self, Platforms, Pulled, Puller, TransferError};

/// Enters a user namespace where the caller is not root and the recipe runs commands, or cannot be read beforehand.
/// The program is executed again on the way, so this comes before anything else, and before there are threads.
pub(crate) fn prepare(world: &World<'_>, request: &BuildRequest) -> Result<(), CommandError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let is_here = |place: &KubefilePlace| matches!(place, KubefilePlace::Discovered | KubefilePlace::Path(_));
    let are_here = is_here(&request.kubefile) && request.more_kubefiles.iter().all(is_here);
    let context = match &request.context {
        ContextPlace::Directory(context) if are_here => context,
        _ => return enter_if_possible(),
    };
    let disk = world.disk()?;
    let (kubefile, _) = build::find_kubefile(request, context, &build::World::offline(&disk, &build::Unobserved))?;
    if build::needs_privilege(&kubefile, request.target.as_deref()) {
        sandbox::enter_user_namespace()?;
    }
    Ok(())
}

/// For recipes on stdin, in archives and on the network: they may have no RUN, and need no namespace then. If they have
/// one, the build refuses it for the same reason before it does anything.
fn enter_if_possible() -> Result<(), CommandError> {
    match sandbox::enter_user_namespace() {
        Err(SandboxError::NoUserNamespace { .. }) => Ok(()),
        other => Ok(other?),
    }
}

/// Builds, and tells the reporter about it.
pub(crate) fn build(
    request: &BuildRequest,
    disk: &Disk,
    args: &Registry,
    flags: &CarryFlags,
    reporter: &dyn Reporter,
) -> Result<BuildOutcome, BuildError> {
    let network = Network { args, store: disk, reporter };
    let jobs = (request.threads > 0).then_some(request.threads);
    let carrier = BuildCarrier { args, flags, pull: request.pull, network: &network, jobs };
    let environment = std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
    let world = build::World {
        store: disk,
        fetch: &network,
        resolver: &network,
        carrier: flags.is_wanted().then_some(&carrier as &dyn build::Carrier),
        observer: &Showing::new(reporter),
        stdin: Mutex::new(Box::new(std::io::stdin())),
        stdout: Mutex::new(Box::new(std::io::stdout())),
        environment: environment.collect(),
    };
    build::build(request, &world)
}

/// Files and images from the network.
pub(crate) struct Network<'a> {
    pub(crate) args: &'a Registry,
    pub(crate) store: &'a Disk,
    pub(crate) reporter: &'a dyn Reporter,
}

impl Fetch for Network<'_> {
    fn fetch(&self, url: &str) -> Result<Fetched, SeamError> {
        // A download is no registry: credentials are not offered to it.
        let download = client(self.args, "", None).download(url).map_err(refused)?;
        Ok(Fetched { body: download.body, size: download.size })
    }
}

impl Resolver for Network<'_> {
    fn resolve_and_pull(
        &self,
        name: &str,
        platform: &Platform,
        policy: PullPolicy,
    ) -> Result<Option<Descriptor>, SeamError> {
        let reference: Reference = match (name.parse(), self.store.find(name)) {
            (Ok(reference), _) => reference,
            // An id is no name, and no registry knows it.
            (Err(_), Ok(record)) => return Ok(Some(record.root)),
            (Err(error), Err(_)) => return Err(SeamError::new(error)),
        };
        let policy = match policy {
            PullPolicy::Always => transfer::PullPolicy::Always,
            PullPolicy::Missing => transfer::PullPolicy::Missing,
            PullPolicy::Newer => transfer::PullPolicy::IfNewer,
            PullPolicy::Never => transfer::PullPolicy::Never,
        };
        match self.pull(&reference, platform, policy) {
            Ok(pulled) => Ok(Some(pulled.root)),
            Err(TransferError::NotHere { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn configuration(
        &self,
        name: &str,
        platform: &Platform,
        policy: PullPolicy,
    ) -> Result<Option<ImageConfig>, SeamError> {
        if let Some(image) = self.local(name, platform).map_err(|error| failed(error.into()))? {
            return Ok(Some(image.config.value().clone()));
        }
        if policy == PullPolicy::Never {
            return Ok(None);
        }
        let reference: Reference = name.parse().map_err(SeamError::new)?;
        let client = client(self.args, reference.registry(), None);
        let (repository, root, _) = transfer::resolve(&client, &reference).map_err(failed)?;
        match load_image(&repository, &root, platform) {
            Ok(image) => Ok(Some(image.config.value().clone()).filter(|config| config.platform().serves(platform))),
            // It is said when the image is to be built upon.
            Err(ContentError::NoPlatform { .. }) => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    fn platforms(&self, name: &str) -> Result<Vec<Platform>, SeamError> {
        let reference: Reference = name.parse().map_err(SeamError::new)?;
        let client = client(self.args, reference.registry(), None);
        let (repository, root, _) = transfer::resolve(&client, &reference).map_err(failed)?;
        platforms_of(&repository, &root).map_err(|error| failed(error.into()))
    }
}

impl Network<'_> {
    /// The image in the store, if it is there for the platform.
    pub(crate) fn local(&self, name: &str, platform: &Platform) -> Result<Option<Image>, ContentError> {
        let root = match self.store.find(name) {
            Ok(record) => record.root,
            Err(ContentError::UnknownImage { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match load_image(self.store, &root, platform) {
            Ok(image) => Ok(Some(image).filter(|image| image.config.value().platform().serves(platform))),
            Err(ContentError::NoPlatform { .. } | ContentError::MissingBlob { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The image for a platform, pulled as the policy says.
    pub(crate) fn pull(
        &self,
        reference: &Reference,
        platform: &Platform,
        policy: transfer::PullPolicy,
    ) -> Result<Pulled, TransferError> {
        let client = client(self.args, reference.registry(), None);
        let platforms = Platforms::Only(vec![platform.clone()]);
        let puller = Puller { store: self.store, client: &client, platforms, policy, options: CopyOptions::default() };
        // One result a name.
        puller.pull(std::slice::from_ref(reference), self.reporter).remove(0)
    }
}

fn failed(error: TransferError) -> SeamError {
    let help = error.help();
    SeamError { source: Box::new(error), help }
}

fn refused(error: RegistryError) -> SeamError {
    let help = error.help();
    SeamError { source: Box::new(error), help }
}

/// Shows what a build does.
pub(crate) struct Showing<'a> {
    reporter: &'a dyn Reporter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    step: Option<Step>,
    /// What a program has written since its last whole line, of stdout and of stderr.
    rest: [Vec<u8>; 2],
}

impl<'a> Showing<'a> {
    pub(crate) fn new(reporter: &'a dyn Reporter) -> Self {
        Self { reporter, state: Mutex::default() }
    }

    fn output(&self, rest: &mut Vec<u8>, stream: report::OutputStream, bytes: &[u8]) {
        rest.extend_from_slice(bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            self.line(stream, &line[..end]);
        }
        // A program that never ends its line must not fill the memory.
        if rest.len() > 1 << 16 {
            self.line(stream, &std::mem::take(rest));
        }
    }

    fn line(&self, stream: report::OutputStream, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        self.reporter.event(&Event::Output { host: None, stream, line });
    }

    fn flush(&self, state: &mut State) {
        let [stdout, stderr] = std::mem::take(&mut state.rest);
        for (stream, rest) in [(report::OutputStream::Stdout, stdout), (report::OutputStream::Stderr, stderr)] {
            if !rest.is_empty() {
                self.line(stream, &rest);
            }
        }
    }
}

impl BuildObserver for Showing<'_> {
    fn event(&self, event: &BuildEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            BuildEvent::Platform(platform) => self.reporter.event(&Event::Task(format!("build for {platform}"))),
            BuildEvent::Step { number, total, text } => {
                self.flush(&mut state);
                let step = Step { number: *number, total: *total, text: text.clone(), state: StepState::Started };
                self.reporter.event(&Event::Step(step.clone()));
                state.step = Some(step);
            }
            BuildEvent::Cached => {
                let step = state.step.take().map(|step| Step { state: StepState::Cached, ..step });
                step.iter().for_each(|step| self.reporter.event(&Event::Step(step.clone())));
            }
            BuildEvent::Layer { .. } => self.flush(&mut state),
            BuildEvent::Output { stream, bytes } => {
                let (at, stream) = match stream {
                    OutputStream::Stdout => (0, report::OutputStream::Stdout),
                    OutputStream::Stderr => (1, report::OutputStream::Stderr),
                };
                self.output(&mut state.rest[at], stream, bytes);
            }
            BuildEvent::Warning(text) => self.reporter.event(&Event::Warning(text.clone())),
        }
    }
}
