//! Where things lie in a docker-distribution tree, version 2.
//!
//! ```text
//! blobs/<algorithm>/<first 2>/<hex>/data
//! repositories/<name>/_layers/<algorithm>/<hex>/link
//!                     _manifests/revisions/<algorithm>/<hex>/link
//!                     _manifests/tags/<tag>/current/link
//!                     _manifests/tags/<tag>/index/<algorithm>/<hex>/link
//!                     _uploads/<id>/data, startedat
//! ```

use oci::Digest;

use crate::names::{Name, Tag};

pub(super) const REPOSITORIES: &str = "repositories";

pub(super) fn blob(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("blobs/{}/{}/{hex}/data", digest.algorithm().name(), &hex[..2])
}

pub(super) fn layers(name: &Name) -> String {
    format!("{REPOSITORIES}/{name}/_layers")
}

pub(super) fn layer(name: &Name, digest: &Digest) -> String {
    format!("{REPOSITORIES}/{name}/_layers/{}/{}/link", digest.algorithm().name(), digest.hex())
}

pub(super) fn manifests(name: &Name) -> String {
    format!("{REPOSITORIES}/{name}/_manifests")
}

pub(super) fn revisions(name: &Name, algorithm: &str) -> String {
    format!("{REPOSITORIES}/{name}/_manifests/revisions/{algorithm}")
}

pub(super) fn revision(name: &Name, digest: &Digest) -> String {
    format!("{}/{}/link", revisions(name, digest.algorithm().name()), digest.hex())
}

pub(super) fn tags(name: &Name) -> String {
    format!("{REPOSITORIES}/{name}/_manifests/tags")
}

pub(super) fn tag(name: &Name, tag: &Tag) -> String {
    format!("{REPOSITORIES}/{name}/_manifests/tags/{tag}")
}

pub(super) fn current(name: &Name, tag: &Tag) -> String {
    format!("{REPOSITORIES}/{name}/_manifests/tags/{tag}/current/link")
}

pub(super) fn tag_index(name: &Name, tag: &Tag, digest: &Digest) -> String {
    format!("{REPOSITORIES}/{name}/_manifests/tags/{tag}/index/{}/{}/link", digest.algorithm().name(), digest.hex())
}

pub(super) fn upload(name: &Name, id: &str) -> String {
    format!("{REPOSITORIES}/{name}/_uploads/{id}")
}

/// Without the last component.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(front, _)| front)
}

/// Where it is noted what a blob is called by another algorithm; not a part of docker-distribution's layout.
pub(super) fn alias(digest: &Digest) -> String {
    format!("aliases/{}/{}", digest.algorithm().name(), digest.hex())
}
