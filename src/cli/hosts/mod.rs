//! What the verbs for clusters of hosts share: flags, what is kept of a cluster on this machine, how its hosts are
//! reached, and bringing it to what is wanted.

pub(crate) mod bring;
pub(crate) mod flags;
pub(crate) mod images;
pub(crate) mod known;
pub(crate) mod reach;
mod seal;
mod showing;
pub(crate) mod state;

use crate::cli::error::CommandError;
use crate::cluster::{Address, Problem};
use crate::probe::ProbeError;
use crate::report::causes;

/// Why a host could not be asked or acted on.
pub(crate) fn problem(host: &Address, error: &ProbeError) -> Problem {
    Problem { host: host.clone(), what: causes(error), help: error.help() }
}

/// Whether it went well on all of so many hosts.
pub(crate) fn on_all(problems: Vec<Problem>, of: usize) -> Result<(), CommandError> {
    if problems.is_empty() { Ok(()) } else { Err(CommandError::SomeHosts { problems, of }) }
}

/// All problems as the lines of an error.
pub(crate) fn listed(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|problem| {
        let help = problem.help.as_ref().map(|help| format!("\n    help: {help}")).unwrap_or_default();
        format!("\n  {}: {}{help}", problem.host, problem.what)
    });
    lines.collect()
}
