//! `sealos registry rm`

use std::path::PathBuf;

use clap::Args;
use registry::backend::{Backend, Target};
use registry::names::{Name, Tag};

use super::failure::RegistryFailure;
use super::place::{self, Use};
use crate::cli::error::CommandError;
use crate::cli::world::World;

/// Take images out of a registry
///
/// A tag goes alone; a digest goes with all tags that point at it. The space is freed by `sealos registry gc`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos registry rm /var/lib/registry library/nginx:1.27
  sealos registry rm /var/lib/registry library/nginx@sha256:…")]
pub(crate) struct Rm {
    /// The registry's directory, or s3://BUCKET/PREFIX
    directory: PathBuf,
    /// REPOSITORY:TAG or REPOSITORY@DIGEST, as `sealos registry ls` shows them
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

impl Rm {
    pub(crate) fn run(&self, world: &mut World<'_>) -> Result<(), CommandError> {
        let parsed: Result<Vec<_>, _> = self.images.iter().map(|text| parse(text)).collect();
        let tree = place::tree(&self.directory, Use::Write)?;
        let writer = tree.writer().ok_or_else(|| RegistryFailure::NotKept(self.directory.clone()))?;
        for ((name, target), text) in parsed?.iter().zip(&self.images) {
            match writer.delete(name, target).map_err(RegistryFailure::from)? {
                true => world.say(text)?,
                false => return Err(RegistryFailure::Unknown(text.clone()).into()),
            }
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<(Name, Target), RegistryFailure> {
    let wrong = |reason: String| RegistryFailure::Wrong { text: text.to_owned(), reason };
    let name = |name: &str| name.parse::<Name>().map_err(|error| wrong(error.to_string()));
    if let Some((front, digest)) = text.split_once('@') {
        let digest = digest.parse().map_err(|error: oci::DigestError| wrong(error.to_string()))?;
        return Ok((name(front)?, Target::Manifest(digest)));
    }
    let (front, tag) = text.rsplit_once(':').ok_or_else(|| wrong("there is no tag".to_owned()))?;
    let tag = tag.parse::<Tag>().map_err(|error| wrong(error.to_string()))?;
    Ok((name(front)?, Target::Tag(tag)))
}
