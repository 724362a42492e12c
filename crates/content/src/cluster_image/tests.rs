//! Cluster images that are made, read back, and taken apart.

use oci::{Descriptor, ImageManifest, MediaType, Platform, Raw};

use super::*;
use crate::{Memory, Sink, Source, fetch_document, find_image, store_bytes};

/// An image of one platform, stored.
fn image(store: &Memory, platform: &str, text: &str) -> Descriptor {
    let parts: Platform = platform.parse().unwrap();
    let config = format!(
        r#"{{"architecture":"{}","os":"{}","rootfs":{{"type":"layers","diff_ids":[]}},"author":"{text}"}}"#,
        parts.architecture, parts.os
    );
    let what = Descriptor::of(MediaType::OCI_CONFIG, config.as_bytes());
    store_bytes(store, &what, config.as_bytes()).unwrap();
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST.into()),
        artifact_type: None,
        config: what,
        layers: Vec::new(),
        subject: None,
        annotations: Default::default(),
    };
    let raw = Raw::write(manifest).unwrap();
    let what = Descriptor::of(MediaType::OCI_MANIFEST, raw.bytes());
    store.publish(&what, raw.bytes()).unwrap();
    what
}

fn locked(store: &Memory, name: &str, platforms: &[(&str, Descriptor)]) -> LockedImage {
    let upstream = format!(r#"{{"schemaVersion":2,"manifests":[],"annotations":{{"of":"{name}"}}}}"#);
    let index = Descriptor::of(MediaType::OCI_INDEX, upstream.as_bytes());
    store_bytes(store, &index, upstream.as_bytes()).unwrap();
    let one = |(platform, manifest): &(&str, Descriptor)| LockedPlatform {
        platform: (*platform).to_owned(),
        digest: manifest.digest,
        media_type: manifest.media_type.clone(),
        size: manifest.size,
    };
    LockedImage {
        reference: name.to_owned(),
        normalised: name.parse::<oci::Reference>().unwrap().normal(),
        digest: index.digest,
        media_type: index.media_type,
        size: index.size,
        platforms: platforms.iter().map(one).collect(),
        origins: Vec::new(),
    }
}

#[test]
fn a_cluster_image_is_read_as_it_was_made() {
    let store = Memory::default();
    let (amd, arm): (Platform, Platform) = ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap());
    let roots = [
        image(&store, "linux/amd64", "root").for_platform(amd.clone()),
        image(&store, "linux/arm64", "root").for_platform(arm.clone()),
    ];
    let (a, b) = (image(&store, "linux/amd64", "a"), image(&store, "linux/arm64", "a"));
    let any = image(&store, "linux/amd64", "any");
    let lock = ImageLock::new([
        locked(&store, "a:1", &[("linux/amd64", a.clone()), ("linux/arm64", b.clone())]),
        locked(&store, "any:1", &[("linux/amd64", any.clone()), ("linux/arm64", any.clone())]),
        locked(&store, "again:1", &[("linux/amd64", a.clone())]),
    ]);
    let parts = Assembly { roots: &roots, lock: &lock, annotations: Default::default() };
    let root = assemble(&store, &parts).unwrap();
    assert_eq!(assemble(&store, &parts).unwrap(), root, "it is the same every time");

    let read = ClusterImage::load(&store, &root).unwrap();
    assert_eq!((&read.roots[..], &read.lock, read.carried.len(), read.upstream.len()), (&roots[..], &lock, 3, 3));
    let index = read.index.as_ref().unwrap().value();
    assert_eq!(index.artifact_type.as_deref(), Some(MediaType::CLUSTER_IMAGE));
    assert_eq!(index.manifests[..2], roots, "root images come first");
    assert_eq!(index.select(&arm).unwrap().digest, roots[1].digest);
    let both = read.carried.iter().find(|entry| entry.digest == any.digest).unwrap();
    assert_eq!(both.annotations[CARRIED_FOR], "linux/amd64,linux/arm64");
    for (platform, want) in [(&amd, vec![a.digest, any.digest]), (&arm, vec![b.digest, any.digest])] {
        let mut found: Vec<_> = companions(index, platform).into_iter().map(|entry| entry.digest).collect();
        assert_eq!(found.pop(), read.lock_manifest.as_ref().map(|lock| lock.digest));
        let mut want = want;
        want.sort();
        assert_eq!(found, want);
    }
    assert_eq!(find_image(&store, &root, &arm).unwrap().image.manifest_descriptor.digest, roots[1].digest);
    assert!(fetch_document(&store as &dyn Source, &read.upstream[0]).is_ok());
}

#[test]
fn what_carries_nothing_stays_what_it_is() {
    let store = Memory::default();
    let one = image(&store, "linux/amd64", "x").for_platform("linux/amd64".parse().unwrap());
    let two = image(&store, "linux/arm64", "x").for_platform("linux/arm64".parse().unwrap());
    let lock = ImageLock::new([]);
    let parts = |roots| Assembly { roots, lock: &lock, annotations: Default::default() };
    let plain = assemble(&store, &parts(std::slice::from_ref(&one))).unwrap();
    assert_eq!((plain.digest, &plain.platform), (one.digest, &None));
    let roots = [one.clone(), two];
    let index = assemble(&store, &parts(&roots)).unwrap();
    let read = ClusterImage::load(&store, &index).unwrap();
    assert!(!read.carries() && read.index.unwrap().value().artifact_type.is_none());
    assert!(companions(&oci::Index::new(roots.to_vec()), &Platform::host()).is_empty());
}

#[test]
fn an_upstream_index_has_to_be_there() {
    let store = Memory::default();
    let root = image(&store, "linux/amd64", "x");
    let other = Memory::default();
    let lock = ImageLock::new([locked(&other, "a:1", &[("linux/amd64", root.clone())])]);
    let parts = Assembly { roots: &[root], lock: &lock, annotations: Default::default() };
    assert!(matches!(assemble(&store, &parts), Err(crate::ContentError::MissingBlob { .. })));
}
