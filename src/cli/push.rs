//! `sealos push SRC [DEST]`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use content::{Location, Plain};

use super::conversion::FormArgs;
use super::error::CommandError;
use super::platforms::{Extent, PlatformArgs};
use super::registry::{Moving, Registry, client, host};
use super::sent;
use super::world::{Silence, World};
use crate::report::{Event, Reporter};
use crate::transfer::{
    CopyOutcome, CopyWish, Digests, LazyStore, Mode, Target, TransferError, copy_image, open, write_digest,
};

/// Send an image to a registry
///
/// An index goes with all images of it that the store has. What the registry has already does not move; a push that was
/// interrupted is taken up where it ended. Manifests and layers are sent as they are unless another form is asked for. The
/// digest of what was sent is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos push hub.example/team/app:v1
  sealos push app:v1 hub.example/team/app:v1
  sealos push --compression-format zstd --compression-level 9 app:v1 hub.example/team/app:v1
  sealos push --platform linux/amd64 app:v1 hub.example/team/app:v1-amd64
  sealos push app:v1 oci-archive:app.tar")]
pub(crate) struct Push {
    /// The image: a name or id
    #[arg(value_name = "SRC")]
    source: String,
    /// Where to: a name, or a place such as oci:DIR:TAG [default: SRC]
    #[arg(value_name = "DEST")]
    target: Option<String>,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    platform: PlatformArgs,
    /// An error if the store lacks a part of the index
    #[arg(long, conflicts_with = "platform")]
    all: bool,
    /// Write the digest to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Take the name away here when the image is there
    #[arg(long)]
    rm: bool,
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
    /// Signatures are not sent
    #[arg(long, hide = true)]
    remove_signatures: bool,
}

impl Push {
    pub(crate) fn run(mut self, world: &mut World<'_>) -> Result<(), CommandError> {
        self.registry = self.registry.complete()?;
        let store = LazyStore::at(world.store_place()?);
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::from(self.quiet)));
        let pushed = self.push(&store, &reporter);
        reporter.finish();
        let outcome = pushed?;
        if let Some(path) = &self.digestfile {
            write_digest(path, &outcome.root)?;
        }
        sent::say(world, &outcome, if self.json { sent::Form::Json } else { sent::Form::Digest })
    }

    fn push(&self, store: &LazyStore, reporter: &Arc<dyn Reporter>) -> Result<CopyOutcome, CommandError> {
        let failed = |source| CommandError::Move { verb: "push", name: self.source.clone(), source };
        let wish = CopyWish {
            platforms: self.platform.platforms(Extent::from(self.all)),
            conversion: self.form.conversion()?,
            digests: Digests::MayChange,
            mode: Mode::Write,
            options: self.moving.options(&self.registry),
        };
        let from = Location::source(&self.source, Plain::Store, store).map_err(TransferError::from)?;
        let to = self.target.as_deref().map(|to| Location::target(to, Plain::Registry, store)).transpose();
        let to = to.map_err(TransferError::from)?;
        let nobody = client(&self.registry, "", Some(reporter));
        let origin = open(&from, store, &nobody).map_err(failed)?;
        let image = origin.image().map_err(failed)?;
        let to = match to.or_else(|| image.name.clone().map(Location::Registry)) {
            Some(to) => to,
            None => return Err(failed(TransferError::NoName { id: self.source.clone() })),
        };
        let client = client(&self.registry, host(&to), Some(reporter));
        let target = Target::open(&to, image.name.as_ref(), store, &client).map_err(failed)?;
        reporter.event(&Event::Task(format!("push {} to {to}", self.source)));
        let outcome = copy_image(&origin, image, &target, store, &wish, &**reporter).map_err(failed)?;
        if self.rm {
            sent::forget(&origin, image.name.as_ref())?;
        }
        Ok(outcome)
    }
}
