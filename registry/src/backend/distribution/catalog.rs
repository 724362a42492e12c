//! The list of repositories. A directory is read again only when it has changed; whether it has is asked every time.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::paths;
use crate::backend::tree::{Stamp, Tree};
use crate::names::Name;

/// What is known of the directories of repositories.
#[derive(Default)]
pub(super) struct Catalog(Mutex<State>);

#[derive(Default)]
struct State {
    root: Node,
    list: Option<Arc<[Name]>>,
}

#[derive(Default)]
struct Node {
    stamp: Stamp,
    /// Whether it is a repository, not only above one: `registry:2` looks for `_layers`, `registry:3` for `_manifests`.
    is_repository: bool,
    children: BTreeMap<String, Node>,
}

impl Catalog {
    /// The repositories in bytewise order.
    pub(super) fn list(&self, tree: &dyn Tree) -> io::Result<Arc<[Name]>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = state.root.refresh(tree, paths::REPOSITORIES)?;
        match &state.list {
            Some(list) if !changed => Ok(Arc::clone(list)),
            _ => {
                let mut names = Vec::new();
                state.root.collect(&mut String::new(), &mut names);
                names.sort();
                let list: Arc<[Name]> = names.into();
                state.list = Some(Arc::clone(&list));
                Ok(list)
            }
        }
    }
}

impl Node {
    /// Reads what has changed. Returns whether anything has.
    fn refresh(&mut self, tree: &dyn Tree, path: &str) -> io::Result<bool> {
        let Some(stamp) = tree.stamp(path)? else {
            let was_there = self.is_repository || !self.children.is_empty();
            *self = Self::default();
            return Ok(was_there);
        };
        let mut changed = false;
        if stamp.is_none() || stamp != self.stamp {
            let entries = tree.list(path)?.unwrap_or_default();
            let is_repository = entries.iter().any(|entry| matches!(&*entry.name, "_layers" | "_manifests"));
            let mut old = std::mem::take(&mut self.children);
            for entry in entries {
                if entry.is_directory && entry.name.parse::<Name>().is_ok() {
                    let known = old.remove(&entry.name);
                    changed |= known.is_none();
                    self.children.insert(entry.name, known.unwrap_or_default());
                }
            }
            changed |= !old.is_empty() || is_repository != self.is_repository;
            self.is_repository = is_repository;
            self.stamp = stamp;
        }
        for (name, child) in &mut self.children {
            changed |= child.refresh(tree, &format!("{path}/{name}"))?;
        }
        Ok(changed)
    }

    fn collect(&self, path: &mut String, names: &mut Vec<Name>) {
        if self.is_repository {
            names.extend(path.parse::<Name>());
        }
        for (name, child) in &self.children {
            let length = path.len();
            if length > 0 {
                path.push('/');
            }
            path.push_str(name);
            child.collect(path, names);
            path.truncate(length);
        }
    }
}
