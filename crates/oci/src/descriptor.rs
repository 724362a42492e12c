//! The edge of every graph of content.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, MediaType, Platform};

/// Media type, digest and size of some bytes, and what is known about them.
///
/// Source: OCI image specification, descriptor.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: MediaType,
    /// What the bytes are called.
    pub digest: Digest,
    /// How many bytes there are.
    pub size: u64,
    /// Where else the bytes can be had (foreign layers).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free-form facts; sorted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The bytes themselves, in base64, when they are embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The platform that an image in an index is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of the artifact that a manifest describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor of some bytes, with nothing else known.
    pub fn new(media_type: impl Into<MediaType>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// The descriptor of `bytes`.
    pub fn of(media_type: impl Into<MediaType>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Whether registries are not to hold the bytes (foreign, non-distributable), and there are URLs to get them from.
    pub fn is_elsewhere(&self) -> bool {
        self.media_type.is_foreign_layer() && !self.urls.is_empty()
    }

    /// The same with a platform.
    #[must_use]
    pub fn for_platform(mut self, platform: Platform) -> Self {
        self.platform = Some(platform);
        self
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }
}

/// Keys of annotations that several tools agree on.
pub mod annotation {
    /// The name of an image in a layout (OCI image specification, annotations.md).
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// The full name that containerd imports an image under.
    pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
    /// When the image was made, RFC 3339.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// The digest of the base image.
    pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
    /// The name of the base image.
    pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
}
