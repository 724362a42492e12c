//! `sealos manifest create|add|annotate|inspect|push|remove|rm|exists`

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use content::{ContentError, Location, Plain, Store, fetch_document};
use oci::{Descriptor, Digest, Reference};
use serde_json::{Value, json};

use super::conversion::FormArgs;
use super::error::CommandError;
use super::locate;
use super::platforms::from_parts;
use super::registry::{Moving, Registry, client, host};
use super::sent;
use super::show;
use super::world::{Silence, World};
use crate::report::{Event, Reporter};
use crate::transfer::{
    Amend, CopyWish, Digests, Facts, LazyStore, List, Mode, Platforms, Target, TransferError, copy_image, open,
    write_digest,
};

/// Put images of several platforms under one name
///
/// A list is an image index in the store. Images of the store are added by name or id; those of a registry
/// (docker://NAME) are not pulled: pushing the list gets them from where they are.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  sealos manifest create app:v1 app:v1-amd64 docker://hub.example/team/app:v1-arm64
  sealos manifest annotate --variant v7 app:v1 sha256:…
  sealos manifest push app:v1 hub.example/team/app:v1"
)]
pub(crate) struct Manifest {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Create),
    Add(Add),
    Annotate(Annotate),
    Inspect(Inspect),
    Push(Box<Push>),
    Remove(Remove),
    Rm(Rm),
    Exists(Exists),
}

/// How it is said what was done.
#[derive(Clone, Copy, Debug, Args)]
struct Form {
    /// Print the list's new id and digest, and the images, as JSON
    #[arg(long)]
    json: bool,
}

/// Make a list; its id is printed
#[derive(Debug, Args)]
struct Create {
    /// The list's name
    list: Reference,
    /// Images to begin with
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Of an index, add all images
    #[arg(long)]
    all: bool,
    /// Go on with a list of that name
    #[arg(short, long)]
    amend: bool,
    /// An annotation of the list
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    annotation: Vec<(String, String)>,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    registry: Registry,
}

/// Add images to a list; the list's new id and their digests are printed
#[derive(Debug, Args)]
struct Add {
    /// The list
    list: String,
    /// Images: a name or id, docker://NAME, or another place
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Of an index, add all images
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    facts: FactArgs,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    registry: Registry,
}

/// Say more about an image of a list
#[derive(Debug, Args)]
struct Annotate {
    /// The list
    list: String,
    /// The image: its digest, or a name or id in the store
    image: String,
    #[command(flatten)]
    facts: FactArgs,
    #[command(flatten)]
    form: Form,
}

/// Print a list, from the store or else from its registry
#[derive(Debug, Args)]
struct Inspect {
    /// The list
    list: String,
    #[command(flatten)]
    registry: Registry,
}

/// Send a list and all its images to a registry; the digest is printed
#[derive(Debug, Args)]
struct Push {
    /// The list
    list: String,
    /// Where to: a name, or a place such as oci:DIR:TAG [default: the list's name]
    target: Option<String>,
    #[command(flatten)]
    form: FormArgs,
    /// Images are always sent
    #[arg(long, hide = true)]
    all: bool,
    /// Remove the list here when it is there
    #[arg(long)]
    rm: bool,
    /// Write the digest to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Only the digest, no progress
    #[arg(short, long)]
    quiet: bool,
    /// Print what was sent as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    moving: Moving,
    #[command(flatten)]
    registry: Registry,
    #[arg(long, hide = true)]
    remove_signatures: bool,
}

/// Take an image out of a list
#[derive(Debug, Args)]
struct Remove {
    /// The list
    list: String,
    /// The image: its digest, or a name or id in the store
    image: String,
    #[command(flatten)]
    form: Form,
}

/// Remove lists from the store; their images stay
#[derive(Debug, Args)]
struct Rm {
    /// The lists
    #[arg(required = true, value_name = "LIST")]
    lists: Vec<String>,
}

/// Whether there is a list of that name: exit code 0 if so, else 1
#[derive(Debug, Args)]
struct Exists {
    /// The list
    list: String,
}

/// What is said about an image of a list.
#[derive(Clone, Debug, Args)]
struct FactArgs {
    /// Its operating system
    #[arg(long)]
    os: Option<String>,
    /// Its architecture
    #[arg(long)]
    arch: Option<String>,
    /// The variant of its architecture
    #[arg(long)]
    variant: Option<String>,
    /// The version of its operating system
    #[arg(long)]
    os_version: Option<String>,
    /// A feature that its operating system needs
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    os_features: Vec<String>,
    /// A feature that its processor needs
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    features: Vec<String>,
    /// An annotation of its entry
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    annotation: Vec<(String, String)>,
}

impl From<&FactArgs> for Facts {
    fn from(args: &FactArgs) -> Self {
        Self {
            os: args.os.clone(),
            architecture: args.arch.clone(),
            variant: args.variant.clone(),
            os_version: args.os_version.clone(),
            os_features: args.os_features.clone(),
            features: args.features.clone(),
            annotations: args.annotation.clone(),
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

impl Manifest {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        match self.verb {
            Verb::Create(verb) => verb.run(world),
            Verb::Add(verb) => verb.run(world),
            Verb::Annotate(verb) => verb.run(world),
            Verb::Inspect(verb) => verb.run(world),
            Verb::Push(verb) => verb.run(world),
            Verb::Remove(verb) => verb.run(world),
            Verb::Rm(verb) => verb.run(world),
            Verb::Exists(verb) => verb.run(world),
        }
    }
}

/// Adds images to a list; their digests.
fn add(
    list: &mut List<'_>,
    images: &[String],
    platforms: &Platforms,
    facts: &Facts,
    store: &LazyStore,
    registry: &Registry,
    reporter: &Arc<dyn Reporter>,
) -> Result<Vec<Digest>, CommandError> {
    let mut added = Vec::new();
    for image in images {
        let failed = |source| CommandError::Move { verb: "add", name: image.clone(), source };
        let location = Location::source(image, Plain::Store, store).map_err(TransferError::from)?;
        let client = client(registry, host(&location), Some(reporter));
        let origin = open(&location, store, &client).map_err(failed)?;
        added.extend(list.add(&origin, platforms, facts).map_err(failed)?);
    }
    Ok(added)
}

/// The list's id and the images that something was done to, one line each; as JSON one object.
fn say_list(world: &mut World<'_>, root: &Descriptor, images: &[Digest], form: Form) -> Result<(), CommandError> {
    if form.json {
        let document = json!({"id": root.digest.hex(), "digest": root.digest, "images": images});
        return show::json(world, &document);
    }
    images.iter().try_for_each(|image| world.say(format_args!("{}: {image}", root.digest.hex())))
}

fn which(all: bool) -> Platforms {
    if all { Platforms::All } else { Platforms::Host }
}

impl Create {
    fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        if self.list.digest().is_some() {
            return Err(CommandError::TagWithDigest(self.list.familiar()));
        }
        let store = LazyStore::at(world.store_place()?);
        let amend = if self.amend { Amend::Existing } else { Amend::New };
        let mut list = List::create(store.disk()?, &self.list, amend)?;
        let registry = self.registry.complete()?;
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::Unasked));
        let added = add(&mut list, &self.images, &which(self.all), &Facts::default(), &store, &registry, &reporter);
        reporter.finish();
        let added = added?;
        list.annotate_all(&self.annotation);
        let root = list.store()?;
        if self.form.json { say_list(world, &root, &added, self.form) } else { world.say(root.digest.hex()) }
    }
}

impl Add {
    fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let store = LazyStore::at(world.store_place()?);
        let mut list = List::open(store.disk()?, &self.list)?;
        let facts = Facts::from(&self.facts);
        // Of an index, the image that the flags describe.
        let platforms = match (self.all, self.facts.platform()) {
            (true, _) => Platforms::All,
            (false, Some(platform)) => Platforms::Only(vec![platform]),
            (false, None) => Platforms::Host,
        };
        let registry = self.registry.complete()?;
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::Unasked));
        let added = add(&mut list, &self.images, &platforms, &facts, &store, &registry, &reporter);
        reporter.finish();
        let added = added?;
        let root = list.store()?;
        say_list(world, &root, &added, self.form)
    }
}

impl FactArgs {
    fn platform(&self) -> Option<oci::Platform> {
        from_parts(self.os.as_deref(), self.arch.as_deref(), self.variant.as_deref())
    }
}

impl Annotate {
    fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let disk = world.disk()?;
        let mut list = List::open(&disk, &self.list)?;
        let image = list.annotate(&self.image, &Facts::from(&self.facts))?;
        let root = list.store()?;
        say_list(world, &root, &[image], self.form)
    }
}

impl Remove {
    fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let disk = world.disk()?;
        let mut list = List::open(&disk, &self.list)?;
        let image = list.remove(&self.image)?;
        let root = list.store()?;
        say_list(world, &root, &[image], self.form)
    }
}

impl Inspect {
    fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let registry = self.registry.complete()?;
        let list = |found: &locate::Located<'_>| -> Result<Value, CommandError> {
            if !found.root.media_type.is_index() {
                return Err(TransferError::NotAList { name: self.list.clone() }.into());
            }
            Ok(serde_json::from_slice(&fetch_document(found.source, &found.root)?)?)
        };
        let local = locate::with(world, &registry, &self.list, list);
        let document = match (local, self.list.parse::<Reference>()) {
            (Err(CommandError::Transfer(TransferError::Content(ContentError::UnknownImage { .. }))), Ok(_)) => {
                locate::with(world, &registry, &format!("docker://{}", self.list), list)?
            }
            (found, _) => found?,
        };
        show::json(world, &document)
    }
}

impl Push {
    fn run(mut self, world: &mut World<'_>) -> Result<(), CommandError> {
        self.registry = self.registry.complete()?;
        let store = LazyStore::at(world.store_place()?);
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::from(self.quiet)));
        let failed = |source| CommandError::Move { verb: "push", name: self.list.clone(), source };
        let record = store.disk()?.find(&self.list)?;
        if !record.root.media_type.is_index() {
            return Err(TransferError::NotAList { name: self.list.clone() }.into());
        }
        let to = self.target.as_deref().map(|to| Location::target(to, Plain::Registry, &store)).transpose();
        let to = to.map_err(TransferError::from)?.or(record.name.map(Location::Registry));
        let to = to.ok_or_else(|| failed(TransferError::NoName { id: self.list.clone() }))?;
        let client = client(&self.registry, host(&to), Some(&reporter));
        let origin = open(&Location::Store(self.list.clone()), &store, &client).map_err(failed)?;
        let image = origin.image().map_err(failed)?;
        let target = Target::open(&to, image.name.as_ref(), &store, &client).map_err(failed)?;
        reporter.event(&Event::Task(format!("push {} to {to}", self.list)));
        let wish = CopyWish {
            platforms: Platforms::All,
            conversion: self.form.conversion()?,
            digests: Digests::MayChange,
            mode: Mode::Write,
            options: self.moving.options(&self.registry),
        };
        let sent = copy_image(&origin, image, &target, &store, &wish, &*reporter).map_err(failed);
        reporter.finish();
        let outcome = sent?;
        if self.rm {
            sent::forget(&origin, image.name.as_ref())?;
        }
        if let Some(path) = &self.digestfile {
            write_digest(path, &outcome.root)?;
        }
        sent::say(world, &outcome, if self.json { sent::Form::Json } else { sent::Form::Digest })
    }
}

impl Rm {
    fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let disk = world.disk()?;
        let mut errors = Vec::new();
        for text in &self.lists {
            let removed = disk.find(text).map_err(CommandError::from).and_then(|record| {
                if !record.root.media_type.is_index() {
                    return Err(TransferError::NotAList { name: text.clone() }.into());
                }
                disk.forget(&record.root.digest)?;
                Ok(record.root.digest)
            });
            match removed {
                Ok(digest) => world.say(digest.hex())?,
                Err(error) => errors.push(error),
            }
        }
        CommandError::all(errors)
    }
}

impl Exists {
    fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        match world.disk()?.find(&self.list) {
            Ok(record) if record.root.media_type.is_index() => Ok(()),
            Ok(_) | Err(ContentError::UnknownImage { .. }) => Err(CommandError::Absent),
            Err(error) => Err(error.into()),
        }
    }
}
