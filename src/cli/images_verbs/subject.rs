//! What carried images are asked about: a context, a chart, or an image; and what is found there.

use std::path::Path;

use content::{ClusterImage, ImageLock, LockedImage, Origin, load_image};
use oci::{Platform, Reference};
use serde_json::{Value, json};

use super::super::carrying::ChartFlags;
use super::super::error::CommandError;
use super::super::locate::{self, Located};
use super::super::registry::Registry;
use super::super::world::World;
use crate::build::{self, BuildError, BuildRequest, ContextPlace, KubefilePlace, Outline, OutlinedCommand, Unobserved};
use crate::carry::{self, RegistryTree, ScanOrder};
use crate::cluster::commands;
use crate::discover::{ArchiveKind, Findings, Ignore};

/// What is asked about.
#[derive(Debug)]
pub(crate) struct Subject {
    /// What a user would see of it.
    pub(crate) images: Vec<Asked>,
    /// The lock of an image; none of what was looked through.
    pub(crate) lock: Option<ImageLock>,
    /// Everything else that was found.
    pub(crate) findings: Findings,
}

/// An image that is asked for, or carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: Reference,
    pub(crate) origins: Vec<Origin>,
    /// The entry of the lock, where there is one.
    pub(crate) locked: Option<LockedImage>,
}

impl Subject {
    /// Looks at what a text names.
    pub(crate) fn of(
        world: &World<'_>,
        text: &str,
        recipe: Option<&str>,
        flags: &ChartFlags,
        registry: &Registry,
    ) -> Result<Self, CommandError> {
        let path = Path::new(text);
        let is_layout = path.join("oci-layout").is_file();
        if path.is_dir() && path.join("Chart.yaml").is_file() || path.is_file() && is_chart_file(text) {
            return Ok(Self::found(carry::scan_chart(path, &flags.scan_order(&Outline::default()))?));
        }
        if path.is_dir() && !is_layout {
            return Ok(Self::found(context(world, path, recipe, flags)?));
        }
        locate::with(world, registry, text, |found| Self::of_image(world, text, found, flags))
    }

    fn found(findings: Findings) -> Self {
        let images = findings.images().map(|found| Asked {
            name: found.reference.clone(),
            origins: found.origins.clone(),
            locked: None,
        });
        Self { images: images.collect(), lock: None, findings }
    }

    /// What a lock says.
    pub(crate) fn of_lock(lock: ImageLock) -> Self {
        let one = |image: &LockedImage| {
            Some(Asked {
                name: image.reference.parse().or_else(|_| image.normalised.parse()).ok()?,
                origins: image.origins.clone(),
                locked: Some(image.clone()),
            })
        };
        let images = lock.images.iter().filter_map(one).collect();
        Self { images, lock: Some(lock), findings: Findings::new(Ignore::default()) }
    }

    fn of_image(world: &World<'_>, text: &str, found: &Located<'_>, flags: &ChartFlags) -> Result<Self, CommandError> {
        let image = ClusterImage::load(found.source, &found.root)?;
        if image.carries() {
            return Ok(Self::of_lock(image.lock));
        }
        // What was built without a lock is looked through as its context would have been.
        let disk = world.disk()?;
        let scratch = disk.scratch("images")?;
        let directory = scratch.path().join("files");
        let own = load_image(found.source, &found.root, &Platform::host())?;
        carry::unpack(found.source, &own, &directory)?;
        let runtime = &own.config.value().config;
        let command = |said: String| OutlinedCommand { file: text.to_owned(), line: 0, instruction: "CMD", text: said };
        let outline = Outline {
            env: runtime.env.clone(),
            commands: commands(runtime, None).into_iter().map(command).collect(),
            ..Outline::default()
        };
        let order = ScanOrder { ..flags.scan_order(&outline) };
        let mut subject = Self::found(carry::scan(&directory, &order)?);
        subject.add_tree(&directory)?;
        Ok(subject)
    }

    /// The images of a `registry/` directory, whose blobs may not be there.
    fn add_tree(&mut self, directory: &Path) -> Result<(), CommandError> {
        let Some(tree) = RegistryTree::open(&directory.join("registry")) else { return Ok(()) };
        for name in tree.names_only()? {
            let is_known = self.images.iter().any(|asked| {
                asked.name == name
                    || asked.name.repository() == name.repository()
                        && asked.name.tag_or_default() == name.tag_or_default()
            });
            if !is_known {
                let origin = Origin {
                    file: "registry".to_owned(),
                    line: None,
                    what: name.to_string(),
                    rule: "registry directory".to_owned(),
                };
                self.images.push(Asked { name, origins: vec![origin], locked: None });
            }
        }
        self.images.sort_by_key(|asked| asked.name.normal());
        Ok(())
    }

    /// Everything as JSON.
    pub(crate) fn json(&self) -> Value {
        let asked = |asked: &Asked| match &asked.locked {
            Some(locked) => json!(locked),
            None => json!({
                "reference": asked.name.to_string(),
                "normalised": asked.name.normal(),
                "origins": asked.origins,
            }),
        };
        let findings = &self.findings;
        let archive = |kind: ArchiveKind| match kind {
            ArchiveKind::Oci => "oci-archive",
            ArchiveKind::Docker => "docker-archive",
            ArchiveKind::OciDirectory => "oci",
            ArchiveKind::Directory => "dir",
        };
        json!({
            "images": self.images.iter().map(asked).collect::<Vec<_>>(),
            "archives": findings.archives().iter().map(|it| json!({
                "kind": archive(it.kind),
                "path": it.path,
                "image": it.pick,
                "name": it.name.as_ref().map(ToString::to_string),
                "origin": it.origin,
            })).collect::<Vec<_>>(),
            "likely": findings.likely().map(|it| json!({
                "reference": it.reference.to_string(),
                "origins": it.origins,
            })).collect::<Vec<_>>(),
            "notes": findings.notes().map(|it| json!({ "origin": it.origin, "text": it.text })).collect::<Vec<_>>(),
            "mistakes": findings.mistakes().map(|it| json!({
                "origin": it.origin,
                "reason": it.reason,
                "help": it.help,
            })).collect::<Vec<_>>(),
        })
    }
}

fn is_chart_file(text: &str) -> bool {
    let is_packed = text.ends_with(".tgz") || text.ends_with(".tar.gz");
    is_packed && crate::charts::read(Path::new(text), crate::charts::Links::Anywhere).is_ok()
}

/// Looks through a context, with the recipe in it if there is one.
pub(crate) fn context(
    world: &World<'_>,
    path: &Path,
    recipe: Option<&str>,
    flags: &ChartFlags,
) -> Result<Findings, CommandError> {
    Ok(flags.scan(path, &outlines(world, path, recipe)?)?)
}

/// What the recipe of a context says; nothing where there is none.
pub(crate) fn outlines(world: &World<'_>, path: &Path, recipe: Option<&str>) -> Result<Vec<Outline>, CommandError> {
    let mut request = BuildRequest::new(ContextPlace::Directory(path.to_owned()));
    if let Some(recipe) = recipe {
        request.kubefile = KubefilePlace::parse(recipe);
    }
    let disk = world.disk()?;
    match build::outline(&request, &build::World::offline(&disk, &Unobserved)) {
        Err(BuildError::NoKubefile { .. }) => Ok(Vec::new()),
        outlines => Ok(outlines?),
    }
}
