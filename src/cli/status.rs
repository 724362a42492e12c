//! `sealos status`

use clap::Args;
use serde_json::json;

use super::error::CommandError;
use super::hosts::known::KnownFlags;
use super::hosts::{on_all, problem};
use super::world::World;
use crate::cluster::Role;
use crate::plan::hosts::Reach;
use crate::report::size;
use crate::report::table::Table;

/// Show how the hosts of a cluster are
///
/// All hosts are asked at once. The exit code is 1 if one does not answer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos status
  sealos status --json | jq '.hosts[] | select(.reachable | not)'")]
pub(crate) struct Status {
    #[command(flatten)]
    known: KnownFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let file = self.known.load()?;
        let found = self.known.ask(&file)?;
        let (mut rows, mut documents, mut problems) = (Table::new(), Vec::new(), Vec::new());
        rows.row(["HOST", "ROLES", "NAME", "ARCH", "OS", "FREE", "STEPS"]);
        for host in &file.cluster.hosts {
            let roles: Vec<&str> = host.roles.iter().map(Role::as_str).collect();
            let address = host.address.to_string();
            match found.get(&host.address) {
                Some(Ok(found)) => {
                    let facts = &found.facts;
                    let done = found.done.iter().filter(|done| done.reach == Reach::Done).count();
                    let begun = found.done.len() - done;
                    let steps = if begun == 0 { format!("{done} done") } else { format!("{done} done, {begun} begun") };
                    let (roles_text, free) = (roles.join(","), size::human(facts.free_bytes));
                    rows.row([
                        address.clone(),
                        roles_text,
                        facts.hostname.clone(),
                        facts.arch.clone(),
                        facts.os.clone(),
                        free,
                        steps,
                    ]);
                    documents.push(json!({
                        "host": address, "roles": roles, "reachable": true, "facts": facts,
                        "stepsDone": done, "stepsBegun": begun,
                    }));
                }
                Some(Err(error)) => {
                    rows.row([address.clone(), roles.join(","), "does not answer".to_owned()]);
                    let problem = problem(&host.address, error);
                    documents
                        .push(json!({ "host": address, "roles": roles, "reachable": false, "error": problem.what }));
                    problems.push(problem);
                }
                None => {}
            }
        }
        if self.json {
            let document =
                json!({ "cluster": self.known.name.cluster, "phase": file.status.phase, "hosts": documents });
            world.say(serde_json::to_string_pretty(&document)?)?;
        } else {
            rows.write(world.out).map_err(CommandError::Output)?;
        }
        on_all(problems, file.cluster.hosts.len())
    }
}
