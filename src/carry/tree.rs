//! An existing `registry/` directory, in docker-distribution's layout, as a source of images.
//!
//! Read as it is found: trees that the Go sealos wrote, in any version, have lists with one platform's images only, and
//! may hold what nobody asks for any more. A link's content counts, not its path.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use content::{BlobReader, ContentError, Source, fetch_document};
use oci::{Descriptor, Digest, Manifest, MediaType, Reference};

/// Where the tree begins in the directory.
const TREE: &str = "docker/registry/v2";
/// No manifest is larger, in bytes.
const MANIFEST_LIMIT: u64 = 32 << 20;
/// Directories of repositories inside each other.
const MAX_DEPTH: usize = 32;

/// A `registry/` directory.
#[derive(Debug)]
pub struct RegistryTree {
    directory: PathBuf,
    top: PathBuf,
}

/// An image of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeImage {
    /// Its name. The registry's host is not known: `library/nginx` may have been any registry's.
    pub name: Reference,
    /// What the name stands for.
    pub root: Descriptor,
}

impl RegistryTree {
    /// Opens a directory; none if it holds no such tree.
    pub fn open(directory: &Path) -> Option<Self> {
        let top = directory.join(TREE);
        top.is_dir().then(|| Self { directory: directory.to_owned(), top })
    }

    /// All images: those with tags, and manifests that only their digests name.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn images(&self) -> Result<Vec<TreeImage>, ContentError> {
        let mut images = Vec::new();
        let mut todo = vec![(String::new(), 0)];
        while let Some((repository, depth)) = todo.pop() {
            let path = self.top.join("repositories").join(&repository);
            for name in self.names(&path)? {
                let below = if repository.is_empty() { name.clone() } else { format!("{repository}/{name}") };
                match name.as_str() {
                    "_manifests" if !repository.is_empty() => self.repository(&repository, &mut images)?,
                    name if name.starts_with('_') => {}
                    _ if depth < MAX_DEPTH && path.join(&name).is_dir() => todo.push((below, depth + 1)),
                    _ => {}
                }
            }
        }
        images.sort_by_key(|image| image.name.normal());
        Ok(images)
    }

    /// The names of all images with tags, whether their blobs are there or not.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn names_only(&self) -> Result<Vec<Reference>, ContentError> {
        let tags = self.all_tags()?;
        let mut names: Vec<Reference> = tags.iter().filter_map(|tag| tree_name(&tag.repository, &tag.tag)).collect();
        names.sort_by_key(Reference::normal);
        Ok(names)
    }

    fn all_tags(&self) -> Result<Vec<TreeTag>, ContentError> {
        let mut found = Vec::new();
        let mut todo = vec![(String::new(), 0)];
        while let Some((repository, depth)) = todo.pop() {
            let path = self.top.join("repositories").join(&repository);
            let tags = self.names(&path.join("_manifests/tags"))?;
            found.extend(tags.into_iter().map(|tag| TreeTag {
                name: format!("{repository}:{tag}"),
                repository: repository.clone(),
                tag,
            }));
            let below = self.names(&path)?.into_iter().filter(|name| !name.starts_with('_'));
            let below = below.map(|name| if repository.is_empty() { name } else { format!("{repository}/{name}") });
            todo.extend(below.filter(|_| depth < MAX_DEPTH).map(|below| (below, depth + 1)));
        }
        found.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
        Ok(found)
    }

    fn repository(&self, repository: &str, images: &mut Vec<TreeImage>) -> Result<(), ContentError> {
        let manifests = self.top.join("repositories").join(repository).join("_manifests");
        // What is listed by an index that is there belongs to it.
        let mut claimed: BTreeSet<Digest> = BTreeSet::new();
        for tag in self.names(&manifests.join("tags"))? {
            let Some(digest) = link(&manifests.join("tags").join(&tag).join("current/link")) else { continue };
            let Some(root) = self.describe(&digest)? else { continue };
            self.claim(&root, &mut claimed)?;
            // A directory that is no name is nobody's image.
            images.extend(tree_name(repository, &tag).map(|name| TreeImage { name, root }));
        }
        let mut untagged = Vec::new();
        for algorithm in self.names(&manifests.join("revisions"))? {
            for hex in self.names(&manifests.join("revisions").join(&algorithm))? {
                let revision = link(&manifests.join("revisions").join(&algorithm).join(&hex).join("link"));
                let Some(digest) = revision.filter(|digest| !claimed.contains(digest)) else { continue };
                if let Some(root) = self.describe(&digest)? {
                    untagged.push(root);
                }
            }
        }
        let indexes: Vec<Descriptor> = untagged.iter().filter(|root| root.media_type.is_index()).cloned().collect();
        for index in indexes {
            let mut children = BTreeSet::new();
            self.claim(&index, &mut children)?;
            children.remove(&index.digest);
            untagged.retain(|root| !children.contains(&root.digest));
        }
        for root in untagged {
            if let Ok(name) = format!("{repository}@{}", root.digest).parse() {
                images.push(TreeImage { name, root });
            }
        }
        Ok(())
    }

    /// A root and what it lists.
    fn claim(&self, root: &Descriptor, claimed: &mut BTreeSet<Digest>) -> Result<(), ContentError> {
        claimed.insert(root.digest);
        if root.media_type.is_index() {
            let bytes = fetch_document(self, root)?;
            if let Ok(Manifest::Index(index)) = Manifest::parse(&root.media_type, bytes) {
                claimed.extend(index.value().manifests.iter().map(|entry| entry.digest));
            }
        }
        Ok(())
    }

    /// The descriptor of a manifest that is there; no media type is kept, so its content tells.
    pub(crate) fn describe(&self, digest: &Digest) -> Result<Option<Descriptor>, ContentError> {
        let path = self.blob(digest);
        let failed = || ContentError::io(format!("read {}", path.display()));
        let mut bytes = Vec::new();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => drop(file.map_err(failed())?.take(MANIFEST_LIMIT).read_to_end(&mut bytes).map_err(failed())?),
        }
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            media_type: Option<MediaType>,
            #[serde(default)]
            manifests: Option<Vec<serde::de::IgnoredAny>>,
        }
        let Ok(head) = serde_json::from_slice::<Head>(&bytes) else { return Ok(None) };
        let derived = match head.manifests {
            Some(_) => MediaType::OCI_INDEX,
            None => MediaType::OCI_MANIFEST,
        };
        let media_type = head.media_type.unwrap_or_else(|| MediaType::from(derived));
        Ok(media_type.is_manifest().then(|| Descriptor::new(media_type, *digest, bytes.len() as u64)))
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.top.join(format!("blobs/{}/{}/{hex}/data", digest.algorithm().name(), &hex[..2]))
    }

    /// The names in a directory, sorted; none where there is none.
    fn names(&self, path: &Path) -> Result<Vec<String>, ContentError> {
        let failed = || ContentError::io(format!("read the directory {}", path.display()));
        let entries = match fs::read_dir(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            entries => entries.map_err(failed())?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(failed())?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

/// A tag of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeTag {
    /// Its repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// Both, as a name.
    pub name: String,
}

/// The tags of a directory that are not among the wanted ones (repositories and tags).
///
/// # Errors
/// When the directory cannot be read.
pub fn other_tags(directory: &Path, wanted: &BTreeSet<(String, String)>) -> Result<Vec<TreeTag>, ContentError> {
    let Some(tree) = RegistryTree::open(directory) else { return Ok(Vec::new()) };
    let mut tags = tree.all_tags()?;
    tags.retain(|tag| !wanted.contains(&(tag.repository.clone(), tag.tag.clone())));
    Ok(tags)
}

/// Takes a tag out of a directory; its manifest and blobs stay until garbage collection.
///
/// # Errors
/// When it cannot be removed.
pub fn remove_tag(directory: &Path, tag: &TreeTag) -> Result<(), ContentError> {
    let path = directory.join(TREE).join("repositories").join(&tag.repository).join("_manifests/tags").join(&tag.tag);
    // First what makes it visible.
    let removed = fs::remove_file(path.join("current/link")).and_then(|()| fs::remove_dir_all(&path));
    removed.map_err(ContentError::io(format!("remove {}", path.display())))
}

/// The name of a tagged image; a tag that is a digest stands for an image without a tag.
pub fn tree_name(repository: &str, tag: &str) -> Option<Reference> {
    let text = match tag.strip_prefix("sha256-").filter(|hex| hex.len() == 64) {
        Some(hex) => format!("{repository}@sha256:{hex}"),
        None => format!("{repository}:{tag}"),
    };
    text.parse().ok()
}

/// The digest in a link; none if there is no link, or none that can be read.
fn link(path: &Path) -> Option<Digest> {
    fs::read_to_string(path).ok()?.trim_end().parse().ok()
}

impl Source for RegistryTree {
    fn place(&self) -> String {
        format!("the registry directory {}", self.directory.display())
    }

    fn resolve(&self, name: &Reference) -> Result<Descriptor, ContentError> {
        let unknown = || ContentError::UnknownImage { place: self.place(), name: name.familiar(), similar: Vec::new() };
        let digest = match (name.digest(), name.tag_or_default()) {
            (Some(digest), _) => *digest,
            (None, tag) => {
                let manifests = self.top.join("repositories").join(name.repository()).join("_manifests/tags");
                link(&manifests.join(tag.unwrap_or_default()).join("current/link")).ok_or_else(unknown)?
            }
        };
        self.describe(&digest)?.ok_or_else(unknown)
    }

    fn fetch(&self, what: &Descriptor, from: u64) -> Result<BlobReader<'_>, ContentError> {
        let path = self.blob(&what.digest);
        let failed = || ContentError::io(format!("read {}", path.display()));
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContentError::MissingBlob { place: self.place(), digest: what.digest });
            }
            file => file.map_err(failed())?,
        };
        if from > 0 {
            file.seek(SeekFrom::Start(from)).map_err(failed())?;
        }
        Ok(Box::new(file))
    }
}
