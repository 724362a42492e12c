//! The directory `registry/` of the Go sealos: docker-distribution's file-system layout.
//!
//! ```text
//! docker/registry/v2/blobs/sha256/ab/abcd…/data                        layers, configurations, manifests
//!                    repositories/NAME/_layers/sha256/…/link           configurations and layers of NAME
//!                    repositories/NAME/_manifests/revisions/sha256/…/link
//!                    repositories/NAME/_manifests/tags/TAG/current/link, index/sha256/…/link
//! ```
//!
//! NAME has no registry's host, as the Go sealos and its image shim have it: `quay.io/a/b` is `a/b`. Where two images
//! would be one, that of docker.io has the name, then the first by name; the other one has its host in front. A tag
//! points at the manifest for one platform; the upstream index is there by its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use content::tar::{Entry, EntryKind};
use content::{ContentError, Disk, ImageLock, LockedImage, Source, fetch_document};
use oci::{DEFAULT_REGISTRY, Descriptor, Digest, Manifest, Reference};

const TOP: &str = "docker/registry/v2";

/// What a file of the directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// A digest.
    Link(Digest),
    /// A blob of the store.
    Blob(Box<Descriptor>),
}

/// The directory for the images of a lock.
pub struct RegistryDirectory<'a> {
    store: &'a Disk,
    files: BTreeMap<String, Content>,
    collisions: Vec<String>,
    failure: Option<ContentError>,
}

impl<'a> RegistryDirectory<'a> {
    /// The images of a lock for some platforms; an image that has none of them is not in it.
    pub fn new(store: &'a Disk, lock: &ImageLock, platforms: &[String]) -> Self {
        let mut directory = Self { store, files: BTreeMap::new(), collisions: Vec::new(), failure: None };
        if let Err(error) = directory.fill(lock, platforms) {
            directory.failure = Some(error);
        }
        directory
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.failure.is_none()
    }

    /// What the user should know about names that two images would have.
    pub fn collisions(&self) -> &[String] {
        &self.collisions
    }

    /// The paths of its files, and what tells their contents apart.
    pub fn files(&self) -> impl Iterator<Item = (&str, String)> {
        self.files.iter().map(|(path, content)| {
            let digest = match content {
                Content::Link(digest) => digest,
                Content::Blob(blob) => &blob.digest,
            };
            (path.as_str(), digest.to_string())
        })
    }

    /// The tags that it has: repositories and tags.
    pub fn tags(&self) -> BTreeSet<(String, String)> {
        let one = |path: &String| {
            let (repository, rest) =
                path.strip_prefix(TOP)?.strip_prefix("/repositories/")?.split_once("/_manifests/tags/")?;
            Some((repository.to_owned(), rest.strip_suffix("/current/link")?.to_owned()))
        };
        self.files.keys().filter_map(one).collect()
    }

    /// Writes it into a directory, beside what is there: blobs that are there already are left alone, and a tag is
    /// pointed at its image after everything else is there. Blobs are linked to the store's where that is possible.
    ///
    /// # Errors
    /// When the store cannot be read or the directory cannot be written.
    pub fn write(self, into: &Path) -> Result<(), ContentError> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let is_tag = |path: &str| path.ends_with("/current/link");
        let (last, first): (Vec<_>, Vec<_>) = self.files.iter().partition(|(path, _)| is_tag(path));
        for (path, content) in first.into_iter().chain(last) {
            let path = into.join(path);
            let doing = || ContentError::io(format!("write {}", path.display()));
            let parent = path.parent().unwrap_or(into);
            fs::create_dir_all(parent).map_err(doing())?;
            match content {
                Content::Blob(blob) if fs::metadata(&path).is_ok_and(|found| found.len() == blob.size) => {}
                Content::Blob(blob) => self.place_blob(blob, &path, parent)?,
                Content::Link(digest) => {
                    let text = digest.to_string();
                    if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
                        continue;
                    }
                    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent).map_err(doing())?;
                    file.write_all(text.as_bytes()).map_err(doing())?;
                    readable(file.as_file()).map_err(doing())?;
                    file.persist(&path).map_err(|error| doing()(error.error))?;
                }
            }
        }
        Ok(())
    }

    fn place_blob(&self, blob: &Descriptor, path: &Path, parent: &Path) -> Result<(), ContentError> {
        let doing = || ContentError::io(format!("write {}", path.display()));
        // What is there has another size: a copy that was interrupted.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(doing()(error)),
            _ => {}
        }
        if fs::hard_link(self.store.blob_path(&blob.digest), path).is_ok() {
            return Ok(());
        }
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent).map_err(doing())?;
        let mut reader = self.store.fetch(blob, 0)?;
        let copied = io::copy(&mut reader, file.as_file_mut()).map_err(doing())?;
        if copied != blob.size {
            let place = Source::place(self.store);
            return Err(ContentError::SizeMismatch { place, digest: blob.digest, expected: blob.size, actual: copied });
        }
        readable(file.as_file()).and_then(|()| file.as_file().sync_data()).map_err(doing())?;
        file.persist(path).map_err(|error| doing()(error.error))?;
        Ok(())
    }

    /// Hands out its files and directories below `top`, parents first, sorted.
    ///
    /// # Errors
    /// When the store cannot be read, or the visitor's.
    pub fn visit<E: From<ContentError>>(
        &self,
        top: &str,
        mtime: i64,
        visitor: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(ContentError::MissingBlob { place, digest }) = &self.failure {
            return Err(ContentError::MissingBlob { place: place.clone(), digest: *digest }.into());
        }
        let mut made: BTreeSet<String> = BTreeSet::new();
        for (path, content) in &self.files {
            let path = format!("{top}/{path}");
            let ends = path.match_indices('/').map(|(at, _)| &path[..at]);
            for directory in ends.filter(|directory| !directory.is_empty()) {
                if made.insert(directory.to_owned()) {
                    visitor(&entry(directory, EntryKind::Directory, 0o755, mtime), &mut io::empty())?;
                }
            }
            match content {
                Content::Link(digest) => {
                    let text = digest.to_string();
                    let kind = EntryKind::File { size: text.len() as u64 };
                    visitor(&entry(&path, kind, 0o644, mtime), &mut text.as_bytes())?;
                }
                Content::Blob(blob) => {
                    let mut bytes = self.store.fetch(blob, 0)?;
                    visitor(&entry(&path, EntryKind::File { size: blob.size }, 0o644, mtime), &mut bytes)?;
                }
            }
        }
        Ok(())
    }

    fn fill(&mut self, lock: &ImageLock, platforms: &[String]) -> Result<(), ContentError> {
        let mut named: Vec<(Reference, &LockedImage)> = Vec::new();
        for image in &lock.images {
            // Names of a lock were read as names.
            if let Ok(name) = image.normalised.parse::<Reference>() {
                named.push((name, image));
            }
        }
        named.sort_by_key(|(name, _)| (name.registry() != DEFAULT_REGISTRY, name.normal()));
        let mut taken: BTreeMap<(String, String), (Digest, String)> = BTreeMap::new();
        for (name, image) in named {
            let wanted = image.manifests().filter(|(own, _)| platforms.iter().any(|platform| platform == own));
            let mut manifests: Vec<Descriptor> = wanted.map(|(_, manifest)| manifest).collect();
            manifests.dedup_by_key(|manifest| manifest.digest);
            // With several, the tag stands for the index that leads to them.
            let tagged = match &manifests[..] {
                [] => continue,
                [one] => one.digest,
                _ => image.digest,
            };
            // A repository without tags is passed over by whoever copies by tag.
            let tag = name.tag_or_default().map_or_else(|| image.digest.to_string().replace(':', "-"), str::to_owned);
            let short = (name.repository().to_owned(), tag.clone());
            let mut repository = name.repository().to_owned();
            match taken.get(&short) {
                Some((other, owner)) if *other != tagged => {
                    self.collisions.push(format!(
                        "`{}` and `{}` have one name in `registry/`, which knows no hosts: `{}:{tag}` is the first; the other one is `{}/{}:{tag}`",
                        owner, name, short.0, name.registry(), name.repository()
                    ));
                    repository = format!("{}/{}", name.registry(), name.repository());
                }
                Some(_) => {}
                None => drop(taken.insert(short, (tagged, name.to_string()))),
            }
            self.image(&repository, &tag, tagged, (&manifests, image))?;
        }
        Ok(())
    }

    fn image(
        &mut self,
        repository: &str,
        tag: &str,
        tagged: Digest,
        (carried, image): (&[Descriptor], &LockedImage),
    ) -> Result<(), ContentError> {
        let manifests = format!("repositories/{repository}/_manifests");
        for manifest in carried {
            let bytes = fetch_document(self.store, manifest)?;
            let parsed = Manifest::parse(&manifest.media_type, bytes).map_err(|error| ContentError::Document {
                place: Source::place(self.store),
                digest: manifest.digest,
                source: error.into(),
            })?;
            self.blob(manifest.clone());
            for child in parsed.successors() {
                self.link(&format!("repositories/{repository}/_layers/{}/link", path_of(&child.digest)), child.digest);
                self.blob(child);
            }
            self.link(&format!("{manifests}/revisions/{}/link", path_of(&manifest.digest)), manifest.digest);
        }
        self.link(&format!("{manifests}/tags/{tag}/index/{}/link", path_of(&tagged)), tagged);
        self.link(&format!("{manifests}/tags/{tag}/current/link"), tagged);
        if image.media_type.is_index() {
            self.link(&format!("{manifests}/revisions/{}/link", path_of(&image.digest)), image.digest);
            self.blob(image.descriptor());
        }
        Ok(())
    }

    fn blob(&mut self, what: Descriptor) {
        let hex = what.digest.hex();
        let path = format!("{TOP}/blobs/{}/{}/{hex}/data", what.digest.algorithm().name(), &hex[..2]);
        self.files.insert(path, Content::Blob(Box::new(what)));
    }

    fn link(&mut self, path: &str, digest: Digest) {
        self.files.insert(format!("{TOP}/{path}"), Content::Link(digest));
    }
}

/// Registries run as other users.
fn readable(file: &fs::File) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

fn path_of(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm().name(), digest.hex())
}

fn entry(path: &str, kind: EntryKind, mode: u32, mtime: i64) -> Entry {
    Entry { path: path.as_bytes().to_vec(), kind, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
}
