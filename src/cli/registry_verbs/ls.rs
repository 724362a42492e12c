//! `sealos registry ls`

use clap::Args;
use registry::names::{Name, Which};
use serde_json::json;

use super::failure::RegistryFailure;
use super::place::{self, Use};
use crate::cli::error::CommandError;
use crate::cli::show;
use crate::cli::world::World;

/// List the images of a registry
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos registry ls /var/lib/registry
  sealos registry ls myapp.tar
  sealos registry ls --json")]
pub(crate) struct Ls {
    /// What would be served; this machine's images if nothing is named
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Only repositories that begin so
    #[arg(long, value_name = "PREFIX")]
    repository: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Ls {
    pub(crate) fn run(&self, world: &mut World<'_>) -> Result<(), CommandError> {
        let backend = place::open(&self.paths, &world.store_place()?, Use::Read)?;
        let prefix = self.repository.as_deref().unwrap_or_default();
        let mut rows = Vec::new();
        let names = backend.repositories().map_err(RegistryFailure::from)?;
        for name in names.iter().filter(|name| name.as_str().starts_with(prefix)) {
            let tags = backend.tags(name).map_err(RegistryFailure::from)?;
            for tag in tags.iter().flat_map(|tags| tags.iter()) {
                let which = Which::Tag(tag.clone());
                if let Some(stored) = backend.manifest(name, &which).map_err(RegistryFailure::from)? {
                    rows.push((name.clone(), tag.clone(), stored.digest, stored.media_type));
                }
            }
        }
        if self.json {
            let row = |(name, tag, digest, media_type): &(Name, _, _, _)| {
                let (tag, digest): (&registry::names::Tag, &oci::Digest) = (tag, digest);
                let media_type: &std::sync::Arc<str> = media_type;
                json!({ "repository": name.as_str(), "tag": tag.as_str(), "digest": digest, "mediaType": **media_type })
            };
            return show::json(world, &json!(rows.iter().map(row).collect::<Vec<_>>()));
        }
        for (name, tag, digest, _) in rows {
            world.say(format_args!("{name}:{tag} {digest}"))?;
        }
        Ok(())
    }
}
