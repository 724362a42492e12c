//! What a registry needs to know of a manifest: what it is, what it needs, what it refers to.
//!
//! Docker-distribution directories do not store media types, so a manifest has to say what it is: by its `mediaType`
//! field, or by its shape where OCI allows the field to be absent. What would come out as something else than it was
//! pushed as is refused on the way in.

use std::collections::BTreeMap;

use oci::{Descriptor, Digest, MediaType};
use serde::Deserialize;
use serde_json::Value;

/// A manifest of any kind.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// What it is.
    pub(crate) media_type: String,
    /// The manifest that it refers to.
    pub(crate) subject: Option<Descriptor>,
    /// The kind of artifact, as the referrers endpoint names it.
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// What it is made of: the configuration and layers of an image.
    pub(crate) blobs: Vec<Descriptor>,
    /// The manifests that it lists.
    pub(crate) children: Vec<Descriptor>,
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("the manifest is not valid: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the manifest has schema version {0}; only 2 is supported")]
    Schema(Value),
    #[error("the manifest has neither a configuration nor a list of manifests")]
    Shape,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: Option<Value>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    /// Of the artifact manifests of OCI 1.1's release candidates.
    #[serde(default)]
    blobs: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// The artifact manifest of OCI 1.1's release candidates, which has no schema version.
const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

impl Document {
    /// Reads a manifest.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let fields: Fields = serde_json::from_slice(bytes)?;
        let is_artifact = fields.media_type.as_deref() == Some(ARTIFACT);
        match &fields.schema_version {
            Some(version) if version.as_u64() == Some(2) => {}
            None if is_artifact => {}
            version => return Err(DocumentError::Schema(version.clone().unwrap_or_default())),
        }
        let media_type = match (&fields.media_type, &fields.manifests, &fields.config) {
            (Some(said), ..) if !said.is_empty() => said.clone(),
            (_, Some(_), _) => MediaType::OCI_INDEX.to_owned(),
            (_, None, Some(_)) => MediaType::OCI_MANIFEST.to_owned(),
            _ => return Err(DocumentError::Shape),
        };
        let is_index = MediaType::from(media_type.as_str()).is_index();
        let is_image = MediaType::from(media_type.as_str()).is_image_manifest();
        if is_image && fields.config.is_none() || is_index && fields.manifests.is_none() && fields.config.is_some() {
            return Err(DocumentError::Shape);
        }
        let config_type = fields.config.as_ref().map(|config| config.media_type.0.clone());
        let artifact_type = fields.artifact_type.filter(|text| !text.is_empty()).or(config_type);
        let mut blobs: Vec<Descriptor> = fields.config.into_iter().collect();
        blobs.extend(fields.layers.unwrap_or_default());
        blobs.extend(fields.blobs.unwrap_or_default());
        Ok(Self {
            media_type,
            subject: fields.subject,
            artifact_type,
            annotations: fields.annotations.unwrap_or_default(),
            blobs,
            children: fields.manifests.unwrap_or_default(),
        })
    }

    /// The blobs that must be there. Layers that may not be distributed need not be, and neither must the manifests of
    /// an index: an image for one platform is carried with the index of all.
    pub(crate) fn needs(&self) -> Vec<Digest> {
        let mut needs: Vec<Digest> = Vec::new();
        for blob in self.blobs.iter().filter(|blob| !blob.media_type.is_foreign_layer()) {
            if !needs.contains(&blob.digest) {
                needs.push(blob.digest);
            }
        }
        needs
    }

    /// Whether it lists manifests.
    pub(crate) fn is_index(&self) -> bool {
        MediaType::from(self.media_type.as_str()).is_index()
    }

    /// The configuration of an image.
    pub(crate) fn config(&self) -> Option<&Descriptor> {
        self.blobs.first().filter(|_| MediaType::from(self.media_type.as_str()).is_image_manifest())
    }

    /// The layers of an image, or the files of an artifact.
    pub(crate) fn layers(&self) -> &[Descriptor] {
        &self.blobs[usize::from(self.config().is_some())..]
    }

    /// How the referrers endpoint describes this manifest.
    pub(crate) fn describe(&self, digest: Digest, size: u64) -> Descriptor {
        let mut descriptor = Descriptor::new(self.media_type.as_str(), digest, size);
        descriptor.artifact_type.clone_from(&self.artifact_type);
        descriptor.annotations.clone_from(&self.annotations);
        descriptor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_what_it_is() {
        let config = r#"{"mediaType":"application/x.y","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;
        for (text, want) in [
            (format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#), Some(MediaType::OCI_MANIFEST)),
            (format!(r#"{{"schemaVersion":2,"config":{config},"layers":null}}"#), Some(MediaType::OCI_MANIFEST)),
            (r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(), Some(MediaType::OCI_INDEX)),
            (
                format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{config}}}"#, MediaType::DOCKER_MANIFEST),
                Some(MediaType::DOCKER_MANIFEST),
            ),
            (r#"{"schemaVersion":1,"manifests":[]}"#.to_owned(), None),
            (r#"{"manifests":[]}"#.to_owned(), None),
            (r#"{"schemaVersion":2}"#.to_owned(), None),
            (format!(r#"{{"schemaVersion":2,"mediaType":"{}"}}"#, MediaType::OCI_MANIFEST), None),
            ("[]".to_owned(), None),
            ("{".to_owned(), None),
            (String::new(), None),
        ] {
            let read = Document::read(text.as_bytes());
            assert_eq!(read.as_ref().ok().map(|document| document.media_type.as_str()), want, "{text}: {read:?}");
        }
    }

    #[test]
    fn the_configuration_names_the_artifact_if_nothing_else_does() {
        let config = r#"{"mediaType":"application/x.y","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;
        for (field, want) in
            [("", "application/x.y"), (r#""artifactType":"a/b","#, "a/b"), (r#""artifactType":"","#, "application/x.y")]
        {
            let text = format!(r#"{{{field}"schemaVersion":2,"config":{config},"layers":[]}}"#);
            let document = Document::read(text.as_bytes()).unwrap();
            assert_eq!(document.artifact_type.as_deref(), Some(want), "{text}");
        }
        let index = Document::read(br#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
        assert_eq!(index.artifact_type, None);
    }
}
