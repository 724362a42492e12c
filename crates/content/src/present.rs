//! The part of an image that a store has, as an image of its own.
//!
//! An index that was pulled for one platform lists more than is there. Archives and registries want whole images, so
//! what leaves the store is the image of the one platform, or an index of those that are there.

use oci::{Descriptor, Digest, Manifest};
use serde_json::Value;

use crate::{ContentError, Sink, Store, fetch_document};

/// What of a root is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The root itself if it is whole; else the image, or an index of the images, that are there.
    pub root: Descriptor,
    /// What the root lists and is not there.
    pub missing: Vec<Descriptor>,
}

/// Finds what of a root is there. Where the root is an index of more, the index of less is stored; its other fields are
/// kept as they are.
///
/// # Errors
/// When nothing of it is there, or a document cannot be read or stored.
pub fn present(store: &dyn Store, root: &Descriptor) -> Result<Present, ContentError> {
    let whole = || Present { root: root.clone(), missing: Vec::new() };
    if !root.media_type.is_index() {
        return Ok(whole());
    }
    let bytes = fetch_document(store, root)?;
    let broken = |error: oci::DocumentError| ContentError::Document {
        place: crate::Source::place(store),
        digest: root.digest,
        source: error.into(),
    };
    let manifest = Manifest::parse(&root.media_type, bytes).map_err(broken)?;
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for child in manifest.successors() {
        match !child.media_type.is_manifest() || store.has(&child)? {
            true => there.push(child),
            false => missing.push(child),
        }
    }
    if missing.is_empty() {
        return Ok(whole());
    }
    match &there[..] {
        [] => Err(ContentError::MissingBlob { place: crate::Source::place(store), digest: missing[0].digest }),
        [image] if image.media_type.is_image_manifest() => {
            let root = Descriptor { platform: None, ..image.clone() };
            Ok(Present { root, missing })
        }
        _ => {
            let digests: Vec<Digest> = there.iter().map(|child| child.digest).collect();
            let bytes = narrowed(manifest.bytes(), &digests)
                .map_err(|source| broken(oci::DocumentError::Json { what: "the index", source }))?;
            let root = Descriptor {
                annotations: root.annotations.clone(),
                ..Descriptor::of(root.media_type.0.as_str(), &bytes)
            };
            Sink::publish(store, &root, &bytes)?;
            Ok(Present { root, missing })
        }
    }
}

/// The bytes of an index with some of its manifests only; everything else in it is kept as it is.
///
/// # Errors
/// When the bytes are not JSON.
pub fn narrowed(index: &[u8], kept: &[Digest]) -> Result<Vec<u8>, serde_json::Error> {
    let mut document: Value = serde_json::from_slice(index)?;
    if let Some(manifests) = document.get_mut("manifests").and_then(Value::as_array_mut) {
        let is_kept = |entry: &Value| kept.iter().any(|digest| entry["digest"] == digest.to_string());
        manifests.retain(is_kept);
    }
    serde_json::to_vec(&document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;
    use oci::{Index, MediaType, Raw};

    fn child(store: &Memory, arch: &str) -> Descriptor {
        let config = Descriptor::of(MediaType::OCI_CONFIG, arch.as_bytes());
        let text = format!(r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#, serde_json::to_string(&config).unwrap());
        let what = Descriptor::of(MediaType::OCI_MANIFEST, text.as_bytes());
        if arch != "absent" {
            store.publish(&what, text.as_bytes()).unwrap();
        }
        what.for_platform(format!("linux/{arch}").parse().unwrap())
    }

    fn index(store: &Memory, children: Vec<Descriptor>) -> Descriptor {
        let mut index = Index::new(children);
        index.annotations.insert("kept".to_owned(), "yes".to_owned());
        let raw = Raw::write(index).unwrap();
        let what = Descriptor::of(MediaType::OCI_INDEX, raw.bytes());
        store.publish(&what, raw.bytes()).unwrap();
        what
    }

    #[test]
    fn what_is_there_is_an_image_of_its_own() {
        let store = Memory::default();
        let (amd, arm, absent) = (child(&store, "amd64"), child(&store, "arm64"), child(&store, "absent"));
        let whole = index(&store, vec![amd.clone(), arm.clone()]);
        assert_eq!(present(&store, &whole).unwrap(), Present { root: whole, missing: vec![] });

        let one = index(&store, vec![absent.clone(), amd.clone()]);
        let bare = Descriptor { platform: None, ..amd.clone() };
        assert_eq!(present(&store, &one).unwrap(), Present { root: bare.clone(), missing: vec![absent.clone()] });
        assert_eq!(present(&store, &bare).unwrap().root, bare, "an image is itself");

        let two = index(&store, vec![amd.clone(), absent.clone(), arm.clone()]);
        let found = present(&store, &two).unwrap();
        assert_eq!(found.missing, std::slice::from_ref(&absent));
        let bytes = fetch_document(&store, &found.root).unwrap();
        let narrow = Raw::<Index>::parse(bytes).unwrap();
        assert_eq!(narrow.value().manifests, [amd, arm]);
        assert_eq!(narrow.value().annotations["kept"], "yes");

        let none = index(&store, vec![absent.clone()]);
        assert!(
            matches!(present(&store, &none), Err(ContentError::MissingBlob { digest, .. }) if digest == absent.digest)
        );
    }
}
