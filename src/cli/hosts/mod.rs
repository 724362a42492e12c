//! What the verbs for clusters of hosts share: flags, what is kept of a cluster on this machine, how its hosts are
//! reached, and bringing it to what is wanted.

pub(crate) mod bring;
pub(crate) mod flags;
pub(crate) mod images;
pub(crate) mod reach;
mod seal;
mod showing;
pub(crate) mod state;

use crate::cluster::Problem;

/// All problems as the lines of an error.
pub(crate) fn listed(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| {
        let help = problem.help.as_ref().map(|help| format!("\n    help: {help}")).unwrap_or_default();
        format!("\n  {}: {}{help}", problem.host, problem.what)
    });
    lines.collect()
}
