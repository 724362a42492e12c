//! Tar as layers and archives use it: a deterministic writer, a streaming reader that trusts nothing, and an index for
//! archives that can be seeked in.
//!
//! Read: v7, ustar, PAX (local and global), GNU long names, base-256 numbers, sparse files (expanded). Written: ustar
//! with PAX headers where ustar does not suffice. Sources: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax
//! Header Block"; GNU tar manual, "Basic Tar Format" and "Storing Sparse Files".
//!
//! It does not touch a file system: what an entry may do there is decided by whoever unpacks it.

mod entry;
mod error;
mod extensions;
mod header;
mod index;
mod path;
mod pax;
mod reader;
mod sparse;
mod writer;

#[cfg(test)]
mod tests;

pub use entry::{Entry, EntryKind};
pub use error::{Place, TarError};
pub use header::is_tar;
pub use index::TarIndex;
pub use reader::TarReader;
pub use writer::TarWriter;
