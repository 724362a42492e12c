//! What a build needs from elsewhere: files behind URLs, base images from registries, and someone who listens.

use std::sync::{Mutex, PoisonError};

use content::{
    ContentError, CopyOptions, Disk, Observer, Sink, Source, copy_image, find_image, load_image, platforms_of,
};
use oci::{Descriptor, Platform, Reference};
use registry_client::{Client, ClientOptions, Credentials, RegistryError, Secret, Tls};

use super::build::Registry;
use super::error::CommandError;
use super::world::World;
use crate::build::{
    self, BuildError, BuildEvent, BuildObserver, BuildOutcome, BuildRequest, ContextPlace, Fetch, Fetched,
    KubefilePlace, OutputStream, PullPolicy, Resolver, SeamError,
};
use crate::report::{self, Event, Reporter, Step, StepState, Watch};
use crate::sandbox::{self, SandboxError};

/// How registries are spoken to, from the arguments. Credentials are for `registry`.
pub(crate) fn client(args: &Registry, registry: &str) -> Client {
    let defaults = ClientOptions::default();
    let credentials = args.creds.as_deref().map(|text| {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let password = Secret::new(password);
        (registry.to_owned(), Credentials::Password { user: user.to_owned(), password })
    });
    Client::new(ClientOptions {
        tls: if args.tls_verify { Tls::Verify } else { Tls::Skip },
        cert_dir: args.cert_dir.clone(),
        authfile: args.authfile.clone(),
        credentials,
        retries: args.retry,
        ..defaults
    })
}

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
    reporter: &dyn Reporter,
) -> Result<BuildOutcome, BuildError> {
    let watch = Watch(reporter);
    let network = Network { args, store: disk, observer: &watch };
    let environment = std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
    let world = build::World {
        store: disk,
        fetch: &network,
        resolver: &network,
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
    pub(crate) observer: &'a dyn Observer,
}

impl Fetch for Network<'_> {
    fn fetch(&self, url: &str) -> Result<Fetched, SeamError> {
        // A download is no registry: credentials are not offered to it.
        let download = client(self.args, "").download(url).map_err(refused)?;
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
        let local = self.local(name, platform).map_err(failed)?;
        if policy == PullPolicy::Never || (policy == PullPolicy::Missing && local.is_some()) {
            return Ok(local);
        }
        let reference: Reference = name.parse().map_err(SeamError::new)?;
        self.pull(&reference, platform).map(Some)
    }

    fn platforms(&self, name: &str) -> Result<Vec<Platform>, SeamError> {
        let reference: Reference = name.parse().map_err(SeamError::new)?;
        let client = client(self.args, reference.registry());
        let repository = client.repository(&reference).map_err(refused)?;
        let root = repository.resolve(&reference).map_err(failed)?;
        platforms_of(&repository, &root).map_err(failed)
    }
}

impl Network<'_> {
    /// Brings the registry's image for a platform into the store, under its name. Nothing changes in the store when
    /// there is none.
    pub(crate) fn pull(&self, reference: &Reference, platform: &Platform) -> Result<Descriptor, SeamError> {
        let client = client(self.args, reference.registry());
        let repository = client.repository(reference).map_err(refused)?;
        let root = repository.resolve(reference).map_err(failed)?;
        // One platform of an index is pulled: the others may be large and are not asked for. The name stands for the
        // index all the same, so that another platform's image does not take it from this one's.
        let found = find_image(&repository, &root, platform).map_err(|error| failed(called(error, reference)))?;
        let available = found.image.config.value().platform();
        if !available.serves(platform) {
            let (place, name) = (Source::place(&repository), reference.familiar());
            let (wanted, available) = (platform.to_string(), available.to_string());
            return Err(failed(ContentError::NoPlatform { place, name, wanted, available }));
        }
        copy_image(&repository, self.store, &found, &CopyOptions::default(), self.observer).map_err(failed)?;
        self.store.tag(reference, &root).map_err(failed)?;
        Ok(root)
    }

    /// The image in the store, if it is there for the platform.
    pub(crate) fn local(&self, name: &str, platform: &Platform) -> Result<Option<Descriptor>, ContentError> {
        let root = match self.store.find(name) {
            Ok(record) => record.root,
            Err(ContentError::UnknownImage { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match load_image(self.store, &root, platform) {
            Ok(image) => Ok(image.config.value().platform().serves(platform).then_some(root)),
            Err(ContentError::NoPlatform { .. } | ContentError::MissingBlob { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The error with the name that the user knows, where it would say a digest.
fn called(error: ContentError, reference: &Reference) -> ContentError {
    match error {
        ContentError::NoPlatform { place, wanted, available, .. } => {
            ContentError::NoPlatform { place, name: reference.familiar(), wanted, available }
        }
        other => other,
    }
}

fn failed(error: ContentError) -> SeamError {
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
