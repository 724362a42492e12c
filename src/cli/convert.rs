//! `sealos convert IMAGE`

use std::sync::Arc;

use clap::Args;
use oci::Reference;

use super::build_world::Showing;
use super::carrying::Form;
use super::error::CommandError;
use super::find_or_pull::find_or_pull;
use super::registry::Registry;
use super::show;
use super::world::{Silence, World};
use crate::build::{self, CarriedForm};
use crate::report::Reporter;
use content::Sink;

/// Change how an image carries its container images
///
/// native: as images of their own, so that versions and applications share them. layer: in a layer of the image, as the
/// Go sealos reads them. What is carried stays what it is. The digest of the result is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos convert labring/kubernetes:v1.29.9 -t kubernetes:native
  sealos convert --carry layer myapp:v1 -t myapp:v1-go")]
pub(crate) struct Convert {
    /// An image: a name or id; one that is missing is pulled
    image: String,
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Form::Native, value_name = "native|layer", hide_possible_values = true)]
    carry: Form,
    /// The name of the result; may be given several times
    #[arg(short = 't', long = "tag", required = true, value_name = "NAME")]
    tags: Vec<Reference>,
    /// The date of what is written, in seconds since 1970 [default: SOURCE_DATE_EPOCH or 0]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        hide_env = true,
        default_value_t = 0,
        hide_default_value = true
    )]
    timestamp: i64,
    /// Only the digest, no progress
    #[arg(short, long)]
    quiet: bool,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: Registry,
}

impl Convert {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        if let Some(tag) = self.tags.iter().find(|tag| tag.digest().is_some()) {
            return Err(CommandError::TagWithDigest(tag.familiar()));
        }
        let disk = world.disk()?;
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::from(self.quiet)));
        let registry = self.registry.clone().complete()?;
        let found = find_or_pull(&[&self.image], None, &disk, &registry, &reporter)?;
        let Some((_, root)) = found.first() else { return Ok(()) };
        let form = CarriedForm::from(self.carry);
        let converted = build::convert(&disk, root, form, self.timestamp, &Showing::new(&*reporter));
        reporter.finish();
        let converted = converted?;
        self.tags.iter().try_for_each(|tag| disk.tag(tag, &converted.root))?;
        match self.json {
            false => world.say(converted.root.digest),
            true => show::json(
                world,
                &serde_json::json!({
                    "digest": converted.root.digest,
                    "carried": converted.carried,
                    "names": self.tags.iter().map(Reference::familiar).collect::<Vec<_>>(),
                }),
            ),
        }
    }
}
