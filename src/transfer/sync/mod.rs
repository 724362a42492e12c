//! Many images at once: lists, repositories, registries, archives, directories.
//!
//! ```text
//! sources ── expand (tags, catalogs) ── filters ──▶ names ──▶ spots at the destination ── (--dry-run: say so, stop)
//!         ── resolve, choose, side by side ──▶ jobs ── one queue ──▶ destination
//! ```
//!
//! Invariants: nothing is copied when two images would get one place; without `keep going` nothing is copied when one is
//! missing; what is missing or failed makes the whole fail in the end.

mod filter;
mod list;
mod names;
mod run;

use std::fs;
use std::path::{Path, PathBuf};

use content::{Location, side_by_side};
use oci::{Descriptor, Reference};
use registry_client::Client;

use super::error::TransferError;
use super::places::{LazyStore, Origin, open};

pub(crate) use filter::{Filter, Which};
pub(crate) use list::{Entry, Settings, parse as parse_list};
pub(crate) use names::{Destination, Naming, Spot, refuse_collisions};
pub(crate) use run::{Going, SyncWish, Synced, sync};

/// Where images are synced from.
pub(crate) enum SyncSource {
    /// Repositories, or images of them.
    Entries(Vec<Entry>),
    /// Everything that a registry has: `HOST[:PORT]`.
    Registry(String),
    /// Everything in a file or layout.
    File(Location),
    /// Everything in a tree of image directories.
    Tree(PathBuf),
    /// Everything in the store that has a name.
    Store,
}

/// An image that is to be synced.
pub(crate) struct Wanted {
    /// What it is called.
    pub(crate) name: Reference,
    pub(crate) from: WantedFrom,
}

impl Wanted {
    /// The repository's path as its place has it: only in a registry everything that has none in front is Docker Hub's.
    pub(crate) fn path(&self) -> &str {
        let written = self.name.familiar_name();
        let is_short = !written.starts_with(&format!("{}/", self.name.registry()));
        match self.from {
            WantedFrom::Origin(..) if is_short => written,
            _ => self.name.repository(),
        }
    }
}

/// Where an image is.
pub(crate) enum WantedFrom {
    /// In a registry, which is spoken to by this client.
    Registry(usize),
    /// In one of the origins.
    Origin(usize, Box<Descriptor>),
}

/// Places that were opened for the sources.
pub(crate) struct Opened<'a> {
    pub(crate) clients: Vec<Client>,
    pub(crate) origins: Vec<Origin<'a>>,
    pub(crate) wanted: Vec<Wanted>,
    /// Repositories that could not be listed.
    pub(crate) failed: Vec<(String, TransferError)>,
}

/// Makes a client for a registry with what a list says about it.
pub(crate) type Connect<'c> = dyn Fn(&str, &Settings) -> Client + 'c;

/// Finds out what the sources mean.
///
/// # Errors
/// When a file cannot be read. What registries do not tell is kept for later.
pub(crate) fn expand<'a>(
    sources: &[SyncSource],
    filters: &[Filter],
    store: &'a LazyStore,
    nobody: &'a Client,
    connect: &Connect<'_>,
    jobs: usize,
) -> Result<Opened<'a>, TransferError> {
    let mut opened = Opened { clients: Vec::new(), origins: Vec::new(), wanted: Vec::new(), failed: Vec::new() };
    let mut clients = Clients { connect, known: Vec::new(), clients: Vec::new() };
    let mut entries: Vec<(usize, Entry)> = Vec::new();
    for source in sources {
        match source {
            SyncSource::Entries(all) => {
                for entry in all {
                    entries.push((clients.of(entry.repository.registry(), &entry.settings), entry.clone()));
                }
            }
            SyncSource::Registry(host) => {
                let settings = Settings::default();
                let at = clients.of(host, &settings);
                for path in clients.clients[at].catalog(host)? {
                    let repository = list::repository(host, &path)?;
                    entries.push((at, Entry { repository, which: Which::All, settings: settings.clone() }));
                }
            }
            SyncSource::File(location) => opened.add(open(location, store, nobody)?, None)?,
            SyncSource::Tree(root) => {
                for directory in image_directories(root)? {
                    let name = names::in_tree(root, &directory);
                    let format = Some(content::archive::Format::DockerDir);
                    let location = Location::File { format, path: directory, name: None };
                    opened.add(open(&location, store, nobody)?, name.as_ref())?;
                }
            }
            SyncSource::Store => {
                for record in store.disk()?.records()?.into_iter().filter(|record| record.name.is_some()) {
                    let name = record.name.clone();
                    let location = Location::Store(record.root.digest.to_string());
                    opened.add(open(&location, store, nobody)?, name.as_ref())?;
                }
            }
        }
    }
    opened.clients = clients.clients;
    let listed = side_by_side(jobs, &entries, |(client, entry)| images_of(&opened.clients[*client], entry));
    for ((client, entry), found) in entries.iter().zip(listed) {
        match found {
            Ok(names) => {
                let from = |name| Wanted { name, from: WantedFrom::Registry(*client) };
                opened.wanted.extend(names.into_iter().map(from));
            }
            Err(error) => {
                let name = format!("{}/{}", entry.repository.registry(), entry.repository.repository());
                opened.failed.push((name, error));
            }
        }
    }
    let keeps = |wanted: &Wanted| {
        filters.iter().all(|filter| filter.keeps(wanted.name.repository(), wanted.name.tag_or_default()))
    };
    opened.wanted.retain(keeps);
    let mut seen = std::collections::HashSet::new();
    opened.wanted.retain(|wanted| seen.insert(wanted.name.normal()));
    Ok(opened)
}

/// Clients by registry and settings: images of one registry share connections and tokens.
struct Clients<'c> {
    connect: &'c Connect<'c>,
    known: Vec<(String, Settings)>,
    clients: Vec<Client>,
}

impl Clients<'_> {
    fn of(&mut self, host: &str, settings: &Settings) -> usize {
        let known = self.known.iter().position(|(other, its)| other == host && its == settings);
        known.unwrap_or_else(|| {
            self.known.push((host.to_owned(), settings.clone()));
            self.clients.push((self.connect)(host, settings));
            self.clients.len() - 1
        })
    }
}

/// The images of a repository that are meant.
fn images_of(client: &Client, entry: &Entry) -> Result<Vec<Reference>, TransferError> {
    let tags = match entry.which.needs_tags() {
        true => client.repository(&entry.repository)?.tags()?,
        false => Vec::new(),
    };
    let picked = entry.which.pick(tags)?;
    let one = |text: &String| match text.parse() {
        Ok(digest) => Ok(entry.repository.with_digest(digest)),
        Err(_) => entry.repository.with_tag(text).map_err(TransferError::from),
    };
    picked.iter().map(one).collect()
}

impl<'a> Opened<'a> {
    /// Takes in the images of an origin; `name` is what its one image is called if it does not say so itself.
    fn add(&mut self, origin: Origin<'a>, name: Option<&Reference>) -> Result<(), TransferError> {
        let at = self.origins.len();
        let mut any = false;
        for image in &origin.images {
            let Some(name) = name.or(image.name.as_ref()).cloned() else { continue };
            any = true;
            self.wanted.push(Wanted { name, from: WantedFrom::Origin(at, Box::new(image.root.clone())) });
        }
        if !any {
            return Err(TransferError::Nameless { place: origin.source().place() });
        }
        self.origins.push(origin);
        Ok(())
    }
}

/// All image directories in a tree, sorted.
fn image_directories(root: &Path) -> Result<Vec<PathBuf>, TransferError> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        if directory.join("manifest.json").is_file() {
            found.push(directory);
            continue;
        }
        let doing = |source| TransferError::Io { doing: format!("read {}", directory.display()), source };
        for entry in fs::read_dir(&directory).map_err(doing)? {
            let entry = entry.map_err(doing)?;
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.file_type().map_err(doing)?.is_dir() && !is_hidden {
                todo.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
