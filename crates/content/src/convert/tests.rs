//! Images in another form are whole, valid, and changed only where they have to be.

use std::io::Write;

use oci::{Index, Raw};

use super::*;
use crate::{CopyOptions, Memory, Overlay, Silent, copy as copy_to, load_image, store_bytes};

/// A layer of some text in a store, compressed.
fn layer(store: &Memory, text: &str, compression: Compression) -> (Descriptor, DiffId) {
    let options = LayerOptions { compression, level: None, threads: 1 };
    let mut writer = LayerWriter::begin(store, &options).unwrap();
    writer.write_all(text.repeat(1000).as_bytes()).unwrap();
    let layer = writer.finish().unwrap();
    (layer.descriptor, layer.diff_id)
}

/// An image with an unknown field, a foreign annotation and layers of all compressions.
fn image(store: &Memory, arch: &str) -> Descriptor {
    let layers: Vec<_> = [("a", Compression::None), ("b", Compression::Gzip), (arch, Compression::Zstd)]
        .map(|(text, how)| layer(store, text, how))
        .to_vec();
    let diff_ids: Vec<_> = layers.iter().map(|(_, diff_id)| diff_id.0.to_string()).collect();
    let config = serde_json::json!({
        "architecture": arch, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, "odd": 1,
    });
    let config = serde_json::to_vec(&config).unwrap();
    let what = Descriptor::of(MediaType::OCI_CONFIG, &config);
    store_bytes(store, &what, &config).unwrap();
    let mut entries: Vec<_> = layers.iter().map(|(layer, _)| serde_json::to_value(layer).unwrap()).collect();
    entries[1]["annotations"] = serde_json::json!({"containerd.io/snapshot/stargz/toc.digest": "x", "kept": "y"});
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": what, "layers": entries,
        "annotations": {"who": "me"}, "unknown": {"field": [1.5, null]},
    });
    publish(store, MediaType::OCI_MANIFEST, &serde_json::to_vec(&manifest).unwrap())
}

fn publish(store: &Memory, media_type: &str, bytes: &[u8]) -> Descriptor {
    let what = Descriptor::of(media_type, bytes);
    store.publish(&what, bytes).unwrap();
    what
}

fn index(store: &Memory) -> Descriptor {
    let child = |arch: &str| image(store, arch).for_platform(format!("linux/{arch}").parse().unwrap());
    let index = Raw::write(Index::new(vec![child("amd64"), child("arm64")])).unwrap();
    publish(store, MediaType::OCI_INDEX, index.bytes())
}

/// Converts an image and copies it whole to a new store, where it is read and verified.
fn convert(store: &Memory, root: &Descriptor, conversion: &Conversion) -> (Memory, Descriptor, usize) {
    let plan = ConversionPlan::new(store, root, conversion, &Silent).unwrap();
    let (blobs, mut map) = (Memory::default(), HashMap::new());
    for pending in plan.layers() {
        map.insert(pending.layer.digest, convert_layer(store, pending, &blobs, &Silent).unwrap());
    }
    let converted = plan.finish(&map).unwrap();
    let (overlay, other) = (Overlay::new(store, converted.documents).with_blobs(&blobs), Memory::default());
    copy_to(&overlay, &other, std::slice::from_ref(&converted.root), &CopyOptions::default(), &Silent).unwrap();
    (other, converted.root, plan.layers().len())
}

fn compressions(store: &Memory, root: &Descriptor, arch: &str) -> Vec<Compression> {
    let image = load_image(store, root, &format!("linux/{arch}").parse().unwrap()).unwrap();
    let one = |(layer, diff_id): (Descriptor, DiffId)| {
        let reader = LayerReader::open(store, &layer).unwrap();
        assert_eq!(reader.compression(), layer.media_type.compression());
        reader.verify_diff_id(diff_id).unwrap().finish().unwrap();
        layer.media_type.compression()
    };
    image.layer_pairs().into_iter().map(one).collect()
}

#[test]
fn only_layers_of_another_compression_are_converted() {
    for (wanted, count) in [(Compression::Gzip, 2), (Compression::Zstd, 2), (Compression::None, 2)] {
        let store = Memory::default();
        let root = image(&store, "amd64");
        let conversion = Conversion { compression: Some(wanted), ..Conversion::default() };
        let (other, now, converted) = convert(&store, &root, &conversion);
        assert_eq!((converted, compressions(&other, &now, "amd64")), (count, vec![wanted; 3]), "{wanted}");
        let (before, after) = (fetch_document(&store, &root).unwrap(), fetch_document(&other, &now).unwrap());
        let parse = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        let (before, after) = (parse(&before), parse(&after));
        for field in ["config", "annotations", "unknown", "mediaType"] {
            assert_eq!(before[field], after[field], "{field}");
        }
        let annotations = &after["layers"][1]["annotations"];
        assert_eq!(annotations["kept"], "y");
        let has_toc = annotations.as_object().unwrap().len() == 2;
        assert_eq!(has_toc, wanted == Compression::Gzip, "a table of contents goes with its bytes");
    }
}

#[test]
fn nothing_is_rewritten_that_is_as_wanted() {
    let store = Memory::default();
    let (gzip, diff_id) = layer(&store, "x", Compression::Gzip);
    let config =
        format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#, diff_id.0);
    let what = Descriptor::of(MediaType::OCI_CONFIG, config.as_bytes());
    store_bytes(&store, &what, config.as_bytes()).unwrap();
    let text = format!(
        r#"{{ "schemaVersion": 2, "config": {}, "layers": [{}] }}"#,
        serde_json::to_string(&what).unwrap(),
        serde_json::to_string(&gzip).unwrap()
    );
    let root = publish(&store, MediaType::OCI_MANIFEST, text.as_bytes());
    for family in [None, Some(Family::Oci)] {
        let conversion = Conversion { compression: Some(Compression::Gzip), level: Some(9), family };
        let plan = ConversionPlan::new(&store, &root, &conversion, &Silent).unwrap();
        assert_eq!(plan.layers(), []);
        assert_eq!(plan.finish(&HashMap::new()).unwrap(), Converted { root: root.clone(), documents: vec![] });
    }
}

#[test]
fn an_index_names_what_its_images_became() {
    let store = Memory::default();
    let root = index(&store);
    let conversion = Conversion { compression: Some(Compression::Zstd), ..Conversion::default() };
    let (other, now, converted) = convert(&store, &root, &conversion);
    assert_eq!(converted, 2, "layers that two images share are converted once");
    for arch in ["amd64", "arm64"] {
        assert_eq!(compressions(&other, &now, arch), [Compression::Zstd; 3], "{arch}");
    }
}

#[test]
fn docker_manifests_have_docker_types_all_over_and_no_zstd() {
    let store = Memory::default();
    let root = index(&store);
    let conversion = Conversion { family: Some(Family::Docker), ..Conversion::default() };
    let (other, now, converted) = convert(&store, &root, &conversion);
    assert_eq!((now.media_type.as_str(), converted), (MediaType::DOCKER_LIST, 2));
    for arch in ["amd64", "arm64"] {
        let image = load_image(&other, &now, &format!("linux/{arch}").parse().unwrap()).unwrap();
        assert_eq!(image.manifest_descriptor.media_type.as_str(), MediaType::DOCKER_MANIFEST);
        assert_eq!(image.manifest.value().config.media_type.as_str(), MediaType::DOCKER_CONFIG);
        let types: Vec<_> = image.layers.iter().map(|layer| layer.descriptor.media_type.as_str()).collect();
        assert_eq!(types, [MediaType::DOCKER_LAYER, MediaType::DOCKER_LAYER_GZIP, MediaType::DOCKER_LAYER_GZIP]);
    }
    let back = Conversion { family: Some(Family::Oci), ..Conversion::default() };
    let (third, again, _) = convert(&other, &now, &back);
    assert_eq!(again.media_type.as_str(), MediaType::OCI_INDEX);
    assert_eq!(compressions(&third, &again, "arm64"), [Compression::None, Compression::Gzip, Compression::Gzip]);
}

#[test]
fn a_media_type_that_lied_is_put_right_without_writing_anything() {
    let store = Memory::default();
    let (gzip, diff_id) = layer(&store, "x", Compression::Gzip);
    let lying = Descriptor { media_type: MediaType::OCI_LAYER.into(), ..gzip.clone() };
    let options = LayerOptions { compression: Compression::Gzip, level: None, threads: 1 };
    let sink = Memory::default();
    let now = convert_layer(&store, &PendingLayer { layer: lying, diff_id, options }, &sink, &Silent).unwrap();
    assert_eq!(now, gzip);
    assert!(!sink.has(&gzip).unwrap());
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_read() {
    for (compression, level, family) in [
        (Some(Compression::Zstd), None, Some(Family::Docker)),
        (Some(Compression::Gzip), Some(10), None),
        (Some(Compression::Zstd), Some(0), None),
    ] {
        assert!(Conversion { compression, level, family }.check().is_err(), "{compression:?} {level:?} {family:?}");
    }
}
