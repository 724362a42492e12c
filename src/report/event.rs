//! The facts that are reported, and who takes them.

use content::Observer;

/// Where a step of a build or of a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It begins.
    Started,
    /// Its result was there already.
    Cached,
    /// It is done.
    Finished {
        /// How long it took, in milliseconds.
        milliseconds: u64,
    },
    /// It failed; the error itself is what the whole command returns.
    Failed,
}

/// A step of a build or of a run: `[2/5] RUN make`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the order, from 1.
    pub number: usize,
    /// How many steps there are.
    pub total: usize,
    /// What it does, as the user wrote it.
    pub text: String,
    /// Where it stands.
    pub state: StepState,
}

/// Which stream of a program a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something the user should see. For one step the order is: started, any output, then finished or failed; or cached
/// alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "events are passed by reference and not kept")]
pub enum Event {
    /// A part of the work begins: `pull docker.io/labring/helm:v3`.
    Task(String),
    /// Content moves.
    Content(content::Event),
    /// A step changes its state.
    Step(Step),
    /// A program that a step runs wrote a line.
    Output {
        /// The host it runs on, if it is not this one.
        host: Option<String>,
        /// Which of its streams.
        stream: OutputStream,
        /// The line without its end.
        line: String,
    },
    /// Something the user should know though the work goes on.
    Warning(String),
}

/// Takes events; called from many threads. What cannot be shown is dropped: a closed terminal ends no copy.
pub trait Reporter: Send + Sync {
    /// One event.
    fn event(&self, event: &Event);

    /// Nothing more comes: what is still shown as running is wiped, totals are said.
    fn finish(&self) {}
}

/// Shows nothing at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Reporter for Quiet {
    fn event(&self, _event: &Event) {}
}

/// Lets content events flow into a reporter.
#[derive(Clone, Copy)]
pub struct Watch<'a>(pub &'a dyn Reporter);

impl Observer for Watch<'_> {
    fn event(&self, event: &content::Event) {
        match event {
            content::Event::Warning(text) => self.0.event(&Event::Warning(text.clone())),
            other => self.0.event(&Event::Content(other.clone())),
        }
    }
}
