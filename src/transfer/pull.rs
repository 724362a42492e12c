//! Images of registries into the store: any number of names at once.
//!
//! ```text
//! names ── policy, resolve, choose platforms: side by side ──▶ jobs ── one queue of blobs ──▶ store, each named
//! ```
//!
//! A name that fails does not end the others. A name that the store has is not looked up elsewhere unless the policy
//! says so: what was loaded or built here needs no network.

use content::{ContentError, CopyJob, CopyOptions, Disk, Outline, Silent, copy_all, present, side_by_side};
use oci::{Descriptor, Platform, Reference};
use registry_client::{Client, Repository};

use super::choose::{Choice, Platforms, choose};
use super::error::TransferError;
use super::places::resolve;
use super::target::Indexed;
use crate::report::{Event, Reporter, Watch};

/// When a registry is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullPolicy {
    /// If the store does not have the image.
    Missing,
    /// Always.
    Always,
    /// Never.
    Never,
    /// Always; but a registry that cannot be reached is no error if the store has the image.
    IfNewer,
}

/// How names are pulled.
pub(crate) struct Puller<'a> {
    pub(crate) store: &'a Disk,
    pub(crate) client: &'a Client,
    pub(crate) platforms: Platforms,
    pub(crate) policy: PullPolicy,
    pub(crate) options: CopyOptions,
}

/// An image that is in the store now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// The name it has there.
    pub(crate) name: Reference,
    /// What the name stands for.
    pub(crate) root: Descriptor,
    /// The platforms that it was looked for; none for an artifact.
    pub(crate) platforms: Vec<Platform>,
    /// Whether a registry was asked.
    pub(crate) asked: bool,
}

/// What is known of a name before anything moves.
#[expect(clippy::large_enum_variant, reason = "there is one for each name of a command line")]
enum Prepared<'a> {
    Here(Pulled),
    There { repository: Repository<'a>, name: Reference, choice: Box<Choice> },
}

impl<'a> Puller<'a> {
    /// Pulls; one result a name, in their order.
    pub(crate) fn pull(&self, names: &[Reference], reporter: &dyn Reporter) -> Vec<Result<Pulled, TransferError>> {
        let prepared = side_by_side(self.options.jobs, names, |name| self.prepare(name, reporter));
        let sinks: Vec<Option<Indexed<'_>>> = prepared
            .iter()
            .map(|one| match one {
                Ok(Prepared::There { choice, .. }) => {
                    Some(Indexed { store: self.store, indexes: choice.indexes.clone() })
                }
                _ => None,
            })
            .collect();
        let mut jobs = Vec::new();
        for (one, sink) in prepared.iter().zip(&sinks) {
            if let (Ok(Prepared::There { repository, name, choice }), Some(sink)) = (one, sink) {
                let names = vec![(name.clone(), choice.root.clone())];
                jobs.push(CopyJob { from: repository, to: sink, roots: choice.chosen.clone(), names });
            }
        }
        let mut results = copy_all(&jobs, &self.options, &Watch(reporter)).into_iter();
        drop(jobs);
        prepared
            .into_iter()
            .map(|one| match one? {
                Prepared::Here(pulled) => Ok(pulled),
                Prepared::There { name, choice, .. } => {
                    if let Some(result) = results.next() {
                        result?;
                    }
                    Ok(Pulled { name, root: choice.root, platforms: choice.platforms, asked: true })
                }
            })
            .collect()
    }

    /// Whether the store has an image for all platforms that were asked for.
    ///
    /// # Errors
    /// When its documents cannot be read.
    pub(crate) fn has(&self, root: &Descriptor) -> Result<bool, TransferError> {
        Ok(self.covered(root)?.is_some())
    }

    fn prepare(&self, name: &Reference, reporter: &dyn Reporter) -> Result<Prepared<'a>, TransferError> {
        let here = self.here(name)?;
        match (self.policy, here) {
            (PullPolicy::Missing | PullPolicy::Never, Some(here)) => Ok(Prepared::Here(here)),
            (PullPolicy::Never, None) => Err(TransferError::NotHere { name: name.clone() }),
            (PullPolicy::IfNewer, here) => match (self.there(name, reporter), here) {
                (Err(error), Some(here)) if is_unreachable(&error) => {
                    reporter.event(&Event::Warning(format!("{error}; the image in the store is used")));
                    Ok(Prepared::Here(here))
                }
                (there, _) => there,
            },
            (PullPolicy::Missing | PullPolicy::Always, _) => self.there(name, reporter),
        }
    }

    fn there(&self, name: &Reference, reporter: &dyn Reporter) -> Result<Prepared<'a>, TransferError> {
        let (repository, root, name) = resolve(self.client, name)?;
        let choice = choose(&repository, &root, &name.familiar(), &self.platforms)?;
        let platforms: Vec<String> = choice.platforms.iter().map(Platform::to_string).collect();
        let text = match &platforms[..] {
            [] => format!("pull {name}"),
            all => format!("pull {name} for {}", all.join(", ")),
        };
        reporter.event(&Event::Task(text));
        Ok(Prepared::There { repository, name, choice: Box::new(choice) })
    }

    /// The image in the store, if it is there for the platforms.
    fn here(&self, name: &Reference) -> Result<Option<Pulled>, TransferError> {
        for candidate in std::iter::once(name.clone()).chain(self.client.candidates(&name.familiar())?) {
            let record = match self.store.find(&candidate.familiar()) {
                Ok(record) => record,
                Err(ContentError::UnknownImage { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(platforms) = self.covered(&record.root)? else { continue };
            let name = record.name.unwrap_or(candidate);
            return Ok(Some(Pulled { name, root: record.root, platforms, asked: false }));
        }
        Ok(None)
    }

    /// The platforms that were asked for, if the store has the image for all of them.
    fn covered(&self, root: &Descriptor) -> Result<Option<Vec<Platform>>, TransferError> {
        if self.platforms == Platforms::All {
            let is_whole = present(self.store, root)?.missing.is_empty();
            return Ok(is_whole.then(Vec::new));
        }
        match choose(self.store, root, "", &self.platforms) {
            Ok(choice) => {
                // A list of images has the documents of images that are in registries only.
                let outline = Outline::of(self.store, &choice.chosen, &Silent)?;
                let is_here = |blob: &Descriptor| blob.is_elsewhere() || self.store.blob_path(&blob.digest).exists();
                Ok(outline.blobs.iter().all(is_here).then_some(choice.platforms))
            }
            Err(TransferError::Content(ContentError::NoPlatform { .. } | ContentError::MissingBlob { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether it was the way to the registry that failed, and not the registry's answer.
fn is_unreachable(error: &TransferError) -> bool {
    use registry_client::RegistryError::{Connection, Down, Status, TooMany, Tried};
    fn is_network(error: &registry_client::RegistryError) -> bool {
        match error {
            Connection { .. } | Down { .. } | TooMany { .. } | Status { status: 500.., .. } => true,
            Tried(tried) => tried.errors.last().is_some_and(is_network),
            _ => false,
        }
    }
    match error {
        TransferError::Registry(error) => is_network(error),
        TransferError::Content(ContentError::Remote { source, .. }) => source.downcast_ref().is_some_and(is_network),
        _ => false,
    }
}
