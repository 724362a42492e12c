//! Cluster images: a root image and the container images that it carries.
//!
//! ```text
//! index, artifactType application/vnd.sealos.cluster-image.v1
//! ├── root images                    platform set
//! ├── manifests of carried images    platform unknown/unknown, annotated with the platforms they serve
//! └── image lock                     images.lock.json and the upstream indexes, as blobs
//! ```
//!
//! Invariants: carried manifests and blobs are the upstream's, byte for byte; root images come first, so that whoever
//! picks a platform finds them; the same roots and the same lock give the same index. An upstream index is a blob of
//! the lock, not a child of the index: registries refuse an index whose children are not all there.

mod assemble;
mod load;
mod lock;

#[cfg(test)]
mod tests;

pub(crate) use assemble::ZSTD;
pub use assemble::{Assembly, assemble, with_compression};
pub use load::{ClusterImage, companions, is_lock};
pub use lock::{ImageLock, LockError, LockedImage, LockedPlatform, Origin};

/// The annotation of a carried manifest: the platforms that it serves, separated by commas.
pub const CARRIED_FOR: &str = "io.sealos.carried.platform";

/// The annotation of the lock's manifest: the name of the file in it.
pub const IS_LOCK: &str = "io.sealos.carried.lock";

/// The annotation of an upstream index in the lock: the media type that it has upstream.
pub const UPSTREAM_TYPE: &str = "io.sealos.upstream.media-type";

/// The media type of an upstream index that is kept as a blob.
pub const UPSTREAM_INDEX: &str = "application/vnd.sealos.upstream-index.v1+json";

/// The media type of `images.lock.json`.
pub const LOCK_LAYER: &str = "application/vnd.sealos.image-lock.v1+json";

/// The file name of the image lock.
pub const LOCK_FILE: &str = "images.lock.json";
