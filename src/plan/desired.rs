//! What is wanted: images in a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use oci::{Digest, RuntimeConfig};

use crate::cluster::{
    ClusterError, ClusterName, Environment, ImageKind, Layout, ShellScript, commands, mount_name, rewrite, shell,
};
use crate::plan::{ImageCommand, PlannedStep, Step, StepId, UnpackMode};

/// The images that are wanted in a cluster, in the order in which they are installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The cluster.
    pub cluster: ClusterName,
    /// The images.
    pub mounts: Vec<Mount>,
}

/// An image that someone wants to run.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its name, in the one form in which it is always shown: where it goes in the cluster follows from it. An image
    /// without a name is called by its digest, one built from a directory by the directory's absolute path.
    pub name: &'a str,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What its configuration says about running.
    pub config: &'a RuntimeConfig,
}

/// What a user changes about an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// `NAME=VALUE`, of the Clusterfile: over the image's own.
    pub spec_env: Vec<String>,
    /// `NAME=VALUE`, of the command line: over all others.
    pub env: Vec<String>,
    /// `NAME=VALUE`, of this run alone (where a registry listens): below the user's. They are facts about one thing: where
    /// somebody else sets one of them, none is given. What changes with every run makes no step another one.
    pub offered: Vec<String>,
    /// Whether what is offered goes over the image's own.
    pub precedence: Precedence,
    /// Commands in the place of CMD; none leaves CMD.
    pub cmd: Option<Vec<String>>,
}

/// What goes over what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precedence {
    /// The image's own variables stay.
    #[default]
    Image,
    /// What is offered goes over them.
    Offered,
}

/// An image in a cluster: where it goes, with which environment, and what it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its name in the cluster; the same for the same image and cluster.
    pub name: String,
    /// The image as its user calls it.
    pub image: String,
    /// The image's manifest.
    pub digest: Digest,
    /// What it is.
    pub kind: ImageKind,
    /// The directory of its files.
    pub directory: PathBuf,
    /// The environment of its templates and commands.
    pub environment: Environment,
    /// Names in it whose values are this run's alone.
    pub passing: BTreeSet<String>,
    /// The shell its commands are given to.
    pub shell: Vec<String>,
    /// Its commands.
    pub commands: Vec<String>,
}

impl Mount {
    /// An image in a cluster. A rootfs is told its Kubernetes version and ours in `SEALOS_SYS_KUBE_VERSION` and
    /// `SEALOS_SYS_SEALOS_VERSION`.
    ///
    /// # Errors
    /// When its labels or the overrides are wrong.
    pub fn new(
        layout: &Layout,
        cluster: &ClusterName,
        image: &Subject<'_>,
        overrides: &Override,
    ) -> Result<Self, ClusterError> {
        let kind = ImageKind::of(&image.config.labels)?;
        let name = mount_name(cluster, image.name);
        let own = Environment::of_image(&image.config.env);
        let users = Environment::default().overlaid(&overrides.spec_env)?.overlaid(&overrides.env)?;
        let names = overrides.offered.iter().map(|variable| variable.split('=').next().unwrap_or_default());
        let stays = |name: &str| overrides.precedence == Precedence::Image && own.contains(name);
        let is_set = names.clone().any(|name| stays(name) || users.contains(name));
        let offered = if is_set { &[] } else { &overrides.offered[..] };
        let passing: BTreeSet<String> = names.filter(|_| !is_set).map(str::to_owned).collect();
        let mut environment = own.overlaid(offered)?.overlaid(&overrides.spec_env)?.overlaid(&overrides.env)?;
        if kind == ImageKind::Rootfs {
            environment.set("SEALOS_SYS_SEALOS_VERSION", env!("CARGO_PKG_VERSION"));
            if let Some(version) = image.config.labels.get("version") {
                environment.set("SEALOS_SYS_KUBE_VERSION", version);
            }
        }
        Ok(Self {
            image: image.name.to_owned(),
            digest: image.digest,
            kind,
            directory: layout.work_directory(cluster, kind, &name),
            environment,
            passing,
            shell: shell(image.config),
            commands: commands(image.config, overrides.cmd.as_deref()),
            name,
        })
    }

    /// All steps, in order, whether done or not.
    pub(super) fn steps(&self, cluster: &ClusterName) -> Vec<PlannedStep> {
        let digest = self.digest.to_string();
        let files = [cluster.to_string(), self.name.clone(), digest, self.directory.display().to_string()];
        let mut known: Vec<&str> = files.iter().map(String::as_str).collect();
        let mut steps = Vec::new();
        let mode = if self.kind == ImageKind::Patch { UnpackMode::Overlay } else { UnpackMode::Replace };
        let directory = &self.directory;
        self.push(&mut steps, &known, Step::Unpack { directory: directory.clone(), mode });
        for (name, value) in self.environment.iter() {
            let value = if self.passing.contains(name) { "" } else { value };
            known.extend([name, value]);
        }
        self.push(&mut steps, &known, Step::Render { directory: directory.clone() });
        known.extend(self.shell.iter().map(String::as_str));
        for (text, index) in self.commands.iter().zip(1..) {
            known.extend(["command", text.as_str()]);
            let step = ImageCommand {
                index,
                of: self.commands.len(),
                text: text.clone(),
                shell: self.shell.clone(),
                script: rewrite(text, &self.environment),
                directory: directory.clone(),
            };
            self.push(&mut steps, &known, Step::Command(step));
        }
        self.push(&mut steps, &known, Step::Record { kind: self.kind, directory: directory.clone() });
        steps
    }

    /// Appends a step whose id tells everything it depends on and what came before it.
    fn push(&self, steps: &mut Vec<PlannedStep>, known: &[&str], step: Step) {
        let ordinal = steps.len();
        let place = ordinal.to_string();
        let id = StepId::of(known.iter().copied().chain([place.as_str()]));
        let (mount, image) = (self.name.clone(), self.image.clone());
        steps.push(PlannedStep { id, mount, ordinal, image, digest: self.digest, step });
    }

    /// The environment that a script of this mount runs with.
    pub fn variables(&self, script: &ShellScript) -> BTreeMap<String, String> {
        let own = self.environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let aliases = script.aliases.iter().filter_map(|(alias, name)| {
            let value = self.environment.get(name)?;
            Some((alias.clone(), value.to_owned()))
        });
        own.chain(aliases).collect()
    }
}
