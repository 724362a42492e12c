//! The `index.json` of an image layout: which roots there are and how they are called.
//!
//! Source: OCI image specification, image-layout.md; containerd's annotation for full names. A name is written twice:
//! `org.opencontainers.image.ref.name` as its user typed it, `io.containerd.image.name` in the normal form.

use oci::{Descriptor, Digest, Index, Reference, annotation};

use crate::{ContentError, Named};

/// When a root was added to a store, RFC 3339. Only in a store's own `index.json`.
pub(crate) const STORED: &str = "io.sealos.stored";
/// The file that makes a directory an image layout.
pub(crate) const MARKER: &str = "oci-layout";
/// What stands in it.
pub(crate) const MARKER_TEXT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The list of roots.
pub(crate) const INDEX: &str = "index.json";
/// How messages call the format.
pub(crate) const FORMAT: &str = "OCI image layout";

/// The name that an entry of an `index.json` gives its root: the full `ref.name`; or containerd's name where the
/// `ref.name` is a bare tag; else none.
pub fn name_of(entry: &Descriptor) -> Option<Reference> {
    let text = |key| entry.annotations.get(key).map(String::as_str);
    // `v1` or `latest` alone is a tag of an image whose name stands elsewhere, not an image called `v1`.
    let full = text(annotation::REF_NAME).filter(|text| text.contains(['/', ':', '@']));
    let parsed = |text: &str| text.parse::<Reference>().ok();
    full.and_then(parsed).or_else(|| text(annotation::CONTAINERD_NAME).and_then(parsed))
}

/// A root without what its entry says about names and times.
pub(crate) fn bare(entry: &Descriptor) -> Descriptor {
    let mut root = entry.clone();
    for key in [annotation::REF_NAME, annotation::CONTAINERD_NAME, STORED] {
        root.annotations.remove(key);
    }
    root
}

/// The entry for a root.
pub(crate) fn entry(name: Option<&Reference>, root: &Descriptor) -> Descriptor {
    let entry = bare(root);
    match name {
        None => entry,
        Some(name) => {
            entry.annotated(annotation::REF_NAME, name.familiar()).annotated(annotation::CONTAINERD_NAME, name.normal())
        }
    }
}

/// The entry for a root that is called so, letter by letter. If that is a whole name, containerd is told it too.
pub(crate) fn labelled(label: &str, root: &Descriptor) -> Descriptor {
    let entry = bare(root).annotated(annotation::REF_NAME, label);
    match label.parse::<Reference>() {
        Ok(name) if label.contains(['/', ':']) => entry.annotated(annotation::CONTAINERD_NAME, name.normal()),
        _ => entry,
    }
}

/// Whether bytes are a layout's marker file of a version that is understood.
pub(crate) fn check_marker(place: &str, bytes: &[u8]) -> Result<(), ContentError> {
    #[derive(serde::Deserialize)]
    struct Marker {
        #[serde(rename = "imageLayoutVersion")]
        version: String,
    }
    let wrong = |reason| ContentError::Format { place: place.to_owned(), format: FORMAT, reason };
    let marker: Marker = serde_json::from_slice(bytes).map_err(|error| wrong(format!("{MARKER}: {error}")))?;
    match marker.version.starts_with("1.") {
        true => Ok(()),
        false => Err(wrong(format!("its version is {}, only 1.0.0 is known", marker.version))),
    }
}

/// A parsed `index.json`.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    pub(crate) index: Index,
}

impl Roots {
    pub(crate) fn empty() -> Self {
        Self { index: Index::new(Vec::new()) }
    }

    pub(crate) fn parse(place: &str, bytes: &[u8]) -> Result<Self, ContentError> {
        let wrong = |error| {
            let reason = format!("{INDEX}: {error}");
            ContentError::Format { place: place.to_owned(), format: FORMAT, reason }
        };
        serde_json::from_slice(bytes).map(|index| Self { index }).map_err(wrong)
    }

    pub(crate) fn bytes(&self, place: &str) -> Result<Vec<u8>, ContentError> {
        serde_json::to_vec(&self.index)
            .map_err(|source| ContentError::io(format!("write {INDEX} of {place}"))(source.into()))
    }

    pub(crate) fn entries(&self) -> &[Descriptor] {
        &self.index.manifests
    }

    pub(crate) fn named(&self) -> Vec<Named> {
        self.entries().iter().map(|entry| Named { name: name_of(entry), root: bare(entry) }).collect()
    }

    /// What entries are called letter by letter, and their roots.
    pub(crate) fn labels(&self) -> Vec<(String, Descriptor)> {
        let label = |entry: &Descriptor| Some((entry.annotations.get(annotation::REF_NAME)?.clone(), bare(entry)));
        self.entries().iter().filter_map(label).collect()
    }

    /// Calls a root so, letter by letter. What was called so, or has the name that this is, is called so no longer.
    pub(crate) fn set_label(&mut self, label: &str, root: &Descriptor) {
        let name = label.parse::<Reference>().ok().filter(|_| label.contains(['/', ':']));
        if let Some(name) = &name {
            self.remove_name(name);
        }
        let is_it = |entry: &Descriptor| entry.annotations.get(annotation::REF_NAME).is_some_and(|own| own == label);
        self.index.manifests.retain(|entry| !is_it(entry));
        let is_bare = |entry: &Descriptor| entry.digest == root.digest && bare(entry) == *entry;
        self.index.manifests.retain(|entry| !is_bare(entry));
        self.index.manifests.push(labelled(label, root));
    }

    /// The entry of that name; or, for a reference with a digest, an entry of that repository with this digest.
    pub(crate) fn resolve(&self, name: &Reference) -> Option<&Descriptor> {
        let exact = self.entries().iter().find(|entry| name_of(entry).as_ref() == Some(name));
        exact.or_else(|| {
            let digest = name.digest()?;
            let is_of =
                |other: Reference| other.registry() == name.registry() && other.repository() == name.repository();
            self.entries().iter().find(|entry| entry.digest == *digest && name_of(entry).is_some_and(is_of))
        })
    }

    /// Gives a root a name. The root that had it stays, without a name if it has no other.
    pub(crate) fn set(&mut self, name: &Reference, entry: Descriptor) {
        self.remove_name(name);
        let is_nameless = |other: &Descriptor| other.digest == entry.digest && name_of(other).is_none();
        self.index.manifests.retain(|other| !is_nameless(other));
        self.index.manifests.push(entry);
    }

    /// Adds a root, without a name; returns whether it was not there.
    pub(crate) fn add(&mut self, entry: Descriptor) -> bool {
        let is_new = self.entries().iter().all(|other| other.digest != entry.digest);
        if is_new {
            self.index.manifests.push(entry);
        }
        is_new
    }

    /// Takes a name away; its root stays.
    pub(crate) fn remove_name(&mut self, name: &Reference) -> Option<Descriptor> {
        let at = self.entries().iter().position(|entry| name_of(entry).as_ref() == Some(name))?;
        let mut entry = self.index.manifests.remove(at);
        entry.annotations.remove(annotation::REF_NAME);
        entry.annotations.remove(annotation::CONTAINERD_NAME);
        let root = bare(&entry);
        self.add(entry);
        Some(root)
    }

    /// Removes a root and all its names.
    pub(crate) fn forget(&mut self, root: &Digest) {
        self.index.manifests.retain(|entry| entry.digest != *root);
    }

    /// The error for a name that is not there.
    pub(crate) fn unknown(&self, place: String, name: &str) -> ContentError {
        let names = self.entries().iter().filter_map(name_of).map(|name| name.familiar());
        ContentError::UnknownImage { place, name: name.to_owned(), similar: crate::similar::rank(name, names) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_entry_is_the_full_one() {
        for (ref_name, containerd, want) in [
            (Some("myapp:v1"), Some("docker.io/library/myapp:v1"), Some("myapp:v1")),
            (Some("localhost/x:1"), None, Some("localhost/x:1")),
            (Some("v1"), Some("docker.io/library/app:v1"), Some("docker.io/library/app:v1")),
            (Some("latest"), None, None),
            (Some("1"), None, None),
            (None, Some("quay.io/a/b:1"), Some("quay.io/a/b:1")),
            (Some("Not A Name/:"), Some("quay.io/a/b:1"), Some("quay.io/a/b:1")),
            (Some("hub.example/app"), None, Some("hub.example/app:latest")),
            (None, None, None),
        ] {
            let mut entry = Descriptor::of("x", b"x");
            let texts = [(annotation::REF_NAME, ref_name), (annotation::CONTAINERD_NAME, containerd)];
            for (key, text) in texts.into_iter().filter_map(|(key, text)| Some((key, text?))) {
                entry = entry.annotated(key, text);
            }
            assert_eq!(name_of(&entry).map(|n| n.familiar()).as_deref(), want, "{ref_name:?} {containerd:?}");
        }
    }
}
