//! What changes in a manifest or an index when what it names has another form: those fields and no others.

use std::collections::HashMap;

use oci::{Compression, Descriptor, Digest, ImageManifest, Index, MediaType, Raw};
use serde_json::Value;

use super::{Conversion, Family};
use crate::cluster_image::ZSTD;

/// Annotations that are about the bytes of a layer: its tables of contents.
const ABOUT_BYTES: [&str; 4] = [
    "containerd.io/snapshot/stargz/",
    "io.containers.estargz.",
    "io.containers.zstd-chunked.",
    "io.github.containers.zstd-chunked.",
];

type Changed = Result<Option<(Descriptor, Vec<u8>)>, serde_json::Error>;

/// An image's manifest with the layers as they are now; none if nothing changes.
pub(super) fn image(
    image: &Raw<ImageManifest>,
    what: &Descriptor,
    conversion: &Conversion,
    converted: &HashMap<Digest, Descriptor>,
) -> Changed {
    let value = image.value();
    // An artifact is what it is.
    let family = conversion.family.filter(|_| value.config.media_type.is_config());
    let before: Value = serde_json::from_slice(image.bytes())?;
    let mut document = before.clone();
    let media_type = manifest_type(&what.media_type, family);
    if family.is_some() && media_type != what.media_type {
        document["mediaType"] = media_type.as_str().into();
        document["config"]["mediaType"] = config_type(&value.config.media_type, family).as_str().into();
    }
    let is_docker = media_type.as_str() == MediaType::DOCKER_MANIFEST;
    for (at, layer) in value.layers.iter().enumerate() {
        let now = conversion.wanted(&layer.media_type).and_then(|_| converted.get(&layer.digest));
        let entry = &mut document["layers"][at];
        if let Some(now) = now {
            let compression = now.media_type.compression();
            entry["mediaType"] = layer_type(is_docker, compression).as_str().into();
            if now.digest != layer.digest {
                entry["digest"] = now.digest.to_string().into();
                entry["size"] = now.size.into();
                forget_bytes(entry);
            }
        } else if family.is_some() && is_plain_layer(&layer.media_type) {
            entry["mediaType"] = layer_type(is_docker, layer.media_type.compression()).as_str().into();
        }
    }
    rewritten(&before, &document, what, media_type)
}

/// An index with its children as they are now; none if nothing changes.
pub(super) fn index(
    index: &Raw<Index>,
    what: &Descriptor,
    family: Option<Family>,
    renamed: &HashMap<Digest, (Descriptor, bool)>,
) -> Changed {
    let before: Value = serde_json::from_slice(index.bytes())?;
    let mut document = before.clone();
    let media_type = index_type(&what.media_type, family);
    if media_type != what.media_type {
        document["mediaType"] = media_type.as_str().into();
    }
    for (at, child) in index.value().manifests.iter().enumerate() {
        let Some((now, is_zstd)) = renamed.get(&child.digest) else { continue };
        let entry = &mut document["manifests"][at];
        entry["mediaType"] = now.media_type.as_str().into();
        entry["digest"] = now.digest.to_string().into();
        entry["size"] = now.size.into();
        say_zstd(entry, *is_zstd);
        // The document itself, embedded.
        entry.as_object_mut().map(|entry| entry.remove("data"));
    }
    rewritten(&before, &document, what, media_type)
}

/// Whether a manifest has layers that are compressed with zstd.
pub(super) fn has_zstd(bytes: &[u8]) -> Result<bool, serde_json::Error> {
    let document: Value = serde_json::from_slice(bytes)?;
    let layers = document["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut types = layers.iter().filter_map(|layer| layer["mediaType"].as_str()).map(MediaType::from);
    Ok(types.any(|layer| layer.compression() == Compression::Zstd))
}

/// Other tools look for this in an index, and add it where it is missing when they copy one.
fn say_zstd(entry: &mut Value, is_zstd: bool) {
    if is_zstd {
        if !entry["annotations"].is_object() {
            entry["annotations"] = Value::Object(serde_json::Map::new());
        }
        entry["annotations"][ZSTD] = "true".into();
    } else if let Some(annotations) = entry.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(ZSTD);
    }
}

fn rewritten(before: &Value, after: &Value, what: &Descriptor, media_type: MediaType) -> Changed {
    if before == after {
        return Ok(None);
    }
    let bytes = serde_json::to_vec(after)?;
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    Ok(Some((Descriptor { media_type, digest, size, data: None, ..what.clone() }, bytes)))
}

/// Takes away what is about bytes that are gone.
fn forget_bytes(entry: &mut Value) {
    let Some(entry) = entry.as_object_mut() else { return };
    entry.remove("data");
    let Some(annotations) = entry.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.retain(|key, _| !ABOUT_BYTES.iter().any(|prefix| key.starts_with(prefix)));
    if annotations.is_empty() {
        entry.remove("annotations");
    }
}

fn is_plain_layer(layer: &MediaType) -> bool {
    let plain = [Compression::None, Compression::Gzip, Compression::Zstd];
    plain.iter().any(|how| *layer == MediaType::oci_layer(*how) || *layer == MediaType::docker_layer(*how))
}

fn layer_type(is_docker: bool, compression: Compression) -> MediaType {
    if is_docker { MediaType::docker_layer(compression) } else { MediaType::oci_layer(compression) }
}

fn manifest_type(own: &MediaType, family: Option<Family>) -> MediaType {
    choose(own, family, MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST)
}

fn config_type(own: &MediaType, family: Option<Family>) -> MediaType {
    choose(own, family, MediaType::OCI_CONFIG, MediaType::DOCKER_CONFIG)
}

fn index_type(own: &MediaType, family: Option<Family>) -> MediaType {
    choose(own, family, MediaType::OCI_INDEX, MediaType::DOCKER_LIST)
}

fn choose(own: &MediaType, family: Option<Family>, oci: &str, docker: &str) -> MediaType {
    match family {
        None => own.clone(),
        Some(Family::Oci) => oci.into(),
        Some(Family::Docker) => docker.into(),
    }
}
