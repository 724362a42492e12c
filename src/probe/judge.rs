//! What is wrong with hosts, all of it at once.

use std::collections::BTreeMap;

use crate::cluster::{Address, Problem};
use crate::probe::{Found, ProbeError};
use crate::report::causes;

/// How far a clock may be wrong, in milliseconds: certificates and tokens are made for the time of one host and are
/// looked at on another.
const CLOCK: i64 = 30_000;

/// What a cluster needs of its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The architecture of our program, as images name it.
    pub arch: String,
    /// Bytes that will be written, by host.
    pub bytes: BTreeMap<Address, u64>,
}

/// All that is wrong with the hosts.
pub fn judge(found: &BTreeMap<Address, Result<Found, ProbeError>>, needs: &Needs) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names: BTreeMap<&str, &Address> = BTreeMap::new();
    for (host, found) in found {
        let mut say = |what: String, help: Option<String>| problems.push(Problem { host: host.clone(), what, help });
        let facts = match found {
            Ok(found) => &found.facts,
            Err(error) => {
                say(causes(error), error.help());
                continue;
            }
        };
        if facts.arch != needs.arch {
            let what = format!("it is {}, and this sealos is for {}", facts.arch, needs.arch);
            say(what, Some(format!("run a sealos for {} from a host of that kind", facts.arch)));
        }
        let surely = facts.clock_ahead.abs() - facts.clock_uncertainty;
        if surely > CLOCK {
            let way = if facts.clock_ahead > 0 { "ahead of" } else { "behind" };
            let what = format!("its clock is {} s {way} ours", facts.clock_ahead.abs() / 1000);
            say(what, Some("set the clock, or let it be kept by NTP".to_owned()));
        }
        let wanted = needs.bytes.get(host).copied().unwrap_or_default();
        if wanted > facts.free_bytes {
            let what = format!("{} MB are free, and {} MB are needed", facts.free_bytes >> 20, wanted >> 20);
            say(what, Some("make room where SEALOS_DATA_ROOT is".to_owned()));
        }
        if let Some(first) = names.insert(&facts.hostname, host) {
            let what = format!("it calls itself `{}`, as {first} does", facts.hostname);
            say(what, Some("give each host a name of its own with `hostnamectl hostname NAME`".to_owned()));
        }
        if !facts.other_clusters.is_empty() && found.as_ref().is_ok_and(|found| found.done.is_empty()) {
            let others = facts.other_clusters.join(", ");
            let help = format!("`sealos reset --cluster {}` takes it away", facts.other_clusters[0]);
            say(format!("it belongs to another cluster: {others}"), Some(help));
        }
    }
    problems
}
