//! `sealos merge IMAGE…`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Args;
use content::{ClusterImage, ContentError, Disk, Sink, Source};
use oci::{Descriptor, Platform, Reference};

use super::error::CommandError;
use super::find_or_pull::find_or_pull;
use super::image_layers::image_layers;
use super::registry::Registry;
use super::show;
use super::world::{Silence, World};
use crate::build::{self, Merged};
use crate::report::{Event, Reporter};

/// Make one image of several
///
/// The files of later images go over those of earlier ones, their variables and labels win, and the commands of all run
/// one after the other. What they carry is carried together. Layers stay what they are: nothing is unpacked, copied or compressed. What is missing is pulled.
/// The id of the image is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos merge labring/kubernetes:v1.29.9 labring/helm:v3.8.2 labring/calico:v3.27.4 -t mycluster:v1
  sealos merge --platform linux/arm64 -t bundle:v1 app:v1 db:v2")]
pub(crate) struct Merge {
    /// Images: names or ids, lowest first
    #[arg(required = true, num_args = 2.., value_name = "IMAGE")]
    images: Vec<String>,
    /// The name of the result; may be given several times
    #[arg(short = 't', long = "tag", required = true, value_name = "NAME")]
    tags: Vec<Reference>,
    /// Of an index, the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// The date of the result, in seconds since 1970 [default: SOURCE_DATE_EPOCH or 0]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        hide_env = true,
        default_value_t = 0,
        hide_default_value = true
    )]
    timestamp: i64,
    /// Only the id, no progress
    #[arg(short, long)]
    quiet: bool,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: Registry,
    /// Nothing is looked for in images that are merged
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    save_image: Option<String>,
}

impl Merge {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        if let Some(tag) = self.tags.iter().find(|tag| tag.digest().is_some()) {
            return Err(CommandError::TagWithDigest(tag.familiar()));
        }
        let disk = world.disk()?;
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::from(self.quiet)));
        let registry = self.registry.clone().complete()?;
        let names: Vec<&str> = self.images.iter().map(String::as_str).collect();
        let found = find_or_pull(&names, self.platform.as_ref(), &disk, &registry, &reporter);
        reporter.finish();
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let found = found?;
        let images =
            found.iter().map(|(name, root)| one(&disk, root, &platform, name)).collect::<Result<Vec<_>, _>>()?;
        for name in differing(&images) {
            let text = format!("several images carry `{name}`, and not the same: the last one's is carried");
            reporter.event(&Event::Warning(text));
        }
        let (root, merged) = build::merge(&disk, &images, self.timestamp)?;
        self.tags.iter().try_for_each(|tag| disk.tag(tag, &root))?;
        // As `sealos images` shows it.
        let id = if root.media_type.is_index() { root.digest } else { merged.config };
        match self.json {
            false => world.say(id),
            true => show::json(
                world,
                &serde_json::json!({
                    "id": id.hex(),
                    "digest": root.digest,
                    "names": self.tags.iter().map(Reference::familiar).collect::<Vec<_>>(),
                    "platform": merged.platform.to_string(),
                }),
            ),
        }
    }
}

/// The names that stand for different images in what the images carry.
fn differing(parts: &[Merged]) -> BTreeSet<String> {
    let (mut known, mut differing) = (BTreeMap::new(), BTreeSet::new());
    for image in parts.iter().flat_map(|part| &part.carried.images) {
        let earlier = known.insert(&image.normalised, &image.platforms);
        if earlier.is_some_and(|platforms| *platforms != image.platforms) {
            differing.insert(image.reference.clone());
        }
    }
    differing
}

/// An image that is for the platform, and what it carries for it.
fn one(disk: &Disk, root: &Descriptor, platform: &Platform, name: &str) -> Result<Merged, CommandError> {
    let image = image_layers(disk, root, platform, name)?;
    let own = image.config.value().platform();
    let wanted = own.normalised().to_string();
    let carried = ClusterImage::load(disk, root)?.lock.only(|platform| platform == wanted);
    match own.serves(platform) || own.architecture.is_empty() {
        true => Ok(Merged { image, carried }),
        false => Err(ContentError::NoPlatform {
            place: Source::place(disk),
            name: name.to_owned(),
            wanted: platform.to_string(),
            available: own.to_string(),
        }
        .into()),
    }
}
