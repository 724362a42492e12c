//! Layers converted on the way to where they are going.
//!
//! ```text
//! layer ── known from an earlier time, and there? ──▶ nothing to do
//!       └─ convert ──▶ the target itself, or a scratch layout ──▶ the target
//! ```
//!
//! Of each layer, what it became is remembered in the store beside it, so that pushing the next version of an image
//! compresses new layers only. A converted layer lies on this disk no longer than until it is sent.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use content::convert::{Conversion, ConversionPlan, Converted, PendingLayer, convert_layer};
use content::{ContentError, CopyOptions, Disk, Event, Layout, Observer, Silent, Sink, Source, copy};
use oci::Descriptor;
use serde::{Deserialize, Serialize};

/// Layers that are converted at once; each uses all processors where it is large.
const AT_ONCE: usize = 2;

/// Where converted layers go.
#[derive(Clone, Copy)]
pub(crate) enum Stage<'a> {
    /// Into the target, which takes blobs whose digest is not known yet.
    Into(&'a dyn Sink),
    /// Into a scratch layout, from there to the target, and away.
    Through { scratch: &'a Layout, blobs: &'a std::path::Path, target: &'a dyn Sink, options: &'a CopyOptions },
    /// Into a scratch layout, where they stay.
    Keep(&'a Layout),
}

/// Converts an image: its layers are where [`Stage`] says; its documents are returned.
///
/// # Errors
/// The first error of a layer.
pub(crate) fn recompress(
    source: &dyn Source,
    root: &Descriptor,
    conversion: &Conversion,
    stage: Stage<'_>,
    memory: Option<&Disk>,
    observer: &dyn Observer,
) -> Result<Converted, ContentError> {
    let plan = ConversionPlan::new(source, root, conversion, observer)?;
    let layers = plan.layers();
    let bytes = layers.iter().map(|pending| pending.layer.size).sum();
    observer.event(&Event::Planned { blobs: layers.len() as u64, bytes });
    let work = Work { source, stage, memory: memory.map(Memory::of), observer };
    let (next, done) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        let worker = || {
            while let Some(pending) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
                match work.layer(pending) {
                    Ok(now) => lock(&done).insert(pending.layer.digest, now),
                    Err(error) => {
                        next.store(layers.len(), Ordering::Relaxed);
                        lock(&failed).get_or_insert(error);
                        break;
                    }
                };
            }
        };
        for _ in 1..AT_ONCE.min(layers.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => plan.finish(&lock(&done)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Work<'a> {
    source: &'a dyn Source,
    stage: Stage<'a>,
    memory: Option<Memory>,
    observer: &'a dyn Observer,
}

impl Work<'_> {
    fn layer(&self, pending: &PendingLayer) -> Result<Descriptor, ContentError> {
        let known = self.memory.as_ref().and_then(|memory| memory.recall(pending));
        let target = match self.stage {
            Stage::Into(target) | Stage::Through { target, .. } => Some(target),
            Stage::Keep(_) => None,
        };
        if let (Some(known), Some(target)) = (known, target)
            && target.has(&known)?
        {
            self.observer.event(&Event::Skipped(pending.layer.clone()));
            return Ok(known);
        }
        let place: &dyn Sink = match self.stage {
            Stage::Into(target) => target,
            Stage::Through { scratch, .. } | Stage::Keep(scratch) => scratch,
        };
        let now = convert_layer(self.source, pending, place, self.observer)?;
        if let Some(memory) = &self.memory {
            memory.keep(pending, &now);
        }
        if now.digest == pending.layer.digest {
            return Ok(now);
        }
        if let Stage::Through { scratch, blobs, target, options } = self.stage {
            // What was read is what the user is told about.
            copy(scratch, target, std::slice::from_ref(&now), options, &Silent)?;
            let path = blobs.join(now.digest.algorithm().name()).join(now.digest.hex());
            fs::remove_file(&path).map_err(ContentError::io(format!("remove {}", path.display())))?;
        }
        Ok(now)
    }
}

/// What layers became, in the store's cache: records are removed when the layers are.
struct Memory {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    layer: Descriptor,
    converted: Descriptor,
}

impl Memory {
    fn of(store: &Disk) -> Self {
        Self { directory: store.cache_dir().join("converted") }
    }

    fn path(&self, pending: &PendingLayer) -> PathBuf {
        let level = pending.options.level.map_or_else(|| "default".to_owned(), |level| level.to_string());
        let name = format!("{}-{}-{level}.json", pending.layer.digest.hex(), pending.options.compression);
        self.directory.join(name)
    }

    fn recall(&self, pending: &PendingLayer) -> Option<Descriptor> {
        let record: Record = serde_json::from_slice(&fs::read(self.path(pending)).ok()?).ok()?;
        (record.layer.digest == pending.layer.digest).then_some(record.converted)
    }

    /// Keeps what a layer became. If that fails, it is converted again the next time.
    fn keep(&self, pending: &PendingLayer, now: &Descriptor) {
        let record = Record {
            layer: Descriptor { annotations: Default::default(), ..pending.layer.clone() },
            converted: now.clone(),
        };
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&self.directory)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
            serde_json::to_writer(&mut file, &record)?;
            file.persist(self.path(pending))?;
            Ok(())
        };
        write().unwrap_or_default();
    }
}
