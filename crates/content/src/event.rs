//! What a user should see while content moves.

use oci::Descriptor;

/// Something that happened. For one blob the order is: `Started`, any number of `Progress`, then `Finished` or
/// `Failed`; or `Skipped` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The work of one image, or of one more of several, is known: so many blobs, so many bytes, those skipped included.
    Planned {
        /// Number of blobs.
        blobs: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A blob begins to move.
    Started(Descriptor),
    /// So many more bytes of a blob have moved.
    Progress {
        /// The blob.
        what: Descriptor,
        /// Bytes since the last event of this blob.
        bytes: u64,
    },
    /// A blob is stored and verified.
    Finished(Descriptor),
    /// A blob was there already (or was mounted) and did not move.
    Skipped(Descriptor),
    /// A blob could not be moved.
    Failed {
        /// The blob.
        what: Descriptor,
        /// The error's text.
        error: String,
    },
    /// Something the user should know though the work goes on.
    Warning(String),
}

/// Takes events; called from many threads.
pub trait Observer: Send + Sync {
    /// One event.
    fn event(&self, event: &Event);
}

/// Takes events and does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &Event) {}
}
