//! Carries out a plan on hosts: stage by stage, in a stage all hosts at once, on a host one step after the other.
//!
//! ```text
//! HostPlan ─ stage ─ host ─▶ program on the host (node::serve) ─▶ effect, record there
//!                               ▲ fetches lists and layers through the same connection (Trees)
//! ```
//!
//! The host keeps the record of what is done on it, so any controller finds it there. At the first failure what is
//! running is finished and nothing new is begun.
//!
//! Invariants: nothing is decided here but in `plan`; a step counts as done when the host has it on its disk; values of
//! the environment travel in orders only, never in an argument, an event or a log.
//!
//! What it does not do: ask hosts what they are like (`probe` does), show anything ([`HostObserver`] does).

mod error;
mod lease;
mod names;
mod node;
mod protocol;
mod record;
mod talk;
mod trees;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use content::side_by_side;

use crate::cluster::Address;
use crate::plan::hosts::{HostPlan, HostStep, Wanted};
use crate::probe::Places;
use crate::transport::{Stream, Transport, TransportError};

pub use error::{Failure, HostsError, StepError};
pub use lease::{Lease, hold};
pub use node::serve;
pub use trees::{ImageLayers, TreeError, Trees};

/// Something that happened on a host. For a step first `Started`, then any `Output` and `Warning`, then `Finished` or
/// `Failed`; events of different hosts come in any order.
#[derive(Debug)]
#[non_exhaustive]
pub enum HostEvent<'a> {
    /// A step was found done.
    Skipped(&'a HostStep),
    /// A step begins.
    Started(&'a HostStep),
    /// The step's command printed a line.
    Output {
        /// The step.
        step: &'a HostStep,
        /// Where to.
        stream: Stream,
        /// The line, without its end.
        line: &'a str,
    },
    /// Something could not be kept though the step goes on.
    Warning {
        /// The step.
        step: &'a HostStep,
        /// What.
        text: &'a str,
    },
    /// A step is done.
    Finished {
        /// The step.
        step: &'a HostStep,
        /// How long it took.
        elapsed: Duration,
        /// What moved, in words.
        note: &'a str,
    },
    /// A step failed.
    Failed {
        /// The step.
        step: &'a HostStep,
        /// Why.
        error: &'a StepError,
    },
}

/// Takes events, of many threads.
pub trait HostObserver: Sync {
    /// One event.
    fn event(&self, event: &HostEvent<'_>);
}

/// What happens after a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Nothing new is begun anywhere.
    Stop,
    /// The host is left alone and the others go on: taking a cluster away must not end at the first dead host.
    GoOn,
}

/// What carrying out needs from others.
pub struct HostsWorld<'a> {
    /// The hosts.
    pub hosts: &'a BTreeMap<Address, Box<dyn Transport>>,
    /// Where things are on them.
    pub places: &'a Places,
    /// The files of images; none where no step is about files.
    pub trees: Option<&'a Trees<'a>>,
    /// Who is told.
    pub observer: &'a dyn HostObserver,
    /// The wish to stop.
    pub stop: &'a Arc<AtomicBool>,
    /// The lock of the cluster.
    pub lease: Option<&'a Lease>,
    /// At most so many hosts at a time.
    pub parallel: usize,
    /// How long a command may take; none is as long as it wants.
    pub timeout: Option<Duration>,
    /// What a failure means for the rest.
    pub after_failure: AfterFailure,
}

/// Puts our program on a host.
///
/// # Errors
/// When it cannot be read or written.
pub fn ship(program: &Path, host: &dyn Transport, places: &Places) -> Result<(), TransportError> {
    let to = places.program();
    let read = |source: io::Error| TransportError::Upload { host: host.host(), path: to.clone(), source };
    let mut file = File::open(program).map_err(read)?;
    host.upload(&mut file, &to, 0o755).map(drop)
}

/// Does what a plan says.
///
/// # Errors
/// When a step failed, after all that was running is finished; the same again continues there.
pub fn execute(plan: &HostPlan, wanted: &Wanted, again: bool, world: &HostsWorld<'_>) -> Result<(), HostsError> {
    for step in &plan.skipped {
        world.observer.event(&HostEvent::Skipped(step));
    }
    let state = Run { done: AtomicUsize::new(0), failures: Mutex::default(), halted: AtomicBool::new(false) };
    let mut at = 0;
    while at < plan.steps.len() {
        let stage = plan.steps[at].stage;
        let end = at + plan.steps[at..].iter().take_while(|step| step.stage == stage).count();
        let mut queues: BTreeMap<&Address, Vec<&HostStep>> = BTreeMap::new();
        for step in &plan.steps[at..end] {
            queues.entry(&step.host).or_default().push(step);
        }
        let hosts: Vec<_> = queues.into_values().collect();
        side_by_side(world.parallel, &hosts, |steps| state.host(steps, wanted, again, world));
        if state.is_over(world) {
            break;
        }
        at = end;
    }
    state.outcome(plan.steps.len(), world)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a run came.
struct Run {
    done: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
    halted: AtomicBool,
}

impl Run {
    fn is_over(&self, world: &HostsWorld<'_>) -> bool {
        self.halted.load(Ordering::SeqCst)
            || world.stop.load(Ordering::SeqCst)
            || world.lease.is_some_and(Lease::is_lost)
    }

    fn has_failed(&self, host: &Address) -> bool {
        lock(&self.failures).iter().any(|failure| failure.host == *host)
    }

    /// The steps of one host in one stage.
    fn host(&self, steps: &[&HostStep], wanted: &Wanted, again: bool, world: &HostsWorld<'_>) {
        for step in steps {
            if self.is_over(world) || self.has_failed(&step.host) {
                return;
            }
            world.observer.event(&HostEvent::Started(step));
            let begin = Instant::now();
            match talk::perform(step, wanted.environment(step), again, world) {
                Ok(note) => {
                    self.done.fetch_add(1, Ordering::SeqCst);
                    world.observer.event(&HostEvent::Finished { step, elapsed: begin.elapsed(), note: &note });
                }
                Err(error) => {
                    world.observer.event(&HostEvent::Failed { step, error: &error });
                    let text = format!("{}: {}", step.image, step.action);
                    lock(&self.failures).push(Failure { host: step.host.clone(), step: text, error });
                    if world.after_failure == AfterFailure::Stop {
                        self.halted.store(true, Ordering::SeqCst);
                    }
                    return;
                }
            }
        }
    }

    fn outcome(self, total: usize, world: &HostsWorld<'_>) -> Result<(), HostsError> {
        let done = self.done.load(Ordering::SeqCst);
        let left = total - done;
        let failures = self.failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        match world.lease {
            _ if !failures.is_empty() => Err(HostsError::Failed { failures, done, left }),
            _ if left == 0 => Ok(()),
            Some(lease) if lease.is_lost() => Err(HostsError::LeaseLost { host: lease.host().clone(), done, left }),
            _ => Err(HostsError::Interrupted { done, left }),
        }
    }
}
