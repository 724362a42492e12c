//! Sources of ADD whose files are not known until they are unpacked or fetched: archives and URLs. What they are known
//! by (facts, digest) suffices to find their layer again.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use content::Scratch;
use content::packing::Packing;
use content::tar::EntryKind;
use oci::{Algorithm, Digest, Hasher};
use registry_client::redacted;

use super::archive::{self, Spooling};
use super::copy::{CONTEXT_MODE, Copier, CopyOrder, Unpack};
use super::destination::{Target, land, land_file};
use super::error::BuildError;
use super::fingerprint::Fingerprint;
use super::item::{Content, Item};
use super::placement;
use super::sources::Pick;
use super::walk::{Base, Facts, Moment, split};
use super::world::World;
use crate::rootfs::Tree;

/// Mode of files that come from a URL.
const URL_MODE: u32 = 0o600;

/// A part of an open file: first byte and length.
pub(crate) type Kept = (Arc<File>, u64, u64);

/// Something whose files are not known yet.
pub(crate) enum Promise {
    /// An archive below the context.
    Archive { base: Arc<Base>, path: Vec<u8>, facts: Facts, packing: Packing },
    /// A file from a URL, with its content if it was fetched already.
    Download { url: String, digest: Digest, content: Option<Kept> },
}

impl Promise {
    /// Puts into the keys what it is known by.
    pub(crate) fn describe(&self, shape: &mut Fingerprint, fingerprint: &mut Fingerprint, newest: &mut Option<Moment>) {
        match self {
            Self::Archive { path, facts, .. } => {
                shape.text("archive").bytes(path).number(facts.size);
                fingerprint.facts(facts);
                *newest = (*newest).max(Some(facts.changed.max(facts.modified)));
            }
            Self::Download { url, digest, .. } => {
                shape.text("download").text(url).text(&digest.to_string());
            }
        }
    }
}

impl Copier<'_, '_> {
    /// A download; with a checksum it can wait until nobody has the layer.
    pub(super) fn download(
        &self,
        url: &str,
        checksum: Option<Digest>,
        spool: &mut Lazy<'_, '_>,
    ) -> Result<Promise, BuildError> {
        let (digest, content) = match checksum {
            Some(digest) => (digest, None),
            None => {
                let (digest, content) = self.fetch(url, Algorithm::Sha256, spool)?;
                (digest, Some(content))
            }
        };
        Ok(Promise::Download { url: url.to_owned(), digest, content })
    }

    fn fetch(&self, url: &str, algorithm: Algorithm, spool: &mut Lazy<'_, '_>) -> Result<(Digest, Kept), BuildError> {
        let fetched = self.world.fetch.fetch(url);
        let fetched = fetched.map_err(|source| BuildError::Fetch { url: redacted(url), source })?;
        let mut hasher = Hasher::new(algorithm);
        let taken = spool.get()?.take_all(fetched.body, &mut |bytes| hasher.update(bytes));
        let content = taken.map_err(|source| BuildError::FetchBody { url: redacted(url), source })?;
        Ok((hasher.finish(), content))
    }

    /// The files that were promised.
    pub(super) fn keep(
        &self,
        promise: Promise,
        order: &CopyOrder<'_>,
        tree: &Tree<'_>,
        spool: &mut Lazy<'_, '_>,
    ) -> Result<Vec<Item>, BuildError> {
        match promise {
            Promise::Archive { base, path, packing, facts } => {
                let name = base.name(&path);
                let file = open(&base, &path)?;
                let items = archive::read(file.try_clone().map_err(read_error(&name))?, packing, &name, spool.get()?)?;
                match Facts::of_open(&file).map_err(read_error(&name))? == facts {
                    true => below(items, order, tree),
                    false => Err(BuildError::SourceChanged { path: name }),
                }
            }
            Promise::Download { url, digest, content } => {
                let content = match content {
                    Some(content) => content,
                    None => {
                        let (actual, content) = self.fetch(&url, digest.algorithm(), spool)?;
                        if actual != digest {
                            return Err(BuildError::Checksum { url: redacted(&url), expected: digest, actual });
                        }
                        content
                    }
                };
                downloaded(&url, content, order, tree, spool)
            }
        }
    }
}

/// The files of an archive, below the destination.
fn below(items: Vec<Item>, order: &CopyOrder<'_>, tree: &Tree<'_>) -> Result<Vec<Item>, BuildError> {
    let has_root = items.iter().any(|item| item.entry.path.is_empty());
    let to = land(tree, &order.target)?;
    let mut items = items;
    if !has_root {
        items.insert(0, Item::directory(Vec::new(), CONTEXT_MODE, (0, 0), 0));
    }
    // As a directory that is copied, so that links of the image are followed in the same way.
    items.sort_by(|a, b| super::item::order(&a.entry.path, &b.entry.path));
    let target = Target { path: to.path, ..order.target.clone() };
    let pick = Pick { root: Vec::new(), name: Vec::new(), parents: Vec::new(), is_directory: true, files: items };
    placement::place(vec![pick], &target, tree, &mut |item| Ok(Some(item)))
}

fn downloaded(
    url: &str,
    (file, offset, size): Kept,
    order: &CopyOrder<'_>,
    tree: &Tree<'_>,
    spool: &mut Lazy<'_, '_>,
) -> Result<Vec<Item>, BuildError> {
    if order.unpack == Unpack::All {
        let name = PathBuf::from(url);
        let directory = spool.directory()?;
        let mut copy = tempfile::tempfile_in(directory).map_err(read_error(&name))?;
        let mut part = super::pack::Slice::new(&file, offset, size);
        io::copy(&mut part, &mut copy).map_err(read_error(&name))?;
        if let Some(packing) = archive::recognise(&copy, &name)? {
            return below(archive::read(copy, packing, &name, spool.get()?)?, order, tree);
        }
    }
    let name = url.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let landing = land_file(tree, &order.target, name.as_bytes())?;
    if landing.path.is_empty() || name.is_empty() && order.target.is_directory {
        return Err(BuildError::NamelessUrl { url: url.to_owned() });
    }
    let mut item = Item::directory(landing.path, URL_MODE, (0, 0), 0);
    item.entry.kind = EntryKind::File { size };
    item.content = Content::Slice { file, offset };
    Ok(vec![item])
}

/// A spool that is made when it is needed.
pub(crate) struct Lazy<'a, 'w> {
    pub(crate) world: &'a World<'w>,
    pub(crate) held: Option<(Scratch, Spooling)>,
}

impl Lazy<'_, '_> {
    fn hold(&mut self) -> Result<&mut (Scratch, Spooling), BuildError> {
        let held = match self.held.take() {
            Some(held) => held,
            None => {
                let scratch = self.world.store.scratch("spool")?;
                let spooling = Spooling::new(scratch.path()).map_err(read_error(scratch.path()))?;
                (scratch, spooling)
            }
        };
        Ok(self.held.insert(held))
    }

    fn get(&mut self) -> Result<&mut Spooling, BuildError> {
        Ok(&mut self.hold()?.1)
    }

    fn directory(&mut self) -> Result<PathBuf, BuildError> {
        Ok(self.hold()?.0.path().to_owned())
    }
}

/// Opens a file of a context that may be an archive.
pub(crate) fn open(base: &Base, path: &[u8]) -> Result<File, BuildError> {
    let (parent, name) = split(path);
    let opened = base.directory(parent).and_then(|directory| {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?))
    });
    opened.map_err(|source| BuildError::Source { doing: "open", path: base.name(path), source })
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Source { doing: "read", path, source }
}
