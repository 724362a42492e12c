//! Decides what is left to do on the hosts of a cluster.
//!
//! ```text
//! Cluster + images ─▶ Wanted: per host, chains of steps ─┐
//! hosts ─ probe ─▶ per host, the steps that are done ────┴─▶ plan ─▶ HostPlan {steps by stage, skipped}
//! ```
//!
//! A chain is taken up at its first step that is not done, and all after that is done again. What a host has and nobody
//! wants any more is undone, last first; a host that leaves is undone wholly. Stages order the hosts: one begins when all
//! hosts are done with those before it.
//!
//! Invariants: pure; a plan holds no value of the environment; after all its steps were done, planning again gives none.
//!
//! What it does not do: ask hosts, carry out a step.

mod step;
mod wanted;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::Address;

pub use step::{Action, ChangeRef, Direction, Done, HostStep, ImageRef, Reach};
pub use wanted::{Chain, ImageFacts, Wanted, WantedHost, lineage};

/// The places of steps in the order of a plan.
pub mod stage {
    /// What is no more wanted goes first: a new version may need its place.
    pub const UNINSTALL: u32 = 0;
    /// Hosts have their files.
    pub const FILES: u32 = 10;
    /// Hosts are found fit, by a script that is among the files.
    pub const CHECK: u32 = 20;
    /// Registries run.
    pub const REGISTRY: u32 = 30;
    /// Container runtimes run.
    pub const RUNTIME: u32 = 40;
    /// Hosts are set up.
    pub const INIT: u32 = 50;
    /// Applications leave hosts that leave.
    pub const LEAVE_APPLICATIONS: u32 = 1_000_000;
    /// Hosts leave.
    pub const LEAVE: u32 = 1_000_001;

    /// The first of the two stages of an image, by its place in the list.
    pub fn image(number: usize) -> u32 {
        100 + 2 * u32::try_from(number).unwrap_or(u32::MAX / 8)
    }
}

/// What earlier runs count for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Again {
    /// Steps that were done are not done again.
    #[default]
    Nothing,
    /// All steps of these images are done again.
    Images(BTreeSet<String>),
}

/// What will be done on hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPlan {
    /// What is left, by stage.
    pub steps: Vec<HostStep>,
    /// What was found done.
    pub skipped: Vec<HostStep>,
}

impl HostPlan {
    /// Whether nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The hosts that something is done on, in order.
    pub fn hosts(&self) -> BTreeSet<&Address> {
        self.steps.iter().map(|step| &step.host).collect()
    }
}

impl fmt::Display for HostPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing is left to do");
        }
        // The same on many hosts is one line.
        let mut lines: Vec<(u32, String, Vec<String>)> = Vec::new();
        for step in &self.steps {
            let text = format!("{}: {}", step.image, step.action);
            match lines.iter_mut().rev().find(|(stage, known, _)| *stage == step.stage && *known == text) {
                Some((_, _, hosts)) => hosts.push(step.host.to_string()),
                None => lines.push((step.stage, text, vec![step.host.to_string()])),
            }
        }
        for ((_, text, hosts), number) in lines.iter().zip(1..) {
            writeln!(f, "{number}. {text}\n   on {}", hosts.join(", "))?;
        }
        Ok(())
    }
}

/// Plans what is left to bring every observed and every wanted host to what is wanted.
pub fn plan(wanted: &Wanted, observed: &BTreeMap<Address, Vec<Done>>, again: &Again) -> HostPlan {
    let mut plan = HostPlan::default();
    for host in &wanted.hosts {
        let done = observed.get(&host.address).map(Vec::as_slice).unwrap_or_default();
        for chain in &host.chains {
            let known = of_chain(done, &chain.name);
            let mut open = false;
            for step in &chain.steps {
                let is_done =
                    known.get(&step.ordinal).is_some_and(|done| done.reach == Reach::Done && done.step.id == step.id);
                let forced = matches!(again, Again::Images(images) if images.contains(&step.image))
                    && !matches!(step.action, Action::Script { ref name, .. } if name == "check");
                open |= !is_done || forced;
                if open { plan.steps.push(step.clone()) } else { plan.skipped.push(step.clone()) }
            }
        }
        let names = wanted::names(host);
        undo(done, &|chain| !names.contains(chain), &|_| stage::UNINSTALL, &mut plan.steps);
    }
    let stays: BTreeSet<&Address> = wanted.hosts.iter().map(|host| &host.address).collect();
    for (address, done) in observed.iter().filter(|(address, _)| !stays.contains(address)) {
        leave(address, done, &mut plan.steps);
    }
    plan.steps.sort_by_key(|step| step.stage);
    plan
}

/// Plans that hosts leave.
pub fn plan_leaving(observed: &BTreeMap<Address, Vec<Done>>) -> HostPlan {
    let mut plan = HostPlan::default();
    for (address, done) in observed {
        leave(address, done, &mut plan.steps);
    }
    plan.steps.sort_by_key(|step| step.stage);
    plan
}

fn of_chain<'a>(done: &'a [Done], chain: &str) -> BTreeMap<usize, &'a Done> {
    done.iter().filter(|done| done.step.chain == chain).map(|done| (done.step.ordinal, done)).collect()
}

fn leave(address: &Address, done: &[Done], steps: &mut Vec<HostStep>) {
    let common = [wanted::FILES, wanted::NAMES, wanted::BOOTSTRAP];
    let stage = |chain: &str| if common.contains(&chain) { stage::LEAVE } else { stage::LEAVE_APPLICATIONS };
    undo(done, &|_| true, &stage, steps);
    if let Some(last) = done.last() {
        let step = HostStep { chain: wanted::FILES.to_owned(), host: address.clone(), ..last.step.clone() };
        steps.push(taken_away(&step, Action::Sweep, stage::LEAVE));
    }
}

/// Undoes chains, the one that was finished last first.
fn undo(done: &[Done], chosen: &dyn Fn(&str) -> bool, stage: &dyn Fn(&str) -> u32, steps: &mut Vec<HostStep>) {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for done in done.iter().filter(|done| chosen(&done.step.chain)) {
        let time = last.entry(&done.step.chain).or_default();
        *time = (*time).max(done.time);
    }
    let mut chains: Vec<(&str, u64)> = last.into_iter().collect();
    // Files of all hosts go behind the scripts that are among them.
    let rank = |chain: &str| usize::from(chain == wanted::FILES);
    chains.sort_by_key(|(chain, time)| (rank(chain), std::cmp::Reverse(*time)));
    for (chain, _) in chains {
        let known = of_chain(done, chain);
        for done in known.values().rev() {
            if let Some(action) = &done.step.undo {
                steps.push(taken_away(&done.step, action.clone(), stage(chain)));
            }
        }
        if let Some(first) = known.values().next() {
            steps.push(taken_away(&first.step, Action::Forget, stage(chain)));
        }
    }
}

fn taken_away(step: &HostStep, action: Action, stage: u32) -> HostStep {
    HostStep { action, stage, direction: Direction::Undo, undo: None, ..step.clone() }
}
