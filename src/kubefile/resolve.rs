//! The second pass: instructions with their variables replaced, where Docker replaces them; and looking up stages.
//!
//! Replaced in `ADD`, `COPY` (with `--chown`, `--chmod`, `--checksum`), `ARG`, `ENV`, `EXPOSE`, `FROM`, `LABEL`,
//! `STOPSIGNAL`, `USER`, `VOLUME`, `WORKDIR`, the values of `RUN --mount`, and in unquoted heredocs that are copied.
//! Not in the commands of `RUN`, `CMD`, `ENTRYPOINT`, `HEALTHCHECK`, nor in `SHELL`, `MAINTAINER`, `--exclude`; in
//! `ONBUILD` only later, when the trigger is pulled.

use super::error::{KubefileError, Problem};
use super::expand::{self, Escape, ExpandError, Lookup};
use super::instruction::{ArgDeclaration, Instruction, Kubefile, Pair, Run, Source, Stage};
use super::mount::RunMount;
use super::port;
use super::span::{Fault, Located};
use super::typed_run;

impl Kubefile {
    /// The index of the stage called `name` (case does not matter) or numbered so.
    pub fn stage(&self, name: &str) -> Option<usize> {
        self.stage_before(name, self.stages.len())
    }

    /// As [`stage`](Self::stage), among the first `limit` stages: what `COPY --from` in stage `limit` can name.
    pub fn stage_before(&self, name: &str, limit: usize) -> Option<usize> {
        let limit = limit.min(self.stages.len());
        self.base_stage(name, limit).or_else(|| name.parse().ok().filter(|index| *index < limit))
    }

    /// The stage that `FROM base` in stage `limit` starts from: by name only; a number there is an image.
    pub fn base_stage(&self, base: &str, limit: usize) -> Option<usize> {
        let lower = base.to_lowercase();
        self.stages.iter().take(limit).position(|stage| stage.name.as_ref() == Some(&lower))
    }

    /// Puts the stages of another file behind those of this one, as several `-f` ask for; its global arguments are
    /// global here too.
    ///
    /// # Errors
    /// When a stage of it has a name that a stage here has, or its lines continue with another character.
    pub fn append(&mut self, other: Self) -> Result<(), KubefileError> {
        for stage in &other.stages {
            let taken = self.stages.iter().find(|it| it.name.is_some() && it.name == stage.name);
            if let (Some(name), Some(taken)) = (&stage.name, taken) {
                let first_line = taken.origin.span.first_line;
                let problem = Problem::DuplicateStage { name: name.clone(), first_line };
                return Err(stage.origin.error(Fault::keyword(problem)));
            }
        }
        if let Some(stage) = other.stages.first().filter(|_| other.escape != self.escape) {
            return Err(stage.origin.error(Fault::keyword(Problem::OtherEscape)));
        }
        self.global_args.extend(other.global_args);
        self.stages.extend(other.stages);
        self.warnings.extend(other.warnings);
        Ok(())
    }

    /// The stage to build: the one `target` names, or the last.
    ///
    /// # Errors
    /// When no stage is called so; the place is the last `FROM`.
    pub fn target(&self, target: Option<&str>) -> Result<usize, KubefileError> {
        let last = self.stages.len().saturating_sub(1);
        let Some(target) = target else { return Ok(last) };
        if let Some(index) = self.stage(target) {
            return Ok(index);
        }
        let known = self.stages.iter().filter_map(|stage| stage.name.clone()).collect();
        let problem = Problem::UnknownTarget { target: target.to_owned(), known };
        match self.stages.last() {
            Some(stage) => Err(stage.origin.error(Fault::keyword(problem))),
            None => Ok(last),
        }
    }
}

/// `FROM` with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageBase {
    /// The image or stage.
    pub base: String,
    /// The platform, when one is demanded.
    pub platform: Option<String>,
}

impl Stage {
    /// The base and platform, with global arguments (and the automatic platform ones) replaced.
    ///
    /// # Errors
    /// When an expansion fails or the base comes out empty.
    pub fn resolve(&self, escape: Escape, lookup: Lookup<'_>) -> Result<StageBase, KubefileError> {
        let word = |text: &str| expand(text, escape, lookup).map_err(|fault| self.origin.error(fault));
        let base = word(&self.base)?;
        if base.is_empty() {
            let problem = Problem::BlankBase { written: self.base.clone() };
            return Err(self.origin.error(Fault::at(&self.base, problem)));
        }
        let platform = self.platform.as_deref().map(word).transpose()?.filter(|platform| !platform.is_empty());
        Ok(StageBase { base, platform })
    }
}

impl ArgDeclaration {
    /// The default with its variables replaced. For several in one `ARG`, a later one may use those before it.
    ///
    /// # Errors
    /// As [`expand::word`].
    pub fn resolve(&self, escape: Escape, lookup: Lookup<'_>) -> Result<Option<String>, ExpandError> {
        self.default.as_deref().map(|default| expand::word(default, escape, lookup)).transpose()
    }
}

impl Located<Instruction> {
    /// The instruction with its variables replaced; see the module for where that happens.
    ///
    /// Every value is expanded against `lookup` alone, so `ENV A=1 B=$A` gives `B` the value `A` had before. `ARG` is
    /// the exception: a later declaration sees the defaults of earlier ones. A builder that overrides arguments
    /// resolves each [`ArgDeclaration`] itself.
    ///
    /// # Errors
    /// When an expansion fails, or what comes out is no port or no mount; the place is in this instruction.
    pub fn expand(&self, escape: Escape, lookup: Lookup<'_>) -> Result<Instruction, KubefileError> {
        self.value.expanded(escape, lookup).map_err(|fault| self.origin.error(fault))
    }
}

fn expand(text: &str, escape: Escape, lookup: Lookup<'_>) -> Result<String, Fault> {
    expand::word(text, escape, lookup).map_err(|error| Fault::at(text, Problem::Expansion(error)))
}

impl Instruction {
    fn expanded(&self, escape: Escape, lookup: Lookup<'_>) -> Result<Self, Fault> {
        let word = |text: &String| expand(text, escape, lookup);
        let optional = |text: &Option<String>| text.as_ref().map(word).transpose();
        let pairs = |pairs: &[Pair]| -> Result<Vec<Pair>, Fault> {
            let one =
                |pair: &Pair| Ok(Pair { name: word(&pair.name)?, value: word(&pair.value)?, legacy: pair.legacy });
            pairs.iter().map(one).collect()
        };
        let sources = |sources: &[Source]| -> Result<Vec<Source>, Fault> {
            sources.iter().map(|source| expanded_source(source, escape, lookup)).collect()
        };
        Ok(match self {
            Self::Add(add) => {
                let mut add = add.clone();
                add.sources = sources(&add.sources)?;
                add.destination = word(&add.destination)?;
                (add.chown, add.chmod) = (optional(&add.chown)?, optional(&add.chmod)?);
                add.checksum = optional(&add.checksum)?;
                Self::Add(add)
            }
            Self::Copy(copy) => {
                let mut copy = copy.clone();
                copy.sources = sources(&copy.sources)?;
                copy.destination = word(&copy.destination)?;
                (copy.chown, copy.chmod) = (optional(&copy.chown)?, optional(&copy.chmod)?);
                Self::Copy(copy)
            }
            Self::Arg(declarations) => Self::Arg(expanded_arguments(declarations, escape, lookup)?),
            Self::Env(env) => Self::Env(pairs(env)?),
            Self::Label(labels) => Self::Label(pairs(labels)?),
            Self::Expose(ports) => Self::Expose(expanded_ports(ports, escape, lookup)?),
            Self::Run(run) => Self::Run(expanded_run(run, escape, lookup)?),
            Self::StopSignal(signal) => Self::StopSignal(word(signal)?),
            Self::User(user) => Self::User(word(user)?),
            Self::Volume(volumes) => Self::Volume(volumes.iter().map(word).collect::<Result<_, _>>()?),
            Self::Workdir(path) => Self::Workdir(word(path)?),
            Self::Cmd(_)
            | Self::Entrypoint(_)
            | Self::Healthcheck(_)
            | Self::Maintainer(_)
            | Self::Onbuild(_)
            | Self::Shell(_) => self.clone(),
        })
    }
}

fn expanded_source(source: &Source, escape: Escape, lookup: Lookup<'_>) -> Result<Source, Fault> {
    match source {
        Source::Path(path) => Ok(Source::Path(expand(path, escape, lookup)?)),
        Source::Inline { name, content, expand: true } => {
            let content = expand::heredoc(content, lookup).map_err(|error| {
                let mark = if let ExpandError::Required { name, .. } = &error { name.as_str() } else { "$" };
                Fault::at(mark, Problem::Expansion(error.clone()))
            })?;
            Ok(Source::Inline { name: name.clone(), content, expand: false })
        }
        Source::Inline { .. } => Ok(source.clone()),
    }
}

fn expanded_arguments(
    declarations: &[ArgDeclaration],
    escape: Escape,
    lookup: Lookup<'_>,
) -> Result<Vec<ArgDeclaration>, Fault> {
    let mut expanded: Vec<ArgDeclaration> = Vec::new();
    for declaration in declarations {
        let with_earlier = |name: &str| {
            let earlier = expanded.iter().rev().find(|earlier| earlier.name == name);
            earlier.and_then(|earlier| earlier.default.clone()).or_else(|| lookup(name))
        };
        let default = declaration.resolve(escape, &with_earlier).map_err(|error| {
            Fault::at(declaration.default.as_deref().unwrap_or_default(), Problem::Expansion(error))
        })?;
        expanded.push(ArgDeclaration { name: declaration.name.clone(), default });
    }
    Ok(expanded)
}

fn expanded_ports(ports: &[String], escape: Escape, lookup: Lookup<'_>) -> Result<Vec<String>, Fault> {
    let mut expanded = Vec::new();
    for written in ports {
        let words = expand::words(written, escape, lookup);
        for word in words.map_err(|error| Fault::at(written, Problem::Expansion(error)))? {
            let ports = port::parse(&word);
            expanded.extend(ports.map_err(|reason| Fault::at(written, Problem::Port { port: word, reason }))?);
        }
    }
    Ok(expanded)
}

fn expanded_run(run: &Run, escape: Escape, lookup: Lookup<'_>) -> Result<Run, Fault> {
    let mounts = run.mounts.iter().map(|mount| match mount {
        RunMount::Ready(_) => Ok(mount.clone()),
        RunMount::Written(text) => typed_run::mount(text, escape, lookup).map(|mount| RunMount::Ready(Box::new(mount))),
    });
    Ok(Run { mounts: mounts.collect::<Result<_, _>>()?, ..run.clone() })
}
