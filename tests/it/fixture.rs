//! Images made by hand: OCI layouts whose every byte the tests know.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use content::tar::{Entry, EntryKind, TarWriter};
use oci::{Descriptor, DiffId, Digest, History, ImageConfig, ImageManifest, Index, MediaType, Raw, annotation};

/// An image to be made.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spec<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) created: Option<&'a str>,
    pub(crate) labels: &'a [(&'a str, &'a str)],
    /// One list of paths and texts a layer.
    pub(crate) layers: &'a [&'a [(&'a str, &'a str)]],
}

/// An image that was made.
pub(crate) struct Made {
    pub(crate) manifest: Descriptor,
    pub(crate) manifest_bytes: Vec<u8>,
    pub(crate) config: Descriptor,
    pub(crate) config_bytes: Vec<u8>,
    pub(crate) layers: Vec<Descriptor>,
}

impl Made {
    /// Bytes of all blobs.
    pub(crate) fn size(&self) -> u64 {
        let layers: BTreeMap<Digest, u64> = self.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
        self.manifest.size + self.config.size + layers.values().sum::<u64>()
    }
}

/// Writes a layout of these images.
pub(crate) fn layout(path: &Path, specs: &[Spec<'_>]) -> Vec<Made> {
    fs::create_dir_all(path.join("blobs/sha256")).unwrap();
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let made: Vec<Made> = specs.iter().map(|spec| image(path, spec)).collect();
    let named = specs.iter().zip(&made).map(|(spec, made)| match spec.name {
        Some(name) => made.manifest.clone().annotated(annotation::REF_NAME, name),
        None => made.manifest.clone(),
    });
    let index = Raw::write(Index::new(named.collect())).unwrap();
    fs::write(path.join("index.json"), index.bytes()).unwrap();
    made
}

fn image(path: &Path, spec: &Spec<'_>) -> Made {
    let mut config = ImageConfig { created: spec.created.map(str::to_owned), ..ImageConfig::default() };
    config.set_platform(&oci::Platform::host());
    config.config.labels = spec.labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    config.config.cmd = Some(vec!["echo '<hello> & you'".to_owned(), "cat etc/a; echo; echo said >&2".to_owned()]);
    let mut layers = Vec::new();
    for (number, files) in spec.layers.iter().enumerate() {
        let tar = tar(files);
        config.rootfs.diff_ids.push(DiffId(Digest::of(&tar)));
        let created_by = Some(format!("COPY layer{number} /"));
        config.history.push(History { created: config.created.clone(), created_by, ..History::default() });
        layers.push(blob(path, MediaType::OCI_LAYER, &tar));
    }
    let created_by = Some("CMD [\"echo <hello> && true\"] # and some more words that make this a long line".to_owned());
    let last = History { created: config.created.clone(), created_by, empty_layer: true, ..History::default() };
    config.history.push(last);
    let config = Raw::write(config).unwrap();
    let config_descriptor = blob(path, MediaType::OCI_CONFIG, config.bytes());
    let manifest = Raw::write(ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST.into()),
        artifact_type: None,
        config: config_descriptor.clone(),
        layers: layers.clone(),
        subject: None,
        annotations: BTreeMap::new(),
    })
    .unwrap();
    Made {
        manifest: blob(path, MediaType::OCI_MANIFEST, manifest.bytes()),
        manifest_bytes: manifest.bytes().to_vec(),
        config: config_descriptor,
        config_bytes: config.bytes().to_vec(),
        layers,
    }
}

fn blob(path: &Path, media_type: &str, bytes: &[u8]) -> Descriptor {
    let what = Descriptor::of(media_type, bytes);
    fs::write(path.join("blobs/sha256").join(what.digest.hex()), bytes).unwrap();
    what
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (path, text) in files {
        let kind = EntryKind::File { size: text.len() as u64 };
        let (path, xattrs) = (path.as_bytes().to_vec(), BTreeMap::new());
        let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs };
        tar.append(&entry, &mut text.as_bytes()).unwrap();
    }
    tar.finish().unwrap()
}
