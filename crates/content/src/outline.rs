//! What a copy would move, without moving it.

use oci::Descriptor;

use crate::graph;
use crate::parallel;
use crate::{ContentError, ForeignLayers, Observer, Sink, Source, Sparse, copy};

/// Everything that roots need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Manifests and indexes, children before parents.
    pub documents: Vec<Descriptor>,
    /// Configurations, layers and other blobs, sorted by digest.
    pub blobs: Vec<Descriptor>,
}

impl Outline {
    /// Reads the documents that the roots lead to.
    ///
    /// # Errors
    /// When a document is missing or damaged.
    pub fn of(source: &dyn Source, roots: &[Descriptor], observer: &dyn Observer) -> Result<Self, ContentError> {
        let graph = graph::walk(source, roots, Sparse::Refuse, copy::JOBS, observer)?;
        let documents = graph.documents().map(|document| document.what.clone()).collect();
        Ok(Self { documents, blobs: graph.blobs })
    }

    /// The part that a sink does not have and that a copy would send it.
    ///
    /// # Errors
    /// When the sink cannot be asked.
    pub fn missing(&self, sink: &dyn Sink, foreign: ForeignLayers) -> Result<Self, ContentError> {
        let leaves = foreign == ForeignLayers::Leave && sink.storage().repository.is_some();
        let absent = |all: &[Descriptor]| -> Result<Vec<Descriptor>, ContentError> {
            let found = std::sync::Mutex::new(std::collections::HashSet::new());
            parallel::for_each(copy::JOBS, all, |what, _| {
                let is_left = leaves && what.is_elsewhere();
                if !is_left && !sink.has(what)? {
                    found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(what.digest);
                }
                Ok(())
            })?;
            let found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            Ok(all.iter().filter(|what| found.contains(&what.digest)).cloned().collect())
        };
        Ok(Self { documents: absent(&self.documents)?, blobs: absent(&self.blobs)? })
    }

    /// How many documents and blobs there are.
    pub fn count(&self) -> u64 {
        (self.documents.len() + self.blobs.len()) as u64
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.documents.iter().chain(&self.blobs).map(|what| what.size).fold(0, u64::saturating_add)
    }
}
