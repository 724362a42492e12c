//! Which stages are built, in which order, from which bases, and how the steps are numbered. Pure.

use std::collections::BTreeSet;

use oci::Platform;

use super::arguments::Arguments;
use super::error::BuildError;
use crate::kubefile::{Instruction, Kubefile, RunMount, Stage};

/// What a stage starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image, by the name that is written.
    Image(String),
}

/// A stage that is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStage {
    /// Its index in the Kubefile.
    pub index: usize,
    /// What it starts from.
    pub base: Base,
    /// The platform that its FROM demands.
    pub platform: Option<Platform>,
    /// The number of its first step, which is FROM.
    pub first_step: usize,
}

/// What is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildPlan {
    /// The stages, in order; the last one is the result.
    pub stages: Vec<PlannedStage>,
    /// How many steps there are.
    pub total: usize,
}

/// Plans a build.
///
/// # Errors
/// When the target does not exist or a FROM cannot be expanded.
pub(crate) fn plan(
    kubefile: &Kubefile,
    arguments: &Arguments,
    target: Option<&str>,
    first_from: Option<&str>,
) -> Result<BuildPlan, BuildError> {
    let target = kubefile.target(target)?;
    let mut needed = BTreeSet::new();
    let mut todo = vec![target];
    let mut stages = Vec::new();
    while let Some(index) = todo.pop() {
        if !needed.insert(index) {
            continue;
        }
        let stage = &kubefile.stages[index];
        let (base, platform) = base(kubefile, arguments, index, first_from)?;
        if let Base::Stage(index) = base {
            todo.push(index);
        }
        let names = stage.instructions.iter().flat_map(|located| froms(&located.value));
        todo.extend(names.filter_map(|name| kubefile.stage_before(&name, index)));
        stages.push(PlannedStage { index, base, platform, first_step: 0 });
    }
    stages.sort_by_key(|stage| stage.index);
    let mut total = 0;
    for planned in &mut stages {
        planned.first_step = total + 1;
        total += 1 + kubefile.stages[planned.index].instructions.len();
    }
    Ok(BuildPlan { stages, total })
}

fn base(
    kubefile: &Kubefile,
    arguments: &Arguments,
    index: usize,
    first_from: Option<&str>,
) -> Result<(Base, Option<Platform>), BuildError> {
    let stage: &Stage = &kubefile.stages[index];
    let resolved = stage.resolve(kubefile.escape, &|name| arguments.global(name))?;
    let span = &stage.origin.span;
    let platform = resolved.platform.as_deref().map(str::parse::<Platform>).transpose().map_err(|error| {
        let reason = error.to_string();
        let text = resolved.platform.clone().unwrap_or_default();
        BuildError::Value { what: "the platform", text, reason }.at(&span.file, span.first_line, &stage.origin.text)
    })?;
    let name = match first_from.filter(|_| index == 0) {
        Some(name) => name.to_owned(),
        None => resolved.base,
    };
    let base = match kubefile.base_stage(&name, index) {
        _ if name == "scratch" => Base::Scratch,
        Some(stage) => Base::Stage(stage),
        None => Base::Image(name),
    };
    Ok((base, platform))
}

/// What an instruction names with `--from`.
fn froms(instruction: &Instruction) -> Vec<String> {
    match instruction {
        Instruction::Copy(copy) => copy.from.iter().cloned().collect(),
        Instruction::Run(run) => run.mounts.iter().filter_map(mount_from).collect(),
        Instruction::Onbuild(onbuild) => froms(&onbuild.trigger),
        _ => Vec::new(),
    }
}

fn mount_from(mount: &RunMount) -> Option<String> {
    match mount {
        RunMount::Ready(mount) => mount.from.clone(),
        // `from` holds no variables, so it can be read before they are expanded.
        RunMount::Written(text) => {
            text.split(',').find_map(|field| field.trim().strip_prefix("from=")).map(str::to_owned)
        }
    }
}

/// Whether a build of this Kubefile (of its target) runs commands, and so needs root or a user namespace.
pub fn needs_privilege(kubefile: &Kubefile, target: Option<&str>) -> bool {
    let last = kubefile.target(target).unwrap_or(kubefile.stages.len().saturating_sub(1));
    let mut todo = vec![last];
    let mut seen = BTreeSet::new();
    while let Some(index) = todo.pop() {
        let Some(stage) = kubefile.stages.get(index).filter(|_| seen.insert(index)) else { continue };
        if stage.instructions.iter().any(|located| matches!(located.value, Instruction::Run(_))) {
            return true;
        }
        // A base that is written with a variable may be any earlier stage.
        match stage.base.contains('$') {
            true => todo.extend(0..index),
            false => todo.extend(kubefile.base_stage(&stage.base, index)),
        }
        let names = stage.instructions.iter().flat_map(|located| froms(&located.value));
        todo.extend(names.filter_map(|name| kubefile.stage_before(&name, index)));
    }
    false
}
