//! A registry: what is served, to whom, and who is told of it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::backend::Backend;
use crate::counters::Counters;
use crate::gate::{Access, Open};
use crate::options::ServeOptions;
use crate::protocol::{Aliases, Sessions};
use crate::record::{Log, NoLog};
use crate::route::Route;

/// Everything that a server needs besides its listeners.
pub struct Registry {
    /// What is served.
    pub backend: Arc<dyn Backend>,
    /// Who may do what.
    pub access: Arc<dyn Access>,
    /// What is served beside `/v2/`, in the order in which they are asked.
    pub routes: Vec<Arc<dyn Route>>,
    /// Who is told of answered requests.
    pub log: Arc<dyn Log>,
    /// The figures.
    pub counters: Arc<Counters>,
    /// How it serves.
    pub options: ServeOptions,
    pub(crate) sessions: Sessions,
    pub(crate) aliases: Aliases,
    /// Requests that carry blobs, right now.
    pub(crate) uploading: AtomicUsize,
}

impl Registry {
    /// A registry that is open to everybody and tells nobody.
    pub fn new(backend: Arc<dyn Backend>, options: ServeOptions) -> Self {
        Self {
            backend,
            access: Arc::new(Open),
            routes: Vec::new(),
            log: Arc::new(NoLog),
            counters: Arc::default(),
            options,
            sessions: Sessions::default(),
            aliases: Aliases::default(),
            uploading: AtomicUsize::new(0),
        }
    }

    /// What has to be done now and then.
    pub(crate) fn tidy(&self) {
        let open = self.sessions.expire(self.options.upload_expiry);
        self.counters.uploads.set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}
