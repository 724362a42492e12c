//! `sealos copy SRC DST`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use content::{Location, Plain};

use super::conversion::FormArgs;
use super::error::CommandError;
use super::platforms::{Extent, PlatformArgs};
use super::registry::{Moving, Registry, Sides, client, host};
use super::sent;
use super::world::{Silence, World};
use crate::report::{Event, Reporter};
use crate::transfer::{
    CopyOutcome, CopyWish, Digests, LazyStore, Mode, Target, TransferError, copy_image, open, write_digest,
};

/// Copy an image from one place to another
///
/// Places are: NAME, an image of the store; docker://NAME, of a registry; oci:DIR[:TAG], oci-archive:FILE[:TAG],
/// docker-archive:FILE[:NAME] and dir:DIR, files; containers-storage:NAME and docker-daemon:NAME, those of podman and
/// Docker, for which skopeo has to be installed. Nothing stays in the store that is not copied there. Of an index the
/// image for this machine is copied unless more is asked for; from the store, what the store has. The digest of what was
/// copied is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos copy docker://docker.io/labring/helm:v3.8.2 oci-archive:helm.tar
  sealos copy --all docker://quay.io/a/b:1 docker://hub.example/mirror/b:1
  sealos copy docker-daemon:app:v1 docker://hub.example/team/app:v1
  sealos copy --dry-run app:v1 docker://hub.example/team/app:v1
  sealos copy dir:there oci:layout:v1")]
pub(crate) struct Copy {
    /// Where from
    #[arg(value_name = "SRC")]
    source: String,
    /// Where to
    #[arg(value_name = "DST")]
    target: String,
    #[command(flatten)]
    platform: PlatformArgs,
    /// Everything that an index lists
    #[arg(short, long, alias = "all-platforms", conflicts_with = "platform")]
    all: bool,
    #[command(flatten)]
    form: FormArgs,
    /// An error if the digest would change
    #[arg(long)]
    preserve_digests: bool,
    /// Only say what would be copied
    #[arg(long)]
    dry_run: bool,
    /// Write the digest to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Only the digest, no progress
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

impl Copy {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let store = LazyStore::at(world.store_place()?);
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::from(self.quiet)));
        let copied = self.copy(&store, &reporter);
        reporter.finish();
        let outcome = copied?;
        if let Some(path) = self.digestfile.as_ref().filter(|_| !self.dry_run) {
            write_digest(path, &outcome.root)?;
        }
        sent::say(world, &outcome, if self.json { sent::Form::Json } else { sent::Form::Digest })
    }

    fn copy(&self, store: &LazyStore, reporter: &Arc<dyn Reporter>) -> Result<CopyOutcome, CommandError> {
        let failed = |source| CommandError::Move { verb: "copy", name: self.source.clone(), source };
        let wish = CopyWish {
            platforms: self.platform.platforms(Extent::from(self.all)),
            conversion: self.form.conversion()?,
            digests: if self.preserve_digests { Digests::Preserve } else { Digests::MayChange },
            mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
            options: self.moving.options(&self.registry),
        };
        let from = Location::source(&self.source, Plain::Store, store).map_err(TransferError::from)?;
        let to = Location::target(&self.target, Plain::Store, store).map_err(TransferError::from)?;
        // `--creds` alone cannot mean both of two registries.
        if let (Some(_), None, None) = (&self.registry.creds, &self.sides.src_creds, &self.sides.dest_creds)
            && !host(&from).is_empty()
            && !host(&to).is_empty()
            && host(&from) != host(&to)
        {
            let text = "--creds are for one registry; use --src-creds and --dest-creds";
            return Err(CommandError::Usage(text.to_owned()));
        }
        let (read, written) =
            (self.sides.source(&self.registry).complete()?, self.sides.target(&self.registry).complete()?);
        let (reading, writing) =
            (client(&read, host(&from), Some(reporter)), client(&written, host(&to), Some(reporter)));
        let origin = open(&from, store, &reading).map_err(failed)?;
        let image = origin.image().map_err(failed)?;
        let target = Target::open(&to, image.name.as_ref(), store, &writing).map_err(failed)?;
        reporter.event(&Event::Task(format!("copy {from} to {to}")));
        copy_image(&origin, image, &target, store, &wish, &**reporter).map_err(failed)
    }
}
