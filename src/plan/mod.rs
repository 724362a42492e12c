//! Decides what is left to do to run cluster images: desired and observed in, a [`Plan`] out.
//!
//! ```text
//! ImageConfig + name + overrides -> Mount ┐
//!                     Desired {mounts} ───┴-> plan(desired, observed) -> Plan {steps, skipped}
//! ```
//!
//! Invariants: pure; a plan holds no closure and no value of the environment, so it can be printed and kept; after all
//! its steps were done, planning again gives no steps; steps of a mount are in one order, and none is skipped behind
//! one that is not.
//!
//! What it does not do: read the journal, carry out a step.

mod desired;
pub mod hosts;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use desired::{Desired, Mount, Override, Precedence, Subject};
pub use step::{ImageCommand, PlannedStep, Step, StepId, UnpackMode};

/// What was found: which steps are done and still hold, by mount, and which directories are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Steps that were done and that nothing undid.
    pub done: BTreeMap<String, BTreeSet<StepId>>,
    /// Mounts whose work directory is there.
    pub present: BTreeSet<String>,
}

/// What will be done, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What is left.
    pub steps: Vec<PlannedStep>,
    /// What was found done.
    pub skipped: Vec<PlannedStep>,
}

impl Plan {
    /// Whether nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing is left to do");
        }
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{}. {}: {}", number + 1, step.image, step.step)?;
        }
        Ok(())
    }
}

/// Plans every step of every mount that is not done. A mount is taken up at its first step that is not done, and all
/// after that is done again: what they did was done to another state. A mount without its directory begins anew. Where
/// a rootfs is unpacked anew, patches that follow it in its directory are, too.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let mut replaced = BTreeSet::new();
    for mount in &desired.mounts {
        let mut open = !observed.present.contains(&mount.name) || replaced.contains(&mount.directory);
        let done = observed.done.get(&mount.name);
        for step in mount.steps(&desired.cluster) {
            open |= !done.is_some_and(|done| done.contains(&step.id));
            if open && step.step.replaces() {
                replaced.insert(mount.directory.clone());
            }
            if open { plan.steps.push(step) } else { plan.skipped.push(step) }
        }
    }
    plan
}

#[cfg(test)]
mod tests;
