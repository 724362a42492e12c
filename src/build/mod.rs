//! Kubefile -> plan -> image in the store.
//!
//! ```text
//! request ─ context, Kubefile ─▶ plan (stages, steps) ─▶ for every platform, stage, instruction:
//!     config    ENV, CMD, LABEL …      ─▶ configuration
//!     copy      COPY, ADD              ─▶ items ─ cache? ─ pack ─▶ layer
//!     run       RUN                    ─▶ sandbox ─▶ changes ─▶ layer
//! ─▶ configuration, manifest (index of several platforms) ─▶ names
//! ```
//!
//! Invariants: equal inputs give equal digests, on any machine, at any time: entries are sorted, times are the build's
//! timestamp, owners are 0:0 unless `--chown` says otherwise, modes are kept as they are in the context. Nothing gets a
//! name before it is whole; a build that is killed leaves blobs that the next one finds again. Only RUN needs root or a
//! user namespace. Contents are read once, from where they lie.
//!
//! What it does not do: talk to registries and web servers (see [`Fetch`] and [`Resolver`]), or show anything (see
//! [`BuildObserver`]).

mod agent;
mod all_platforms;
mod archive;
mod arguments;
mod base;
mod cache;
mod carrying;
mod clock;
mod config;
mod context;
mod convert;
mod copy;
mod copy_step;
mod destination;
mod error;
mod event;
mod files;
mod fingerprint;
mod flatten;
mod from_image;
mod history;
mod image;
mod item;
mod kubefile_source;
mod layer;
mod merge;
mod mode;
mod outline;
mod output;
mod pack;
mod placement;
mod plan;
mod promise;
mod request;
mod run;
mod run_mount;
mod shown;
mod sources;
mod stage;
mod view;
mod walk;
mod world;
mod xattr;

use std::collections::BTreeMap;

use content::layer::LayerOptions;
use content::{Assembly, LayerInfo, Sink, assemble};
use oci::{Descriptor, Digest, Platform, Reference};

pub use carrying::{Carried, CarriedForm, Carrier, CarryOrder};
pub use convert::{Converted, convert};
pub use error::BuildError;
pub use event::{BuildEvent, BuildObserver, OutputStream, Unobserved};
pub use image::BuiltImage;
pub use kubefile_source::{KubefileText, NAMES, find_and_parse as find_kubefile};
pub use merge::{Merged, merge};
pub use outline::{Outline, OutlinedCommand, outline};
pub use plan::{Base, BuildPlan, PlannedStage, needs_privilege};
pub use request::{
    BuildRequest, CacheUse, ContextPlace, Format, KubefilePlace, Layering, NamedContext, Output, Platforms, PullPolicy,
    RunCalls, RunIsolation, RunNetwork, SecretPlace,
};
pub use world::{Fetch, Fetched, Offline, Resolver, SeamError, World};

use arguments::Arguments;
use carrying::KeptOut;
use context::Context;
use flatten::flatten;
use layer::{Key, Layers};
use outline::Outliner;
use output::Exported;
use stage::{Build, StageState};

use crate::kubefile::{IgnoreFile, Kubefile};
use crate::sandbox::Sandbox;

/// The environment variable that sets the build's time, in seconds since 1970 (reproducible-builds.org).
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What came of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildOutcome {
    /// The manifest, or the index of several platforms.
    pub root: Descriptor,
    /// What tools call the image's id: the digest of the configuration, or of the index.
    pub id: Digest,
    /// The names that it got.
    pub names: Vec<Reference>,
    /// The images, one a platform.
    pub images: Vec<BuiltImage>,
}

/// Builds an image.
///
/// # Errors
/// When it cannot be built; the error says where in the Kubefile and, where it is known, what to do.
pub fn build(request: &BuildRequest, world: &World<'_>) -> Result<BuildOutcome, BuildError> {
    let places = std::iter::once(&request.kubefile).chain(&request.more_kubefiles);
    let stdin = places.filter(|place| **place == KubefilePlace::Stdin).count();
    if stdin + usize::from(request.context == ContextPlace::Stdin) > 1 {
        return Err(BuildError::StdinTwice);
    }
    let context = Context::open(request, world)?;
    let (kubefile, text) = kubefile_source::find_and_parse(request, &context.path, world)?;
    for warning in &kubefile.warnings {
        world.observer.event(&BuildEvent::Warning(warning.to_string()));
    }
    if request.format == Format::Docker && !request.annotations.is_empty() {
        let text = "Docker's format has no annotations: those given are left out; `--format oci` keeps them".to_owned();
        world.observer.event(&BuildEvent::Warning(text));
    }
    let ignore = match kubefile_source::ignore_text(request, &text, &context.path)? {
        Some((name, text)) => IgnoreFile::parse(&text, &name)?,
        None => IgnoreFile::default(),
    };
    let sandbox = match needs_privilege(&kubefile, request.target.as_deref()) {
        true => Some(Sandbox::choose(request.isolation.map(run::isolation))?),
        false => None,
    };
    let timestamp = timestamp(request, world)?;
    let options = LayerOptions {
        compression: request.compression.unwrap_or_else(|| image::default_compression(request.format)),
        level: request.compression_level,
        threads: request.threads,
    };
    let layers = Layers::new(world.store, options, request.cache)?;
    let mut directories = BTreeMap::new();
    for (name, place) in &request.build_contexts {
        if let NamedContext::Directory(path) = place {
            directories.insert(name.clone(), Context::directory(&request.working_directory.join(path))?);
        }
    }
    let shared = Shared {
        request,
        world,
        kubefile: &kubefile,
        context: &context,
        ignore: &ignore,
        layers: &layers,
        timestamp,
        directories: &directories,
        sandbox: sandbox.as_ref(),
    };
    let platforms = shared.platforms()?;
    let carried = shared.carry(&text, &platforms)?;
    let mut built = Vec::new();
    for platform in &platforms {
        if platforms.len() > 1 {
            world.observer.event(&BuildEvent::Platform(platform.clone()));
        }
        built.push(shared.one_platform(platform, carried.as_ref())?);
    }
    shared.finish(&built, carried.as_ref())
}

/// What the builds of all platforms share.
struct Shared<'a, 'w> {
    request: &'a BuildRequest,
    world: &'a World<'w>,
    kubefile: &'a Kubefile,
    context: &'a Context,
    ignore: &'a IgnoreFile,
    layers: &'a Layers<'w>,
    timestamp: i64,
    directories: &'a BTreeMap<String, Context>,
    sandbox: Option<&'a Sandbox>,
}

impl<'w> Shared<'_, 'w> {
    /// What is built for.
    fn platforms(&self) -> Result<Vec<Platform>, BuildError> {
        let host = Platform::host();
        match &self.request.platforms {
            Platforms::Listed(listed) if listed.is_empty() => Ok(vec![host]),
            Platforms::Listed(listed) => Ok(listed.clone()),
            Platforms::OfBases => {
                let plan = self.plan(&self.arguments(&host)?)?;
                all_platforms::of_bases(self.request, self.world, &plan)
            }
        }
    }

    fn arguments(&self, platform: &Platform) -> Result<Arguments, BuildError> {
        let given = arguments::given(self.request, self.world)?;
        let stage = self.request.target.as_deref().unwrap_or_default();
        Arguments::new(given, self.kubefile, platform, stage)
    }

    fn plan(&self, arguments: &Arguments) -> Result<BuildPlan, BuildError> {
        plan::plan(self.kubefile, arguments, self.request.target.as_deref(), self.request.from.as_deref())
    }

    /// The container images that the context asks for.
    fn carry(&self, text: &KubefileText, platforms: &[Platform]) -> Result<Option<Carried>, BuildError> {
        let Some(carrier) = self.world.carrier else { return Ok(None) };
        let outline = |platform: &Platform| {
            let arguments = self.arguments(platform)?;
            let (request, world, kubefile, context) = (self.request, self.world, self.kubefile, self.context);
            let recipe = outline::recipe_name(text, context);
            Outliner { request, world, kubefile, recipe, context, arguments: &arguments, platform }.run()
        };
        let outlines = platforms.iter().map(outline).collect::<Result<Vec<_>, _>>()?;
        let (context, recipe) = (&*self.context.path, text.path.as_deref());
        let order = CarryOrder { context, recipe, platforms, outlines: &outlines };
        carrier.carry(&order).map(Some).map_err(|source| BuildError::Carry { source })
    }

    fn one_platform(
        &self,
        platform: &Platform,
        carried: Option<&Carried>,
    ) -> Result<(BuiltImage, Vec<LayerInfo>), BuildError> {
        let request = self.request;
        let arguments = self.arguments(platform)?;
        let unused: Vec<&str> = arguments.unused(self.kubefile).collect();
        if !unused.is_empty() {
            let text = format!("no ARG of the Kubefile takes the build arguments {}", unused.join(", "));
            self.world.observer.event(&BuildEvent::Warning(text));
        }
        let plan = self.plan(&arguments)?;
        let build = Build {
            request,
            world: self.world,
            kubefile: self.kubefile,
            context: self.context,
            ignore: self.ignore,
            layers: self.layers,
            arguments: &arguments,
            platform,
            timestamp: self.timestamp,
            directories: self.directories,
            sandbox: self.sandbox,
            kept_out: carried.map_or_else(KeptOut::default, |_| KeptOut::of(&self.context.path)),
        };
        let mut state = build.run(&plan)?;
        let mut layers = match request.layering {
            Layering::PerInstruction => state.files.layers().to_vec(),
            Layering::Squashed => self.squash(&mut state)?,
        };
        self.complete(&mut state);
        if let Some(carried) = carried.filter(|carried| carried.form != CarriedForm::Native) {
            let (store, observer) = (self.world.store, self.world.observer);
            let what = (&carried.lock, &carried.platforms_beside(platform)[..]);
            let layer = carrying::registry_layer(store, observer, self.layers, what, self.timestamp)?;
            if let Some(layer) = layer {
                layers.push(layer.info());
                let created = clock::rfc3339(self.timestamp);
                config::note(&mut state.config, &created, "sealos: carried images".to_owned(), config::MadeLayer::Yes);
            }
        }
        let config = &mut state.config;
        config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        let annotations = request.annotations.iter().cloned().collect();
        let image = image::store_image(self.world.store, state.config, &layers, request.format, &annotations)?;
        Ok((image, layers))
    }

    /// What the command line adds to a configuration.
    fn complete(&self, state: &mut StageState<'_>) {
        let config = &mut state.config;
        config.created = Some(clock::rfc3339(self.timestamp));
        for (name, value) in &self.request.env {
            if let Some(value) = value.as_ref().or_else(|| self.world.environment.get(name)) {
                config.set_env(name, value);
            }
        }
        let is_unset = |line: &String| {
            let name = line.split('=').next().unwrap_or_default();
            self.request.unset_env.iter().any(|unset| unset == name)
        };
        config.config.env.retain(|line| !is_unset(line));
        config.config.labels.extend(self.request.labels.iter().cloned());
    }

    /// This build's layers as one.
    fn squash(&self, state: &mut StageState<'w>) -> Result<Vec<LayerInfo>, BuildError> {
        let (base, own) = state.files.layers().split_at(state.base_layers);
        if own.len() < 2 {
            return Ok(state.files.layers().to_vec());
        }
        let mut key = self.layers.key("squash", self.timestamp);
        key.list(base.iter().map(|layer| layer.diff_id.to_string()));
        key.list(own.iter().map(|layer| layer.diff_id.to_string()));
        let key = Key::of(key);
        let layer = match self.layers.find(&key)?.and_then(|made| made.layer) {
            Some(layer) => layer,
            None => {
                let (all, below) = (state.files.layers(), base.len());
                let layer = self.layers.write(|output| flatten(self.world.store, all, below, output))?;
                self.layers.remember(&key, Some(layer.clone()))?;
                layer
            }
        };
        // One layer is left, and the last step that made one stands for it.
        let made = state.config.history.iter().rposition(|step| !step.empty_layer);
        let mut own_layers = own.len();
        for (at, step) in state.config.history.iter_mut().enumerate().rev() {
            if own_layers > 0 && !step.empty_layer {
                step.empty_layer = Some(at) != made;
                own_layers -= 1;
            }
        }
        Ok(base.iter().cloned().chain([layer.info()]).collect())
    }

    /// Names for the images, and whatever else was asked for.
    fn finish(
        &self,
        built: &[(BuiltImage, Vec<LayerInfo>)],
        carried: Option<&Carried>,
    ) -> Result<BuildOutcome, BuildError> {
        let (request, store) = (self.request, self.world.store);
        let exported: Vec<Exported<'_>> = built.iter().map(|(image, layers)| Exported { image, layers }).collect();
        output::export(request, self.world, &exported)?;
        let images: Vec<BuiltImage> = built.iter().map(|(image, _)| image.clone()).collect();
        let annotations = request.annotations.iter().cloned().collect();
        let beside = carried.filter(|carried| carried.form == CarriedForm::Native && !carried.lock.images.is_empty());
        let (root, id) = match (&images[..], beside) {
            (images, Some(carried)) => {
                let roots: Vec<Descriptor> = images.iter().map(|image| image.manifest.clone()).collect();
                let root = assemble(store, &Assembly { roots: &roots, lock: &carried.lock, annotations })?;
                let id = root.digest;
                (root, id)
            }
            ([image], None) => {
                let mut root = image.manifest.clone();
                root.platform = None;
                (root, image.config)
            }
            (images, None) => {
                let root = image::store_index(store, images, request.format, &annotations)?;
                let id = root.digest;
                (root, id)
            }
        };
        output::archives(request, self.world, &root)?;
        for name in &request.tags {
            store.tag(name, &root)?;
        }
        if request.tags.is_empty() && request.outputs.is_empty() {
            store.add_root(&root)?;
        }
        let outcome = BuildOutcome { root, id, names: request.tags.clone(), images };
        output::facts(request, &outcome)?;
        Ok(outcome)
    }
}

fn timestamp(request: &BuildRequest, world: &World<'_>) -> Result<i64, BuildError> {
    if let Some(timestamp) = request.timestamp {
        return Ok(timestamp);
    }
    match world.environment.get(EPOCH) {
        None => Ok(0),
        Some(text) => text.trim().parse().map_err(|error: std::num::ParseIntError| BuildError::Value {
            what: EPOCH,
            text: text.clone(),
            reason: error.to_string(),
        }),
    }
}
