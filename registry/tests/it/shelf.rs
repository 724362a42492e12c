//! Fills a registry with images of every kind, through its own backend.

use crate::deadline::Bounded;
use std::process::Command;
use std::sync::Arc;

use oci::{Digest, MediaType};
use registry::backend::{Backend, Distribution, Put, Verified};
use registry::names::{Name, Tag};
use serde_json::{Value, json};

pub(crate) const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A registry in memory that images are put in.
pub(crate) struct Shelf(pub(crate) Arc<Distribution>);

impl Shelf {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Distribution::in_memory()))
    }

    /// Stores a blob; its descriptor.
    pub(crate) fn blob(&self, name: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let mut upload = self.0.writer().unwrap().begin(&name.parse::<Name>().unwrap()).unwrap();
        upload.append(bytes).unwrap();
        upload.commit(&Verified { digest, canonical: digest }).unwrap();
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    }

    /// Stores a manifest; its descriptor.
    pub(crate) fn manifest(&self, name: &str, tag: Option<&str>, manifest: &Value) -> Value {
        let bytes = manifest.to_string().into_bytes();
        let (digest, media_type) = (Digest::of(&bytes), manifest["mediaType"].as_str().unwrap());
        let tags: Vec<Tag> = tag.into_iter().map(|tag| tag.parse().unwrap()).collect();
        let put = Put {
            verified: Verified { digest, canonical: digest },
            media_type,
            bytes: &bytes,
            tags: &tags,
            needs: &[],
        };
        self.0.writer().unwrap().put_manifest(&name.parse::<Name>().unwrap(), &put).unwrap();
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    }

    /// The image of one platform (`linux/amd64`), with layers of these sizes.
    pub(crate) fn image(&self, name: &str, tag: Option<&str>, platform: &str, layers: &[(&str, usize)]) -> Value {
        let (os, architecture) = platform.split_once('/').unwrap();
        let history = |(step, _): &(&str, usize)| json!({ "created_by": step, "created": "2026-10-01T09:30:00Z" });
        let mut steps: Vec<Value> = layers.iter().map(history).collect();
        steps.push(json!({ "created_by": "CMD [\"nginx\" \"-g\" \"daemon off;\"]", "empty_layer": true }));
        let config = json!({
            "created": "2026-10-01T09:30:00Z", "os": os, "architecture": architecture, "author": "The <b>team</b>",
            "config": { "Cmd": ["nginx", "-g", "daemon off;"], "Entrypoint": ["/entry.sh"], "WorkingDir": "/srv",
                "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"], "ExposedPorts": { "80/tcp": {} },
                "Labels": { "org.opencontainers.image.source": "https://example.com/src", "html": "<script>alert(1)</script>" } },
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|(step, _)| Digest::of(step.as_bytes()).to_string()).collect::<Vec<_>>() },
            "history": steps,
        });
        let config = self.blob(name, MediaType::OCI_CONFIG, config.to_string().as_bytes());
        let layers = layers.iter().map(|(step, size)| {
            let bytes = step.bytes().cycle().take(*size).collect::<Vec<u8>>();
            self.blob(name, MediaType::OCI_LAYER_GZIP, &bytes)
        });
        let layers: Vec<Value> = layers.collect();
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": layers });
        self.manifest(name, tag, &manifest)
    }

    /// An image that can be unpacked.
    pub(crate) fn real_image(&self, name: &str, tag: &str) -> Value {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("greeting"), "hello").unwrap();
        let tar =
            Command::new("tar").arg("-C").arg(dir.path()).args(["-cf", "-", "greeting"]).bounded().unwrap().stdout;
        std::fs::write(dir.path().join("layer"), &tar).unwrap();
        let gzip = Command::new("gzip").arg("-cn").arg(dir.path().join("layer")).bounded().unwrap().stdout;
        let config = json!({ "os": "linux", "architecture": "amd64", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(&tar).to_string()] } });
        let config = self.blob(name, MediaType::OCI_CONFIG, config.to_string().as_bytes());
        let layers = [self.blob(name, MediaType::OCI_LAYER_GZIP, &gzip)];
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": layers });
        self.manifest(name, Some(tag), &manifest)
    }

    /// An image for several platforms.
    pub(crate) fn images(&self, name: &str, tag: &str, platforms: &[&str], layers: &[(&str, usize)]) -> Value {
        let manifests = platforms.iter().map(|platform| {
            let (os, architecture) = platform.split_once('/').unwrap();
            let own: Vec<(String, usize)> =
                layers.iter().map(|(step, size)| (format!("{step} # {platform}"), *size)).collect();
            let own: Vec<(&str, usize)> = own.iter().map(|(step, size)| (step.as_str(), *size)).collect();
            with(self.image(name, None, platform, &own), "platform", &json!({ "os": os, "architecture": architecture }))
        });
        let index = json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": manifests.collect::<Vec<_>>() });
        self.manifest(name, Some(tag), &index)
    }

    /// A cluster image for two platforms that carries these images, each wanted by these files.
    pub(crate) fn cluster_image(&self, name: &str, tag: &str, carried: &[(&str, &[&str])]) -> Value {
        let (mut entries, mut locked) = (Vec::new(), Vec::new());
        for platform in ["linux/amd64", "linux/arm64"] {
            let (os, architecture) = platform.split_once('/').unwrap();
            let root = self.image(name, None, platform, &[("COPY charts charts", 90_000), ("COPY etc etc", 1200)]);
            entries.push(with(root, "platform", &json!({ "os": os, "architecture": architecture })));
        }
        for (image, origins) in carried {
            let mut platforms = Vec::new();
            for platform in ["linux/amd64", "linux/arm64"] {
                let step = format!("RUN build {image} # {platform}");
                let manifest = self.image(name, None, platform, &[(&step, 40_000), ("ADD rootfs.tar /", 300_000)]);
                platforms.push(with(manifest.clone(), "platform", &platform.into()));
                let carried = with(manifest, "platform", &json!({ "os": "unknown", "architecture": "unknown" }));
                entries.push(with(carried, "annotations", &json!({ "io.sealos.carried.platform": platform })));
            }
            let origins = origins.iter().zip(1..).map(|(file, line)| {
                json!({ "file": file, "line": line * 7, "what": "Deployment web, container main", "rule": "pod template" })
            });
            locked.push(json!({
                "reference": image.trim_start_matches("docker.io/library/"), "normalised": image,
                "digest": Digest::of(image.as_bytes()).to_string(), "mediaType": MediaType::OCI_INDEX, "size": 1234,
                "platforms": platforms, "origins": origins.collect::<Vec<_>>(),
            }));
        }
        let lock = json!({ "version": 1, "images": locked });
        let lock = self.blob(name, "application/vnd.sealos.image-lock.v1+json", lock.to_string().as_bytes());
        let empty = self.blob(name, EMPTY, b"{}");
        let artifact = json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": MediaType::IMAGE_LOCK,
            "config": empty, "layers": [lock] });
        let artifact = self.manifest(name, None, &artifact);
        entries.push(with(artifact, "artifactType", &MediaType::IMAGE_LOCK.into()));
        let index = json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "artifactType": MediaType::CLUSTER_IMAGE,
            "manifests": entries, "annotations": { "org.opencontainers.image.created": "2026-11-20T12:00:00Z" } });
        self.manifest(name, Some(tag), &index)
    }

    /// An artifact that refers to something.
    pub(crate) fn artifact(&self, name: &str, tag: Option<&str>, kind: &str, subject: Option<&Value>) -> Value {
        let empty = self.blob(name, EMPTY, b"{}");
        let layer = with(
            self.blob(name, "text/plain", kind.as_bytes()),
            "annotations",
            &json!({ "org.opencontainers.image.title": "notes.txt" }),
        );
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": kind, "config": empty, "layers": [layer] });
        if let Some(subject) = subject {
            manifest["subject"] = subject.clone();
        }
        self.manifest(name, tag, &manifest)
    }
}

fn with(mut value: Value, key: &str, added: &Value) -> Value {
    value[key] = added.clone();
    value
}

/// What the tests of the page look at.
pub(crate) fn furnished() -> Shelf {
    let shelf = Shelf::new();
    let base = ("ADD debian-12.tar.gz /", 250_000);
    shelf.images(
        "docker.io/library/nginx",
        "1.27",
        &["linux/amd64", "linux/arm64", "linux/arm"],
        &[
            base,
            (
                "RUN apt-get update && apt-get install --no-install-recommends -y nginx && rm -rf /var/lib/apt/lists/*",
                120_000,
            ),
            ("COPY entry.sh /", 900),
        ],
    );
    let nginx = shelf.image(
        "docker.io/library/nginx",
        Some("1.26"),
        "linux/amd64",
        &[base, ("RUN apt-get install nginx", 110_000)],
    );
    shelf.artifact("docker.io/library/nginx", None, "application/vnd.dev.cosign.simplesigning.v1", Some(&nginx));
    shelf.image("quay.io/team/debian", Some("12"), "linux/amd64", &[base]);
    for version in 1..=60 {
        shelf.image(
            "team/web",
            Some(&format!("v1.{version:02}")),
            "linux/amd64",
            &[base, (&format!("COPY web-{version} /srv"), 5000)],
        );
    }
    shelf.cluster_image(
        "team/shop",
        "v3",
        &[
            (
                "docker.io/library/nginx:1.27",
                &["charts/shop/templates/web.yaml", "charts/shop/templates/proxy.yaml", "manifests/extra.yaml"],
            ),
            ("quay.io/team/debian:12", &["manifests/job.yaml"]),
            ("registry.k8s.io/pause:3.10", &[]),
        ],
    );
    shelf.artifact("team/notes", Some("latest"), "application/vnd.example.notes", None);
    for number in 0..40 {
        shelf.image(&format!("mirror/group-{}/app-{number:02}", number % 4), Some("latest"), "linux/amd64", &[base]);
    }
    shelf
}
