//! Lines for a log: one a finished blob or step, and a total every ten seconds. No escape sequences.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::tally::{Tally, blob_name, harmless};
use super::{Event, Reporter, Step, StepState, size};

const TOTAL_EVERY: Duration = Duration::from_secs(10);

/// Writes lines.
pub struct Plain<W> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    tally: Tally,
    begun: Instant,
    last_total: Instant,
}

impl<W: Write + Send> Plain<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        let now = Instant::now();
        Self { state: Mutex::new(State { out, tally: Tally::default(), begun: now, last_total: now }) }
    }
}

/// The line that an event leaves behind for good, if any.
pub(super) fn lasting_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Task(text) => text.clone(),
        Event::Content(content::Event::Finished(what)) => {
            format!("{} ({})", blob_name(what), size::human(what.size))
        }
        Event::Content(content::Event::Failed { what, error }) => format!("{} failed: {error}", blob_name(what)),
        Event::Content(content::Event::Warning(text)) | Event::Warning(text) => format!("warning: {text}"),
        Event::Content(_) => return None,
        Event::Step(step) => return step_line(step),
        Event::Output { host: Some(host), line, .. } => format!("    {host}: {}", harmless(line)),
        Event::Output { host: None, line, .. } => format!("    {}", harmless(line)),
    })
}

fn step_line(step: &Step) -> Option<String> {
    let front = format!("[{}/{}]", step.number, step.total);
    match step.state {
        StepState::Started => Some(format!("{front} {}", step.text)),
        StepState::Cached => Some(format!("{front} {} (cached)", step.text)),
        // What took no time needs no second line.
        StepState::Finished { milliseconds: 0..1000 } => None,
        StepState::Finished { milliseconds } => {
            Some(format!("{front} done in {}.{} s", milliseconds / 1000, milliseconds / 100 % 10))
        }
        StepState::Failed => Some(format!("{front} failed")),
    }
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Content(content) = event {
            state.tally.count(content);
        }
        if let Some(line) = lasting_line(event) {
            state.say(&line);
        }
        if state.last_total.elapsed() >= TOTAL_EVERY {
            state.last_total = Instant::now();
            if let Some(line) = state.tally.total_line(state.begun.elapsed()) {
                state.say(&line);
            }
        }
    }

    fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = state.tally.summary(state.begun.elapsed()) {
            state.say(&line);
        }
    }
}

impl<W: Write> State<W> {
    fn say(&mut self, line: &str) {
        // A log that is gone must not end the work.
        writeln!(self.out, "{line}").unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use oci::{Descriptor, MediaType};

    use super::super::OutputStream;
    use super::*;

    #[test]
    fn one_line_a_finished_blob_or_step() {
        let mut out = Vec::new();
        let blob = Descriptor::of(MediaType::OCI_LAYER, b"abc");
        let step = |state| Event::Step(Step { number: 1, total: 2, text: "RUN make".to_owned(), state });
        let plain = Plain::new(&mut out);
        for event in [
            Event::Task("pull a:1".to_owned()),
            Event::Content(content::Event::Planned { blobs: 1, bytes: 3 }),
            Event::Content(content::Event::Started(blob.clone())),
            Event::Content(content::Event::Progress { what: blob.clone(), bytes: 3 }),
            Event::Content(content::Event::Finished(blob)),
            step(StepState::Started),
            Event::Output { host: None, stream: OutputStream::Stdout, line: "cc \u{1b}[1mx".to_owned() },
            step(StepState::Finished { milliseconds: 1_250 }),
            step(StepState::Cached),
            Event::Warning("w".to_owned()),
        ] {
            plain.event(&event);
        }
        plain.finish();
        let want = "pull a:1\nlayer ba7816bf8f01 (3 B)\n[1/2] RUN make\n    cc x\n[1/2] done in 1.2 s\n\
                    [1/2] RUN make (cached)\nwarning: w\n1 blob, 3 B\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn a_closed_log_ends_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        Plain::new(Closed).event(&Event::Task("x".to_owned()));
    }
}
