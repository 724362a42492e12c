//! Writing: blobs that are mounted or uploaded, manifests, tags, and the list of referrers.

use std::sync::PoisonError;
use std::time::Duration;

use content::{ContentError, Sink, Source, Storage, Upload};
use oci::{Algorithm, Descriptor, Digest, Index, MediaType, Reference};

use super::lists::fallback_tag;
use super::upload;
use super::{MANIFEST, Repository};
use crate::auth::{Scope, Scopes};
use crate::error::RegistryError;
use crate::exchange::{Request, Target};
use crate::http::{Answer, Method};
use crate::retry::Pauses;

impl Sink for Repository<'_> {
    fn place(&self) -> String {
        Source::place(self)
    }

    fn has(&self, what: &Descriptor) -> Result<bool, ContentError> {
        let kind = if what.media_type.is_manifest() { "manifests" } else { "blobs" };
        let name = format!("{}@{}", self.name, what.digest);
        let mut request = Request::new(Method::Head, format!("{kind}/{}", what.digest), &name, Scope::Push);
        if kind == "manifests" {
            request = request.header("accept", what.media_type.as_str());
        }
        match self.send(&[self.own()], &request) {
            Ok((answer, _)) => Ok(answer.head.length().is_none_or(|size| size == what.size)),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.remote(error)),
        }
    }

    fn begin(&self, what: Option<&Descriptor>) -> Result<Box<dyn Upload + '_>, ContentError> {
        upload::begin(self, what)
    }

    fn publish(&self, what: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
        self.put_manifest(what, bytes, &what.digest.to_string()).map(drop)
    }

    fn tag(&self, name: &Reference, what: &Descriptor) -> Result<(), ContentError> {
        if self.is_tagged(name, what)? {
            return Ok(());
        }
        let shown = format!("{}@{}", self.name, what.digest);
        let request = self.manifest_request(Method::Get, &what.digest.to_string(), &shown);
        let (mut answer, _) = self.send(&[self.own()], &request).map_err(|error| match error {
            RegistryError::NotFound { .. } => {
                ContentError::MissingBlob { place: Source::place(self), digest: what.digest }
            }
            error => self.remote(error),
        })?;
        let bytes = answer.body.read_up_to(MANIFEST).map_err(|error| self.remote(self.broken(Box::new(error))))?;
        self.put_named(what, &bytes, std::slice::from_ref(name))
    }

    fn mount_from(&self, what: &Descriptor, from: &Reference) -> Result<bool, ContentError> {
        if from.registry() != self.registry || from.repository() == self.name {
            return Ok(false);
        }
        let pull = Scopes::repository(from.repository(), Scope::Pull);
        match self.post_upload(&what.digest, Some(from.repository()), pull) {
            Ok(answer) if answer.head.status == 201 => {
                answer.body.drain();
                Ok(true)
            }
            Ok(answer) => {
                // It did not mount, but began an upload, which is gone on with.
                self.note_chunk_minimum(&answer);
                if let Some(location) = answer.head.header("location") {
                    self.client.sessions.keep_fresh(&self.registry, &self.name, &what.digest, location);
                }
                answer.body.drain();
                Ok(false)
            }
            // Whoever may not read there may still write here.
            Err(RegistryError::Status { status: 400..=499, .. })
            | Err(RegistryError::Denied { .. } | RegistryError::NotFound { .. } | RegistryError::Unauthorized { .. }) => {
                Ok(false)
            }
            Err(error) => Err(self.remote(error)),
        }
    }

    fn storage(&self) -> Storage {
        let repository = format!("{}/{}", self.registry, self.name);
        Storage { realm: format!("registry {}", self.registry), repository: Some(repository) }
    }

    fn has_whole(&self, root: &Descriptor) -> Result<Option<bool>, ContentError> {
        // A registry takes no manifest whose blobs it does not have.
        if root.media_type.is_manifest() { self.has(root).map(Some) } else { Ok(None) }
    }

    fn is_tagged(&self, name: &Reference, what: &Descriptor) -> Result<bool, ContentError> {
        let tag = self.tag_of(name)?;
        match self.describe(&[self.own()], &tag, None, &name.familiar()) {
            Ok(found) => Ok(found.digest == what.digest),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.remote(error)),
        }
    }

    fn publish_as(&self, what: &Descriptor, bytes: &[u8], names: &[Reference]) -> Result<(), ContentError> {
        if names.is_empty() { self.publish(what, bytes) } else { self.put_named(what, bytes, names) }
    }
}

impl Repository<'_> {
    /// The tag (or digest) of a name of this repository.
    fn tag_of(&self, name: &Reference) -> Result<String, ContentError> {
        if name.registry() != self.registry || name.repository() != self.name {
            return Err(ContentError::Unsupported {
                place: Source::place(self),
                verb: "name an image of another repository",
            });
        }
        let digest = || name.digest().map(ToString::to_string);
        Ok(name.tag().map(str::to_owned).or_else(digest).unwrap_or_else(|| oci::DEFAULT_TAG.to_owned()))
    }

    /// Begins an upload, or mounts: the blob may be in `from`, or anywhere if the registry looks for itself.
    pub(super) fn post_upload(
        &self,
        digest: &Digest,
        from: Option<&str>,
        more: Scopes,
    ) -> Result<Answer, RegistryError> {
        let name = format!("{}@{digest}", self.name);
        let encoded: String = url::form_urlencoded::byte_serialize(from.unwrap_or_default().as_bytes()).collect();
        let from = from.map(|_| format!("&from={encoded}")).unwrap_or_default();
        let path = format!("blobs/uploads/?mount={digest}{from}");
        let request = Request { more, ..Request::new(Method::Post, path, &name, Scope::Push) };
        Ok(self.send(&[self.own()], &request)?.0)
    }

    /// Puts a manifest under its names. One that is put under a tag is there under its digest too, which is the
    /// registry's choice: what is not called by sha256 is put under its digest first, together with the tags.
    fn put_named(&self, what: &Descriptor, bytes: &[u8], names: &[Reference]) -> Result<(), ContentError> {
        let mut tags = names.iter().map(|name| self.tag_of(name)).collect::<Result<Vec<_>, _>>()?;
        if what.digest.algorithm() != Algorithm::Sha256 {
            let digest = what.digest.to_string();
            tags.retain(|tag| *tag != digest);
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(tags.iter().map(|tag| ("tag", tag)));
            match self.put_manifest(what, bytes, &format!("{digest}?{}", query.finish())) {
                Ok(set) => tags.retain(|tag| !set.contains(tag)),
                Err(ContentError::Remote { source, .. }) if !tags.is_empty() && is_final(&*source) => {
                    let there = Digest::of(bytes);
                    self.client.tell(&format!("{}: {source}; what is {digest} here is {there} there", self.registry));
                }
                Err(error) => return Err(error),
            }
        }
        tags.iter().try_for_each(|tag| self.put_manifest(what, bytes, tag).map(drop))
    }

    /// Puts a manifest under a tag or digest; the tags that the registry says it has set besides.
    fn put_manifest(&self, what: &Descriptor, bytes: &[u8], tag: &str) -> Result<Vec<String>, ContentError> {
        let mut hasher = oci::Hasher::new(what.digest.algorithm());
        hasher.update(bytes);
        let actual = hasher.finish();
        if actual != what.digest {
            return Err(ContentError::DigestMismatch { place: Source::place(self), expected: what.digest, actual });
        }
        let name = format!("{}:{tag}", self.name);
        let request = Request::new(Method::Put, format!("manifests/{tag}"), &name, Scope::Push);
        let mut request = request.header("content-type", what.media_type.as_str());
        request.body = Some(bytes.to_vec());
        let mut pauses = Pauses::new(self.client.options.retry_delay);
        // Who does not know the algorithm does not learn it.
        let mut left = if what.digest.algorithm() == Algorithm::Sha256 { self.client.options.retries } else { 0 };
        let answer = loop {
            match self.send(&[self.own()], &request) {
                // The bytes are right: either they were damaged on the way, or the registry looked at a link that it was
                // just writing for somebody else, as docker's does.
                Err(error) if error.is_about_digest() && left > 0 => {
                    left -= 1;
                    self.client.pause(&mut pauses, Duration::ZERO, Some(&error));
                }
                answer => break answer.map_err(|error| self.remote(error))?.0,
            }
        };
        let stored: Option<Digest> = answer.head.header("docker-content-digest").and_then(|text| text.parse().ok());
        let lists_referrers = answer.head.header("oci-subject").is_some();
        let set = answer.head.headers("oci-tag").flat_map(|line| line.split(','));
        let set = set.map(|tag| tag.trim().to_owned()).collect();
        answer.body.drain();
        // A registry that knows sha256 only answers with the name that it gave.
        if let Some(stored) =
            stored.filter(|stored| stored.algorithm() == what.digest.algorithm() && *stored != what.digest)
        {
            let reason = format!("it stored {stored} instead of {}", what.digest);
            let host = self.own().host.clone();
            return Err(self.remote(RegistryError::Protocol { host, expected: "the manifest", reason }));
        }
        if let Some(subject) = subject(bytes).filter(|_| !lists_referrers) {
            self.list_referrer(&subject, what, bytes)?;
        }
        Ok(set)
    }

    /// Adds a manifest to the index under the tag that stands for the list that this registry does not keep.
    fn list_referrer(&self, subject: &Digest, what: &Descriptor, bytes: &[u8]) -> Result<(), ContentError> {
        let entry = referrer(what, bytes);
        let listing = self.client.listing(&format!("{}/{}", self.registry, self.name));
        let _guard = listing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = self.fallback(subject).map_err(|error| self.remote(error))?;
        let index = index.get_or_insert_with(|| Index::new(Vec::new()));
        if index.manifests.iter().any(|one| one.digest == what.digest) {
            return Ok(());
        }
        index.manifests.push(entry);
        let bytes = serde_json::to_vec(&*index).map_err(|error| self.remote(self.broken(Box::new(error))))?;
        let index = Descriptor::of(MediaType::OCI_INDEX, &bytes);
        self.put_manifest(&index, &bytes, &fallback_tag(subject)).map(drop)
    }

    pub(super) fn broken(&self, source: Box<dyn std::error::Error + Send + Sync>) -> RegistryError {
        RegistryError::Connection { host: self.own().host.clone(), source }
    }

    /// A request to where the registry has sent us for an upload.
    pub(super) fn at(&self, method: Method, location: &url::Url, what: &str) -> Request {
        Request::to(method, Target::Url(location.clone()), what, Some(Scope::Push))
    }
}

/// Whether a registry has definitely refused something.
fn is_final(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(RegistryError::Status { status: 400..=499, .. } | RegistryError::NotFound { .. })
    )
}

/// What a manifest refers to.
fn subject(bytes: &[u8]) -> Option<Digest> {
    #[derive(serde::Deserialize)]
    struct Subject {
        subject: Option<Descriptor>,
    }
    serde_json::from_slice::<Subject>(bytes).ok()?.subject.map(|subject| subject.digest)
}

/// How a list of referrers describes a manifest: with its artifact type, which may be its configuration's media type,
/// and its annotations.
fn referrer(what: &Descriptor, bytes: &[u8]) -> Descriptor {
    #[derive(Default, serde::Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Facts {
        artifact_type: Option<String>,
        config: Option<Descriptor>,
        annotations: Option<std::collections::BTreeMap<String, String>>,
    }
    let facts: Facts = serde_json::from_slice(bytes).unwrap_or_default();
    let mut entry = Descriptor::new(what.media_type.clone(), what.digest, what.size);
    entry.artifact_type = facts.artifact_type.or_else(|| facts.config.map(|config| config.media_type.0));
    entry.annotations = facts.annotations.unwrap_or_default();
    entry
}
