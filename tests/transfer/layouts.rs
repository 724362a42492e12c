//! Image layouts made by hand, byte for byte: content that no builder of ours makes.

use std::fs;
use std::path::{Path, PathBuf};

use oci::{Algorithm, Descriptor, Digest, Hasher, MediaType, Platform};
use serde_json::{Value, json};

use crate::sandbox::{noise, run};

/// A layout that is being made.
pub(crate) struct HandMade {
    directory: PathBuf,
    algorithm: Algorithm,
    roots: Vec<Value>,
}

impl HandMade {
    /// An empty one, whose content is named by this algorithm.
    pub(crate) fn new(directory: PathBuf, algorithm: Algorithm) -> Self {
        fs::create_dir_all(directory.join("blobs").join(algorithm.name())).unwrap();
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { directory, algorithm, roots: Vec::new() }
    }

    /// What bytes are called here.
    pub(crate) fn digest(&self, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Where a blob lies.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs").join(self.algorithm.name()).join(digest.hex())
    }

    /// Puts a blob there.
    pub(crate) fn put(&self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let digest = self.digest(bytes);
        fs::write(self.path(&digest), bytes).unwrap();
        Descriptor::new(media_type, digest, bytes.len() as u64)
    }

    /// Puts a document there.
    pub(crate) fn document(&self, media_type: &str, document: &Value) -> Descriptor {
        self.put(media_type, document.to_string().as_bytes())
    }

    /// An image for a platform, of these layers with the digests of their tars.
    pub(crate) fn image(&self, platform: &str, layers: &[(Descriptor, Digest)]) -> Descriptor {
        let platform: Platform = platform.parse().unwrap();
        let diff_ids: Vec<&Digest> = layers.iter().map(|(_, diff_id)| diff_id).collect();
        let layers: Vec<&Descriptor> = layers.iter().map(|(layer, _)| layer).collect();
        let config = json!({
            "architecture": platform.architecture, "os": platform.os, "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.document(MediaType::OCI_CONFIG, &config);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": layers,
        });
        self.document(MediaType::OCI_MANIFEST, &manifest).for_platform(platform)
    }

    /// An index of these manifests and indexes.
    pub(crate) fn index(&self, manifests: &[Descriptor]) -> Descriptor {
        let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": manifests});
        self.document(MediaType::OCI_INDEX, &index)
    }

    /// Gives something a name, and writes the list of names.
    pub(crate) fn name(&mut self, what: &Descriptor, name: &str) {
        let bare = Descriptor { platform: None, ..what.clone() };
        self.roots.push(json!(bare.annotated(oci::annotation::REF_NAME, name)));
        let index = json!({"schemaVersion": 2, "manifests": self.roots});
        fs::write(self.directory.join("index.json"), index.to_string()).unwrap();
    }
}

/// A tar with one file of noise in it.
pub(crate) fn tar(directory: &Path, name: &str, seed: u64) -> Vec<u8> {
    let place = directory.join(format!("tar-{name}"));
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(name), noise(200_000, seed)).unwrap();
    let file = directory.join(format!("{name}.tar"));
    run("tar", &["-C", place.to_str().unwrap(), "-cf", file.to_str().unwrap(), name]);
    fs::read(file).unwrap()
}
