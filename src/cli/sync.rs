//! `sealos sync SOURCE… DEST`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use content::archive::Format;
use content::{Location, LocationError, Plain};
use oci::{Platform, Reference};
use registry_client::{Client, Credentials};
use serde_json::{Value, json};

use super::error::CommandError;
use super::platforms::{Extent, PlatformArgs};
use super::registry::{Moving, Registry, Sides, client};
use super::show;
use super::world::{Silence, World};
use crate::report::{Event, Reporter};
use crate::transfer::sync::{
    Destination, Entry, Filter, Going, Naming, Opened, Settings, Spot, SyncSource, SyncWish, Synced, Which, expand,
    parse_list, refuse_collisions, sync,
};
use crate::transfer::{Digests, LazyStore, Mode, TransferError};

/// Copy many images: lists, repositories, whole registries, archives
///
/// SOURCE is a file with a list (YAML or one name a line), REGISTRY/REPOSITORY[:TAG], a registry alone, an archive or
/// layout, or `store:`, the store. DEST is REGISTRY[/PATH], oci:DIR, oci-archive:FILE, dir:DIR or `store:`. All blobs of all
/// images wait in one queue; a sync that was interrupted is taken up where it ended. One line an image is printed: where it
/// is now, and its digest. With `--src` and `--dest` the arguments are read, and images called, as skopeo does it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos sync images.yaml hub.example:5000/mirror
  sealos sync --all quay.io/team/app hub.example:5000
  sealos sync --filter 'semver=>=1.27' --dry-run docker.io/library/nginx hub.example:5000
  sealos sync --all images.yaml oci-archive:bundle.tar
  sealos sync --all oci-archive:bundle.tar hub.example:5000
  sealos sync --src yaml --dest docker --keep-going list.yaml hub.example:5000

A list by registry:
  quay.io:
    images: {team/app: [v1, v2], team/db: []}
    images-by-tag-regex: {team/web: ^v1\\.}
    images-by-semver: {team/api: \">=1.2\"}
    credentials: {username: me, password: secret}
    tls-verify: true")]
pub(crate) struct Sync {
    /// Where from, and at last where to
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DEST"])]
    places: Vec<String>,
    /// What SOURCE is
    #[arg(short, long, value_enum, value_name = "KIND")]
    src: Option<From>,
    /// What DEST is
    #[arg(short, long, value_enum, value_name = "KIND")]
    dest: Option<To>,
    /// Everything that an index lists
    #[arg(short, long, alias = "all-platforms", conflicts_with = "platform")]
    all: bool,
    #[command(flatten)]
    platform: PlatformArgs,
    /// Only these: tag=REGEX, repository=REGEX or semver=RANGE; != for all others; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<Filter>,
    /// Keep the registry in front of the names
    #[arg(long)]
    scoped: bool,
    /// Copy what can be copied when something cannot; the exit code is 1 all the same
    #[arg(long)]
    keep_going: bool,
    /// An error if a digest would change
    #[arg(long)]
    preserve_digests: bool,
    /// Only say what would be copied
    #[arg(long)]
    dry_run: bool,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// Print what was copied as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    moving: Moving,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    sides: Sides,
    /// Signatures are not copied
    #[arg(long, hide = true)]
    remove_signatures: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// A registry, a repository of it, or an image
    Docker,
    /// A list
    Yaml,
    /// A tree of image directories
    Dir,
    /// A layout
    Oci,
    /// A layout in a tar
    OciArchive,
    /// What `docker save` writes
    DockerArchive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// A registry, or a path in one
    Docker,
    /// A tree of image directories
    Dir,
    /// A layout
    Oci,
    /// A layout in a tar
    OciArchive,
}

fn filter(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| error.to_string())
}

impl Sync {
    /// The same where what is copied are images: a name alone is one of the usual registry, and no tag is the usual one.
    ///
    /// # Errors
    /// When a name is none.
    pub(crate) fn of_images(mut self) -> Result<Self, CommandError> {
        let images = self.places.len().saturating_sub(1);
        for text in &mut self.places[..images] {
            let name: Reference = text.trim_start_matches("docker://").parse()?;
            let tag = name.tag_or_default().map(|tag| name.with_tag(tag)).transpose()?;
            *text = format!("docker://{}", tag.unwrap_or(name).normal());
        }
        Ok(self)
    }

    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let store = LazyStore::at(world.store_place()?);
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::from(self.quiet)));
        let result = self.sync(&store, &reporter);
        reporter.finish();
        let (rows, errors) = result?;
        match self.json {
            true => show::json(world, &rows.iter().map(Synced::json).collect::<Vec<_>>())?,
            false => rows.iter().filter_map(|row| self.line(row)).try_for_each(|line| world.say(line))?,
        }
        CommandError::all(errors)
    }

    /// `SPOT DIGEST`; of a dry run `NAME -> SPOT DIGEST`; nothing for what failed.
    fn line(&self, row: &Synced) -> Option<String> {
        let digest = row.root.as_ref()?.digest;
        Some(match self.dry_run {
            true => format!("{} -> {} {digest}", row.name.familiar(), row.spot),
            false => format!("{} {digest}", row.spot),
        })
    }

    fn sync(
        &self,
        store: &LazyStore,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<(Vec<Synced>, Vec<CommandError>), CommandError> {
        let (sources, destination) = self.places(store)?;
        let (read, written) =
            (self.sides.source(&self.registry).complete()?, self.sides.target(&self.registry).complete()?);
        self.refuse_shared_credentials(&sources, &destination)?;
        let nobody = client(&read, "", None);
        let connect = |host: &str, settings: &Settings| connect(&read, host, settings, reporter);
        let options = self.moving.options(&self.registry);
        let opened = expand(&sources, &self.filter, store, &nobody, &connect, options.jobs)?;
        let naming = match (self.scoped, self.src.is_some() || self.dest.is_some()) {
            (true, _) => Naming::Full,
            (false, true) => Naming::Base,
            (false, false) => Naming::Path,
        };
        let spots: Vec<Spot> = opened
            .wanted
            .iter()
            .map(|wanted| destination.spot(&wanted.name, wanted.path(), naming))
            .collect::<Result<_, _>>()?;
        refuse_collisions(opened.wanted.iter().map(|wanted| &wanted.name).zip(&spots))?;
        if opened.wanted.is_empty() && opened.failed.is_empty() {
            return Err(CommandError::NothingToSync);
        }
        let target = client(&written, destination.host(), Some(reporter));
        let wish = SyncWish {
            destination,
            platforms: self.platform.platforms(Extent::from(self.all)),
            digests: if self.preserve_digests { Digests::Preserve } else { Digests::MayChange },
            going: if self.keep_going { Going::Keep } else { Going::Stop },
            mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
            options,
        };
        let rows = sync(&opened, &spots, store, &target, &wish, &**reporter)?;
        Ok(sort_out(rows, opened, reporter))
    }

    /// What the arguments mean.
    fn places(&self, store: &LazyStore) -> Result<(Vec<SyncSource>, Destination), CommandError> {
        let Some((target, sources)) = self.places.split_last() else { return Err(CommandError::NothingToSync) };
        let sources = sources.iter().map(|text| source(text, self.src, store)).collect::<Result<Vec<_>, _>>()?;
        Ok((sources, destination(target, self.dest, store)?))
    }

    /// `--creds` alone cannot mean several registries.
    fn refuse_shared_credentials(&self, sources: &[SyncSource], to: &Destination) -> Result<(), CommandError> {
        let mut hosts: Vec<String> = match (&self.sides.src_creds, &self.registry.creds) {
            (None, None) => return Ok(()),
            _ => sources.iter().flat_map(hosts).collect(),
        };
        if self.sides.src_creds.is_none() && self.sides.dest_creds.is_none() && !to.host().is_empty() {
            hosts.push(to.host().to_owned());
        }
        hosts.sort();
        hosts.dedup();
        match hosts.len() {
            0 | 1 => Ok(()),
            _ => {
                let text = format!(
                    "one set of credentials for {}; log in to them, or put credentials into the list",
                    hosts.join(", ")
                );
                Err(CommandError::Usage(text))
            }
        }
    }
}

fn hosts(source: &SyncSource) -> Vec<String> {
    match source {
        SyncSource::Entries(entries) => entries.iter().map(|entry| entry.repository.registry().to_owned()).collect(),
        SyncSource::Registry(host) => vec![host.clone()],
        _ => Vec::new(),
    }
}

/// A client for a registry of a list.
fn connect(read: &Registry, host: &str, settings: &Settings, reporter: &Arc<dyn Reporter>) -> Client {
    let mut own = read.clone();
    own.trust.tls_verify = settings.tls_verify.unwrap_or(own.trust.tls_verify);
    own.trust.cert_dir = settings.cert_dir.clone().or(own.trust.cert_dir);
    if let Some(Credentials::Password { user, password }) = &settings.credentials {
        own.creds = Some(format!("{user}:{}", password.reveal()));
    }
    client(&own, host, Some(reporter))
}

/// Where from.
fn source(text: &str, kind: Option<From>, store: &LazyStore) -> Result<SyncSource, CommandError> {
    let file = |format| Location::File { format, path: PathBuf::from(text), name: None };
    match kind {
        Some(From::Docker) => return in_registry(text),
        Some(From::Yaml) => return list(text),
        Some(From::Dir) => return Ok(SyncSource::Tree(PathBuf::from(text))),
        Some(From::Oci) => return Ok(SyncSource::File(file(Some(Format::OciDir)))),
        Some(From::OciArchive) => return Ok(SyncSource::File(file(Some(Format::OciArchive)))),
        Some(From::DockerArchive) => return Ok(SyncSource::File(file(Some(Format::DockerArchive)))),
        None => {}
    }
    if text == "store:" {
        return Ok(SyncSource::Store);
    }
    if let Some(rest) = text.strip_prefix("docker://") {
        return in_registry(rest);
    }
    if let Some(directory) = text.strip_prefix("dir:").filter(|path| Path::new(path).is_dir()) {
        return Ok(SyncSource::Tree(PathBuf::from(directory)));
    }
    let path = Path::new(text);
    let is_list = [".yaml", ".yml", ".txt", ".list"].iter().any(|ending| text.ends_with(ending));
    // No registry is called so: a list that is not there is looked for nowhere else.
    let is_path = path.is_file() || !text.contains('/') || text.starts_with(['.', '/']);
    if is_list && is_path {
        return list(text);
    }
    if path.exists() {
        return Ok(SyncSource::File(file(None)));
    }
    match Location::source(text, Plain::Registry, store) {
        Ok(location @ Location::File { .. }) => Ok(SyncSource::File(location)),
        Ok(Location::Foreign { .. }) => {
            Err(CommandError::Usage(format!("`{text}` is one image; `sealos copy` copies it")))
        }
        _ => in_registry(text),
    }
}

fn list(path: &str) -> Result<SyncSource, CommandError> {
    let text = std::fs::read_to_string(path).map_err(CommandError::io(format!("read {path}")))?;
    Ok(SyncSource::Entries(parse_list(path, &text)?))
}

/// `HOST`, `HOST/REPOSITORY`, or with a tag or digest.
fn in_registry(text: &str) -> Result<SyncSource, CommandError> {
    let is_host = !text.contains('/') && (text == "localhost" || text.contains(['.', ':']));
    if is_host {
        let host: Result<Reference, _> = format!("{text}/x").parse();
        return match host {
            Ok(name) if name.registry() == text => Ok(SyncSource::Registry(text.to_owned())),
            _ => Err(CommandError::Usage(format!("`{text}` is no registry"))),
        };
    }
    let repository: Reference = text.parse()?;
    let one = repository.digest().map(ToString::to_string).or(repository.tag().map(str::to_owned));
    let which = one.map_or(Which::All, |one| Which::These(vec![one]));
    Ok(SyncSource::Entries(vec![Entry { repository, which, settings: Settings::default() }]))
}

/// Where to.
fn destination(text: &str, kind: Option<To>, store: &LazyStore) -> Result<Destination, CommandError> {
    let registry = |text: &str| {
        let text = text.trim_start_matches("docker://").trim_end_matches('/');
        // A name below it has to be one.
        format!("{text}/x").parse::<Reference>()?;
        let has_host = format!("{text}/x").parse::<Reference>()?.registry() == text.split('/').next().unwrap_or(text);
        match has_host {
            true => Ok(Destination::Registry(text.to_owned())),
            false => Err(CommandError::Usage(format!("`{text}` has no registry: expected HOST[:PORT][/PATH]"))),
        }
    };
    match kind {
        Some(To::Docker) => return registry(text),
        Some(To::Dir) => return Ok(Destination::Directories(PathBuf::from(text))),
        Some(To::Oci) => return Ok(Destination::Layout(PathBuf::from(text))),
        Some(To::OciArchive) => return Ok(Destination::OciArchive(PathBuf::from(text))),
        None if text == "store:" => return Ok(Destination::Store),
        None if text.starts_with("docker://") => return registry(text),
        None => {}
    }
    match Location::target(text, Plain::Registry, store) {
        Ok(Location::File { format: Some(Format::OciDir), path, .. }) => Ok(Destination::Layout(path)),
        Ok(Location::File { format: Some(Format::OciArchive), path, .. }) => Ok(Destination::OciArchive(path)),
        Ok(Location::File { format: Some(Format::DockerDir), path, .. }) => Ok(Destination::Directories(path)),
        Ok(location @ (Location::File { .. } | Location::Foreign { .. })) => {
            Err(CommandError::Usage(format!("`{location}` cannot take many images")))
        }
        Err(error @ LocationError::Path { .. }) => Err(TransferError::from(error).into()),
        _ => registry(text),
    }
}

/// What was done, and what went wrong.
fn sort_out(
    mut rows: Vec<Synced>,
    opened: Opened<'_>,
    reporter: &Arc<dyn Reporter>,
) -> (Vec<Synced>, Vec<CommandError>) {
    let failed = |name: String, source| CommandError::Move { verb: "sync", name, source };
    let mut errors: Vec<CommandError> = opened.failed.into_iter().map(|(name, source)| failed(name, source)).collect();
    let mut held_back = 0;
    for row in &mut rows {
        match row.error.take() {
            None => {}
            Some(TransferError::NotBegun) => held_back += 1,
            Some(source) => errors.push(failed(row.name.familiar(), source)),
        }
    }
    if held_back > 0 {
        let text = format!("{held_back} images were not copied, since others are missing; --keep-going copies them");
        reporter.event(&Event::Warning(text));
    }
    (rows, errors)
}

impl Synced {
    fn json(&self) -> Value {
        json!({
            "name": self.name.familiar(),
            "target": self.spot.to_string(),
            "digest": self.root.as_ref().map(|root| root.digest),
            "platforms": self.platforms.iter().map(Platform::to_string).collect::<Vec<_>>(),
        })
    }
}
