//! `sealos inspect NAME…`

use clap::{Args, ValueEnum};
use content::{ClusterImage, ContentError, fetch_document};
use oci::{Digest, Platform, Raw, Reference};
use serde_json::{Value, json};

use super::error::CommandError;
use super::locate::{self, Located};
use super::registry::Registry;
use super::show::{self, Format};
use super::summary::{PlatformImage, Summary, summarise};
use super::world::{Silence, World};
use crate::report::Event;

/// Show everything about images
///
/// One name prints one object, several print an array. The image may be in the store, in a file, or in a registry
/// (nothing is pulled).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos inspect app:v1
  sealos inspect -f '{{.OCIv1.config.Labels}}' app:v1
  sealos inspect oci-archive:app.tar
  sealos inspect docker://docker.io/labring/helm:v3.8.2
  sealos inspect --images app:v1
  sealos inspect --raw app:v1 | sha256sum")]
pub(crate) struct Inspect {
    /// Images: a name or id, a path, docker://NAME, oci-archive:PATH, docker-archive:PATH, oci:DIR[:TAG], dir:DIR
    #[arg(required = true)]
    names: Vec<String>,
    /// A Go template for each object
    #[arg(short, long, value_name = "TEMPLATE", conflicts_with_all = ["raw", "config"])]
    format: Option<String>,
    /// Print the manifest or the index, byte for byte
    #[arg(long, conflicts_with = "config")]
    raw: bool,
    /// Print the image configuration, byte for byte
    #[arg(long)]
    config: bool,
    /// Print which container images are carried, and why: the image lock
    #[arg(long, conflicts_with_all = ["raw", "config", "kind", "platform"])]
    images: bool,
    /// Of an index, the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// What the name stands for
    #[arg(short = 't', long = "type", value_enum, default_value_t = Kind::App, value_name = "KIND")]
    kind: Kind,
    #[command(flatten)]
    registry: Registry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Whatever there is
    App,
    /// An image
    Image,
    /// The manifest or the index itself
    Manifest,
}

impl Inspect {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let format = self.format.as_deref().map(Format::of_document).transpose()?;
        let (mut documents, mut errors) = (Vec::new(), Vec::new());
        for name in &self.names {
            let found = locate::with(world, &self.registry, name, |found| self.look(name, found));
            match found {
                Ok(Answer::Bytes(bytes)) => world.out.write_all(&bytes).map_err(CommandError::Output)?,
                Ok(Answer::Document(document)) => {
                    if self.images && document["images"].as_array().is_some_and(Vec::is_empty) {
                        unlocked(world, name);
                    }
                    match &format {
                        Some(format) => world.say(format.render(&document)?)?,
                        None => documents.push(document),
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        match &documents[..] {
            [] => {}
            [one] if self.names.len() == 1 => show::json(world, one)?,
            all => show::json(world, &all)?,
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(CommandError::Several(errors)),
        }
    }

    fn look(&self, name: &str, found: &Located<'_>) -> Result<Answer, CommandError> {
        if self.images {
            return Ok(Answer::Document(json!(ClusterImage::load(found.source, &found.root)?.lock)));
        }
        let wanted = self.platform.clone().unwrap_or_else(Platform::host);
        if self.platform.is_none() && (self.raw || self.kind == Kind::Manifest) {
            let bytes = fetch_document(found.source, &found.root)?;
            return self.manifest(bytes);
        }
        let summary = summarise(found.source, &found.root, &wanted)?;
        if self.platform.is_some() && !summary.platforms.iter().any(|platform| platform.serves(&wanted)) {
            let available: Vec<String> = summary.platforms.iter().map(Platform::to_string).collect();
            let (place, name, available) = (found.source.place(), name.to_owned(), available.join(", "));
            return Err(ContentError::NoPlatform { place, name, wanted: wanted.to_string(), available }.into());
        }
        let image = summary.image.as_ref();
        if self.config {
            let config = image.and_then(|image| image.config.as_ref());
            let config = config.ok_or_else(|| CommandError::NotAnImage(name.to_owned()))?;
            return Ok(Answer::Bytes(config.bytes().to_vec()));
        }
        if self.raw || self.kind == Kind::Manifest {
            return self.manifest(image.map(|image| image.manifest.bytes().to_vec()).unwrap_or_default());
        }
        let mut document = document(name, &found.names, &summary)?;
        let carried = ClusterImage::load(found.source, &found.root)?.lock;
        document["CarriedImages"] = carried.images.iter().map(|image| image.reference.clone()).collect();
        Ok(Answer::Document(document))
    }

    fn manifest(&self, bytes: Vec<u8>) -> Result<Answer, CommandError> {
        Ok(if self.raw { Answer::Bytes(bytes) } else { Answer::Document(serde_json::from_slice(&bytes)?) })
    }
}

enum Answer {
    Bytes(Vec<u8>),
    Document(Value),
}

/// Says where to look for what an image holds that has no image lock.
fn unlocked(world: &World<'_>, name: &str) {
    let reporter = world.reporter(Silence::Unasked);
    let text = format!(
        "`{name}` has no image lock; `sealos images list {name}` says what it asks for, and what is in its `registry/`"
    );
    reporter.event(&Event::Warning(text));
    reporter.finish();
}

/// The keys of the Go sealos (`Name`, `FromImageDigest`, `FromImageID`, `OCIv1`) and what else is worth knowing.
fn document(name: &str, names: &[Reference], summary: &Summary) -> Result<Value, CommandError> {
    let image = summary.image.as_ref();
    let config = image.and_then(|image| image.config.as_ref());
    // From the bytes, so that nothing is lost that our types do not know.
    let config_document: Value = config.map_or(Ok(Value::Null), |config| serde_json::from_slice(config.bytes()))?;
    let annotations = match (&summary.index, image) {
        (Some(index), _) => &index.value().annotations,
        (None, Some(image)) => &image.manifest.value().annotations,
        (None, None) => &summary.root.annotations,
    };
    let image_id = image.map(|image| image.manifest.value().config.digest);
    let platform = config.map(|config| config.value().platform());
    Ok(json!({
        "Name": names.first().map_or_else(|| name.to_owned(), Reference::familiar),
        "FromImageDigest": image.map(|image| image.descriptor.digest),
        "FromImageID": image_id.as_ref().map(Digest::hex),
        "OCIv1": config_document,
        "Id": summary.id(),
        "Digest": summary.root.digest,
        "MediaType": summary.root.media_type,
        "RepoTags": names.iter().map(Reference::familiar).collect::<Vec<_>>(),
        "Created": config.and_then(|config| config.value().created.clone()),
        "Architecture": platform.as_ref().map(|platform| platform.architecture.clone()),
        "Os": platform.as_ref().map(|platform| platform.os.clone()),
        "Variant": platform.as_ref().and_then(|platform| platform.variant.clone()),
        "Platforms": summary.platforms.iter().map(Platform::to_string).collect::<Vec<_>>(),
        "Size": summary.size,
        "Labels": config.map(|config| config.value().config.labels.clone()),
        "Layers": image.map(layers),
        "Annotations": annotations,
    }))
}

fn layers(image: &PlatformImage) -> Vec<Value> {
    let diff_ids = image.config.as_ref().map(Raw::value).map(|config| config.rootfs.diff_ids.as_slice());
    let layers = image.manifest.value().layers.iter().enumerate();
    let one = layers.map(|(at, layer)| {
        json!({
            "MediaType": layer.media_type,
            "Digest": layer.digest,
            "Size": layer.size,
            "DiffId": diff_ids.and_then(|ids| ids.get(at)),
        })
    });
    one.collect()
}
