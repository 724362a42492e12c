//! Image manifests and indexes, OCI's and Docker's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Descriptor, MediaType, Platform, Raw};

/// The manifest of one image (of one platform) or artifact: a configuration and layers.
///
/// Source: OCI image specification, manifest.md; Docker's schema 2 has the same shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of this document; OCI allows it to be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact this is, when it is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first. Docker allows null and OCI artifacts may leave it out.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to (signatures, SBOMs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free-form facts; sorted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests: one image for several platforms, or a set of images.
///
/// Source: OCI image specification, image-index.md; Docker's manifest list has the same shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of this document; OCI allows it to be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// What kind of artifact this is, when it is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free-form facts; sorted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Descriptor>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Index {
    /// An empty OCI index.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::OCI_INDEX.into()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The entry that suits `wanted` best, if any runs there. Entries of unknown platform (attestations, carried
    /// images) are never chosen.
    pub fn select(&self, wanted: &Platform) -> Option<&Descriptor> {
        let mut best: Option<(u32, &Descriptor)> = None;
        for entry in &self.manifests {
            let rank = entry.platform.as_ref().and_then(|platform| platform.rank(wanted));
            // The first of equals wins, as with every other client.
            if let Some(rank) = rank.filter(|rank| best.is_none_or(|(top, _)| *rank > top)) {
                best = Some((rank, entry));
            }
        }
        best.map(|(_, entry)| entry)
    }
}

/// A document with successors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// One image or artifact.
    Image(Box<Raw<ImageManifest>>),
    /// A list of manifests.
    Index(Box<Raw<Index>>),
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The bytes are not JSON, or fields are missing.
    #[error("{what} is not valid: {source}")]
    Json {
        /// What was read.
        what: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// Not a media type that has successors.
    #[error("`{0}` is not the media type of a manifest")]
    MediaType(String),
    /// The document contradicts its descriptor (OCI: clients must not guess between the two).
    #[error("the manifest says it is `{inside}` but was offered as `{outside}`")]
    Contradiction {
        /// The `mediaType` field.
        inside: String,
        /// The descriptor's or the HTTP header's.
        outside: String,
    },
    /// A schema version that is not supported (Docker schema 1).
    #[error("schema version {0} is not supported; re-push the image with a client from 2017 or later")]
    Schema(u32),
}

impl Manifest {
    /// Reads a manifest or an index of the given media type.
    ///
    /// # Errors
    /// See [`DocumentError`].
    pub fn parse(media_type: &MediaType, bytes: Vec<u8>) -> Result<Self, DocumentError> {
        let (manifest, inside, schema) = if media_type.is_index() {
            let raw = Raw::<Index>::parse(bytes).map_err(|source| DocumentError::Json { what: "the index", source })?;
            let (inside, schema) = (raw.value().media_type.clone(), raw.value().schema_version);
            (Self::Index(Box::new(raw)), inside, schema)
        } else if media_type.is_image_manifest() {
            let raw = Raw::<ImageManifest>::parse(bytes)
                .map_err(|source| DocumentError::Json { what: "the image manifest", source })?;
            let (inside, schema) = (raw.value().media_type.clone(), raw.value().schema_version);
            (Self::Image(Box::new(raw)), inside, schema)
        } else {
            return Err(DocumentError::MediaType(media_type.to_string()));
        };
        if schema != 2 {
            return Err(DocumentError::Schema(schema));
        }
        match inside {
            Some(inside) if inside != *media_type => {
                Err(DocumentError::Contradiction { inside: inside.0, outside: media_type.to_string() })
            }
            _ => Ok(manifest),
        }
    }

    /// Everything this document needs to be whole: the configuration and layers, or the listed manifests.
    pub fn successors(&self) -> Vec<Descriptor> {
        match self {
            Self::Image(raw) => {
                let mut all = vec![raw.value().config.clone()];
                all.extend(raw.value().layers.iter().cloned());
                all
            }
            Self::Index(raw) => raw.value().manifests.clone(),
        }
    }

    /// The bytes of the document.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Image(raw) => raw.bytes(),
            Self::Index(raw) => raw.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn entry(name: &str, platform: &str) -> Descriptor {
        Descriptor::of(MediaType::OCI_MANIFEST, name.as_bytes()).for_platform(platform.parse().unwrap())
    }

    #[test]
    fn the_best_platform_is_selected() {
        let index = Index::new(vec![
            Descriptor::of(MediaType::OCI_MANIFEST, b"attestation")
                .for_platform(Platform::new("unknown", "unknown", None)),
            entry("v6", "linux/arm/v6"),
            entry("v7", "linux/arm/v7"),
            entry("amd64", "linux/amd64"),
        ]);
        for (wanted, name) in [
            ("linux/amd64", Some("amd64")),
            ("linux/arm/v7", Some("v7")),
            ("linux/arm/v6", Some("v6")),
            ("linux/s390x", None),
        ] {
            let got = index.select(&wanted.parse().unwrap()).map(|entry| entry.digest);
            assert_eq!(got, name.map(|name| Digest::of(name.as_bytes())), "{wanted}");
        }
    }

    #[test]
    fn a_manifest_that_contradicts_its_descriptor_is_refused() {
        let bytes = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        let as_list = Manifest::parse(&MediaType::DOCKER_LIST.into(), bytes.to_vec());
        assert!(matches!(as_list, Err(DocumentError::Contradiction { .. })));
        assert!(Manifest::parse(&MediaType::OCI_INDEX.into(), bytes.to_vec()).is_ok());
        let schema1 = br#"{"schemaVersion":1,"manifests":[]}"#;
        assert!(matches!(
            Manifest::parse(&MediaType::OCI_INDEX.into(), schema1.to_vec()),
            Err(DocumentError::Schema(1))
        ));
    }

    #[test]
    fn null_layers_are_no_layers() {
        let config = serde_json::to_string(&Descriptor::of(MediaType::OCI_CONFIG, b"{}")).unwrap();
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":null}}"#);
        let manifest = Manifest::parse(&MediaType::OCI_MANIFEST.into(), text.into_bytes()).unwrap();
        assert_eq!(manifest.successors().len(), 1);
    }
}
