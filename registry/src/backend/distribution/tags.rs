//! The tags of a repository: a directory each. Lists are kept while the directory above them does not change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Inner, paths};
use crate::backend::BackendError;
use crate::backend::tree::Stamp;
use crate::names::{Name, Tag};

/// Lists that are kept.
const LISTS: usize = 256;

/// The lists of tags that were asked for lately.
#[derive(Default)]
pub(super) struct TagLists(Mutex<HashMap<Name, List>>);

/// A list, and what it depends on.
type List = (Stamp, Arc<[Tag]>);

impl TagLists {
    fn get(&self, repository: &Name, stamp: Stamp) -> Option<Arc<[Tag]>> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, list) = lists.get(repository)?;
        (known.is_some() && *known == stamp).then(|| Arc::clone(list))
    }

    fn put(&self, repository: &Name, stamp: Stamp, list: &Arc<[Tag]>) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= LISTS {
            lists.clear();
        }
        lists.insert(repository.clone(), (stamp, Arc::clone(list)));
    }
}

impl Inner {
    pub(super) fn list_tags(&self, repository: &Name) -> Result<Option<Arc<[Tag]>>, BackendError> {
        let path = paths::tags(repository);
        let failed = |error| self.failed("list", &path, error);
        let Some(stamp) = self.tree.stamp(&path).map_err(failed)? else {
            let is_there = self.exists(&paths::manifests(repository))? || self.exists(&paths::layers(repository))?;
            return Ok(is_there.then(|| Arc::from([])));
        };
        if let Some(list) = self.tags.get(repository, stamp) {
            return Ok(Some(list));
        }
        let entries = self.tree.list(&path).map_err(failed)?.unwrap_or_default();
        let mut tags = Vec::with_capacity(entries.len());
        let mut is_complete = true;
        for entry in entries.iter().filter(|entry| entry.is_directory) {
            let Ok(tag) = entry.name.parse::<Tag>() else { continue };
            match self.link(&paths::current(repository, &tag))? {
                Some(_) => tags.push(tag),
                // Being written: the directory above will not change any more when it is there.
                None => is_complete = false,
            }
        }
        let tags: Arc<[Tag]> = tags.into();
        if is_complete && stamp.is_some() {
            self.tags.put(repository, stamp, &tags);
        }
        Ok(Some(tags))
    }
}
