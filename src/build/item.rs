//! The files that an instruction puts into an image, and where their contents are.
//!
//! Contents stay where they are until they are packed: in the context, in a stage's spool, or in memory for what the
//! Kubefile itself says.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use content::tar::{Entry, EntryKind};

use super::from_image::Spooled;
use super::run::HeldChanges;
use super::walk::{Base, Facts};

/// Where the content of a file is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Nowhere: a directory, a link.
    Nothing,
    /// In a file below a base. What its facts were is compared when it is packed.
    Beneath {
        /// What it is opened beneath.
        base: Arc<Base>,
        /// Its path there.
        path: Vec<u8>,
        /// What was known when it was found.
        facts: Facts,
    },
    /// In memory: a heredoc.
    Bytes(Arc<[u8]>),
    /// In an image, at this path: it is spooled before it is packed.
    InImage(Vec<u8>),
    /// Copied out of an image.
    Spooled {
        /// All that was copied.
        spooled: Arc<Spooled>,
        /// The path in the image.
        path: Vec<u8>,
    },
    /// Among the changes of a command.
    Changed {
        /// All its changes.
        held: Arc<HeldChanges>,
        /// The entry that they know the file by.
        entry: Box<Entry>,
    },
    /// A part of an open file: an archive or a spool.
    Slice {
        /// The open file.
        file: Arc<File>,
        /// First byte.
        offset: u64,
    },
}

/// What all names of one file have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// Device and inode.
    Inode(u64, u64),
    /// The open file (by its address, as it stays open) and the place in it.
    Slice(usize, u64),
    /// A layer of an image and the path in it.
    InLayer(usize, Vec<u8>),
}

/// A file that an instruction puts into an image.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// What it becomes.
    pub(crate) entry: Entry,
    /// Its content.
    pub(crate) content: Content,
    /// Equal for all names of one file; none for what surely has one name only.
    pub(crate) identity: Option<Identity>,
}

impl Item {
    /// A directory of root's.
    pub(crate) fn directory(path: Vec<u8>, mode: u32, owner: (u64, u64), mtime: i64) -> Self {
        let entry = Entry {
            path,
            kind: EntryKind::Directory,
            mode,
            uid: owner.0,
            gid: owner.1,
            mtime,
            xattrs: std::collections::BTreeMap::new(),
        };
        Self { entry, content: Content::Nothing, identity: None }
    }
}

/// The order of entries in a layer: parents first, and every directory's files together.
pub(crate) fn order(a: &[u8], b: &[u8]) -> Ordering {
    match a.iter().zip(b).position(|(a, b)| a != b) {
        None => a.len().cmp(&b.len()),
        Some(at) => {
            let key = |byte: u8| if byte == b'/' { 0 } else { byte };
            key(a[at]).cmp(&key(b[at]))
        }
    }
}

/// Brings items into the order of a layer; of several for one path the last one counts, and of several names of one
/// file all but the first become hard links.
pub(crate) fn arrange(mut items: Vec<Item>) -> Vec<Item> {
    // A walk is in this order already; the sort is stable: among equals the last one was said last.
    items.sort_by(|a, b| order(&a.entry.path, &b.entry.path));
    items.dedup_by(|later, kept| {
        let is_same = later.entry.path == kept.entry.path;
        if is_same {
            std::mem::swap(later, kept);
        }
        is_same
    });
    let mut first_names: HashMap<Identity, Vec<u8>> = HashMap::new();
    for item in &mut items {
        let Some(identity) = item.identity.take() else { continue };
        match first_names.get(&identity) {
            Some(first) => {
                item.entry.kind = EntryKind::HardLink { target: first.clone() };
                item.content = Content::Nothing;
            }
            None => {
                first_names.insert(identity, item.entry.path.clone());
            }
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(path: &str, mode: u32) -> Item {
        Item::directory(path.as_bytes().to_vec(), mode, (0, 0), 0)
    }

    #[test]
    fn the_last_word_about_a_path_counts() {
        let arranged = arrange(vec![item("a.b", 1), item("a", 2), item("a/b", 3), item("a", 4), item("a.b", 5)]);
        let got: Vec<_> = arranged.iter().map(|item| (item.entry.path.clone(), item.entry.mode)).collect();
        assert_eq!(got, [(b"a".to_vec(), 4), (b"a/b".to_vec(), 3), (b"a.b".to_vec(), 5)]);
    }

    proptest! {
        #[test]
        fn parents_come_before_their_children(mut paths in proptest::collection::vec("[a-c./]{1,6}", 1..20)) {
            paths.sort_by(|a, b| order(a.as_bytes(), b.as_bytes()));
            for (at, path) in paths.iter().enumerate() {
                let child = format!("{path}/");
                let early = paths[..at].iter().find(|other| other.starts_with(&child));
                prop_assert!(early.is_none(), "{early:?} before {path}");
            }
        }
    }
}
