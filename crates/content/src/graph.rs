//! Everything that roots need: their documents (manifests and indexes) and the blobs that those name.
//!
//! What an index lists is read as a document if its media type says so; what an image manifest lists is a blob whatever
//! its media type says (a cluster image carries upstream indexes in that way).

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use oci::{Descriptor, Digest, Manifest};

use crate::{ContentError, Event, Observer, Source, Sparse, fetch_document, parallel};

/// Nodes of a graph. A cluster of hundreds of images has a few thousand.
const MAX_NODES: usize = 100_000;
/// Indexes in indexes.
const MAX_DEPTH: usize = 16;
/// Bytes of documents that are kept from reading them until they are stored.
const KEEP: usize = 64 << 20;

/// A document of the graph.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) what: Descriptor,
    /// Whether nobody knows if the sink has it.
    pub(crate) is_unasked: bool,
    /// Its bytes, verified; none when there are so many documents that they are better read again.
    bytes: Option<Vec<u8>>,
    children: Vec<Digest>,
}

impl Document {
    /// The document's bytes, verified.
    pub(crate) fn bytes(&self, source: &dyn Source) -> Result<Vec<u8>, ContentError> {
        match &self.bytes {
            Some(bytes) => Ok(bytes.clone()),
            None => fetch_document(source, &self.what),
        }
    }
}

/// What roots need. Each blob and document is there once.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// In waves: what a document needs is in an earlier one.
    pub(crate) waves: Vec<Vec<Document>>,
    pub(crate) blobs: Vec<Descriptor>,
    /// Documents that are there, with everything under them.
    pub(crate) whole: Vec<Descriptor>,
}

impl Graph {
    pub(crate) fn documents(&self) -> impl Iterator<Item = &Document> {
        self.waves.iter().flatten()
    }

    pub(crate) fn count(&self) -> u64 {
        (self.documents().count() + self.blobs.len() + self.whole.len()) as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        let blobs = self.blobs.iter().chain(&self.whole).map(|blob| blob.size);
        blobs.chain(self.documents().map(|document| document.what.size)).fold(0, u64::saturating_add)
    }
}

/// Reads the documents that the roots lead to, level by level.
pub(crate) fn walk(
    source: &dyn Source,
    roots: &[Descriptor],
    sparse: Sparse,
    jobs: usize,
    observer: &dyn Observer,
) -> Result<Graph, ContentError> {
    walk_missing(source, &|_| Ok(None), roots, sparse, jobs, observer)
}

/// Whether a place has a document with everything under it, as [`crate::Sink::has_whole`] says it.
pub(crate) type IsWhole<'a> = &'a (dyn Fn(&Descriptor) -> Result<Option<bool>, ContentError> + Sync);

/// The same without what a place has as a whole, which is not even read.
pub(crate) fn walk_missing(
    source: &dyn Source,
    is_whole: IsWhole<'_>,
    roots: &[Descriptor],
    sparse: Sparse,
    jobs: usize,
    observer: &dyn Observer,
) -> Result<Graph, ContentError> {
    let mut seen =
        Seen { source, sizes: HashMap::new(), documents: HashSet::new(), blobs: HashSet::new(), first: None };
    let mut graph = Graph::default();
    let mut documents = Vec::new();
    let mut level = Vec::new();
    seen.first = roots.first().map(|root| root.digest);
    for root in roots {
        seen.sort(root.clone(), Parent::Index, &mut level, &mut graph.blobs)?;
    }
    let is_root: HashSet<Digest> = roots.iter().map(|root| root.digest).collect();
    let mut kept = 0;
    let mut depth = 0;
    while !level.is_empty() {
        depth += 1;
        if depth > MAX_DEPTH {
            return Err(seen.too_large("indexes inside each other", MAX_DEPTH));
        }
        let (read, whole) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        parallel::for_each(jobs, &level, |what, _| {
            let is_whole = is_whole(what)?;
            if is_whole == Some(true) {
                whole.lock().unwrap_or_else(PoisonError::into_inner).push(what.clone());
                return Ok(());
            }
            let bytes = match fetch_document(source, what) {
                Err(ContentError::MissingBlob { digest, .. })
                    if sparse == Sparse::Allow && digest == what.digest && !is_root.contains(&digest) =>
                {
                    let text = format!("{} lacks the manifest {digest}, which an index lists", source.place());
                    observer.event(&Event::Warning(text));
                    return Ok(());
                }
                bytes => bytes?,
            };
            let parsed = Manifest::parse(&what.media_type, bytes).map_err(|error| ContentError::Document {
                place: source.place(),
                digest: what.digest,
                source: error.into(),
            })?;
            read.lock().unwrap_or_else(PoisonError::into_inner).push((what.clone(), is_whole.is_none(), parsed));
            Ok(())
        })?;
        graph.whole.extend(whole.into_inner().unwrap_or_else(PoisonError::into_inner));
        let mut read = read.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Threads finish in any order; what is made of the graph should not depend on it.
        read.sort_by_key(|(what, ..)| what.digest);
        level = Vec::new();
        for (what, is_unasked, manifest) in read {
            let parent = if matches!(manifest, Manifest::Index(_)) { Parent::Index } else { Parent::Image };
            let successors = manifest.successors();
            let children = successors.iter().map(|child| child.digest).collect();
            for child in successors {
                seen.sort(child, parent, &mut level, &mut graph.blobs)?;
            }
            kept += manifest.bytes().len();
            let bytes = (kept <= KEEP).then(|| manifest.bytes().to_vec());
            documents.push(Document {
                what,
                is_unasked,
                bytes,
                children: if parent == Parent::Index { children } else { Vec::new() },
            });
        }
    }
    graph.blobs.sort_by_key(|blob| blob.digest);
    graph.waves = waves(documents);
    Ok(graph)
}

/// What lists a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    Index,
    Image,
}

struct Seen<'a> {
    source: &'a dyn Source,
    sizes: HashMap<Digest, u64>,
    documents: HashSet<Digest>,
    blobs: HashSet<Digest>,
    first: Option<Digest>,
}

impl Seen<'_> {
    /// Puts a descriptor where it belongs, if it is new.
    fn sort(
        &mut self,
        what: Descriptor,
        parent: Parent,
        documents: &mut Vec<Descriptor>,
        blobs: &mut Vec<Descriptor>,
    ) -> Result<(), ContentError> {
        let size = *self.sizes.entry(what.digest).or_insert(what.size);
        if size != what.size {
            let (place, digest) = (self.source.place(), what.digest);
            return Err(ContentError::SizeMismatch { place, digest, expected: size, actual: what.size });
        }
        if parent == Parent::Index && what.media_type.is_manifest() {
            if self.documents.insert(what.digest) {
                documents.push(what);
            }
        } else if self.blobs.insert(what.digest) {
            blobs.push(what);
        }
        match self.documents.len() + self.blobs.len() > MAX_NODES {
            true => Err(self.too_large("blobs", MAX_NODES)),
            false => Ok(()),
        }
    }

    fn too_large(&self, what: &'static str, limit: usize) -> ContentError {
        let root = self.first.unwrap_or_else(|| Digest::of(b""));
        ContentError::GraphTooLarge { place: self.source.place(), root, what, limit }
    }
}

/// Sorts documents so that children come before parents. Verified documents cannot form a circle: each would have to
/// hold the hash of a text that holds its own hash.
fn waves(documents: Vec<Document>) -> Vec<Vec<Document>> {
    let mut left = documents;
    let mut waves = Vec::new();
    while !left.is_empty() {
        let waiting: HashSet<Digest> = left.iter().map(|document| document.what.digest).collect();
        let (later, now): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|document| document.children.iter().any(|child| waiting.contains(child)));
        if now.is_empty() {
            waves.push(later);
            break;
        }
        waves.push(now);
        left = later;
    }
    waves
}
