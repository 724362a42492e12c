//! Images in one file or directory, to be carried where there is no network.
//!
//! ```text
//! read   path ──▶ directory: layout or image directory ──┐
//!             ──▶ tar: index of its members, in place ────┴─▶ Archive: Source ── copy ──▶ store
//!        stream, or compressed ── each member is stored as it comes ──────────────────▶ store
//! write  Source ──▶ oci-archive, docker-archive: file or stream; oci-dir, docker-dir: directory
//! ```
//!
//! Invariants: nothing is written twice to find out what it is; every digest is compared before a name becomes visible;
//! what fails leaves the store as it was. What is written depends on the images only: members are sorted, and their
//! times are zero.
//!
//! Sources: OCI image specification, image-layout.md; Docker's "Image Specification v1.2", "Combined Image JSON +
//! Filesystem Changeset Format", as `docker save`, podman and skopeo write it.

mod ahead;
mod bytes;
mod directory;
mod docker;
mod docker_writer;
mod foreign;
mod load;
mod member;
mod oci_writer;
mod open;
mod save;
mod stream;

#[cfg(test)]
mod tests;

pub use directory::save_directory;
pub use load::{Loaded, load, load_stream};
pub use open::{Archive, open};
pub use save::{Format, Images, SaveOptions, save, save_stream};

/// How messages call a file that is none of these.
pub(crate) const FORMAT: &str = "image archive";
/// No `index.json`, `manifest.json` or configuration is larger, in bytes.
const DOCUMENT_LIMIT: u64 = 32 << 20;
