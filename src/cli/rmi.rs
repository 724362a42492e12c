//! `sealos rmi NAME…`

use clap::Args;
use content::{Disk, Store};
use oci::Reference;

use super::error::CommandError;
use super::summary::summarise;
use super::world::World;

/// Remove images, or names of images
///
/// A name of an image that has others is only taken away. With its last name the image goes; `sealos prune` frees the
/// space that no other image needs. An image that something installed here came from stays, unless `--force` is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos rmi app:v1
  sealos rmi --force 3fd9065eaf02       the image and all its names
  sealos rmi --all")]
pub(crate) struct Rmi {
    /// Images: a name or id
    #[arg(required_unless_present_any = ["all", "prune"], conflicts_with_all = ["all", "prune"])]
    names: Vec<String>,
    /// Remove every image
    #[arg(short, long, conflicts_with = "prune")]
    all: bool,
    /// Remove images without a name, as `sealos prune` does
    #[arg(short, long)]
    prune: bool,
    /// Remove an image that has several names by its id, or that something installed here came from
    #[arg(short, long)]
    force: bool,
}

impl Rmi {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let disk = world.disk()?;
        let mut errors = Vec::new();
        for target in self.targets(&disk)? {
            match self.remove(&disk, &target) {
                Ok(lines) => lines.iter().try_for_each(|line| world.say(line))?,
                Err(error) => errors.push(error),
            }
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(CommandError::Several(errors)),
        }
    }

    fn targets(&self, disk: &Disk) -> Result<Vec<String>, CommandError> {
        if !self.all && !self.prune {
            return Ok(self.names.clone());
        }
        let mut digests: Vec<String> = Vec::new();
        for record in disk.records()? {
            let digest = record.root.digest.to_string();
            if (self.all || record.name.is_none()) && !digests.contains(&digest) {
                digests.push(digest);
            }
        }
        Ok(digests)
    }

    /// Takes away one name, or the image; returns the lines to print.
    fn remove(&self, disk: &Disk, text: &str) -> Result<Vec<String>, CommandError> {
        let record = disk.find(text)?;
        let records = disk.records()?.into_iter().filter(|other| other.root.digest == record.root.digest);
        let names: Vec<Reference> = records.filter_map(|record| record.name).collect();
        let meant = record.name.filter(|name| is_name(text, name));
        if let Some(name) = meant.as_ref().filter(|_| names.len() > 1) {
            disk.untag(name)?;
            return Ok(vec![format!("untagged: {name}")]);
        }
        if meant.is_none() && names.len() > 1 && !self.force && !self.all {
            let names = names.iter().map(Reference::familiar).collect();
            return Err(CommandError::SeveralNames { id: text.to_owned(), names });
        }
        let digest = record.root.digest;
        let uses = disk.uses()?.into_iter().filter(|(root, _)| *root == digest);
        let by: Vec<String> = uses.map(|(_, by)| by).collect();
        if !by.is_empty() && !self.force {
            return Err(CommandError::InUse { id: text.to_owned(), by });
        }
        // An image whose documents are damaged has to be removable all the same.
        let id = summarise(disk, &record.root, &oci::Platform::host()).map_or(digest, |summary| summary.id());
        disk.forget(&digest)?;
        by.iter().try_for_each(|by| disk.unmark_used(&digest, by))?;
        let mut lines: Vec<String> = names.iter().map(|name| format!("untagged: {name}")).collect();
        lines.push(id.hex());
        Ok(lines)
    }
}

/// Whether a user who wrote `text` meant this name, and not an id.
fn is_name(text: &str, name: &Reference) -> bool {
    let same = |text: &str| text.parse::<Reference>().is_ok_and(|reference| reference == *name);
    same(text) || same(&format!("localhost/{text}"))
}
