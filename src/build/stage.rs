//! One stage: its instructions, one after the other, on its configuration and files.

use std::collections::BTreeMap;

use content::tar::Entry;
use oci::{ImageConfig, Platform};

use super::arguments::{Arguments, Scope};
use super::base::{self, BaseImage};
use super::clock::rfc3339;
use super::config::{self, MadeLayer, Said};
use super::context::Context;
use super::copy::{Copied, Copier, CopyOrder, Origin, Unpack};
use super::destination::{Target, absolute, land};
use super::error::BuildError;
use super::event::BuildEvent;
use super::files::Files;
use super::from_image::ImageOrigin;
use super::history::created_by;
use super::item::Item;
use super::layer::{Key, Layers, Made};
use super::mode::ModeChange;
use super::placement::Stamp;
use super::plan::{Base, BuildPlan, PlannedStage};
use super::request::{BuildRequest, NamedContext};
use super::run::Lowers;
use super::walk::Verdict;
use super::world::World;
use crate::kubefile::{Add, Copy, IgnoreFile, Instruction, Kubefile, Located, Source, parse_trigger};
use crate::rootfs::passwd::lookup_user;

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

    fn copy(
        &self,
        copy: &Copy,
        state: &mut StageState<'w>,
        work: &Work<'_>,
        done: &mut Done<'w>,
    ) -> Result<Copied, BuildError> {
        let from = match &copy.from {
            None => From::Context(self.context),
            Some(name) => self.from(name, work.index, done)?,
        };
        let keeps_owner = matches!(from, From::Image(..));
        let stamp = self.stamp(copy.chown.as_deref(), copy.chmod.as_deref(), keeps_owner, state)?;
        let exclude = exclude(&copy.exclude)?;
        let exclude = |path: &[u8], is_directory: bool| judge(&exclude, path, is_directory);
        let order = CopyOrder {
            sources: &copy.sources,
            target: Target::parse(&copy.destination, &state.config.config.working_dir),
            stamp,
            exclude: &exclude,
            exclude_patterns: &copy.exclude,
            keeps_parents: copy.parents,
            unpack: Unpack::Nothing,
            takes_urls: false,
            checksum: None,
        };
        let copier = Copier { world: self.world, layers: self.layers };
        match from {
            From::Context(context) => self.from_context(&copier, &order, context, state),
            From::Image(name, mut files) => {
                let origin = ImageOrigin { files: &mut files, name };
                copier.copy_from_image(&order, origin, &mut state.files)
            }
            From::Stage(index) => match done.get_mut(&index) {
                Some(stage) => {
                    let order = CopyOrder { stamp: keep_owner(&order.stamp, copy.chown.as_deref()), ..order };
                    let origin = ImageOrigin { files: &mut stage.files, name: self.stage_name(index) };
                    copier.copy_from_image(&order, origin, &mut state.files)
                }
                None => Err(BuildError::UnknownStage { name: index.to_string(), known: Vec::new() }),
            },
        }
    }

    fn from_context(
        &self,
        copier: &Copier<'_, 'w>,
        order: &CopyOrder<'_>,
        context: &Context,
        state: &mut StageState<'w>,
    ) -> Result<Copied, BuildError> {
        let is_main = std::ptr::eq(context, self.context);
        let nothing = IgnoreFile::default();
        let ignore = if is_main { self.ignore } else { &nothing };
        let judge = |path: &[u8], is_directory: bool| judge(ignore, path, is_directory);
        copier.copy(order, &Origin { base: &context.base, judge: &judge }, &mut state.files)
    }

    fn add(&self, add: &Add, state: &mut StageState<'w>) -> Result<Copied, BuildError> {
        let stamp = self.stamp(add.chown.as_deref(), add.chmod.as_deref(), false, state)?;
        let excluded = exclude(&add.exclude)?;
        let exclude = |path: &[u8], is_directory: bool| judge(&excluded, path, is_directory);
        let checksum = add.checksum.as_ref().map(|text| {
            let wrong = |error: oci::DigestError| BuildError::Value {
                what: "the checksum",
                text: text.clone(),
                reason: error.to_string(),
            };
            text.parse().map_err(wrong)
        });
        let is_url = |source: &Source| matches!(source, Source::Path(path) if super::request::is_url(path));
        if add.checksum.is_some() && !(add.sources.len() == 1 && is_url(&add.sources[0])) {
            let what = "`--checksum` for anything but one URL".to_owned();
            return Err(BuildError::Unsupported { what, instead: None });
        }
        let order = CopyOrder {
            sources: &add.sources,
            target: Target::parse(&add.destination, &state.config.config.working_dir),
            stamp,
            exclude: &exclude,
            exclude_patterns: &add.exclude,
            keeps_parents: false,
            unpack: match add.unpack {
                None => Unpack::Local,
                Some(true) => Unpack::All,
                Some(false) => Unpack::Nothing,
            },
            takes_urls: true,
            checksum: checksum.transpose()?,
        };
        let copier = Copier { world: self.world, layers: self.layers };
        self.from_context(&copier, &order, self.context, state)
    }

    /// What `--from` names: a stage, a directory of `--build-context`, or an image.
    pub(crate) fn from(&self, name: &str, stage: usize, done: &Done<'w>) -> Result<From<'_, 'w>, BuildError> {
        if let Some(context) = self.directories.get(name) {
            return Ok(From::Context(context));
        }
        let index = self.kubefile.stage_before(name, stage).filter(|index| done.contains_key(index));
        match index.filter(|_| !self.request.build_contexts.contains_key(name)) {
            Some(index) => Ok(From::Stage(index)),
            None => {
                let image = self.image(name, self.platform)?;
                Ok(From::Image(format!("the image `{name}`"), Files::new(self.world.store, image.layers)?))
            }
        }
    }

    fn stage_name(&self, index: usize) -> String {
        match &self.kubefile.stages[index].name {
            Some(name) => format!("the stage `{name}`"),
            None => format!("the stage {index}"),
        }
    }

    fn stamp(
        &self,
        chown: Option<&str>,
        chmod: Option<&str>,
        keeps_owner: bool,
        state: &mut StageState<'w>,
    ) -> Result<Stamp, BuildError> {
        let owner = match chown {
            None if keeps_owner => None,
            None => Some((0, 0)),
            Some(text) => Some(owner(text, state)?),
        };
        let mode = chmod.map(ModeChange::parse).transpose()?;
        Ok(Stamp { owner, mode, mtime: self.timestamp })
    }
}

/// What a stage has said so far.
pub(crate) struct Work<'a> {
    pub(crate) scope: Scope<'a>,
    said: Said,
    /// The stage's index.
    pub(crate) index: usize,
}

/// What `--from` names.
pub(crate) enum From<'a, 'w> {
    /// A directory.
    Context(&'a Context),
    /// A stage that is done.
    Stage(usize),
    /// An image.
    Image(String, Files<'w>),
}

/// Files of stages keep their owners unless `--chown` says otherwise.
fn keep_owner(stamp: &Stamp, chown: Option<&str>) -> Stamp {
    Stamp { owner: stamp.owner.filter(|_| chown.is_some()), ..stamp.clone() }
}

fn owner(text: &str, state: &mut StageState<'_>) -> Result<(u64, u64), BuildError> {
    // A number alone is user and group; a name alone brings the group of its account.
    if let Ok(id) = text.parse::<u32>() {
        return Ok((id.into(), id.into()));
    }
    let identity = lookup_user(state.files.tree()?, text)?;
    Ok((identity.uid.into(), identity.gid.into()))
}

fn exclude(patterns: &[String]) -> Result<IgnoreFile, BuildError> {
    IgnoreFile::from_patterns(patterns.iter().map(String::as_str)).map_err(|(text, reason)| BuildError::Value {
        what: "the pattern",
        text,
        reason: reason.to_string(),
    })
}

/// The word of an ignore file about a path.
fn judge(ignore: &IgnoreFile, path: &[u8], is_directory: bool) -> Verdict {
    if ignore.is_empty() {
        return Verdict::Take;
    }
    let path = String::from_utf8_lossy(path);
    match ignore.ignored(&path) {
        false => Verdict::Take,
        true if is_directory && ignore.may_reinclude_under(&path) => Verdict::Enter,
        true => Verdict::Skip,
    }
}
