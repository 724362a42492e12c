//! Images that lie in a layout, a content store or an archive, served where they lie: nothing is unpacked.
//!
//! ```text
//! index.json (or manifest.json) ─▶ names ─▶ repositories and tags
//! a repository's roots ─▶ everything under them ─▶ what can be asked for in that repository
//! ```
//!
//! The images that a cluster image carries are repositories as well, under the names of its image lock. An image without
//! a name is found in a repository called like the file or directory. A layout is looked at again when its `index.json`
//! changes; an archive is the file that was opened, whatever happens to its name.

mod place;
mod view;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use oci::{Descriptor, Digest};

use super::{Backend, BackendError, Blob, Stored, Writer};
use crate::names::{Name, Tag, Which};
use place::{Place, Stamp};
use view::View;

/// Images that are only read.
pub struct Images {
    place: Place,
    view: Mutex<Option<(Stamp, Arc<View>)>>,
}

impl Images {
    /// Opens a layout, a content store, an oci-archive or a docker-archive.
    ///
    /// # Errors
    /// When it is none of these, or is damaged, or is compressed as a whole.
    pub fn open(path: &Path) -> Result<Self, BackendError> {
        let images = Self { place: Place::open(path)?, view: Mutex::default() };
        images.view()?;
        Ok(images)
    }

    fn view(&self) -> Result<Arc<View>, BackendError> {
        let stamp = self.place.stamp()?;
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        match &*view {
            Some((known, view)) if *known == stamp => Ok(Arc::clone(view)),
            _ => {
                let fresh = Arc::new(View::of(&self.place)?);
                *view = Some((stamp, Arc::clone(&fresh)));
                Ok(fresh)
            }
        }
    }
}

impl Backend for Images {
    fn place(&self) -> String {
        self.place.name()
    }

    fn manifest(&self, repository: &Name, which: &Which) -> Result<Option<Stored>, BackendError> {
        let view = self.view()?;
        let Some(repository) = view.repository(repository) else { return Ok(None) };
        let digest = match which {
            Which::Digest(digest) => *digest,
            Which::Tag(tag) => match repository.tag(tag) {
                Some(digest) => digest,
                None => return Ok(None),
            },
        };
        let members = repository.members(&self.place)?;
        let Some(media_type) = members.manifest(&digest) else { return Ok(None) };
        let bytes = self.place.document(&digest)?;
        Ok(bytes.map(|bytes| Stored { digest, media_type, bytes: bytes.into(), origin: None }))
    }

    fn blob(&self, repository: &Name, digest: &Digest) -> Result<Option<Blob<'_>>, BackendError> {
        let view = self.view()?;
        let Some(repository) = view.repository(repository) else { return Ok(None) };
        if !repository.members(&self.place)?.has(digest) {
            return Ok(None);
        }
        let Some(size) = self.place.size(digest)? else { return Ok(None) };
        let digest = *digest;
        let open = Box::new(move |range| self.place.open_blob(&digest, range));
        Ok(Some(Blob { size, origin: None, open, elsewhere: Box::new(|| None) }))
    }

    fn tags(&self, repository: &Name) -> Result<Option<Arc<[Tag]>>, BackendError> {
        Ok(self.view()?.repository(repository).map(|repository| repository.tags()))
    }

    fn repositories(&self) -> Result<Arc<[Name]>, BackendError> {
        Ok(self.view()?.names())
    }

    fn referrers(&self, repository: &Name, subject: &Digest) -> Result<Arc<[Descriptor]>, BackendError> {
        let view = self.view()?;
        let Some(repository) = view.repository(repository) else { return Ok(Arc::from([])) };
        Ok(repository.members(&self.place)?.referrers(subject))
    }

    fn writer(&self) -> Option<&dyn Writer> {
        None
    }
}
