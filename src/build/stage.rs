//! One stage: its instructions, one after the other, on its configuration and files.

use std::collections::BTreeMap;

use content::tar::Entry;
use oci::{ImageConfig, Platform};

use super::arguments::{Arguments, Scope};
use super::base::{self, BaseImage};
use super::carrying::KeptOut;
use super::clock::rfc3339;
use super::config::{self, MadeLayer, Said};
use super::context::Context;
use super::copy::Copied;
use super::destination::{Target, absolute, land};
use super::error::BuildError;
use super::event::BuildEvent;
use super::files::Files;
use super::history::created_by;
use super::item::Item;
use super::layer::{Key, Layers, Made};
use super::plan::{Base, BuildPlan, PlannedStage};
use super::request::{BuildRequest, NamedContext};
use super::run::Lowers;
use super::world::World;
use crate::kubefile::{IgnoreFile, Instruction, Kubefile, Located, parse_trigger};

/// All that the stages of a build share.
pub(crate) struct Build<'a, 'w> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) world: &'a World<'w>,
    pub(crate) kubefile: &'a Kubefile,
    pub(crate) context: &'a Context,
    pub(crate) ignore: &'a IgnoreFile,
    pub(crate) layers: &'a Layers<'w>,
    pub(crate) arguments: &'a Arguments,
    pub(crate) platform: &'a Platform,
    pub(crate) timestamp: i64,
    /// Directories of `--build-context`, opened.
    pub(crate) directories: &'a BTreeMap<String, Context>,
    pub(crate) sandbox: Option<&'a crate::sandbox::Sandbox>,
    /// What of the context COPY and ADD do not see.
    pub(crate) kept_out: KeptOut,
}

/// A stage that is being built, or is done.
pub(crate) struct StageState<'w> {
    /// The configuration so far.
    pub(crate) config: ImageConfig,
    /// The files so far.
    pub(crate) files: Files<'w>,
    /// How many of the layers are not of this build.
    pub(crate) base_layers: usize,
    /// What RUN works on.
    pub(crate) lowers: Lowers,
}

/// Stages that are done, by their index.
pub(crate) type Done<'w> = BTreeMap<usize, StageState<'w>>;

impl<'w> Build<'_, 'w> {
    /// Builds all stages of a plan; the last one is the result.
    ///
    /// # Errors
    /// When an instruction fails; the error says which.
    pub(crate) fn run(&self, plan: &BuildPlan) -> Result<StageState<'w>, BuildError> {
        let mut done = Done::new();
        let mut result = None;
        for planned in &plan.stages {
            if let Some((index, state)) = result.take() {
                done.insert(index, state);
            }
            result = Some((planned.index, self.stage(planned, plan.total, &mut done)?));
        }
        match result {
            Some((_, state)) => Ok(state),
            None => Err(BuildError::UnknownStage { name: String::new(), known: Vec::new() }),
        }
    }

    fn stage(&self, planned: &PlannedStage, total: usize, done: &mut Done<'w>) -> Result<StageState<'w>, BuildError> {
        let stage = &self.kubefile.stages[planned.index];
        let (span, text) = (&stage.origin.span, &stage.origin.text);
        let begin = |number, text: &str| {
            let text = text.to_owned();
            self.world.observer.event(&BuildEvent::Step { number, total, text });
        };
        begin(planned.first_step, text);
        let started = self.start(planned, done).map_err(|error| error.at(&span.file, span.first_line, text));
        let (mut state, triggers) = started?;
        let mut work = Work { scope: Scope::new(self.arguments), said: Said::default(), index: planned.index };
        for text in triggers {
            let trigger = parse_trigger(&text, "ONBUILD")?;
            self.located(&trigger, &mut state, &mut work, done)?;
        }
        for (offset, located) in stage.instructions.iter().enumerate() {
            begin(planned.first_step + 1 + offset, &located.origin.text);
            self.located(located, &mut state, &mut work, done)?;
        }
        Ok(state)
    }

    /// The base of a stage, and the triggers that it left.
    fn start(&self, planned: &PlannedStage, done: &mut Done<'w>) -> Result<(StageState<'w>, Vec<String>), BuildError> {
        let platform = planned.platform.as_ref().unwrap_or(self.platform);
        let store = self.world.store;
        let (mut config, layers, base_layers) = match &planned.base {
            Base::Scratch => (config::scratch(platform), Vec::new(), 0),
            Base::Stage(index) => match done.get(index) {
                Some(stage) => (stage.config.clone(), stage.files.layers().to_vec(), stage.base_layers),
                None => return Err(BuildError::UnknownStage { name: index.to_string(), known: Vec::new() }),
            },
            Base::Image(name) => {
                let BaseImage { mut config, layers } = self.image(name, platform)?;
                if config.os.is_empty() || config.architecture.is_empty() {
                    config.set_platform(platform);
                }
                let count = layers.len();
                (config, layers, count)
            }
        };
        let triggers = std::mem::take(&mut config.config.on_build);
        let files = Files::new(store, layers)?;
        Ok((StageState { config, files, base_layers, lowers: Lowers::default() }, triggers))
    }

    /// An image by a name of the Kubefile: what `--build-context` says it is, or an image of that name.
    pub(crate) fn image(&self, name: &str, platform: &Platform) -> Result<BaseImage, BuildError> {
        match self.request.build_contexts.get(name) {
            Some(NamedContext::Image(image)) => base::find(self.world, image, platform, self.request.pull),
            Some(NamedContext::Layout(path)) => {
                let path = self.request.working_directory.join(path);
                base::from_layout(self.world, name, &path, platform)
            }
            Some(NamedContext::Directory(_)) | None => base::find(self.world, name, platform, self.request.pull),
        }
    }

    fn located(
        &self,
        located: &Located<Instruction>,
        state: &mut StageState<'w>,
        work: &mut Work<'_>,
        done: &mut Done<'w>,
    ) -> Result<(), BuildError> {
        let lookup = |name: &str| work.scope.lookup(&state.config, name);
        let expanded = match &located.value {
            // Arguments see each other and what the command line says.
            Instruction::Arg(_) => located.value.clone(),
            _ => located.expand(self.kubefile.escape, &lookup)?,
        };
        let (span, text) = (&located.origin.span, &located.origin.text);
        let result = self.instruction(&expanded, text, state, work, done);
        result.map_err(|error| error.at(&span.file, span.first_line, text))
    }

    fn instruction(
        &self,
        instruction: &Instruction,
        written: &str,
        state: &mut StageState<'w>,
        work: &mut Work<'_>,
        done: &mut Done<'w>,
    ) -> Result<(), BuildError> {
        let copied = match instruction {
            Instruction::Arg(declarations) => {
                for declaration in declarations {
                    work.scope.declare(declaration, self.kubefile.escape, &state.config)?;
                }
                return Ok(());
            }
            Instruction::Copy(copy) => Some(self.copy(copy, state, work, done)?),
            Instruction::Add(add) => Some(self.add(add, state)?),
            Instruction::Run(run) => Some(self.run_command(run, state, work, done)?),
            Instruction::Workdir(path) => {
                let path = config::workdir(&state.config.config.working_dir, path);
                Some(self.workdir(&path, state)?)
            }
            _ => None,
        };
        config::apply(&mut state.config, instruction, &mut work.said)?;
        let made = match copied {
            Some(copied) => self.put(copied, state),
            None => MadeLayer::No,
        };
        config::note(&mut state.config, &rfc3339(self.timestamp), created_by(instruction, written), made);
        Ok(())
    }

    /// Puts a step's layer on top of a stage.
    fn put(&self, copied: Copied, state: &mut StageState<'w>) -> MadeLayer {
        let Copied { made: Made { layer, was_cached }, items } = copied;
        if was_cached {
            self.world.observer.event(&BuildEvent::Cached);
        }
        let Some(layer) = layer else { return MadeLayer::No };
        let (descriptor, uncompressed) = (layer.descriptor.clone(), layer.uncompressed_size);
        self.world.observer.event(&BuildEvent::Layer { descriptor, uncompressed });
        let entries = items.map(|items| items.into_iter().map(|item| item.entry).collect::<Vec<Entry>>());
        state.files.push(layer.info(), entries);
        MadeLayer::Yes
    }

    fn workdir(&self, path: &str, state: &mut StageState<'w>) -> Result<Copied, BuildError> {
        let tree = state.files.tree()?;
        let target = Target { written: path.to_owned(), path: absolute(path, ""), is_directory: true };
        let owner = (0, 0);
        let missing = land(tree, &target)?.missing.into_iter();
        let items: Vec<Item> = missing.map(|path| Item::directory(path, 0o755, owner, self.timestamp)).collect();
        if items.is_empty() {
            return Ok(Copied { made: Made { layer: None, was_cached: false }, items: Some(items) });
        }
        let mut key = self.layers.key("workdir", self.timestamp);
        for item in &items {
            key.entry(&item.entry);
        }
        let key = Key::of(key);
        let made = match self.layers.find(&key)? {
            Some(made) => made,
            None => self.layers.make(&key, &items)?,
        };
        Ok(Copied { made, items: Some(items) })
    }
}

/// What a stage has said so far.
pub(crate) struct Work<'a> {
    pub(crate) scope: Scope<'a>,
    said: Said,
    /// The stage's index.
    pub(crate) index: usize,
}
