//! What a user should see while an image is built.

use oci::{Descriptor, Platform};

/// Something that happened. For one step the order is: `Step`, then `Cached` or any number of `Output`, then `Layer` if
/// the step changes files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "events are passed by reference and rarely kept")]
pub enum BuildEvent {
    /// One of several platforms begins.
    Platform(Platform),
    /// A step begins.
    Step {
        /// Its number, from 1.
        number: usize,
        /// How many steps there are.
        total: usize,
        /// The instruction as it is written.
        text: String,
    },
    /// The step's layer was there already.
    Cached,
    /// The step made (or found) a layer.
    Layer {
        /// The layer's blob.
        descriptor: Descriptor,
        /// Bytes before compression.
        uncompressed: u64,
    },
    /// A program that RUN started wrote something; not necessarily whole lines.
    Output {
        /// The stream it wrote to.
        stream: OutputStream,
        /// What it wrote.
        bytes: Vec<u8>,
    },
    /// Something the user should know though the build goes on.
    Warning(String),
}

/// A stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes events, in their order.
pub trait BuildObserver: Send + Sync {
    /// One event.
    fn event(&self, event: &BuildEvent);
}

/// Takes events and does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl BuildObserver for Unobserved {
    fn event(&self, _event: &BuildEvent) {}
}
