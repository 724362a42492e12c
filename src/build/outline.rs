//! What a recipe says before anything is built: the environment and the commands that the image will have, the images
//! that it needs, and where its files will be.
//!
//! Only instructions that change the configuration are carried out. Files are not looked at, except that a source of
//! COPY is a directory or not.

use std::collections::BTreeMap;
use std::path::Path;

use oci::{ImageConfig, Platform};

use super::arguments::{Arguments, Scope};
use super::config::{self, Said};
use super::context::Context;
use super::destination::{Target, absolute, join};
use super::error::BuildError;
use super::kubefile_source::{self, KubefileText};
use super::plan::{self, Base, PlannedStage};
use super::request::{BuildRequest, NamedContext, Platforms};
use super::world::World;
use crate::cluster::commands;
use crate::kubefile::{Instruction, Kubefile, Located, Source, parse_trigger};

/// What a recipe says about one platform's image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The environment, `NAME=VALUE`.
    pub env: Vec<String>,
    /// The commands: ENTRYPOINT's, then CMD's.
    pub commands: Vec<OutlinedCommand>,
    /// Images that stages begin with or that files are copied from, each with the platform that is wanted of it.
    pub images: Vec<(String, Platform)>,
    /// The images among them that the result is built on.
    pub bases: Vec<String>,
    /// What COPY and ADD put from the context into the result: where it is there, and where it will be, without leading
    /// slashes.
    pub copies: Vec<(String, String)>,
    /// Whether files of the result may come from elsewhere than the context.
    pub has_other_files: bool,
}

/// A command of the image, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlinedCommand {
    /// The file; the name of the base image for a command that it brings.
    pub file: String,
    /// The first line of the instruction, from 1; 0 for a command of the base image.
    pub line: usize,
    /// `CMD` or `ENTRYPOINT`.
    pub instruction: &'static str,
    /// The command.
    pub text: String,
}

/// What a recipe says, for each platform of the request, without building anything.
///
/// # Errors
/// When the context or the recipe cannot be read or understood.
pub fn outline(request: &BuildRequest, world: &World<'_>) -> Result<Vec<Outline>, BuildError> {
    let context = Context::open(request, world)?;
    let (kubefile, text) = kubefile_source::find_and_parse(request, &context.path, world)?;
    let platforms = match &request.platforms {
        Platforms::Listed(listed) if !listed.is_empty() => listed.clone(),
        // Without building, there is no base image to ask.
        _ => vec![Platform::host()],
    };
    let one = |platform: &Platform| {
        let stage = request.target.as_deref().unwrap_or_default();
        let arguments = Arguments::new(super::arguments::given(request, world)?, &kubefile, platform, stage)?;
        let recipe = recipe_name(&text, &context);
        let (kubefile, context, arguments) = (&kubefile, &context, &arguments);
        Outliner { request, world, kubefile, recipe, context, arguments, platform }.run()
    };
    platforms.iter().map(one).collect()
}

/// How origins call the recipe: as it lies in the context, whatever the context's own path is.
pub(crate) fn recipe_name(text: &KubefileText, context: &Context) -> String {
    let path = text.path.as_deref().unwrap_or(Path::new(&text.name));
    let inside = path.strip_prefix(&context.path).ok().or_else(|| path.file_name().map(Path::new));
    inside.map_or_else(|| text.name.clone(), |path| path.display().to_string())
}

/// Makes the outline of one platform's image.
pub(crate) struct Outliner<'a, 'w> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) world: &'a World<'w>,
    pub(crate) kubefile: &'a Kubefile,
    /// How origins call it.
    pub(crate) recipe: String,
    pub(crate) context: &'a Context,
    pub(crate) arguments: &'a Arguments,
    pub(crate) platform: &'a Platform,
}

/// A stage, without its files.
#[derive(Clone, Default)]
struct Sketch {
    config: ImageConfig,
    /// Where ENTRYPOINT and CMD are written.
    places: [Option<(String, usize)>; 2],
    bases: Vec<String>,
    copies: Vec<(String, String)>,
    has_other_files: bool,
}

/// What is known on the way.
#[derive(Default)]
struct Known {
    images: Vec<(String, Platform)>,
    done: BTreeMap<usize, Sketch>,
}

impl Outliner<'_, '_> {
    /// What the recipe says.
    ///
    /// # Errors
    /// When an instruction cannot be expanded, or a base image's configuration cannot be had.
    pub(crate) fn run(&self) -> Result<Outline, BuildError> {
        let request = self.request;
        let plan = plan::plan(self.kubefile, self.arguments, request.target.as_deref(), request.from.as_deref())?;
        let mut known = Known::default();
        for planned in &plan.stages {
            let sketch = self.stage(planned, &mut known)?;
            known.done.insert(planned.index, sketch);
        }
        let last = plan.stages.last().and_then(|planned| known.done.remove(&planned.index)).unwrap_or_default();
        let mut last = last;
        for (name, value) in &request.env {
            if let Some(value) = value.as_ref().or_else(|| self.world.environment.get(name)) {
                last.config.set_env(name, value);
            }
        }
        let mut said = Vec::new();
        let own = &last.config.config;
        let entrypoint = oci::RuntimeConfig { cmd: None, ..own.clone() };
        let cmd = oci::RuntimeConfig { entrypoint: None, ..own.clone() };
        for ((config, instruction), place) in [(entrypoint, "ENTRYPOINT"), (cmd, "CMD")].into_iter().zip(&last.places) {
            let (file, line) = place.clone().unwrap_or_default();
            said.extend(commands(&config, None).into_iter().map(|text| OutlinedCommand {
                file: file.clone(),
                line,
                instruction,
                text,
            }));
        }
        Ok(Outline {
            env: last.config.config.env,
            commands: said,
            images: known.images,
            bases: last.bases,
            copies: last.copies,
            has_other_files: last.has_other_files,
        })
    }

    fn stage(&self, planned: &PlannedStage, known: &mut Known) -> Result<Sketch, BuildError> {
        let stage = &self.kubefile.stages[planned.index];
        let platform = planned.platform.as_ref().unwrap_or(self.platform).clone();
        let mut sketch = match &planned.base {
            Base::Scratch => Sketch { config: config::scratch(&platform), ..Sketch::default() },
            Base::Stage(index) => known.done.get(index).cloned().unwrap_or_default(),
            Base::Image(name) => {
                let (span, text) = (&stage.origin.span, &stage.origin.text);
                let base = self.base(name, &platform, known);
                base.map_err(|error| error.at(&span.file, span.first_line, text))?
            }
        };
        let triggers = std::mem::take(&mut sketch.config.config.on_build);
        let mut work = (Scope::new(self.arguments), Said::default());
        for text in triggers {
            self.instruction(&parse_trigger(&text, "ONBUILD")?, &mut sketch, &mut work, known)?;
        }
        for located in &stage.instructions {
            self.instruction(located, &mut sketch, &mut work, known)?;
        }
        Ok(sketch)
    }

    fn base(&self, name: &str, platform: &Platform, known: &mut Known) -> Result<Sketch, BuildError> {
        let found = match self.image(name) {
            None => None,
            Some(image) => {
                known.images.push((image.to_owned(), platform.clone()));
                let config = self.world.resolver.configuration(image, platform, self.request.pull);
                config.map_err(|source| BuildError::Pull { name: image.to_owned(), source })?
            }
        };
        // A base that cannot be looked at yet is looked at when it is built upon.
        let config = found.unwrap_or_else(|| config::scratch(platform));
        let place = Some((name.to_owned(), 0));
        let places = [place.clone(), place];
        Ok(Sketch { config, places, bases: vec![name.to_owned()], has_other_files: true, ..Sketch::default() })
    }

    /// The image that a name of the recipe stands for; none for a directory or a layout.
    fn image<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        match self.request.build_contexts.get(name) {
            Some(NamedContext::Image(image)) => Some(image),
            Some(_) => None,
            None => Some(name),
        }
    }

    fn instruction(
        &self,
        located: &Located<Instruction>,
        sketch: &mut Sketch,
        (scope, said): &mut (Scope<'_>, Said),
        known: &mut Known,
    ) -> Result<(), BuildError> {
        let lookup = |name: &str| scope.lookup(&sketch.config, name);
        let expanded = match &located.value {
            Instruction::Arg(_) => located.value.clone(),
            _ => located.expand(self.kubefile.escape, &lookup)?,
        };
        let place = (self.recipe.clone(), located.origin.span.first_line);
        match &expanded {
            Instruction::Arg(declarations) => {
                for declaration in declarations {
                    scope.declare(declaration, self.kubefile.escape, &sketch.config)?;
                }
                return Ok(());
            }
            Instruction::Copy(copy) => match &copy.from {
                None => self.copies(&copy.sources, &copy.destination, sketch),
                Some(name) => {
                    sketch.has_other_files = true;
                    if let (None, Some(image)) = (self.kubefile.stage(name), self.image(name)) {
                        known.images.push((image.to_owned(), self.platform.clone()));
                    }
                }
            },
            Instruction::Add(add) => self.copies(&add.sources, &add.destination, sketch),
            Instruction::Run(_) => sketch.has_other_files = true,
            Instruction::Entrypoint(_) => sketch.places[0] = Some(place),
            Instruction::Cmd(_) => sketch.places[1] = Some(place),
            _ => {}
        }
        config::apply(&mut sketch.config, &expanded, said)
    }

    /// Notes where sources without wildcards go.
    fn copies(&self, sources: &[Source], destination: &str, sketch: &mut Sketch) {
        let target = Target::parse(destination, &sketch.config.config.working_dir);
        for source in sources {
            let Source::Path(path) = source else { continue };
            if super::request::is_url(path) {
                sketch.has_other_files = true;
                continue;
            }
            let from = lossy(&absolute(path, ""));
            let is_directory = self.context.path.join(&from).is_dir();
            let goes_into = target.is_directory || sources.len() > 1;
            let to = match (is_directory, goes_into) {
                (false, true) => join(&target.path, from.rsplit('/').next().unwrap_or_default().as_bytes()),
                _ => target.path.clone(),
            };
            if !path.contains(['*', '?', '[']) {
                sketch.copies.push((from, lossy(&to)));
            }
        }
    }
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
