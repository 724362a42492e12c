//! What was found out is done: all images in one queue.

use std::path::Path;

use content::archive::{self, Format, SaveOptions};
use content::{ContentError, CopyJob, CopyOptions, Layout, Overlay, Sink, Source, copy_all, side_by_side};
use oci::{Descriptor, Platform, Reference};
use registry_client::{Client, Repository};

use super::super::choose::{Choice, Platforms, choose};
use super::super::copy::{Digests, Mode};
use super::super::error::TransferError;
use super::super::places::{LazyStore, resolve};
use super::super::staging::{Staged, staged};
use super::super::target::Indexed;
use super::names::{Destination, Spot};
use super::{Opened, Wanted, WantedFrom};
use crate::report::{Event, Reporter, Watch};

/// Whether what can be copied is copied when something cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    /// It is.
    Keep,
    /// Nothing is copied when an image is missing.
    Stop,
}

/// How images are synced.
pub(crate) struct SyncWish {
    pub(crate) destination: Destination,
    pub(crate) platforms: Platforms,
    pub(crate) digests: Digests,
    pub(crate) going: Going,
    pub(crate) mode: Mode,
    pub(crate) options: CopyOptions,
}

/// What became of one image.
#[derive(Debug)]
pub(crate) struct Synced {
    pub(crate) name: Reference,
    pub(crate) spot: Spot,
    /// What is there now; none if it failed.
    pub(crate) root: Option<Descriptor>,
    pub(crate) platforms: Vec<Platform>,
    pub(crate) error: Option<TransferError>,
}

/// An image of which it is known what has to move.
struct Ready<'a> {
    source: Place<'a>,
    choice: Choice,
    /// As one whole image, and the document that was made for it.
    whole: Descriptor,
    made: Option<(Descriptor, Vec<u8>)>,
}

enum Place<'a> {
    Registry(Repository<'a>),
    Origin(&'a dyn Source),
}

impl Ready<'_> {
    /// What is there when it was copied.
    fn root(&self, wish: &SyncWish) -> Descriptor {
        if wish.destination == Destination::Store { self.choice.root.clone() } else { self.whole.clone() }
    }

    fn source(&self) -> &dyn Source {
        match &self.source {
            Place::Registry(repository) => repository,
            Place::Origin(source) => *source,
        }
    }
}

/// Copies the images to their spots; one result for each, in their order.
///
/// # Errors
/// When the destination cannot be opened. What is wrong with single images is in their results.
pub(crate) fn sync(
    opened: &Opened<'_>,
    spots: &[Spot],
    store: &LazyStore,
    target: &Client,
    wish: &SyncWish,
    reporter: &dyn Reporter,
) -> Result<Vec<Synced>, TransferError> {
    let items: Vec<&Wanted> = opened.wanted.iter().collect();
    let ready = side_by_side(wish.options.jobs, &items, |wanted| prepare(opened, wanted, wish));
    let is_dry = wish.mode == Mode::DryRun;
    let blocked =
        !is_dry && wish.going == Going::Stop && (ready.iter().any(Result::is_err) || !opened.failed.is_empty());
    let mut synced: Vec<Synced> = Vec::new();
    let mut go: Vec<Option<Ready<'_>>> = Vec::new();
    for ((wanted, spot), ready) in items.iter().zip(spots).zip(ready) {
        let (platforms, error, ready) = match ready {
            Ok(ready) => (ready.choice.platforms.clone(), None, Some(ready)),
            Err(error) => (Vec::new(), Some(error), None),
        };
        let error = error.or_else(|| blocked.then_some(TransferError::NotBegun));
        synced.push(Synced { name: wanted.name.clone(), spot: spot.clone(), root: None, platforms, error });
        go.push(ready.filter(|_| !blocked));
    }
    let chosen: Vec<(usize, &Ready<'_>)> =
        go.iter().enumerate().filter_map(|(at, ready)| Some((at, ready.as_ref()?))).collect();
    if is_dry {
        for (at, root) in chosen.iter().map(|(at, ready)| (*at, ready.root(wish))).collect::<Vec<_>>() {
            synced[at].root = Some(root);
        }
        return Ok(synced);
    }
    say(reporter, &synced, &chosen);
    let copy = Copy { synced: &synced, chosen: &chosen, store, wish, reporter };
    let results = match &wish.destination {
        Destination::Registry(_) => copy.to_registry(target)?,
        Destination::Layout(path) => copy.to_layout(path)?,
        Destination::OciArchive(path) => copy.to_archive(path)?,
        Destination::Directories(_) => copy.to_directories(),
        Destination::Store => copy.to_store()?,
    };
    let roots: Vec<(usize, Descriptor)> = chosen.iter().map(|(at, ready)| (*at, ready.root(wish))).collect();
    for ((at, root), result) in roots.into_iter().zip(results) {
        match result {
            Ok(()) => synced[at].root = Some(root),
            Err(error) => synced[at].error = Some(error),
        }
    }
    Ok(synced)
}

fn prepare<'a>(opened: &'a Opened<'_>, wanted: &Wanted, wish: &SyncWish) -> Result<Ready<'a>, TransferError> {
    let (source, root) = match &wanted.from {
        WantedFrom::Registry(client) => {
            let (repository, root, _) = resolve(&opened.clients[*client], &wanted.name)?;
            (Place::Registry(repository), root)
        }
        WantedFrom::Origin(at, root) => (Place::Origin(opened.origins[*at].source()), Descriptor::clone(root)),
    };
    let reading: &dyn Source = match &source {
        Place::Registry(repository) => repository,
        Place::Origin(source) => *source,
    };
    let choice = choose(reading, &root, &wanted.name.familiar(), &wish.platforms)?;
    let (whole, made) = choice.whole()?;
    let is_kept = wish.destination == Destination::Store || whole.digest == root.digest;
    if wish.digests == Digests::Preserve && !is_kept {
        let (name, platforms) = (wanted.name.familiar(), choice.platforms);
        return Err(TransferError::DigestWouldChange { name, platforms });
    }
    Ok(Ready { source, choice, whole, made })
}

/// What comes, and of which platforms where something is left out.
fn say(reporter: &dyn Reporter, synced: &[Synced], chosen: &[(usize, &Ready<'_>)]) {
    for (at, ready) in chosen {
        let Synced { name, spot, platforms, .. } = &synced[*at];
        let platforms: Vec<String> = platforms.iter().map(Platform::to_string).collect();
        let part = match ready.choice.left_out.len() {
            0 => String::new(),
            left => format!(" ({} of {} platforms)", platforms.join(", "), platforms.len() + left),
        };
        reporter.event(&Event::Task(format!("{} to {spot}{part}", name.familiar())));
    }
}

type Results = Vec<Result<(), TransferError>>;

struct Copy<'a> {
    synced: &'a [Synced],
    chosen: &'a [(usize, &'a Ready<'a>)],
    store: &'a LazyStore,
    wish: &'a SyncWish,
    reporter: &'a dyn Reporter,
}

impl Copy<'_> {
    fn overlays(&self) -> Vec<Overlay<'_>> {
        self.chosen.iter().map(|(_, ready)| Overlay::new(ready.source(), ready.made.clone())).collect()
    }

    fn name(&self, at: usize) -> Option<&Reference> {
        match &self.synced[at].spot {
            Spot::Name(name) => Some(name),
            Spot::Directory(_) => None,
        }
    }

    /// Copies whole images, each to its sink.
    fn copy_into(&self, sinks: &[&dyn Sink]) -> Results {
        let overlays = self.overlays();
        let jobs: Vec<CopyJob<'_>> = self
            .chosen
            .iter()
            .zip(&overlays)
            .zip(sinks)
            .map(|(((at, ready), overlay), sink)| CopyJob {
                from: overlay,
                to: *sink,
                roots: vec![ready.whole.clone()],
                names: self.name(*at).map(|name| (name.clone(), ready.whole.clone())).into_iter().collect(),
            })
            .collect();
        let results = copy_all(&jobs, &self.wish.options, &Watch(self.reporter));
        results.into_iter().map(|result| result.map(drop).map_err(TransferError::from)).collect()
    }

    fn to_registry(&self, target: &Client) -> Result<Results, TransferError> {
        let names = self.chosen.iter().filter_map(|(at, _)| self.name(*at));
        let repositories = names.map(|name| target.repository(name)).collect::<Result<Vec<_>, _>>()?;
        let sinks: Vec<&dyn Sink> = repositories.iter().map(|repository| repository as &dyn Sink).collect();
        Ok(self.copy_into(&sinks))
    }

    fn to_layout(&self, path: &Path) -> Result<Results, TransferError> {
        let layout = Layout::create(path)?;
        Ok(self.copy_into(&vec![&layout as &dyn Sink; self.chosen.len()]))
    }

    fn to_store(&self) -> Result<Results, TransferError> {
        let store = self.store.disk()?;
        let sinks: Vec<Indexed<'_>> =
            self.chosen.iter().map(|(_, ready)| Indexed { store, indexes: ready.choice.indexes.clone() }).collect();
        let jobs: Vec<CopyJob<'_>> = self
            .chosen
            .iter()
            .zip(&sinks)
            .map(|((at, ready), sink)| CopyJob {
                from: ready.source(),
                to: sink,
                roots: ready.choice.chosen.clone(),
                names: self.name(*at).map(|name| (name.clone(), ready.choice.root.clone())).into_iter().collect(),
            })
            .collect();
        let results = copy_all(&jobs, &self.wish.options, &Watch(self.reporter));
        Ok(results.into_iter().map(|result| result.map(drop).map_err(TransferError::from)).collect())
    }

    fn to_directories(&self) -> Results {
        let overlays = self.overlays();
        let one = |((at, ready), overlay): (&(usize, &Ready<'_>), &Overlay<'_>)| match &self.synced[*at].spot {
            Spot::Directory(path) => {
                let (options, watch) = (&self.wish.options, Watch(self.reporter));
                if let Some(parent) = path.parent() {
                    let doing = ContentError::io(format!("make {}", parent.display()));
                    std::fs::create_dir_all(parent).map_err(doing)?;
                }
                Ok(archive::save_directory(overlay, &ready.whole, path, options, &watch)?)
            }
            Spot::Name(_) => Ok(()),
        };
        self.chosen.iter().zip(&overlays).map(one).collect()
    }

    /// Into one archive: all images or none. What has to be fetched is fetched into the store, many blobs at once, and
    /// taken up there after an interruption; when the archive is whole, it is taken out of the store again.
    fn to_archive(&self, path: &Path) -> Result<Results, TransferError> {
        let overlays = self.overlays();
        let sources: Vec<Staged<'_>> = self
            .chosen
            .iter()
            .zip(&overlays)
            .map(|((_, ready), overlay)| Staged { source: overlay, root: ready.whole.clone() })
            .collect();
        let names: Vec<Option<Reference>> = self.chosen.iter().map(|(at, _)| self.name(*at).cloned()).collect();
        if self.synced.iter().any(|one| one.error.is_some()) {
            // An archive in which something is missing would be taken for whole on the other side.
            return Ok(self.chosen.iter().map(|_| Err(TransferError::NotBegun)).collect());
        }
        staged(&sources, self.store.disk()?, &self.wish.options, self.reporter, |store| {
            let images: Vec<(Option<Reference>, Descriptor)> =
                names.iter().zip(&sources).map(|(name, one)| (name.clone(), one.root.clone())).collect();
            let (options, watch) = (SaveOptions::default(), Watch(self.reporter));
            Ok(archive::save(store, &images, Format::OciArchive, path, &options, &watch)?)
        })?;
        Ok(self.chosen.iter().map(|_| Ok(())).collect())
    }
}
