//! Carries out a plan, and keeps a record of it.
//!
//! ```text
//! Desired ─ lock ─ journal -> Observed ─ plan ─ for each step: started -> effect -> done | failed ─ journal
//! ```
//!
//! Invariants: nothing is decided here but in `plan`; a step counts as done only when its record is on the disk; two
//! runs never work on one cluster at once; no value of the environment is written down. Killed at any moment, the
//! same run again continues at the first step that has no record of its end.
//!
//! What it does not do: read images ([`Files`] does), show anything ([`Observer`] does).

mod error;
mod event;
mod files;
pub mod hosts;
mod images;
mod journal;
mod steps;
mod tail;
mod templates;

use std::path::Path;

use oci::Digest;

use crate::cluster::{ClusterName, Layout};
use crate::plan::{Desired, Observed, Plan, plan};
use crate::rootfs::{RootfsError, Warning};
use crate::template::Engine;
use crate::transport::{Interrupt, Transport};

pub use error::ExecuteError;
pub use event::{Observer, RunEvent, Silent};
pub use images::Images;
pub use journal::{Entry, Journal, State};
pub use templates::render as render_templates;

/// Writes the files of images.
pub trait Files {
    /// Writes all files of an image into an empty directory. Returns what could not be kept though the files are there.
    ///
    /// # Errors
    /// When they cannot be read, verified or written; what was written is thrown away then.
    fn unpack(&self, image: &Digest, into: &Path) -> Result<Vec<Warning>, RootfsError>;
}

/// What carrying out needs from others.
pub struct World<'a> {
    /// The host that commands run on.
    pub transport: &'a dyn Transport,
    /// Where files come from.
    pub files: &'a dyn Files,
    /// Renders templates; the environment's `env` is added to its functions.
    pub engine: &'a Engine,
    /// Who is told.
    pub observer: &'a dyn Observer,
    /// The wish to stop, also between commands.
    pub interrupt: &'a Interrupt,
}

/// What an earlier run counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Steps it did are not done again.
    Continue,
    /// All is done again.
    Force,
}

/// Runs the images on this machine: locks the cluster, plans what is left, and does it. Returns the plan that was
/// carried out; it is empty when nothing was left to do.
///
/// # Errors
/// At the first step that fails; the same call continues with that step.
pub fn run(desired: &Desired, layout: &Layout, repeat: Repeat, world: &World<'_>) -> Result<Plan, ExecuteError> {
    let mut journal = Journal::open(&layout.cluster(&desired.cluster))?;
    let plan = plan(desired, &observe(desired, journal.done(), repeat));
    steps::execute(&plan, desired, &mut journal, world)?;
    Ok(plan)
}

/// What [`run`] would do now. Changes nothing and waits for nobody.
///
/// # Errors
/// When the journal cannot be read.
pub fn preview(desired: &Desired, layout: &Layout, repeat: Repeat) -> Result<Plan, ExecuteError> {
    let done = Journal::read(&layout.cluster(&desired.cluster))?;
    Ok(plan(desired, &observe(desired, &done, repeat)))
}

/// The images that are recorded in a cluster: for each its last record.
///
/// # Errors
/// When the journal cannot be read.
pub fn recorded(layout: &Layout, cluster: &ClusterName) -> Result<Vec<Entry>, ExecuteError> {
    Ok(Journal::read(&layout.cluster(cluster))?.recorded())
}

fn observe(desired: &Desired, done: &journal::Done, repeat: Repeat) -> Observed {
    let is_directory = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let present = desired.mounts.iter().filter(|mount| is_directory(&mount.directory));
    match repeat {
        Repeat::Force => Observed::default(),
        Repeat::Continue => Observed { done: done.ids(), present: present.map(|mount| mount.name.clone()).collect() },
    }
}

#[cfg(test)]
mod tests;
