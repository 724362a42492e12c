//! What running images needs of other rooms: how files are unpacked, templates, and someone who shows what happens.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;

use crate::execute::{Observer, RunEvent};
use crate::plan::{Plan, PlannedStep};
use crate::report::{Event, OutputStream, Reporter, Step, StepState};
use crate::rootfs::{Ownership, UnpackOptions};
use crate::template::{Engine, Mode};
use crate::transport::Stream;

/// Root gives files to whom the image says; others cannot.
pub(crate) fn unpack_options() -> UnpackOptions {
    let ownership = match rustix::process::geteuid().is_root() {
        true => Ownership::Preserve,
        false => Ownership::Caller,
    };
    UnpackOptions { ownership, ..UnpackOptions::default() }
}

/// Renders templates; what is missing is an error.
pub(crate) fn engine() -> Engine {
    Engine::new(Mode::Strict)
}

/// Shows what happens: what commands write to stdout is the result, all else goes to the reporter. In front of every line
/// stands the image it comes from.
pub(crate) struct Showing<'a> {
    reporter: &'a dyn Reporter,
    out: RefCell<&'a mut dyn Write>,
    /// How many steps each mount has.
    totals: BTreeMap<String, usize>,
}

impl<'a> Showing<'a> {
    pub(crate) fn new(reporter: &'a dyn Reporter, out: &'a mut dyn Write, plan: &Plan) -> Self {
        let mut totals = BTreeMap::new();
        for step in plan.steps.iter().chain(&plan.skipped) {
            let total: &mut usize = totals.entry(step.mount.clone()).or_default();
            *total = (*total).max(step.ordinal + 1);
        }
        Self { reporter, out: RefCell::new(out), totals }
    }

    fn step(&self, step: &PlannedStep, state: StepState) {
        let total = self.totals.get(&step.mount).copied().unwrap_or(step.ordinal + 1);
        self.reporter.event(&Event::Step(Step { number: step.ordinal + 1, total, text: step.step.to_string(), state }));
    }
}

impl Observer for Showing<'_> {
    fn event(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Image { image, directory, .. } => {
                self.reporter.event(&Event::Task(format!("run {image} in {}", directory.display())));
            }
            RunEvent::Warning { text, .. } => self.reporter.event(&Event::Warning(text.clone())),
            RunEvent::Skipped { step } => self.step(step, StepState::Cached),
            RunEvent::Started { step } => self.step(step, StepState::Started),
            RunEvent::Finished { step, elapsed } => {
                let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
                self.step(step, StepState::Finished { milliseconds });
            }
            RunEvent::Failed { step, .. } => self.step(step, StepState::Failed),
            RunEvent::Output { step, stream: Stream::Stdout, line } => {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                let whole = [step.image.as_bytes(), b": ", line, b"\n"].concat();
                // A reader that went away does not end an installation.
                let mut out = self.out.borrow_mut();
                out.write_all(&whole).and_then(|()| out.flush()).unwrap_or_default();
            }
            RunEvent::Output { step, stream: Stream::Stderr, line } => {
                let line = String::from_utf8_lossy(line);
                let line = format!("{}: {}", step.image, line.trim_end_matches('\n'));
                self.reporter.event(&Event::Output { host: None, stream: OutputStream::Stderr, line });
            }
        }
    }
}
