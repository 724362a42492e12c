//! From chosen sources to the items of a layer: names in the image, owners, modes, times, and the directories that have
//! to be made on the way.

use std::collections::HashSet;

use content::tar::EntryKind;

use super::destination::{Places, Target, join, land, land_file, resolve};
use super::error::BuildError;
use super::item::{Item, arrange};
use super::shown::shown;
use super::sources::Pick;
use super::walk::split;

/// Mode of directories that nobody described.
const DIRECTORY_MODE: u32 = 0o755;

/// What all files of an instruction get.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// Owner and group; none keeps the source's.
    pub(crate) owner: Option<(u64, u64)>,
    /// How modes change.
    pub(crate) mode: Option<super::mode::ModeChange>,
    /// Modification time, seconds since 1970.
    pub(crate) mtime: i64,
}

impl Stamp {
    fn apply(&self, item: &mut Item) {
        let entry = &mut item.entry;
        if let Some((uid, gid)) = self.owner {
            (entry.uid, entry.gid) = (uid, gid);
        }
        if let Some(mode) = self.mode.as_ref().filter(|_| !matches!(entry.kind, EntryKind::Symlink { .. })) {
            entry.mode = mode.apply(entry.mode, entry.kind == EntryKind::Directory);
        }
        entry.mtime = self.mtime;
    }
}

/// Puts sources at their places.
///
/// # Errors
/// When they cannot go there.
pub(crate) fn place<F>(
    picks: Vec<Pick<F>>,
    target: &Target,
    places: &dyn Places,
    to_item: &mut dyn FnMut(F) -> Result<Option<Item>, BuildError>,
) -> Result<Vec<Item>, BuildError> {
    if picks.len() > 1 && !target.is_directory {
        let destination = target.written.clone();
        return Err(BuildError::DestinationNotDirectory { count: picks.len(), destination });
    }
    let mut items = Vec::new();
    for pick in picks {
        let keeps_parents = !pick.parents.is_empty();
        let to = match pick.is_directory || keeps_parents {
            true => {
                let below = join(&land(places, target)?.path, &pick.parents);
                let path = join(&below, if pick.is_directory { b"" } else { &pick.name });
                land(places, &Target { path: split_if_file(&path, pick.is_directory), ..target.clone() })?;
                path
            }
            false => land_file(places, target, &pick.name)?.path,
        };
        move_all(pick, &to, places, to_item, &mut items)?;
    }
    Ok(items)
}

fn split_if_file(path: &[u8], is_directory: bool) -> Vec<u8> {
    if is_directory { path.to_vec() } else { split(path).0.to_vec() }
}

/// Puts what is below `pick.root` below `to`.
fn move_all<F>(
    pick: Pick<F>,
    to: &[u8],
    places: &dyn Places,
    to_item: &mut dyn FnMut(F) -> Result<Option<Item>, BuildError>,
    items: &mut Vec<Item>,
) -> Result<(), BuildError> {
    // Where the directories that we are in went, innermost last.
    let mut way: Vec<(Vec<u8>, Vec<u8>)> = vec![(pick.root.clone(), to.to_vec())];
    for file in pick.files {
        let Some(mut item) = to_item(file)? else { continue };
        let source = std::mem::take(&mut item.entry.path);
        let is_directory = item.entry.kind == EntryKind::Directory;
        if source == pick.root {
            item.entry.path = to.to_vec();
            // A directory that is there keeps what the image says about it.
            if !is_directory || !to.is_empty() && places.at(to)?.is_none() {
                items.push(item);
            }
            continue;
        }
        if split(&source).1.starts_with(b".wh.") {
            return Err(BuildError::ReservedName { path: shown(&source).into() });
        }
        while way.len() > 1 && !is_below(&source, &way[way.len() - 1].0) {
            way.pop();
        }
        let (from, to) = &way[way.len() - 1];
        let below = if from.is_empty() { &source[..] } else { &source[from.len() + 1..] };
        let mut path = join(to, below);
        if is_directory {
            let is_link = matches!(places.at(&path)?, Some(EntryKind::Symlink { .. }));
            let real = if is_link { Some(resolve(places, &path)?) } else { None };
            if let Some((real, Some(EntryKind::Directory))) = real {
                // `lib -> usr/lib` of the image stays: what is copied goes where the link leads.
                way.push((source, real));
                continue;
            }
            way.push((source, path.clone()));
        }
        std::mem::swap(&mut item.entry.path, &mut path);
        items.push(item);
    }
    Ok(())
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

/// Brings the items of an instruction into their final form: owners, modes and times; the directories above them that
/// neither they nor the image have; the order of a layer.
///
/// # Errors
/// When the image cannot be looked into.
pub(crate) fn finish(mut items: Vec<Item>, stamp: &Stamp, places: &dyn Places) -> Result<Vec<Item>, BuildError> {
    for item in &mut items {
        stamp.apply(item);
    }
    let mut known: HashSet<Vec<u8>> = HashSet::new();
    for item in &items {
        if item.entry.kind == EntryKind::Directory {
            known.insert(item.entry.path.clone());
        }
    }
    let mut missing: Vec<Vec<u8>> = Vec::new();
    let mut last: &[u8] = b"";
    for item in &items {
        let mut parent = split(&item.entry.path).0;
        if parent == last {
            continue;
        }
        last = parent;
        while !parent.is_empty() && known.insert(parent.to_vec()) {
            if places.at(parent)?.is_none() {
                missing.push(parent.to_vec());
            }
            parent = split(parent).0;
        }
    }
    let owner = stamp.owner.unwrap_or((0, 0));
    items.extend(missing.into_iter().map(|path| Item::directory(path, DIRECTORY_MODE, owner, stamp.mtime)));
    Ok(arrange(items))
}
