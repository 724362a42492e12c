//! One repository of a registry: what is read from it, written to it, listed and deleted.
//!
//! ```text
//! Repository: Source   resolve (HEAD, by tag or digest), fetch (byte ranges, taken up again, mirror after mirror)
//!             Sink     has, mount, upload (whole, in chunks, as a stream; taken up again), manifests, tags, referrers
//! ```
//!
//! Invariants: reads go to the mirrors in their order and then to the repository itself; writes, deletions and lists to
//! the repository itself. What is read is verified by whoever takes it in, what is written by the registry.

mod lists;
mod sink;
mod source;
mod upload;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use oci::{Descriptor, Digest, MediaType, Reference};

use crate::auth::Scope;
use crate::client::Client;
use crate::error::RegistryError;
use crate::exchange::Request;
use crate::http::{Answer, Method};
use crate::routes::{Endpoint, Routes};

/// Everything a manifest can be; a registry answers with what it has, unconverted.
const ACCEPT: [&str; 4] =
    [MediaType::OCI_INDEX, MediaType::OCI_MANIFEST, MediaType::DOCKER_LIST, MediaType::DOCKER_MANIFEST];

/// Registries refuse manifests above 4 MiB; nothing larger is read into memory here.
const MANIFEST: u64 = 32 << 20;

/// One repository of a registry.
pub struct Repository<'a> {
    client: &'a Client,
    registry: String,
    name: String,
    routes: Box<Routes>,
    seen: Box<Seen>,
}

/// What was found out about a repository.
#[derive(Default)]
struct Seen {
    /// Servers that blobs were last read from.
    served: Mutex<HashMap<Digest, String>>,
    /// Blobs that a server had wrong bytes for.
    rejected: Mutex<HashSet<(Digest, String)>>,
}

impl<'a> Repository<'a> {
    pub(crate) fn new(client: &'a Client, reference: &Reference, routes: Routes) -> Self {
        let (registry, name) = (reference.registry().to_owned(), reference.repository().to_owned());
        Self { client, registry, name, routes: Box::new(routes), seen: Box::default() }
    }

    /// The registry's host and port, as references name it.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path of the repository, as references name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The descriptor that a tag or digest of this repository stands for. With both, the digest counts.
    ///
    /// # Errors
    /// When there is none, or the registry refuses.
    pub fn head(&self, reference: &Reference) -> Result<Descriptor, RegistryError> {
        let tag = reference.digest().map(ToString::to_string);
        let tag = tag.or_else(|| reference.tag_or_default().map(str::to_owned)).unwrap_or_default();
        let can = |end: &&Endpoint| if reference.digest().is_some() { end.roles.pull } else { end.roles.resolve };
        let ends: Vec<&Endpoint> = self.routes.read.iter().filter(can).collect();
        self.describe(&ends, &tag, reference.digest(), &reference.familiar())
    }

    /// Asks for the head of a manifest; where that says too little, for the manifest.
    fn describe(
        &self,
        ends: &[&Endpoint],
        tag: &str,
        digest: Option<&Digest>,
        what: &str,
    ) -> Result<Descriptor, RegistryError> {
        let mut request = self.manifest_request(Method::Head, tag, what);
        let (answer, _) = self.send(ends, &request)?;
        let header = |name: &str| answer.head.header(name);
        let media_type = header("content-type").map(|text| text.split(';').next().unwrap_or_default().trim());
        let known = digest.copied().or_else(|| header("docker-content-digest").and_then(|text| text.parse().ok()));
        if let (Some(digest), Some(media_type), Some(size)) = (known, media_type, answer.head.length())
            && MediaType::from(media_type).is_manifest()
        {
            return Ok(Descriptor::new(media_type, digest, size));
        }
        // The headers are recommended, not required: the document itself tells as well.
        request.method = Method::Get;
        let (mut answer, at) = self.send(ends, &request)?;
        let host = &ends[at].host;
        let bytes = answer
            .body
            .read_up_to(MANIFEST)
            .map_err(|error| RegistryError::Connection { host: host.clone(), source: Box::new(error) })?;
        let media_type = media_type_of(answer.head.header("content-type"), &bytes);
        let descriptor = Descriptor::of(media_type, &bytes);
        match digest {
            Some(digest) => Ok(Descriptor { digest: *digest, ..descriptor }),
            None => Ok(descriptor),
        }
    }

    /// The request for a manifest by tag or digest.
    fn manifest_request(&self, method: Method, tag: &str, what: &str) -> Request {
        Request::new(method, format!("manifests/{tag}"), what, Scope::Pull).header("accept", ACCEPT.join(", "))
    }

    /// Sends a request to the first of several servers that serves it.
    fn send(&self, ends: &[&Endpoint], request: &Request) -> Result<(Answer, usize), RegistryError> {
        match ends {
            [] => {
                let host = self.registry.clone();
                Err(RegistryError::Unsupported { host, what: "any host of its hosts.toml answer this" })
            }
            ends => self.client.send(ends, request),
        }
    }

    /// The repository itself.
    fn own(&self) -> &Endpoint {
        &self.routes.write
    }
}

/// The media type of a manifest: the header's, unless that is one that servers give for anything.
fn media_type_of(header: Option<&str>, bytes: &[u8]) -> MediaType {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        media_type: Option<MediaType>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let header = MediaType::from(header.unwrap_or_default().split(';').next().unwrap_or_default().trim());
    if header.is_manifest() {
        return header;
    }
    match serde_json::from_slice::<Named>(bytes) {
        Ok(Named { media_type: Some(named), .. }) => named,
        Ok(Named { manifests: Some(_), .. }) => MediaType::OCI_INDEX.into(),
        _ => MediaType::OCI_MANIFEST.into(),
    }
}
