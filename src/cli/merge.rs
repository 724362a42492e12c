//! `sealos merge IMAGE…`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Args;
use content::{Assembly, ClusterImage, ContentError, Disk, Image, ImageLock, Sink, Source, assemble};
use oci::{Descriptor, Platform, Reference};

use super::error::CommandError;
use super::find_or_pull::find_or_pull;
use super::image_layers::image_layers;
use super::registry::Registry;
use super::show;
use super::world::{Silence, World};
use crate::build;
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
        let roots: Vec<Descriptor> = found.iter().map(|(_, root)| root.clone()).collect();
        let merged = build::merge(&disk, &images, self.timestamp)?;
        let (lock, differing) = carried(&disk, &roots, &platform)?;
        for name in differing {
            let text = format!("several images carry `{name}`, and not the same: the last one's is carried");
            reporter.event(&Event::Warning(text));
        }
        let parts = Assembly { roots: &[merged.manifest], lock: &lock, annotations: BTreeMap::new() };
        let root = assemble(&disk, &parts)?;
        let id = if lock.images.is_empty() { merged.config } else { root.digest };
        self.tags.iter().try_for_each(|tag| disk.tag(tag, &root))?;
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

/// What the images carry for a platform, all together, and the names that stand for different images in them.
fn carried(
    disk: &Disk,
    roots: &[Descriptor],
    platform: &Platform,
) -> Result<(ImageLock, BTreeSet<String>), CommandError> {
    let wanted = platform.normalised().to_string();
    let (mut all, mut differing) = (ImageLock::new([]), BTreeSet::new());
    for root in roots {
        let lock = ClusterImage::load(disk, root)?.lock.only(|platform| platform == wanted);
        for image in &lock.images {
            let known = all.images.iter().find(|known| known.normalised == image.normalised);
            if known.is_some_and(|known| known.platforms != image.platforms) {
                differing.insert(image.reference.clone());
            }
        }
        all = ImageLock::new(all.images.into_iter().chain(lock.images));
    }
    Ok((all, differing))
}

/// An image that is for the platform.
fn one(disk: &Disk, root: &Descriptor, platform: &Platform, name: &str) -> Result<Image, CommandError> {
    let image = image_layers(disk, root, platform, name)?;
    let own = image.config.value().platform();
    match own.serves(platform) || own.architecture.is_empty() {
        true => Ok(image),
        false => Err(ContentError::NoPlatform {
            place: Source::place(disk),
            name: name.to_owned(),
            wanted: platform.to_string(),
            available: own.to_string(),
        }
        .into()),
    }
}
