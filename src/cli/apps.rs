//! `sealos apps`

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::error::CommandError;
use super::hosts::known::KnownFlags;
use super::hosts::{on_all, problem};
use super::world::World;
use crate::plan::hosts::{Action, Reach};
use crate::report::table::Table;

/// List which images are installed on which hosts
///
/// The hosts themselves are asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos apps
  sealos apps --json | jq '.[].image'")]
pub(crate) struct Apps {
    #[command(flatten)]
    known: KnownFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Apps {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let found = self.known.ask(&self.known.load()?)?;
        let mut apps: BTreeMap<(String, String, String), Vec<String>> = BTreeMap::new();
        let mut problems = Vec::new();
        for (host, found) in &found {
            match found {
                Ok(found) => {
                    for done in found.done.iter().filter(|done| done.reach == Reach::Done) {
                        if let Action::Record { kind, .. } = &done.step.action {
                            let key = (done.step.image.clone(), kind.to_string(), done.step.digest.to_string());
                            apps.entry(key).or_default().push(host.to_string());
                        }
                    }
                }
                Err(error) => problems.push(problem(host, error)),
            }
        }
        if self.json {
            let list: Vec<_> = apps
                .iter()
                .map(|((image, kind, digest), hosts)| json!({ "image": image, "type": kind, "digest": digest, "hosts": hosts }))
                .collect();
            world.say(serde_json::to_string_pretty(&list)?)?;
        } else {
            let mut table = Table::new();
            table.row(["IMAGE", "TYPE", "DIGEST", "HOSTS"]);
            for ((image, kind, digest), hosts) in &apps {
                let short = digest.get(..19).unwrap_or(digest);
                table.row([image.as_str(), kind, short, &hosts.join(",")]);
            }
            table.write(world.out).map_err(CommandError::Output)?;
        }
        on_all(problems, found.len())
    }
}
