//! `sealos apply -f Clusterfile`

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::error::CommandError;
use super::hosts::bring::{Aim, Job, Unreachable, bring};
use super::hosts::flags::WorkFlags;
use super::registry::Registry;
use super::run::variable;
use super::world::{Silence, World};
use crate::cluster::Environment;
use crate::clusterfile::{Clusterfile, Values, render};

/// Bring a cluster to what a Clusterfile says
///
/// All hosts are asked first, and everything that is wrong with them is said at once, before anything is changed. Then
/// what is missing is done: images, hosts, variables and Config documents that are new or changed, and what is no more
/// in the file is taken away. The same again does nothing; what was interrupted continues.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos apply -f Clusterfile
  sealos apply -f Clusterfile --dry-run
  sealos apply -f Clusterfile --values prod.yaml --set replicas=3")]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) flags: ApplyFlags,
    /// Only say what would be done; the exit code is 0 if that is nothing, 2 if it is something
    #[arg(long)]
    dry_run: bool,
    /// Forget hosts that leave and do not answer
    #[arg(long)]
    force: bool,
}

/// What applying and planning have in common.
#[derive(Clone, Debug, Args)]
pub(crate) struct ApplyFlags {
    /// The Clusterfile
    #[arg(short, long, alias = "Clusterfile", value_name = "FILE", default_value = "Clusterfile")]
    file: PathBuf,
    /// A file with values for the Clusterfile's templates; may be given several times
    #[arg(long, value_name = "FILE")]
    values: Vec<PathBuf>,
    /// A value for the Clusterfile's templates; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// An environment variable for templates and commands of all images; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<String>,
    /// A file with further documents; may be given several times
    #[arg(long, value_name = "FILE")]
    config_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) work: WorkFlags,
    #[command(flatten)]
    pub(crate) registry: Registry,
    /// No progress; what commands say is still shown
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl Apply {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let aim = if self.dry_run { Aim::Tell } else { Aim::Do };
        let unreachable = if self.force { Unreachable::Forget } else { Unreachable::Refuse };
        self.flags.bring(aim, unreachable, world)
    }
}

impl ApplyFlags {
    /// Brings the cluster of the file to what the file says, or tells what that takes.
    pub(crate) fn bring(&self, aim: Aim, unreachable: Unreachable, world: &mut World<'_>) -> Result<(), CommandError> {
        let file = self.read()?;
        let wish = |current: Option<&Clusterfile>| Ok(self.over(&file, current));
        let registry = self.registry.clone().complete()?;
        let job = Job {
            cluster: file.cluster.name.clone(),
            wish: &wish,
            again: BTreeSet::new(),
            work: &self.work,
            registry: &registry,
            silence: Silence::from(self.quiet),
            unreachable,
            aim,
        };
        bring(&job, world)
    }

    /// The file, with its templates rendered and the further documents.
    fn read(&self) -> Result<Clusterfile, CommandError> {
        let mut values = Values::default();
        let wrong = |path: &Path| {
            let path = path.display().to_string();
            move |source| CommandError::Clusterfile { path, source }
        };
        for path in &self.values {
            values.add_file(&path.display().to_string(), &text(path)?).map_err(wrong(path))?;
        }
        for set in &self.set {
            values.set(set).map_err(|source| CommandError::Clusterfile { path: format!("--set {set}"), source })?;
        }
        let known: Vec<String> = std::env::vars_os()
            .filter_map(|(name, value)| Some(format!("{}={}", name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut environment = Environment::of_image(&known).overlaid(&self.env)?;
        if let Ok(path) = std::env::var("PATH") {
            environment.set("PATH", &path);
        }
        let rendered = |path: &Path| {
            let name = path.display().to_string();
            render(&name, &text(path)?, &values, &environment).map_err(wrong(path))
        };
        // What is sealed in a user's own file was sealed elsewhere.
        let mut file = Clusterfile::parse(&rendered(&self.file)?, &|_| None).map_err(wrong(&self.file))?;
        for path in &self.config_file {
            file.extend(&rendered(path)?).map_err(wrong(path))?;
        }
        Ok(file)
    }

    /// The file over what is stored: what the command line gave for images that stay, stays.
    fn over(&self, file: &Clusterfile, current: Option<&Clusterfile>) -> Clusterfile {
        let mut file = file.clone();
        if let Some(current) = current {
            file.status = current.status.clone();
            for image in &file.cluster.images {
                if let Some(env) = current.cluster.image_env.get(image) {
                    file.cluster.image_env.insert(image.clone(), env.clone());
                }
                // Commands that came from a file go with the file.
                let given = current.cluster.image_cmd.get(image).filter(|cmd| **cmd != current.cluster.command);
                if let Some(cmd) = given {
                    file.cluster.image_cmd.insert(image.clone(), cmd.clone());
                }
            }
        }
        for image in file.cluster.images.clone() {
            merge_env(file.cluster.image_env.entry(image).or_default(), &self.env);
        }
        file.cluster.image_env.retain(|_, env| !env.is_empty());
        if let (Some(first), false) = (file.cluster.images.first().cloned(), file.cluster.command.is_empty()) {
            let command = file.cluster.command.clone();
            file.cluster.image_cmd.insert(first, command);
        }
        file
    }
}

/// Puts variables over others of the same name.
pub(crate) fn merge_env(env: &mut Vec<String>, over: &[String]) {
    let name = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    for line in over {
        match env.iter_mut().find(|known| name(known) == name(line)) {
            Some(known) => known.clone_from(line),
            None => env.push(line.clone()),
        }
    }
}

fn text(path: &Path) -> Result<String, CommandError> {
    fs::read_to_string(path).map_err(CommandError::io(format!("read {}", path.display())))
}
