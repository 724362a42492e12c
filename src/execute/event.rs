//! What a user should see while images run.

use std::path::Path;
use std::time::Duration;

use oci::Digest;

use crate::cluster::ImageKind;
use crate::plan::PlannedStep;
use crate::transport::Stream;

/// Something that happened. First `Image` for each image; then `Skipped` for each step found done; then for each step
/// `Started`, any number of `Output` and `Warning`, and `Finished` or `Failed`. After `Failed` nothing comes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// An image that is wanted.
    Image {
        /// As its user calls it.
        image: &'a str,
        /// Its manifest.
        digest: Digest,
        /// What it is.
        kind: ImageKind,
        /// Where its files are.
        directory: &'a Path,
    },
    /// A step was done by an earlier run.
    Skipped {
        /// The step.
        step: &'a PlannedStep,
    },
    /// A step begins.
    Started {
        /// The step.
        step: &'a PlannedStep,
    },
    /// The step's command printed a line, or a piece of a very long one.
    Output {
        /// The step.
        step: &'a PlannedStep,
        /// Where to.
        stream: Stream,
        /// The bytes, with the newline if there was one.
        line: &'a [u8],
    },
    /// Something could not be kept though the step goes on.
    Warning {
        /// The step.
        step: &'a PlannedStep,
        /// What, as text.
        text: String,
    },
    /// A step is done and recorded.
    Finished {
        /// The step.
        step: &'a PlannedStep,
        /// How long it took.
        elapsed: Duration,
    },
    /// A step failed.
    Failed {
        /// The step.
        step: &'a PlannedStep,
        /// The error's text.
        error: String,
    },
}

/// Takes events.
pub trait Observer {
    /// One event.
    fn event(&self, event: &RunEvent<'_>);
}

/// Takes events and does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &RunEvent<'_>) {}
}
