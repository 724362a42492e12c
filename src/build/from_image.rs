//! `COPY --from`: files of a stage or an image. Their contents are read out of its layers, in one pass over each layer
//! that has any; owners, modes and attributes are those that the layers say.

use std::path::Path;
use std::sync::Arc;

use content::Scratch;
use content::tar::EntryKind;

use super::copy::{Copied, Copier, CopyOrder};
use super::destination::{Places, resolve};
use super::error::BuildError;
use super::files::Files;
use super::item::{Content, Identity, Item};
use super::layer::Key;
use super::placement;
use super::sources::{ImageGround, Wanted, select};
use super::walk::{Verdict, split};
use crate::kubefile::Source;
use crate::rootfs::{Node, Spool};

/// Contents that were copied out of layers, and the directory that they are in.
#[derive(Debug)]
pub(crate) struct Spooled {
    /// The contents, by their paths in the image.
    pub(crate) spool: Spool,
    _scratch: Scratch,
}

/// What is copied from.
pub(crate) struct ImageOrigin<'a, 'w> {
    /// Its files.
    pub(crate) files: &'a mut Files<'w>,
    /// How it is called in messages.
    pub(crate) name: String,
}

impl Copier<'_, '_> {
    /// Copies from an image into the files of a stage.
    ///
    /// # Errors
    /// When a source is not there, or cannot go where it should.
    pub(crate) fn copy_from_image(
        &self,
        order: &CopyOrder<'_>,
        origin: ImageOrigin<'_, '_>,
        files: &mut Files<'_>,
    ) -> Result<Copied, BuildError> {
        let key = self.image_key(order, &origin, files)?;
        if let Some(made) = self.layers.find(&key)? {
            return Ok(Copied { made, items: None });
        }
        let ground = ImageGround { tree: origin.files.tree()?, name: origin.name };
        let tree = files.tree()?;
        let everything = |_: &[u8], _: bool| Verdict::Take;
        let wanted = Wanted { judge: &everything, exclude: order.exclude, keeps_parents: order.keeps_parents };
        let mut items = Vec::new();
        for source in order.sources {
            let Source::Path(pattern) = source else {
                let what = "a heredoc together with `--from`".to_owned();
                return Err(BuildError::Unsupported { what, instead: Some("copy it in an instruction of its own") });
            };
            let picks = select(&ground, pattern, &wanted)?;
            if picks.len() + order.sources.len() > 2 && !order.target.is_directory {
                let (count, destination) = (picks.len().max(order.sources.len()), order.target.written.clone());
                return Err(BuildError::DestinationNotDirectory { count, destination });
            }
            items.extend(placement::place(picks, &order.target, tree, &mut |node| Ok(Some(to_item(node))))?);
        }
        self.fill(&mut items, &ground)?;
        let items = placement::finish(items, &order.stamp, tree)?;
        Ok(Copied { made: self.layers.make(&key, &items)?, items: Some(items) })
    }

    /// Brings the contents of the items, whose paths in the image stand in for them so far, to disk.
    fn fill(&self, items: &mut [Item], ground: &ImageGround<'_, '_>) -> Result<(), BuildError> {
        let wanted: Vec<Vec<u8>> = items
            .iter()
            .filter_map(|item| if let Content::InImage(path) = &item.content { Some(path.clone()) } else { None })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let scratch = self.world.store.scratch("copy-from")?;
        let paths: Vec<&[u8]> = wanted.iter().map(Vec::as_slice).collect();
        let spool = ground.tree.spool(&paths, Path::new(scratch.path()))?;
        let spooled = Arc::new(Spooled { spool, _scratch: scratch });
        for item in items {
            if let Content::InImage(path) = &mut item.content {
                item.content = Content::Spooled { spooled: Arc::clone(&spooled), path: std::mem::take(path) };
            }
        }
        Ok(())
    }

    fn image_key(
        &self,
        order: &CopyOrder<'_>,
        origin: &ImageOrigin<'_, '_>,
        files: &mut Files<'_>,
    ) -> Result<Key, BuildError> {
        let mut key = self.layers.key("copy-from", order.stamp.mtime);
        key.list(origin.files.layers().iter().map(|layer| layer.diff_id.to_string()));
        key.list(order.sources.iter().map(|source| format!("{source:?}")));
        key.text(&order.target.written).bytes(&order.target.path);
        key.text(&format!("{:?} {} {:?}", order.stamp, order.keeps_parents, order.exclude_patterns));
        // Where it goes depends on the links and directories that are there.
        files.fingerprint_links(&mut key)?;
        let tree = files.tree()?;
        let (mut path, kind) = resolve(tree, &order.target.path)?;
        key.bytes(&path).number(u64::from(kind == Some(EntryKind::Directory)));
        while !path.is_empty() && tree.at(&path)?.is_none() {
            path = split(&path).0.to_vec();
        }
        key.bytes(&path);
        if order.keeps_parents {
            key.list(files.layers().iter().map(|layer| layer.diff_id.to_string()));
        }
        Ok(Key::of(key))
    }
}

fn to_item(node: Node) -> Item {
    let is_file = matches!(node.entry.kind, EntryKind::File { .. });
    let (layer, inside) = node.identity();
    let identity = is_file.then(|| Identity::InLayer(layer, inside.to_vec()));
    let content = if is_file { Content::InImage(node.entry.path.clone()) } else { Content::Nothing };
    Item { entry: node.entry, content, identity }
}
