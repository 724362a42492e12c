//! Shows what happens on hosts, and writes all of it to a log.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::execute::hosts::{HostEvent, HostObserver};
use crate::plan::hosts::HostStep;
use crate::report::{Event, OutputStream, Reporter, Step, StepState};
use crate::transport::Stream;

/// Shows events: what commands write to stdout is the result, all else goes to the reporter; in front of every line stands
/// the host.
pub(super) struct Showing<'a> {
    reporter: &'a dyn Reporter,
    log: Mutex<File>,
    total: usize,
    begun: AtomicUsize,
}

impl<'a> Showing<'a> {
    pub(super) fn new(reporter: &'a dyn Reporter, log: File, total: usize) -> Self {
        Self { reporter, log: Mutex::new(log), total, begun: AtomicUsize::new(0) }
    }

    fn note(&self, step: &HostStep, text: &str) {
        let now = super::state::seconds();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // A disk that is full must not end an installation on hosts.
        writeln!(log, "{now} {} {}: {text}", step.host, step.image).unwrap_or_default();
    }
}

impl HostObserver for Showing<'_> {
    fn event(&self, event: &HostEvent<'_>) {
        match event {
            HostEvent::Skipped(step) => self.note(step, &format!("was done: {}", step.action)),
            HostEvent::Started(step) => {
                let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
                let text = format!("{}: {}: {}", step.host, step.image, step.action);
                self.note(step, &format!("begun: {}", step.action));
                let (total, state) = (self.total, StepState::Started);
                self.reporter.event(&Event::Step(Step { number, total, text, state }));
            }
            HostEvent::Output { step, stream, line } => {
                self.note(step, &format!("| {line}"));
                let line = format!("{}: {line}", step.image);
                match stream {
                    Stream::Stdout => {
                        let whole = format!("{}: {line}\n", step.host);
                        let mut out = io::stdout().lock();
                        // A reader that went away does not end an installation.
                        out.write_all(whole.as_bytes()).and_then(|()| out.flush()).unwrap_or_default();
                    }
                    Stream::Stderr => {
                        let (host, stream) = (Some(step.host.to_string()), OutputStream::Stderr);
                        self.reporter.event(&Event::Output { host, stream, line });
                    }
                }
            }
            HostEvent::Warning { step, text } => {
                self.note(step, &format!("warning: {text}"));
                self.reporter.event(&Event::Warning(format!("{}: {text}", step.host)));
            }
            HostEvent::Finished { step, elapsed, note } => {
                self.note(step, &format!("done in {} ms: {}; {note}", elapsed.as_millis(), step.action));
            }
            HostEvent::Failed { step, error } => self.note(step, &format!("failed: {}: {error}", step.action)),
        }
    }
}
