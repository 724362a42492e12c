//! Lists of a repository, and deletions: tags, referrers, manifests, blobs.

use oci::{Descriptor, Digest, Index, MediaType, Reference};

use super::{MANIFEST, Repository};
use crate::auth::Scope;
use crate::error::RegistryError;
use crate::exchange::Request;
use crate::http::Method;

/// A page of referrers is an index.
#[derive(serde::Deserialize)]
struct Referrers {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

impl Repository<'_> {
    /// All tags, all pages, as the registry sorts them.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when the registry does not know the repository.
    pub fn tags(&self) -> Result<Vec<String>, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let what = format!("{}/{}", self.registry, self.name);
        let request = Request::new(Method::Get, "tags/list?n=1000", &what, Scope::Pull);
        self.client.pages(self.own(), request, |page: Page| page.tags)
    }

    /// The manifests that refer to another one (signatures, SBOMs), of one artifact type or all. Where the registry has
    /// no list of them, the tag that clients keep instead is read.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>, RegistryError> {
        let what = format!("the referrers of {}@{subject}", self.name);
        let filter = artifact_type.map(|text| {
            let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            format!("?artifactType={encoded}")
        });
        let path = format!("referrers/{subject}{}", filter.unwrap_or_default());
        let request = Request::new(Method::Get, path, &what, Scope::Pull).header("accept", MediaType::OCI_INDEX);
        let mut all = match self.client.pages(self.own(), request, |page: Referrers| page.manifests) {
            // What has no list answers in many ways; those that have one never answer so.
            Err(
                RegistryError::NotFound { .. }
                | RegistryError::Protocol { .. }
                | RegistryError::Status { status: 400 | 405 | 501, .. },
            ) => self.fallback(subject)?.map(|index| index.manifests).unwrap_or_default(),
            all => all?,
        };
        if let Some(wanted) = artifact_type {
            all.retain(|one| one.artifact_type.as_deref() == Some(wanted));
        }
        Ok(all)
    }

    /// The index under the tag that stands for a missing list of referrers.
    pub(super) fn fallback(&self, subject: &Digest) -> Result<Option<Index>, RegistryError> {
        let what = format!("the referrers of {}@{subject}", self.name);
        let request = self.manifest_request(Method::Get, &fallback_tag(subject), &what);
        let mut answer = match self.send(&[self.own()], &request) {
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            answer => answer?.0,
        };
        let wrong = |reason: String| RegistryError::Protocol {
            host: self.own().host.clone(),
            expected: "an index of referrers",
            reason,
        };
        let bytes = answer.body.read_up_to(MANIFEST).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// Deletes what a reference names: the tag if it has only that, the manifest and all its tags if it has a digest.
    ///
    /// # Errors
    /// When the registry does not have it or does not delete.
    pub fn delete(&self, name: &Reference) -> Result<(), RegistryError> {
        let tag = match name.digest() {
            Some(digest) => digest.to_string(),
            None => name.tag_or_default().unwrap_or_default().to_owned(),
        };
        self.remove(&format!("manifests/{tag}"), &name.familiar(), "anybody delete manifests")
    }

    /// Deletes a blob of this repository.
    ///
    /// # Errors
    /// When the registry does not have it or does not delete.
    pub fn delete_blob(&self, digest: &Digest) -> Result<(), RegistryError> {
        let what = format!("{}@{digest}", self.name);
        self.remove(&format!("blobs/{digest}"), &what, "anybody delete blobs")
    }

    fn remove(&self, path: &str, what: &str, unsupported: &'static str) -> Result<(), RegistryError> {
        let request = Request::new(Method::Delete, path, what, Scope::Delete);
        let host = || self.own().host.clone();
        match self.send(&[self.own()], &request) {
            Ok((answer, _)) => {
                answer.body.drain();
                Ok(())
            }
            Err(RegistryError::Status { status: 405 | 501, .. }) => {
                Err(RegistryError::Unsupported { host: host(), what: unsupported })
            }
            // What some answer to the deletion of a tag.
            Err(RegistryError::Status { message: Some(message), .. }) if message.code == "UNSUPPORTED" => {
                Err(RegistryError::Unsupported { host: host(), what: unsupported })
            }
            Err(error) => Err(error),
        }
    }
}

/// Source: OCI distribution specification, "Referrers Tag Schema".
pub(super) fn fallback_tag(subject: &Digest) -> String {
    let hex = subject.hex();
    format!("{}-{}", subject.algorithm().name(), &hex[..hex.len().min(64)])
}
