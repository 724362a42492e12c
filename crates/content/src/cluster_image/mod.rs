//! Cluster images: a root image and the container images that it carries.

mod lock;

pub use lock::{ImageLock, LockError, LockedImage, LockedPlatform, Origin};
