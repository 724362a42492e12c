//! `images.lock.json`: which container images a cluster image carries, what their names resolved to, and who wants them.
//!
//! Deterministic: entries are sorted by their normal names, origins by file and line; equal values have equal bytes.

use std::collections::BTreeMap;

use oci::{Descriptor, Digest, MediaType, Platform, Reference};
use serde::{Deserialize, Serialize};

/// The version of the format that is written.
const VERSION: u32 = 1;

/// The image lock of a cluster image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageLock {
    /// The format; 1.
    pub version: u32,
    /// One entry a carried image, sorted by normal name.
    pub images: Vec<LockedImage>,
}

/// A carried image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedImage {
    /// The name as it was written where it was found first.
    pub reference: String,
    /// The normal name: registry, repository, tag and digest.
    pub normalised: String,
    /// What the name resolved to: an index, or the manifest of an image of one platform.
    pub digest: Digest,
    /// The media type of that.
    pub media_type: MediaType,
    /// Its size in bytes.
    pub size: u64,
    /// The manifests that are carried, one a platform, sorted.
    pub platforms: Vec<LockedPlatform>,
    /// Who wants it, sorted; none for an image that came with a base image of which nothing more is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
}

/// The manifest that is carried for a platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedPlatform {
    /// The platform that it serves, as `linux/arm64`.
    pub platform: String,
    /// The manifest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// Its size in bytes.
    pub size: u64,
}

/// Where a name was found, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The file, relative to the build's context; files of a packed chart stand below the archive's name.
    pub file: String,
    /// The line, from 1, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What in the file, such as `Deployment web, container nginx`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// The rule that found it.
    pub rule: String,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match self.what.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", self.what),
        }
    }
}

/// Why a text is no image lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Not JSON, or fields are missing or unknown.
    #[error("it is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// A newer format.
    #[error("its version is {0}, only {VERSION} is known")]
    Version(u32),
    /// A name that is none.
    #[error("`{name}` in it is no image name: {source}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: oci::ReferenceError,
    },
    /// A platform that is none.
    #[error("in it, {0}")]
    Platform(#[from] oci::PlatformError),
}

impl LockedImage {
    /// The normal name as a reference.
    ///
    /// # Errors
    /// Never for a lock that was parsed.
    pub fn name(&self) -> Result<Reference, LockError> {
        self.normalised.parse().map_err(|source| LockError::Name { name: self.normalised.clone(), source })
    }

    /// The descriptor of what the name resolved to.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.size)
    }

    /// The descriptors of the manifests that are carried, with their platforms.
    pub fn manifests(&self) -> impl Iterator<Item = (&str, Descriptor)> {
        let one = |it: &LockedPlatform| Descriptor::new(it.media_type.clone(), it.digest, it.size);
        self.platforms.iter().map(move |it| (it.platform.as_str(), one(it)))
    }
}

impl ImageLock {
    /// A lock of these images, in order; entries of one name become one.
    pub fn new(images: impl IntoIterator<Item = LockedImage>) -> Self {
        let mut sorted: BTreeMap<String, LockedImage> = BTreeMap::new();
        for image in images {
            match sorted.get_mut(&image.normalised) {
                // What is given later goes over what was there.
                Some(known) => {
                    let mut origins = std::mem::take(&mut known.origins);
                    origins.extend(image.origins.iter().cloned());
                    *known = LockedImage { origins, ..image };
                }
                None => {
                    sorted.insert(image.normalised.clone(), image);
                }
            }
        }
        let mut images: Vec<LockedImage> = sorted.into_values().collect();
        for image in &mut images {
            image.platforms.sort_by(|a, b| a.platform.cmp(&b.platform));
            image.platforms.dedup();
            image.origins.sort();
            image.origins.dedup();
        }
        Self { version: VERSION, images }
    }

    /// Reads a lock.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LockError> {
        let lock: Self = serde_json::from_slice(bytes)?;
        if lock.version != VERSION {
            return Err(LockError::Version(lock.version));
        }
        for image in &lock.images {
            image.name()?;
            for platform in &image.platforms {
                platform.platform.parse::<Platform>()?;
            }
        }
        Ok(Self::new(lock.images))
    }

    /// The lock as it is written: JSON for people, with a newline at the end.
    ///
    /// # Errors
    /// When it cannot be expressed.
    pub fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The entry of a name.
    pub fn find(&self, name: &Reference) -> Option<&LockedImage> {
        let normal = name.normal();
        let at = self.images.binary_search_by(|image| image.normalised.as_str().cmp(&normal)).ok()?;
        self.images.get(at)
    }

    /// The lock with the manifests of only those platforms that `keep` says.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        let mut lock = self.clone();
        for image in &mut lock.images {
            image.platforms.retain(|platform| keep(&platform.platform));
        }
        lock.images.retain(|image| !image.platforms.is_empty());
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, origin: &str) -> LockedImage {
        let descriptor = Descriptor::of(MediaType::OCI_INDEX, name.as_bytes());
        let origin = Origin { file: origin.to_owned(), line: Some(1), what: String::new(), rule: "pod".to_owned() };
        LockedImage {
            reference: name.to_owned(),
            normalised: name.parse::<Reference>().unwrap().normal(),
            digest: descriptor.digest,
            media_type: descriptor.media_type,
            size: descriptor.size,
            platforms: ["linux/arm64", "linux/amd64"]
                .map(|platform| LockedPlatform {
                    platform: platform.to_owned(),
                    digest: Digest::of(platform.as_bytes()),
                    media_type: MediaType::OCI_MANIFEST.into(),
                    size: 7,
                })
                .to_vec(),
            origins: vec![origin],
        }
    }

    #[test]
    fn the_order_that_images_are_found_in_does_not_show() {
        let all = [image("nginx", "b"), image("quay.io/a/b:1", "a"), image("docker.io/library/nginx:latest", "a")];
        let lock = ImageLock::new(all.clone());
        let mut reversed = ImageLock::new(all.into_iter().rev());
        assert_eq!(lock.images.len(), 2);
        assert_eq!(lock.images[0].origins.iter().map(|o| o.file.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(lock.images[0].platforms[0].platform, "linux/amd64");
        // The name as written is the last one's; whoever makes a lock gives each name once.
        reversed.images[0].reference.clone_from(&lock.images[0].reference);
        reversed.images[0].digest = lock.images[0].digest;
        reversed.images[0].size = lock.images[0].size;
        assert_eq!(lock, reversed);
        assert_eq!(ImageLock::parse(&lock.bytes().unwrap()).unwrap(), lock);
        let nginx = lock.find(&"nginx:latest".parse().unwrap());
        assert_eq!(nginx.map(|image| image.digest), Some(lock.images[0].digest));
        assert_eq!(lock.only(|platform| platform == "linux/arm64").images[1].platforms.len(), 1);
        assert!(lock.only(|_| false).images.is_empty());
    }

    #[test]
    fn what_is_no_lock_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"version":2,"images":[]}"#,
            r#"{"version":1,"images":[],"more":1}"#,
            r#"{"version":1,"images":[{"reference":"A","normalised":"A B","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","mediaType":"x","size":1,"platforms":[]}]}"#,
        ] {
            assert!(ImageLock::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
