//! `sealos tags REPOSITORY…`

use std::sync::Arc;

use clap::Args;
use oci::Reference;
use serde_json::json;

use super::error::CommandError;
use super::registry::{Registry, client, one_registry};
use super::show;
use super::world::{Silence, World};
use crate::report::Reporter;
use crate::transfer::TransferError;
use crate::transfer::sync::Filter;

/// List the tags of repositories
///
/// One line a tag. With several repositories each line is a whole name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos tags docker.io/labring/kubernetes
  sealos tags --filter 'semver=>=1.29' docker.io/labring/kubernetes
  sealos tags --json hub.example/team/app")]
pub(crate) struct Tags {
    /// Repositories of registries
    #[arg(required = true, value_name = "REPOSITORY")]
    names: Vec<String>,
    /// Only these: tag=REGEX or semver=RANGE; != for all others; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<Filter>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: Registry,
}

fn filter(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| error.to_string())
}

impl Tags {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let registry = self.registry.complete()?;
        let names = self.names.iter().map(|name| name.trim_start_matches("docker://").parse::<Reference>());
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::Unasked));
        let client = client(&registry, &one_registry(&registry, names.iter())?, Some(&reporter));
        let (mut documents, mut errors) = (Vec::new(), Vec::new());
        for name in &names {
            let tags = client.repository(name).and_then(|repository| repository.tags());
            let tags = match tags {
                Ok(tags) => tags,
                Err(error) => {
                    let (verb, name) = ("list the tags of", name.familiar_name().to_owned());
                    errors.push(CommandError::Move { verb, name, source: TransferError::from(error) });
                    continue;
                }
            };
            let is_kept = |tag: &String| self.filter.iter().all(|filter| filter.keeps(name.repository(), Some(tag)));
            let tags: Vec<String> = tags.into_iter().filter(is_kept).collect();
            let whole = format!("{}/{}", name.registry(), name.repository());
            match (self.json, names.len()) {
                (true, _) => documents.push(json!({"name": whole, "tags": tags})),
                (false, 1) => tags.iter().try_for_each(|tag| world.say(tag))?,
                (false, _) => tags.iter().try_for_each(|tag| world.say(format_args!("{whole}:{tag}")))?,
            }
        }
        reporter.finish();
        match &documents[..] {
            _ if !self.json => {}
            [one] if names.len() == 1 => show::json(world, one)?,
            all => show::json(world, &all)?,
        }
        CommandError::all(errors)
    }
}
