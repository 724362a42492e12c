//! Tar as layers use it.

mod entry;

pub use entry::{Entry, EntryKind};
