//! The nouns of OCI: digests, descriptors, manifests, indexes, image configurations, references, platforms.
//!
//! Pure: nothing here opens a file or a socket. A value that exists is well formed, and a document keeps the bytes it
//! was read from ([`Raw`]), so that nobody can name re-serialised JSON.
//!
//! Sources: the OCI image specification 1.1 and the OCI distribution specification 1.1; Docker's "Image Manifest
//! Version 2, Schema 2".

pub mod calendar;
mod config;
mod descriptor;
mod digest;
mod manifest;
mod media_type;
mod platform;
mod raw;
mod reference;

pub use config::{ConfigError, Healthcheck, History, ImageConfig, RootFs, RuntimeConfig};
pub use descriptor::{Descriptor, annotation};
pub use digest::{Algorithm, DiffId, Digest, DigestError, Hasher};
pub use manifest::{DocumentError, ImageManifest, Index, Manifest};
pub use media_type::{Compression, MediaType};
pub use platform::{Platform, PlatformError};
pub use raw::Raw;
pub use reference::{DEFAULT_REGISTRY, DEFAULT_TAG, Reference, ReferenceError};
