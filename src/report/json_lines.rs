//! One JSON object a line, for programs that watch: every event but progress, and progress ten times a second at most.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use oci::Descriptor;
use serde_json::{Value, json};

use super::tally::Tally;
use super::{Event, OutputStream, Reporter, StepState};

const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Writes JSON lines.
pub struct JsonLines<W> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    tally: Tally,
    last_progress: Option<Instant>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self { state: Mutex::new(State { out, tally: Tally::default(), last_progress: None }) }
    }
}

impl<W: Write + Send> Reporter for JsonLines<W> {
    fn event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Content(content) = event {
            state.tally.count(content);
            if matches!(content, content::Event::Progress { .. }) {
                if state.last_progress.is_some_and(|last| last.elapsed() < PROGRESS_EVERY) {
                    return;
                }
                state.last_progress = Some(Instant::now());
            }
        }
        let line = object(event, &state.tally);
        // A watcher that is gone must not end the work.
        writeln!(state.out, "{line}").unwrap_or_default();
    }
}

fn object(event: &Event, tally: &Tally) -> Value {
    match event {
        Event::Task(text) => json!({"event": "task", "text": text}),
        Event::Content(content) => content_object(content, tally),
        Event::Step(step) => {
            let mut value = json!({"event": "step", "number": step.number, "total": step.total, "text": step.text});
            value["state"] = match step.state {
                StepState::Started => json!("started"),
                StepState::Cached => json!("cached"),
                StepState::Failed => json!("failed"),
                StepState::Finished { milliseconds } => {
                    value["milliseconds"] = json!(milliseconds);
                    json!("finished")
                }
            };
            value
        }
        Event::Output { host, stream, line } => {
            let stream = match stream {
                OutputStream::Stdout => "stdout",
                OutputStream::Stderr => "stderr",
            };
            json!({"event": "output", "host": host, "stream": stream, "line": line})
        }
        Event::Warning(text) => json!({"event": "warning", "text": text}),
    }
}

fn content_object(event: &content::Event, tally: &Tally) -> Value {
    let blob = |state: &str, what: &Descriptor| json!({"event": "blob", "state": state, "digest": what.digest, "size": what.size, "mediaType": what.media_type});
    match event {
        content::Event::Planned { blobs, bytes } => json!({"event": "planned", "blobs": blobs, "bytes": bytes}),
        content::Event::Started(what) => blob("started", what),
        content::Event::Progress { .. } => {
            json!({"event": "progress", "bytes": tally.moved(), "planned": tally.planned()})
        }
        content::Event::Finished(what) => blob("finished", what),
        content::Event::Skipped(what) => blob("skipped", what),
        content::Event::Failed { what, error } => {
            let mut value = blob("failed", what);
            value["error"] = json!(error);
            value
        }
        content::Event::Warning(text) => json!({"event": "warning", "text": text}),
        other => json!({"event": "other", "text": format!("{other:?}")}),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Step;
    use super::*;

    #[test]
    fn every_line_is_an_object_that_names_its_event() {
        let blob = Descriptor::of("x/y", b"abc");
        let step =
            Step { number: 1, total: 1, text: "a\nb".to_owned(), state: StepState::Finished { milliseconds: 5 } };
        let mut out = Vec::new();
        let lines = JsonLines::new(&mut out);
        for event in [
            Event::Task("t".to_owned()),
            Event::Content(content::Event::Planned { blobs: 1, bytes: 3 }),
            Event::Content(content::Event::Started(blob.clone())),
            Event::Content(content::Event::Progress { what: blob.clone(), bytes: 1 }),
            Event::Content(content::Event::Progress { what: blob.clone(), bytes: 1 }),
            Event::Content(content::Event::Failed { what: blob, error: "e".to_owned() }),
            Event::Step(step),
            Event::Output { host: None, stream: OutputStream::Stderr, line: "l".to_owned() },
            Event::Warning("w".to_owned()),
        ] {
            lines.event(&event);
        }
        let text = String::from_utf8(out).unwrap();
        let names: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["task", "planned", "blob", "progress", "blob", "step", "output", "warning"]);
    }
}
