//! COPY and ADD from a directory: what they put into an image, and the key that finds their layer again.
//!
//! ```text
//! sources ─ select ─▶ picks ─ place ─▶ items ──────────────▶ key ─▶ found? ─▶ layer
//!   archive, URL ─▶ promises (known by facts or digest) ────┘        └ no: keep the promises, pack
//! ```

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use content::tar::EntryKind;
use oci::Digest;
use rustix::fs::FileType;

use super::archive;
use super::destination::{Target, land_file};
use super::error::BuildError;
use super::event::BuildEvent;
use super::files::Files;
use super::fingerprint::Fingerprint;
use super::item::{Content, Identity, Item};
use super::layer::{Key, Layers, Made, is_settled};
use super::placement::{self, Stamp};
use super::promise::{Lazy, Promise, open};
use super::request::is_url;
use super::sources::{Judge, Pick, Wanted, select};
use super::walk::{Base, Found, Moment};
use super::world::World;
use crate::kubefile::Source;
use crate::rootfs::Tree;

/// Mode of files that the Kubefile itself holds.
const HEREDOC_MODE: u32 = 0o644;
/// Mode of the context's own directory: its real one says something about the machine only.
pub(crate) const CONTEXT_MODE: u32 = 0o755;

/// What becomes of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unpack {
    /// They are copied as they are.
    Nothing,
    /// Local ones are unpacked.
    Local,
    /// Those from URLs too.
    All,
}

/// A COPY or ADD whose variables are expanded.
pub(crate) struct CopyOrder<'k> {
    /// What is copied.
    pub(crate) sources: &'k [Source],
    /// Where to.
    pub(crate) target: Target,
    /// What all files get.
    pub(crate) stamp: Stamp,
    /// What `--exclude` leaves out.
    pub(crate) exclude: &'k Judge<'k>,
    /// The same, as written.
    pub(crate) exclude_patterns: &'k [String],
    /// `--parents`.
    pub(crate) keeps_parents: bool,
    /// What becomes of archives.
    pub(crate) unpack: Unpack,
    /// Whether sources may be URLs: ADD.
    pub(crate) takes_urls: bool,
    /// `--checksum`.
    pub(crate) checksum: Option<Digest>,
}

/// A directory that files are copied from.
pub(crate) struct Origin<'a> {
    /// The directory.
    pub(crate) base: &'a Arc<Base>,
    /// What of it is there.
    pub(crate) judge: &'a Judge<'a>,
}

/// Makes (or finds) the layer of an order.
pub(crate) struct Copier<'a, 'w> {
    pub(crate) world: &'a World<'w>,
    pub(crate) layers: &'a Layers<'w>,
}

/// A step's layer and, where they are known, its files.
pub(crate) struct Copied {
    /// The layer.
    pub(crate) made: Made,
    /// Its files; none if they are not known.
    pub(crate) items: Option<Vec<Item>>,
}

impl Copier<'_, '_> {
    /// Copies from a directory into the files of a stage.
    ///
    /// # Errors
    /// When a source is not there, cannot be read, or cannot go where it should.
    pub(crate) fn copy(
        &self,
        order: &CopyOrder<'_>,
        origin: &Origin<'_>,
        files: &mut Files<'_>,
    ) -> Result<Copied, BuildError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let mut spool = Lazy { world: self.world, held: None };
        if order.sources.len() > 1 && !order.target.is_directory {
            let destination = order.target.written.clone();
            return Err(BuildError::DestinationNotDirectory { count: order.sources.len(), destination });
        }
        let diff_ids: Vec<String> = files.layers().iter().map(|layer| layer.diff_id.to_string()).collect();
        let tree = files.tree()?;
        let (mut items, mut promises) = (Vec::new(), Vec::new());
        for source in order.sources {
            self.gather(source, order, origin, tree, (&mut items, &mut promises), &mut spool)?;
        }
        // What is promised may bring directories of its own: with it, the final form comes later.
        let unfinished = if promises.is_empty() { Vec::new() } else { items.clone() };
        let items = placement::finish(items, &order.stamp, tree)?;
        let (mut shape, mut fingerprint) =
            (self.layers.key("copy", order.stamp.mtime), self.layers.key("facts", order.stamp.mtime));
        let mut newest: Option<Moment> = None;
        describe(&items, &mut shape, &mut fingerprint, &mut newest);
        if !promises.is_empty() {
            shape.text(&order.target.written).bytes(&order.target.path).list(&diff_ids);
            shape.text(&format!("{:?}", order.stamp));
            for promise in &promises {
                promise.describe(&mut shape, &mut fingerprint, &mut newest);
            }
        }
        let key = Key { shape: shape.finish(), fingerprint: fingerprint.finish(), settled: is_settled(newest, now) };
        if let Some(made) = self.layers.find(&key)? {
            let items = if promises.is_empty() { Some(items) } else { None };
            return Ok(Copied { made, items });
        }
        let items = match promises.is_empty() {
            true => items,
            false => {
                let mut items = unfinished;
                for promise in promises {
                    items.extend(self.keep(promise, order, tree, &mut spool)?);
                }
                placement::finish(items, &order.stamp, tree)?
            }
        };
        Ok(Copied { made: self.layers.make(&key, &items)?, items: Some(items) })
    }

    fn gather(
        &self,
        source: &Source,
        order: &CopyOrder<'_>,
        origin: &Origin<'_>,
        tree: &Tree<'_>,
        (items, promises): (&mut Vec<Item>, &mut Vec<Promise>),
        spool: &mut Lazy<'_, '_>,
    ) -> Result<(), BuildError> {
        let path = match source {
            Source::Inline { name, content, .. } => {
                let landing = land_file(tree, &order.target, name.as_bytes())?;
                let kind = EntryKind::File { size: content.len() as u64 };
                let mut item = Item::directory(landing.path, HEREDOC_MODE, (0, 0), order.stamp.mtime);
                item.entry.kind = kind;
                item.content = Content::Bytes(content.as_bytes().into());
                items.push(item);
                return Ok(());
            }
            Source::Path(path) => path,
        };
        if order.takes_urls && is_url(path) {
            promises.push(self.download(path, order.checksum, spool)?);
            return Ok(());
        }
        if order.takes_urls && is_git(path) {
            let what = format!("ADD from the repository `{path}`");
            return Err(BuildError::Unsupported { what, instead: Some("clone it into the context first") });
        }
        let wanted = Wanted { judge: origin.judge, exclude: order.exclude, keeps_parents: order.keeps_parents };
        let picks = select(&**origin.base, path, &wanted)?;
        let (mut plain, count) = (Vec::new(), picks.len());
        for pick in picks {
            match self.as_archive(&pick, order, origin.base)? {
                Some(promise) => promises.push(promise),
                None => plain.push(pick),
            }
        }
        if count > 1 && !order.target.is_directory {
            let destination = order.target.written.clone();
            return Err(BuildError::DestinationNotDirectory { count, destination });
        }
        let mut to_item = |found: Found| Ok(self.to_item(origin.base, found));
        items.extend(placement::place(plain, &order.target, tree, &mut to_item)?);
        Ok(())
    }

    fn to_item(&self, base: &Arc<Base>, found: Found) -> Option<Item> {
        let Found { path, facts, target } = found;
        let (major, minor) = facts.device;
        let kind = match facts.kind {
            FileType::RegularFile => EntryKind::File { size: facts.size },
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink { target },
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
            FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
            _ => {
                let text = format!("`{}` was left out: it is a socket", base.name(&path).display());
                self.world.observer.event(&BuildEvent::Warning(text));
                return None;
            }
        };
        let has_content = matches!(kind, EntryKind::File { .. } | EntryKind::Directory);
        let is_shared = matches!(kind, EntryKind::File { .. }) && facts.links > 1;
        let mode = if path.is_empty() { CONTEXT_MODE } else { facts.mode };
        let mut item = Item::directory(path.clone(), mode, (0, 0), 0);
        item.entry.kind = kind;
        if has_content {
            item.content = Content::Beneath { base: Arc::clone(base), path, facts };
        }
        item.identity = is_shared.then_some(Identity::Inode(facts.inode.0, facts.inode.1));
        Some(item)
    }

    fn as_archive(
        &self,
        pick: &Pick<Found>,
        order: &CopyOrder<'_>,
        base: &Arc<Base>,
    ) -> Result<Option<Promise>, BuildError> {
        let file = pick.files.first().filter(|file| file.facts.kind == FileType::RegularFile);
        let Some(file) = file.filter(|_| order.unpack != Unpack::Nothing && !pick.is_directory) else {
            return Ok(None);
        };
        let opened = open(base, &file.path)?;
        let packing = archive::recognise(&opened, &base.name(&file.path))?;
        Ok(packing.map(|packing| Promise::Archive {
            base: Arc::clone(base),
            path: file.path.clone(),
            facts: file.facts,
            packing,
        }))
    }
}

/// Puts into the keys what decides about the bytes of items.
pub(crate) fn describe(
    items: &[Item],
    shape: &mut Fingerprint,
    fingerprint: &mut Fingerprint,
    newest: &mut Option<Moment>,
) {
    for item in items {
        shape.entry(&item.entry);
        match &item.content {
            Content::Beneath { facts, .. } => {
                fingerprint.facts(facts);
                *newest = (*newest).max(Some(facts.changed.max(facts.modified)));
            }
            Content::Bytes(bytes) => {
                shape.bytes(bytes);
            }
            Content::Nothing
            | Content::InImage(_)
            | Content::Slice { .. }
            | Content::Spooled { .. }
            | Content::Changed { .. } => {}
        }
    }
    shape.number(items.len() as u64);
}

fn is_git(text: &str) -> bool {
    text.starts_with("git@") || text.starts_with("git://") || text.starts_with("ssh://")
}
