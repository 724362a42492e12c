//! `sealos run IMAGE…`

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use content::{ClusterImage, archive};
use oci::Platform;

use super::build_world::{build, prepare};
use super::carrying::CarryFlags;
use super::error::CommandError;
use super::execution::{Showing, engine, unpack_options};
use super::find_or_pull::{Wanted, find_or_pull, shown};
use super::hosts::flags::{HostFlags, SshFlags, WorkFlags};
use super::hosts::state::State;
use super::image_layers::image_layers;
use super::registry::Registry;
use super::run_hosts::OnHosts;
use super::run_registry::{self, Prepared};
use super::world::{Silence, World, is_real_root};
use crate::build::{BuildRequest, ContextPlace, KubefilePlace, Platforms};
use crate::cluster::{ClusterName, ImageKind, Layout};
use crate::execute::{self, Images, Repeat};
use crate::plan::{Desired, Mount, Override, Precedence, Subject};
use crate::report::{Event, Reporter, Watch};
use crate::transport::{Interrupt, Local};

/// Unpack images and run their commands, on this machine or on the hosts of a cluster
///
/// Each argument is an image, an archive that `sealos save` wrote, or a directory with a Kubefile, which is built
/// first. An image that is not in the store is pulled. Their files are unpacked, templates are filled in, and their
/// commands run, in the order given; the first that fails ends it. With hosts, the files of a rootfs and of patches and
/// their commands are for all of them, those of applications for the first master.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos run labring/helm:v3.8.2
  sealos run ./app.tar
  sealos run -e replicas=3 --cmd 'helm install app charts/app' app:v1
  sealos run --dry-run app:v1
  sealos run rootfs:v1 app:v1 --masters 10.0.0.1 --nodes 10.0.0.2-10.0.0.9")]
pub(crate) struct Run {
    /// Images, archives, or directories with a Kubefile
    #[arg(required = true, value_name = "IMAGE|ARCHIVE|DIR")]
    pub(crate) images: Vec<String>,
    /// An environment variable for templates and commands; may be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<String>,
    /// A command instead of the first image's CMD; may be given several times
    #[arg(long, value_name = "COMMAND")]
    pub(crate) cmd: Vec<String>,
    /// Run again what has run already
    #[arg(short = 'F', long)]
    pub(crate) force: bool,
    /// The name of the cluster that this belongs to
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub(crate) cluster: ClusterName,
    /// Of an index, the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
    /// The recipe in a directory argument
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) registry: Registry,
    #[command(flatten)]
    hosts: HostFlags,
    #[command(flatten)]
    ssh: SshFlags,
    #[command(flatten)]
    work: WorkFlags,
    /// One host, this one, is what is meant without hosts anyway
    #[arg(long, hide = true)]
    single: bool,
    /// No progress; what the commands say is still shown
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The kind of archive; it is found out
    #[arg(short, long, hide = true)]
    pub(crate) transport: Option<String>,
}

/// `NAME=VALUE`; commas belong to the value.
pub(crate) fn variable(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

impl Run {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        if !self.hosts.is_empty() || State::is_there(&self.cluster) {
            return self.on_hosts(world);
        }
        for argument in &self.images {
            if let Kind::Directory = kind_of(argument) {
                prepare(world, &self.recipe(argument))?;
            }
        }
        let uid = if is_real_root() { 0 } else { NOBODY };
        let layout = Layout::choose(uid, |name| std::env::var_os(name))?;
        let wanted = self.wanted(world)?;
        let disk = world.disk()?;
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let mut desired = Desired { cluster: self.cluster.clone(), mounts: Vec::new() };
        let mut files = Images::new(&disk, unpack_options());
        let registry = if self.dry_run { None } else { Some(Prepared::listen(&self.cluster)?) };
        let offered = registry.as_ref().map_or_else(|| run_registry::variables(0), Prepared::variables);
        for (number, (name, root)) in wanted.iter().enumerate() {
            let image = image_layers(&disk, root, &platform, name)?;
            let subject =
                Subject { name, digest: image.manifest_descriptor.digest, config: &image.config.value().config };
            // As the Go sealos has it: `--cmd` is about the first image.
            let cmd = (number == 0 && !self.cmd.is_empty()).then(|| self.cmd.clone());
            // A rootfs says itself where the cluster's registry is.
            let is_rootfs = ImageKind::of(&subject.config.labels)? == ImageKind::Rootfs;
            let carries = ClusterImage::load(&disk, root)?.carries();
            let precedence = if carries && !is_rootfs { Precedence::Offered } else { Precedence::Image };
            let (spec_env, env, offered) = (Vec::new(), self.env.clone(), offered.clone());
            let overrides = Override { spec_env, env, cmd, offered, precedence };
            desired.mounts.push(Mount::new(&layout, &self.cluster, &subject, &overrides)?);
            files = files.with(image.manifest_descriptor.digest, image.layer_pairs());
        }
        let repeat = if self.force { Repeat::Force } else { Repeat::Continue };
        let preview = execute::preview(&desired, &layout, repeat)?;
        if self.dry_run {
            return write!(world.out, "{preview}").map_err(CommandError::Output);
        }
        let reporter = world.reporter(Silence::from(self.quiet));
        let interrupt = Interrupt::default();
        let wish = interrupt.clone();
        ctrlc::set_handler(move || wish.wish())?;
        let observer = Showing::new(&*reporter, &mut *world.out, &preview);
        let place = execute::World {
            transport: &Local::new(std::env::vars_os(), interrupt.clone()),
            files: &files,
            engine: &engine(),
            observer: &observer,
            interrupt: &interrupt,
        };
        let directories = desired.mounts.iter().map(|mount| mount.directory.clone()).collect();
        let served = registry.map(|registry| registry.serve(disk.root(), directories)).transpose()?;
        let done = execute::run(&desired, &layout, repeat, &place);
        drop(served);
        reporter.finish();
        let done = done?;
        for (_, root) in &wanted {
            // What is installed is kept from `prune --all`.
            disk.mark_used(&root.digest, &format!("cluster {}", self.cluster))?;
        }
        if done.is_empty() {
            reporter.event(&Event::Task("nothing is left to do; --force does it again".to_owned()));
        }
        Ok(())
    }

    /// On the hosts of a cluster.
    fn on_hosts(self, world: &mut World<'_>) -> Result<(), CommandError> {
        if let Some(directory) = self.images.iter().find(|argument| matches!(kind_of(argument), Kind::Directory)) {
            let text = format!(
                "`{directory}` is a directory: build it with `sealos build -t NAME {directory}`, then run NAME"
            );
            return Err(CommandError::Usage(text));
        }
        let registry = self.registry.clone().complete()?;
        let wanted = self.wanted(world)?;
        let job = OnHosts {
            cluster: &self.cluster,
            wanted,
            env: &self.env,
            cmd: &self.cmd,
            force: self.force,
            dry_run: self.dry_run,
            hosts: &self.hosts,
            ssh: &self.ssh,
            work: &self.work,
            registry: &registry,
            silence: Silence::from(self.quiet),
        };
        job.run(world)
    }

    /// The build of a directory.
    fn recipe(&self, directory: &str) -> BuildRequest {
        let mut request = BuildRequest::new(ContextPlace::parse(directory));
        if let Some(file) = &self.file {
            request.kubefile = KubefilePlace::parse(file);
        }
        request.platforms = Platforms::Listed(self.platform.iter().cloned().collect());
        request
    }

    /// The images that the arguments mean; archives are loaded and directories are built on the way, and what is missing
    /// is pulled at once.
    fn wanted(&self, world: &mut World<'_>) -> Result<Vec<Wanted>, CommandError> {
        let disk = world.disk()?;
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::from(self.quiet)));
        let names: Vec<&str> =
            self.images.iter().map(String::as_str).filter(|name| matches!(kind_of(name), Kind::Image)).collect();
        let registry = self.registry.clone().complete()?;
        let found = find_or_pull(&names, self.platform.as_ref(), &disk, &registry, &reporter);
        reporter.finish();
        let mut found = found?.into_iter();
        let mut wanted = Vec::new();
        for argument in &self.images {
            match kind_of(argument) {
                Kind::Archive => {
                    let reporter = world.reporter(Silence::from(self.quiet));
                    let loaded = archive::load(Path::new(argument), &disk, &Watch(&*reporter));
                    reporter.finish();
                    wanted
                        .extend(loaded?.into_iter().map(|image| (shown(image.name.as_ref(), &image.root), image.root)));
                }
                Kind::Directory => {
                    let reporter = world.reporter(Silence::from(self.quiet));
                    let flags = CarryFlags::default();
                    let built = build(&self.recipe(argument), &disk, &registry, &flags, &*reporter);
                    reporter.finish();
                    let root = built?.root;
                    // The same directory is the same image in the cluster, whatever is in it by then.
                    let path = std::fs::canonicalize(argument).map_err(CommandError::io(format!("find {argument}")))?;
                    wanted.push((path.display().to_string(), root));
                }
                Kind::Image => wanted.extend(found.next()),
            }
        }
        Ok(wanted)
    }
}

/// Whom to take the data directory of, where the caller is not root: nobody, so that the home decides.
const NOBODY: u32 = 65_534;

enum Kind {
    Image,
    Archive,
    Directory,
}

/// What an argument is: a path that exists and looks like one (or that ends as archives do) is an archive or a layout.
fn kind_of(argument: &str) -> Kind {
    let path = Path::new(argument);
    let archive = [".tar", ".gz", ".tgz", ".zst"].iter().any(|ending| argument.ends_with(ending));
    if path.is_file() && (archive || argument.contains('/')) || path.join("oci-layout").is_file() {
        Kind::Archive
    } else if path.is_dir() {
        Kind::Directory
    } else {
        Kind::Image
    }
}
