//! Carried images of a build: flags, the registries they come from, and what the user is told about them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use content::cluster_image::LOCK_FILE;
use content::{
    ClusterImage, ContentError, CopyJob, CopyOptions, FoundImage, ImageLock, Keeper, LockedImage, Sink, Source,
    find_image,
};
use oci::{Platform, Reference};
use registry_client::{Client, RegistryError, Repository};

use super::build_world::Network;
use super::go_bool;
use super::registry::{Registry, client};
use super::whole_file;
use crate::build::{Carried, CarriedForm, Carrier, CarryOrder, Outline, PullPolicy, SeamError};
use crate::carry::{
    self, Binding, CarryError, CommandText, CopiedPath, Effort, Foreign, GatherOrder, Gathered, Lookup, RegistryTree,
    Repositories, ScanOrder, Wanted,
};
use crate::cluster::Environment;
use crate::discover::{Findings, From};
use crate::report::{Event, Reporter, Watch};
use crate::transfer;

/// Flags about carried images.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Carried images")]
pub(crate) struct CarryFlags {
    /// Carry no container images
    #[arg(long)]
    pub(crate) no_carry: bool,
    /// How images are carried: as images (native), or in a layer as the Go sealos has them
    #[arg(long, value_enum, default_value_t = Form::Native, value_name = "native|layer", hide_possible_values = true)]
    pub(crate) carry: Form,
    /// Write images.lock.json beside the recipe
    #[arg(long)]
    pub(crate) lock: bool,
    /// Carry what images.lock.json says; an image that is not in it is an error
    #[arg(long, conflicts_with = "lock")]
    pub(crate) locked: bool,
    /// An image that may be missing, a name or a pattern with *
    #[arg(long, value_name = "NAME")]
    pub(crate) ignore_missing: Vec<String>,
    /// Carry every platform that an image has
    #[arg(long = "all")]
    pub(crate) every_platform: bool,
    #[command(flatten)]
    pub(crate) charts: ChartFlags,
    /// What the Go sealos calls `--no-carry`
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = go_bool::parser())]
    pub(crate) save_image: Option<bool>,
}

/// Flags about rendering charts.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ChartFlags {
    /// The Kubernetes version that charts are rendered for
    #[arg(long, value_name = "VERSION")]
    pub(crate) kube_version: Option<String>,
    /// API versions that charts may count on besides Kubernetes' own
    #[arg(long, value_name = "GROUP/VERSION", value_delimiter = ',')]
    pub(crate) api_versions: Vec<String>,
    /// Render charts with this helm instead of here
    #[arg(long, value_name = "PATH")]
    pub(crate) helm: Option<PathBuf>,
    /// A chart that may fail to render, by name or path
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_chart_failure: Vec<String>,
}

/// How images are carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// As images beside the image
    #[default]
    Native,
    /// In a layer of the image
    Layer,
}

impl std::convert::From<Form> for CarriedForm {
    fn from(form: Form) -> Self {
        match form {
            Form::Native => Self::Native,
            Form::Layer => Self::Layer,
        }
    }
}

impl CarryFlags {
    /// Whether anything is carried.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.no_carry && self.save_image != Some(false)
    }
}

impl ChartFlags {
    /// How a context is looked through for one platform's image.
    pub(crate) fn scan_order(&self, outline: &Outline) -> ScanOrder {
        let environment = Environment::of_image(&outline.env);
        let command = |said: &crate::build::OutlinedCommand| CommandText {
            file: said.file.clone(),
            line: said.line.max(1),
            what: said.instruction.to_owned(),
            text: said.text.clone(),
        };
        let copied = |(from, to): &(String, String)| CopiedPath { from: from.clone(), to: to.clone() };
        ScanOrder {
            environment: environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            commands: outline.commands.iter().map(command).collect(),
            copies: outline.copies.iter().map(copied).collect(),
            kube_version: self.kube_version.clone(),
            api_versions: self.api_versions.clone(),
            helm: self.helm.clone(),
            allow_chart_failure: self.allow_chart_failure.clone(),
            ignore: Vec::new(),
        }
    }

    /// Looks through a context, once for every different outline.
    pub(crate) fn scan(&self, context: &Path, outlines: &[Outline]) -> Result<Findings, CarryError> {
        let mut orders: Vec<ScanOrder> = Vec::new();
        for order in outlines.iter().map(|outline| self.scan_order(outline)) {
            let is_new = orders.iter().all(|other| {
                (&other.environment, &other.commands, &other.copies)
                    != (&order.environment, &order.commands, &order.copies)
            });
            if is_new {
                orders.push(order);
            }
        }
        let mut all: Option<Findings> = None;
        for order in &orders {
            let found = carry::scan(context, order)?;
            match &mut all {
                Some(all) => all.extend(found),
                None => all = Some(found),
            }
        }
        match all {
            Some(all) => Ok(all),
            None => carry::scan(context, &ScanOrder::default()),
        }
    }
}

/// Tells the user what is not carried although it may be wanted.
pub(crate) fn tell(findings: &Findings, reporter: &dyn Reporter) {
    for note in findings.notes() {
        reporter.event(&Event::Warning(note.to_string()));
    }
    let likely: Vec<String> =
        findings.likely().map(|found| format!("{} ({})", found.reference, found.origins[0])).collect();
    let what = "list it in a file of images/shim, write a rule in images.rules.yaml, or put it into .sealignore";
    let text = match &likely[..] {
        [] => return,
        [one] => format!("not carried, though it looks like an image: {one}; {what}"),
        many => {
            let what = what.replace(" it ", " each ");
            format!("not carried, though they look like images; {what}:\n  {}", many.join("\n  "))
        }
    };
    reporter.event(&Event::Warning(text));
}

/// The registries that images come from, with a client each.
pub(crate) struct Registries(BTreeMap<String, Client>);

impl Registries {
    /// Clients for the registries of these names.
    pub(crate) fn new<'a>(args: &Registry, names: impl Iterator<Item = &'a Reference>) -> Self {
        let hosts: BTreeSet<String> = names.map(|name| name.registry().to_owned()).collect();
        // Credentials of the command line are for one registry; nobody can say which of several.
        let only_files = Registry { creds: None, ..args.clone() };
        let args = if hosts.len() == 1 { args } else { &only_files };
        Self(hosts.into_iter().map(|host| (host.clone(), client(args, &host, None))).collect())
    }

    fn repository(&self, name: &Reference) -> Result<Repository<'_>, ContentError> {
        let place = || format!("registry {}", name.registry());
        let client = self.0.get(name.registry()).ok_or_else(|| ContentError::UnknownImage {
            place: place(),
            name: name.familiar(),
            similar: Vec::new(),
        })?;
        client.repository(name).map_err(|error: RegistryError| {
            let help = error.help();
            ContentError::Remote { place: place(), source: Box::new(error), help }
        })
    }
}

impl Repositories for Registries {
    fn open(&self, name: &Reference) -> Result<Box<dyn Source + '_>, ContentError> {
        Ok(Box::new(self.repository(name)?))
    }

    fn foreign(&self, from: From, name: &Reference) -> Result<Foreign, ContentError> {
        let keeper = match from {
            From::DockerDaemon => Keeper::DockerDaemon,
            From::ContainersStorage | From::Registry => Keeper::ContainersStorage,
        };
        transfer::foreign(keeper, &name.to_string()).map_err(|error| {
            let help = error.help();
            ContentError::Remote { place: keeper.transport().to_owned(), source: Box::new(error), help }
        })
    }
}

/// Carries the images of a build.
pub(crate) struct BuildCarrier<'a> {
    pub(crate) args: &'a Registry,
    pub(crate) flags: &'a CarryFlags,
    pub(crate) pull: PullPolicy,
    pub(crate) network: &'a Network<'a>,
    /// Blobs that move at once; none for the usual number.
    pub(crate) jobs: Option<usize>,
}

impl Carrier for BuildCarrier<'_> {
    fn carry(&self, order: &CarryOrder<'_>) -> Result<Carried, SeamError> {
        let findings = self.flags.charts.scan(order.context, order.outlines).map_err(seam)?;
        tell(&findings, self.network.reporter);
        let mistakes: Vec<_> = findings.mistakes().cloned().collect();
        if !mistakes.is_empty() {
            return Err(seam(CarryError::Mistakes { mistakes }));
        }
        let lock_path = lock_path(order);
        let earlier = read_lock(&lock_path).map_err(seam)?;
        let gathered = self.gather(order, &findings, earlier.as_ref())?;
        for failure in &gathered.missing {
            self.network.reporter.event(&Event::Warning(format!("not carried: {failure}")));
        }
        if self.flags.lock {
            write_lock(&lock_path, &gathered.lock)?;
        }
        let lock = self.with_bases(order, gathered.lock)?;
        let form = match (self.flags.carry, self.flags.every_platform) {
            (Form::Layer, true) => CarriedForm::WholeLayer,
            (form, _) => form.into(),
        };
        Ok(Carried { lock, form })
    }
}

impl BuildCarrier<'_> {
    fn gather(
        &self,
        order: &CarryOrder<'_>,
        findings: &Findings,
        earlier: Option<&ImageLock>,
    ) -> Result<Gathered, SeamError> {
        let bases = self.missing_bases(order)?;
        let names = findings.images().map(|found| &found.reference).chain(bases.iter().map(|(name, _)| name));
        let registries = Registries::new(self.args, names);
        let mut found: Vec<(Reference, Repository<'_>, FoundImage)> = Vec::new();
        for (name, platform) in &bases {
            // What is wrong with a base is said where the recipe names it.
            let Ok(repository) = registries.repository(name) else { continue };
            let Ok(root) = repository.resolve(name) else { continue };
            let Ok(image) = find_image(&repository, &root, platform) else { continue };
            if !image.image.config.value().platform().serves(platform) {
                continue;
            }
            found.push((name.clone(), repository, image));
        }
        let beside = found.iter().map(|(_, repository, image)| CopyJob {
            from: repository,
            to: self.network.store,
            roots: image.roots(),
            names: Vec::new(),
        });
        let tree = RegistryTree::open(&order.context.join("registry"));
        let options = CopyOptions { jobs: self.jobs.unwrap_or(CopyOptions::default().jobs), ..CopyOptions::default() };
        let gathered = carry::gather(&GatherOrder {
            store: self.network.store,
            context: order.context,
            findings,
            tree: tree.as_ref(),
            effort: Effort::Fetch,
            wanted: match self.flags.every_platform {
                true => Wanted::All,
                false => Wanted::Platforms(order.platforms.to_vec()),
            },
            lookup: match self.pull {
                PullPolicy::Missing => Lookup::Unknown,
                PullPolicy::Always | PullPolicy::Newer => Lookup::Always,
                PullPolicy::Never => Lookup::Never,
            },
            lock: earlier,
            binding: if self.flags.locked { Binding::Require } else { Binding::Prefer },
            ignore_missing: &self.flags.ignore_missing,
            registries: &registries,
            beside: beside.collect(),
            options: &options,
            observer: &Watch(self.network.reporter),
        })
        .map_err(seam)?;
        for (name, _, image) in &found {
            for (what, bytes) in image.indexes().iter().rev() {
                self.network.store.publish(what, bytes).map_err(content)?;
            }
            let own = (image.image.manifest_descriptor.clone(), Vec::new());
            let (root, _) = image.indexes().first().unwrap_or(&own);
            self.network.store.tag(name, root).map_err(content)?;
        }
        Ok(gathered)
    }

    /// Images that the recipe begins with and that have to be pulled.
    fn missing_bases(&self, order: &CarryOrder<'_>) -> Result<Vec<(Reference, Platform)>, SeamError> {
        let mut missing: Vec<(Reference, Platform)> = Vec::new();
        for (name, platform) in order.outlines.iter().flat_map(|outline| &outline.images) {
            if self.pull == PullPolicy::Never || self.network.local(name, platform).map_err(content)?.is_some() {
                continue;
            }
            if let Ok(name) = name.parse::<Reference>()
                && !missing.iter().any(|(other, at)| *other == name && at == platform)
            {
                missing.push((name, platform.clone()));
            }
        }
        Ok(missing)
    }

    /// The lock with what base images carry.
    fn with_bases(&self, order: &CarryOrder<'_>, own: ImageLock) -> Result<ImageLock, SeamError> {
        let platforms: Vec<String> = order.platforms.iter().map(|it| it.normalised().to_string()).collect();
        let mut images: Vec<LockedImage> = Vec::new();
        let names: BTreeSet<&String> = order.outlines.iter().flat_map(|outline| &outline.bases).collect();
        for name in names {
            let record = match self.network.store.find(name) {
                Ok(record) => record,
                // It is looked for again where the recipe names it.
                Err(ContentError::UnknownImage { .. }) => continue,
                Err(error) => return Err(content(error)),
            };
            let base = ClusterImage::load(self.network.store, &record.root).map_err(content)?;
            for mut image in base.lock.only(|platform| platforms.iter().any(|own| own == platform)).images {
                for origin in &mut image.origins {
                    let from = format!("from the base image {name}");
                    origin.what = if origin.what.is_empty() { from } else { format!("{}, {from}", origin.what) };
                }
                images.push(image);
            }
        }
        images.extend(own.images);
        Ok(ImageLock::new(images))
    }
}

/// Where the lock of a build lies: beside the recipe, or in the context.
fn lock_path(order: &CarryOrder<'_>) -> PathBuf {
    match order.recipe.and_then(Path::parent) {
        Some(directory) => directory.join(LOCK_FILE),
        None => order.context.join(LOCK_FILE),
    }
}

/// Reads a lock, if there is one.
pub(crate) fn read_lock(path: &Path) -> Result<Option<ImageLock>, CarryError> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CarryError::Io { doing: "read", path: path.to_owned(), source }),
        Ok(bytes) => match ImageLock::parse(&bytes) {
            Ok(lock) => Ok(Some(lock)),
            Err(source) => Err(CarryError::Lock { path: path.to_owned(), source }),
        },
    }
}

/// Writes a lock, whole or not at all; one that is the same already is left alone.
pub(crate) fn write_lock(path: &Path, lock: &ImageLock) -> Result<(), SeamError> {
    let bytes = lock.bytes().map_err(SeamError::new)?;
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    whole_file::write(path, &bytes).map_err(SeamError::new)
}

fn seam(error: CarryError) -> SeamError {
    let help = error.help();
    SeamError { source: Box::new(error), help }
}

fn content(error: ContentError) -> SeamError {
    let help = error.help();
    SeamError { source: Box::new(error), help }
}
