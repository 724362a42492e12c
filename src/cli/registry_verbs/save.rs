//! `sealos registry save [CONTEXT]`

use std::path::PathBuf;

use clap::Args;
use content::{ClusterImage, ImageLock, LockedImage};
use oci::Platform;

use super::super::carrying::{ChartFlags, Registries, tell};
use super::super::error::CommandError;
use super::super::images_verbs::outlines;
use super::super::locate;
use super::super::registry::{Moving, Registry};
use super::super::world::{Silence, World};
use crate::carry::{self, Binding, CarryError, Effort, GatherOrder, Lookup, RegistryDirectory, Wanted};
use crate::discover::{self, Findings, Ignore};
use crate::report::{Event, Reporter, Watch};

/// Put the images that a context asks for, or that are named, into a registry directory
///
/// The directory has the layout of docker's registry; it can be served by it, by `sealos registry serve filesystem`, and
/// copied into a cluster image. Images are fetched side by side and kept in the store, so that a second run fetches only
/// what is new. Registries' hosts are not in its names: where two images would have one name, a warning says so. What is
/// in the directory already stays, unless `--clean` is given. The names of the images are printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos registry save .
  sealos registry save --images nginx:1.27,redis:7 --registry-dir registry
  sealos registry save --from myapp:v1 --arch amd64,arm64")]
pub(crate) struct Save {
    /// The context that is looked through
    #[arg(value_name = "CONTEXT")]
    context: Option<PathBuf>,
    /// The directory to write
    #[arg(long, default_value = "registry", value_name = "DIR")]
    registry_dir: PathBuf,
    /// The processors that images are saved for [default: this machine's]
    #[arg(long, value_delimiter = ',', value_name = "ARCH", conflicts_with = "platform")]
    arch: Vec<String>,
    /// The platforms that images are saved for
    #[arg(long, value_delimiter = ',', value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,
    /// Every platform that an image has
    #[arg(long)]
    all: bool,
    /// Images to save
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    images: Vec<String>,
    /// Archives to save: docker-archive:FILE@NAME or oci-archive:FILE@NAME
    #[arg(long, value_delimiter = ',', value_name = "ARCHIVE")]
    tars: Vec<String>,
    /// Cluster images whose carried images are saved
    #[arg(long, value_name = "IMAGE")]
    from: Vec<String>,
    /// Look up names again that were fetched before
    #[arg(long)]
    pull: bool,
    /// Take tags out of the directory that are not among the images; `sealos registry gc` then frees their blobs
    #[arg(long)]
    clean: bool,
    #[command(flatten)]
    charts: ChartFlags,
    #[command(flatten)]
    moving: Moving,
    #[command(flatten)]
    registry: Registry,
}

impl Save {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        if self.context.is_none() && self.images.is_empty() && self.tars.is_empty() && self.from.is_empty() {
            let text = "nothing is to be saved: name a context, --images, --tars or --from";
            return Err(CommandError::Usage(text.to_owned()));
        }
        let reporter = world.reporter(Silence::Unasked);
        let lock = self.gather(world, &*reporter)?;
        let disk = world.disk()?;
        let mut platforms: Vec<String> =
            lock.images.iter().flat_map(|image| &image.platforms).map(|it| it.platform.clone()).collect();
        platforms.sort();
        platforms.dedup();
        let directory = RegistryDirectory::new(&disk, &lock, &platforms);
        for collision in directory.collisions() {
            reporter.event(&Event::Warning(collision.clone()));
        }
        let wanted = directory.tags();
        directory.write(&self.registry_dir)?;
        for extra in carry::other_tags(&self.registry_dir, &wanted)? {
            match self.clean {
                true => carry::remove_tag(&self.registry_dir, &extra)?,
                false => reporter.event(&Event::Warning(format!(
                    "`{}` was in {} before and stays; --clean takes out what is not asked for",
                    extra.name,
                    self.registry_dir.display()
                ))),
            }
        }
        reporter.finish();
        lock.images.iter().try_for_each(|image| world.say(&image.reference))
    }

    fn gather(&self, world: &World<'_>, reporter: &dyn Reporter) -> Result<ImageLock, CommandError> {
        let mut findings = match &self.context {
            Some(context) => self.charts.scan(context, &outlines(world, context, None)?)?,
            None => Findings::new(Ignore::default()),
        };
        tell(&findings, reporter);
        for (list, flag) in [(&self.images, "--images"), (&self.tars, "--tars")] {
            discover::list(&list.join("\n"), flag, &mut findings);
        }
        let mistakes: Vec<_> = findings.mistakes().cloned().collect();
        if !mistakes.is_empty() {
            return Err(CarryError::Mistakes { mistakes }.into());
        }
        let disk = world.disk()?;
        let args = self.registry.clone().complete()?;
        let registries = Registries::new(&args, findings.images().map(|found| &found.reference));
        let gathered = carry::gather(&GatherOrder {
            store: &disk,
            context: self.context.as_deref().unwrap_or(std::path::Path::new(".")),
            findings: &findings,
            tree: None,
            effort: Effort::Fetch,
            wanted: self.wanted(),
            lookup: if self.pull { Lookup::Always } else { Lookup::Unknown },
            lock: None,
            binding: Binding::Prefer,
            ignore_missing: &[],
            registries: &registries,
            beside: Vec::new(),
            options: &self.moving.options(&args),
            observer: &Watch(reporter),
        })?;
        let mut images: Vec<LockedImage> = gathered.lock.images;
        for name in &self.from {
            let lock = locate::with(world, &args, name, |found| {
                let image = ClusterImage::load(found.source, &found.root)?;
                let mut roots = image.carried.clone();
                roots.extend(image.lock_manifest.clone());
                content::copy(found.source, &disk, &roots, &self.moving.options(&args), &Watch(reporter))?;
                Ok(image.lock)
            })?;
            images.extend(lock.images);
        }
        Ok(ImageLock::new(images))
    }

    fn wanted(&self) -> Wanted {
        let arch = |arch: &String| Platform::new("linux", arch, None);
        match (self.all, &self.arch[..], &self.platform[..]) {
            (true, _, _) => Wanted::All,
            (false, [], []) => Wanted::Platforms(vec![Platform::host()]),
            (false, [], platforms) => Wanted::Platforms(platforms.to_vec()),
            (false, archs, _) => Wanted::Platforms(archs.iter().map(arch).collect()),
        }
    }
}
