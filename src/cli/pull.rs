//! `sealos pull NAME…`

use std::sync::Arc;

use clap::{Args, ValueEnum};
use content::{Location, Plain};
use oci::{Platform, Reference};
use serde_json::{Value, json};

use super::error::CommandError;
use super::platforms::{Extent, PlatformArgs};
use super::registry::{Moving, Registry, client, one_registry};
use super::show;
use super::summary::summarise;
use super::world::{Silence, World};
use crate::report::{Event, Reporter};
use crate::transfer::{
    CopyOutcome, CopyWish, Digests, LazyStore, Mode, PullPolicy, Puller, Target, TransferError, copy_image, open,
};

/// Bring images from registries into the store
///
/// All blobs of all images wait in one queue. What is there already does not move; a pull that was interrupted is taken
/// up where it ended. One line an image is printed: its id, as `sealos images` shows it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos pull labring/helm:v3.8.2
  sealos pull --platform linux/arm64 labring/kubernetes:v1.29.9 labring/calico:v3.27.4
  sealos pull --all-platforms --policy ifnewer hub.example/team/app:v1
  sealos pull --all-tags hub.example/team/app
  sealos pull --creds robot --limit-rate 20M hub.example/team/app:v1")]
pub(crate) struct Pull {
    /// Images: a name, or a place such as oci-archive:FILE or docker-daemon:NAME
    #[arg(required = true)]
    names: Vec<String>,
    /// When the registry is asked
    #[arg(long, value_enum, default_value_t = Policy::Missing, value_name = "WHEN")]
    policy: Policy,
    #[command(flatten)]
    platform: PlatformArgs,
    /// All platforms that an index has images for
    #[arg(long, alias = "all-arch", conflicts_with = "platform")]
    all_platforms: bool,
    /// All tags of the repositories
    #[arg(short, long)]
    all_tags: bool,
    /// Only ids on stdout, no progress
    #[arg(short, long)]
    quiet: bool,
    /// Print what was pulled as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    moving: Moving,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    ignored: Ignored,
}

/// Flags of the Go sealos that change nothing here: signatures are not looked at.
#[derive(Debug, Args)]
struct Ignored {
    #[arg(long, hide = true)]
    remove_signatures: bool,
    #[arg(long, hide = true)]
    signature_policy: Option<String>,
    #[arg(long, hide = true)]
    blob_cache: Option<String>,
    #[arg(long, hide = true)]
    disable_content_trust: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// If the store does not have the image
    #[value(alias = "ifmissing", alias = "if-not-present")]
    Missing,
    /// Always
    Always,
    /// Never: an image that is not in the store is an error
    Never,
    /// Always; a registry that cannot be reached is no error if the store has the image
    #[value(name = "ifnewer", alias = "newer", alias = "if-newer")]
    IfNewer,
}

impl From<Policy> for PullPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Missing => Self::Missing,
            Policy::Always => Self::Always,
            Policy::Never => Self::Never,
            Policy::IfNewer => Self::IfNewer,
        }
    }
}

/// An image that is in the store now.
struct Row {
    name: String,
    id: String,
    digest: String,
    platforms: Vec<String>,
    pulled: bool,
}

impl Pull {
    pub(crate) fn run(mut self, world: &mut World<'_>) -> Result<(), CommandError> {
        self.registry = self.registry.complete()?;
        let store = LazyStore::at(world.store_place()?);
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::from(self.quiet)));
        let result = self.pull(&store, &reporter);
        reporter.finish();
        let (rows, errors) = result?;
        if self.json {
            show::json(world, &rows.iter().map(Row::json).collect::<Vec<_>>())?;
        } else {
            rows.iter().try_for_each(|row| world.say(&row.id))?;
        }
        CommandError::all(errors)
    }

    fn pull(
        &self,
        store: &LazyStore,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<(Vec<Row>, Vec<CommandError>), CommandError> {
        let locations = self.names.iter().map(|name| location(name, store)).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<Reference> = locations.iter().filter_map(registry_name).cloned().collect();
        let client = client(&self.registry, &one_registry(&self.registry, names.iter())?, Some(reporter));
        let platforms = self.platform.platforms(Extent::from(self.all_platforms));
        let puller = Puller {
            store: store.disk()?,
            client: &client,
            platforms: platforms.clone(),
            policy: self.policy.into(),
            options: self.moving.options(&self.registry),
        };
        let (names, mut errors) = if self.all_tags { all_tags(&client, &names) } else { (names, Vec::new()) };
        let mut rows = Vec::new();
        for (name, result) in names.iter().zip(puller.pull(&names, &**reporter)) {
            match result.and_then(|pulled| {
                if !pulled.asked {
                    let text = format!("{} is in the store already; `--policy ifnewer` asks the registry", pulled.name);
                    reporter.event(&Event::Task(text));
                }
                row(store, &pulled.name.familiar(), &pulled.root, &pulled.platforms, pulled.asked)
            }) {
                Ok(row) => rows.push(row),
                Err(source) => errors.push(failed(name.familiar(), source)),
            }
        }
        let wish = CopyWish {
            platforms,
            conversion: Default::default(),
            digests: Digests::MayChange,
            mode: Mode::Write,
            options: self.moving.options(&self.registry),
        };
        for other in locations.iter().filter(|location| registry_name(location).is_none()) {
            match from_elsewhere(other, store, &client, &wish, reporter) {
                Ok(more) => rows.extend(more),
                Err(source) => errors.push(failed(other.to_string(), source)),
            }
        }
        Ok((rows, errors))
    }
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "name": self.name, "id": self.id, "digest": self.digest, "platforms": self.platforms, "pulled": self.pulled,
        })
    }
}

fn failed(name: String, source: TransferError) -> CommandError {
    CommandError::Move { verb: "pull", name, source }
}

fn registry_name(location: &Location) -> Option<&Reference> {
    match location {
        Location::Registry(name) => Some(name),
        _ => None,
    }
}

/// What an argument means. A file that is not there is not looked for on Docker Hub.
fn location(text: &str, store: &LazyStore) -> Result<Location, CommandError> {
    let location = Location::source(text, Plain::Registry, store).map_err(TransferError::from)?;
    let file = ["oci:", "dir:", "oci-archive:", "docker-archive:"].iter().find_map(|prefix| text.strip_prefix(prefix));
    match (file, &location) {
        (Some(path), Location::Registry(_)) => {
            Err(TransferError::NoFile { path: path.to_owned(), text: text.to_owned() }.into())
        }
        _ => Ok(location),
    }
}

fn all_tags(client: &registry_client::Client, names: &[Reference]) -> (Vec<Reference>, Vec<CommandError>) {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        let tags = client.repository(name).and_then(|repository| repository.tags());
        let tagged = tags.map_err(TransferError::from).and_then(|tags| {
            tags.iter().map(|tag| name.with_tag(tag).map_err(TransferError::from)).collect::<Result<Vec<_>, _>>()
        });
        match tagged {
            Ok(tagged) => all.extend(tagged),
            Err(source) => errors.push(failed(name.familiar_name().to_owned(), source)),
        }
    }
    (all, errors)
}

fn row(
    store: &LazyStore,
    name: &str,
    root: &oci::Descriptor,
    platforms: &[Platform],
    pulled: bool,
) -> Result<Row, TransferError> {
    let wanted = platforms.first().cloned().unwrap_or_else(Platform::host);
    let id = summarise(store.disk()?, root, &wanted)?.id().hex();
    let platforms = platforms.iter().map(Platform::to_string).collect();
    Ok(Row { name: name.to_owned(), id, digest: root.digest.to_string(), platforms, pulled })
}

/// Files and other programs' stores: each image there, under the name that it has.
fn from_elsewhere(
    location: &Location,
    store: &LazyStore,
    client: &registry_client::Client,
    wish: &CopyWish,
    reporter: &Arc<dyn Reporter>,
) -> Result<Vec<Row>, TransferError> {
    let origin = open(location, store, client)?;
    let mut rows = Vec::new();
    for image in &origin.images {
        reporter.event(&Event::Task(format!("read {} from {}", shown(image), origin.source().place())));
        let target = Target::Store(store.disk()?, image.name.clone());
        let CopyOutcome { root, platforms, .. } = copy_image(&origin, image, &target, store, wish, &**reporter)?;
        rows.push(row(store, &shown(image), &root, &platforms, true)?);
    }
    Ok(rows)
}

fn shown(image: &content::Named) -> String {
    image.name.as_ref().map_or_else(|| image.root.digest.to_string(), Reference::familiar)
}
