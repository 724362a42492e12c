//! `sealos images diff A B`

use std::path::Path;

use clap::Args;
use content::cluster_image::LOCK_FILE;
use content::{ImageLock, LockedImage};
use serde_json::json;

use super::super::carrying::{ChartFlags, read_lock};
use super::super::error::CommandError;
use super::super::registry::Registry;
use super::super::show;
use super::super::world::World;
use super::subject::Subject;

/// Compare the images that two things carry
///
/// Each is an image, a lock file, or a context (its lock, or what it asks for).
#[derive(Debug, Args)]
#[command(after_help = "\
Lines begin with + for what only B has, - for what only A has, ~ for what stands for something else.

Examples:
  sealos images diff myapp:v1 myapp:v2
  sealos images diff myapp:v1 .")]
pub(crate) struct Diff {
    /// The older one
    a: String,
    /// The newer one
    b: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    charts: ChartFlags,
    #[command(flatten)]
    registry: Registry,
}

impl Diff {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let a = self.lock(world, &self.a)?;
        let b = self.lock(world, &self.b)?;
        if self.json {
            let (added, removed, changed) = sides(&a, &b);
            let changed: Vec<_> = changed.iter().map(|(old, new)| json!({ "from": old, "to": new })).collect();
            return show::json(world, &json!({ "added": added, "removed": removed, "changed": changed }));
        }
        changes(&a, &b).into_iter().try_for_each(|line| world.say(line))
    }

    fn lock(&self, world: &World<'_>, text: &str) -> Result<ImageLock, CommandError> {
        let path = Path::new(text);
        let file = if path.is_dir() { path.join(LOCK_FILE) } else { path.to_owned() };
        let is_lock = file.is_file() && file.extension().is_some_and(|ending| ending == "json");
        if is_lock && let Some(lock) = read_lock(&file)? {
            return Ok(lock);
        }
        let subject = Subject::of(world, text, None, &self.charts, &self.registry)?;
        if let Some(lock) = subject.lock {
            return Ok(lock);
        }
        // Names without digests: what they stand for cannot differ.
        let empty = oci::Descriptor::of(oci::MediaType::OCI_EMPTY, b"");
        Ok(ImageLock::new(subject.images.into_iter().map(|asked| LockedImage {
            reference: asked.name.to_string(),
            normalised: asked.name.normal(),
            digest: empty.digest,
            media_type: empty.media_type.clone(),
            size: 0,
            platforms: Vec::new(),
            origins: asked.origins,
        })))
    }
}

type Sides<'a> = (Vec<&'a LockedImage>, Vec<&'a LockedImage>, Vec<(&'a LockedImage, &'a LockedImage)>);

/// What only `b` has, what only `a` has, and what stands for something else.
fn sides<'a>(a: &'a ImageLock, b: &'a ImageLock) -> Sides<'a> {
    let find = |lock: &'a ImageLock, image: &LockedImage| {
        lock.images.iter().find(|other| other.normalised == image.normalised)
    };
    let added = b.images.iter().filter(|image| find(a, image).is_none()).collect();
    let removed = a.images.iter().filter(|image| find(b, image).is_none()).collect();
    let both = a.images.iter().filter_map(|old| Some((old, find(b, old)?)));
    let changed = both.filter(|(old, new)| old.size > 0 && new.size > 0 && differs(old, new)).collect();
    (added, removed, changed)
}

fn differs(old: &LockedImage, new: &LockedImage) -> bool {
    old.digest != new.digest || old.platforms != new.platforms
}

/// The differences, a line each, sorted by name.
pub(crate) fn changes(a: &ImageLock, b: &ImageLock) -> Vec<String> {
    let (added, removed, changed) = sides(a, b);
    let mut lines: Vec<(&str, String)> = Vec::new();
    lines.extend(added.iter().map(|it| (it.normalised.as_str(), format!("+ {}{}", it.reference, digest(it)))));
    lines.extend(removed.iter().map(|it| (it.normalised.as_str(), format!("- {}{}", it.reference, digest(it)))));
    lines.extend(changed.iter().map(|(old, new)| {
        let text = match old.digest == new.digest {
            false => format!("~ {} {} -> {}", new.reference, old.digest, new.digest),
            true => format!("~ {} for {} -> {}", new.reference, platforms(old), platforms(new)),
        };
        (new.normalised.as_str(), text)
    }));
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn digest(image: &LockedImage) -> String {
    if image.size > 0 { format!(" {}", image.digest) } else { String::new() }
}

fn platforms(image: &LockedImage) -> String {
    image.platforms.iter().map(|it| it.platform.as_str()).collect::<Vec<_>>().join(",")
}
