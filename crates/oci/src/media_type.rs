//! Media types of the documents and layers that images are made of, OCI's and Docker's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A media type, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(pub String);

/// How the bytes of a layer are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// What the first bytes of a stream say: gzip's and zstd's magic numbers, else none. Four bytes suffice.
    pub fn detect(head: &[u8]) -> Self {
        // A zstd stream may begin with a skippable frame (0x184D2A5?), as estargz-like zstd:chunked files may.
        let skippable = head.len() >= 4 && (0x50..=0x5f).contains(&head[0]) && head[1..4] == [0x2a, 0x4d, 0x18];
        if head.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || skippable {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl MediaType {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// OCI image configuration.
    pub const OCI_CONFIG: &'static str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, plain tar.
    pub const OCI_LAYER: &'static str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, tar compressed with gzip.
    pub const OCI_LAYER_GZIP: &'static str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, tar compressed with zstd.
    pub const OCI_LAYER_ZSTD: &'static str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// The two-byte blob `{}` that artifacts without a configuration point at.
    pub const OCI_EMPTY: &'static str = "application/vnd.oci.empty.v1+json";
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: &'static str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &'static str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image configuration.
    pub const DOCKER_CONFIG: &'static str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, plain tar.
    pub const DOCKER_LAYER: &'static str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker layer, tar compressed with gzip.
    pub const DOCKER_LAYER_GZIP: &'static str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, tar compressed with zstd.
    pub const DOCKER_LAYER_ZSTD: &'static str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker layer that registries do not hand out.
    pub const DOCKER_FOREIGN_GZIP: &'static str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// A cluster image: an index of root images, carried images and the image lock.
    pub const CLUSTER_IMAGE: &'static str = "application/vnd.sealos.cluster-image.v1";
    /// The image lock of a cluster image.
    pub const IMAGE_LOCK: &'static str = "application/vnd.sealos.image-lock.v1";

    /// The media type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the bytes are an image manifest (of one platform), OCI's or Docker's.
    pub fn is_image_manifest(&self) -> bool {
        matches!(self.as_str(), Self::OCI_MANIFEST | Self::DOCKER_MANIFEST)
    }

    /// Whether the bytes are an image index or a manifest list.
    pub fn is_index(&self) -> bool {
        matches!(self.as_str(), Self::OCI_INDEX | Self::DOCKER_LIST)
    }

    /// Whether the bytes are a document with successors: a manifest or an index.
    pub fn is_manifest(&self) -> bool {
        self.is_image_manifest() || self.is_index()
    }

    /// Whether the bytes are an image configuration.
    pub fn is_config(&self) -> bool {
        matches!(self.as_str(), Self::OCI_CONFIG | Self::DOCKER_CONFIG)
    }

    /// Whether this is a file-system layer (of any compression).
    pub fn is_layer(&self) -> bool {
        self.as_str().starts_with(Self::OCI_LAYER)
            || self.as_str().starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
            || self.as_str().starts_with("application/vnd.docker.image.rootfs.")
    }

    /// Whether this is a layer that a registry may not hold (foreign, non-distributable); its descriptor has URLs.
    pub fn is_foreign_layer(&self) -> bool {
        self.as_str().contains(".nondistributable.") || self.as_str().contains(".foreign.")
    }

    /// The compression that the name of a layer's media type promises; none when it says nothing.
    pub fn compression(&self) -> Compression {
        let text = self.as_str();
        if text.ends_with("+gzip") || text.ends_with(".gzip") {
            Compression::Gzip
        } else if text.ends_with("+zstd") || text.ends_with(".zstd") {
            Compression::Zstd
        } else {
            Compression::None
        }
    }

    /// The OCI layer media type for a compression.
    pub fn oci_layer(compression: Compression) -> Self {
        Self::from(match compression {
            Compression::None => Self::OCI_LAYER,
            Compression::Gzip => Self::OCI_LAYER_GZIP,
            Compression::Zstd => Self::OCI_LAYER_ZSTD,
        })
    }

    /// The Docker layer media type for a compression.
    pub fn docker_layer(compression: Compression) -> Self {
        Self::from(match compression {
            Compression::None => Self::DOCKER_LAYER,
            Compression::Gzip => Self::DOCKER_LAYER_GZIP,
            Compression::Zstd => Self::DOCKER_LAYER_ZSTD,
        })
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_say_how_they_are_compressed() {
        for (text, want) in [
            (MediaType::OCI_LAYER, Compression::None),
            (MediaType::OCI_LAYER_GZIP, Compression::Gzip),
            (MediaType::OCI_LAYER_ZSTD, Compression::Zstd),
            (MediaType::DOCKER_LAYER, Compression::None),
            (MediaType::DOCKER_LAYER_GZIP, Compression::Gzip),
            (MediaType::DOCKER_FOREIGN_GZIP, Compression::Gzip),
        ] {
            assert!(MediaType::from(text).is_layer(), "{text}");
            assert_eq!(MediaType::from(text).compression(), want, "{text}");
        }
        assert!(!MediaType::from(MediaType::OCI_CONFIG).is_layer());
    }
}
