//! The threads that work through the queue.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use oci::{Descriptor, Digest, Reference};

use super::queue::{Failure, Queue, Task};
use super::rate::Rate;
use super::transfer::{End, Transfers};
use super::{Copied, CopyJob, CopyOptions, ForeignLayers};
use crate::graph::{self, Document, Graph};
use crate::{ContentError, Event, Observer};

/// Threads beside those that move blobs: questions wait for answers most of the time.
const ASKING: usize = 10;

/// All that the threads share.
struct Work<'a> {
    jobs: &'a [CopyJob<'a>],
    options: &'a CopyOptions,
    transfers: Transfers<'a>,
    state: Mutex<State>,
    /// A task has become ready, or all are done.
    changed: Condvar,
}

struct State {
    queue: Queue,
    threads: usize,
    idle: usize,
    /// Roots of jobs that got their names when they were stored.
    named: HashSet<(usize, Digest)>,
}

/// What a blob or document was found to be.
enum Found {
    /// It is there, or was mounted.
    There,
    Missing,
}

pub(super) fn run(
    jobs: &[CopyJob<'_>],
    options: &CopyOptions,
    observer: &dyn Observer,
) -> Vec<Result<Copied, Failure>> {
    let storages = jobs.iter().map(|job| job.to.storage()).collect();
    let queue = Queue::new(storages, options.jobs);
    let work = Work {
        jobs,
        options,
        transfers: Transfers::new(observer, options.limit_rate.map(Rate::new), options.retries, &options.stop),
        state: Mutex::new(State { queue, threads: 1, idle: 0, named: HashSet::new() }),
        changed: Condvar::new(),
    };
    // This thread works too.
    thread::scope(|scope| work.serve(scope));
    let state = work.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.queue.into_results()
}

impl<'a> Work<'a> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does tasks until there are none.
    fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.queue.next() {
                self.hire(&mut state, scope);
                drop(state);
                let done = catch_unwind(AssertUnwindSafe(|| self.perform(&task)));
                state = self.lock();
                state.queue.ended(&task);
                if self.options.stop.load(Ordering::Relaxed) {
                    self.fail_all(&mut state, ContentError::Stopped);
                }
                match done {
                    Ok(settle) => settle(&mut state.queue),
                    Err(panic) => {
                        // The others must not wait for this one for ever.
                        self.give_up(&mut state);
                        self.changed.notify_all();
                        drop(state);
                        resume_unwind(panic);
                    }
                }
                self.changed.notify_all();
            } else if state.queue.is_done() {
                self.changed.notify_all();
                return;
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    /// Gets one more thread if there is more to do than there are threads for it. Without one it takes longer.
    fn hire<'scope>(&'scope self, state: &mut State, scope: &'scope Scope<'scope, '_>) {
        let most = self.options.jobs.max(1) + ASKING;
        if state.idle == 0 && state.threads < most && state.queue.ready() > 0 {
            let spawned = thread::Builder::new().name("copy".to_owned()).spawn_scoped(scope, || self.serve(scope));
            state.threads += usize::from(spawned.is_ok());
        }
    }

    fn give_up(&self, state: &mut State) {
        self.fail_all(state, ContentError::Unsupported { place: "a thread that copies".to_owned(), verb: "go on" });
    }

    fn fail_all(&self, state: &mut State, error: ContentError) {
        let failure = Arc::new(error);
        (0..self.jobs.len()).for_each(|job| state.queue.fail(job, &failure));
    }

    /// Does a task; what it leads to is settled under the lock.
    fn perform(&self, task: &Task) -> Box<dyn FnOnce(&mut Queue) + Send> {
        match *task {
            Task::Walk(job) => match self.walk(job) {
                Ok(graph) => Box::new(move |queue| queue.walked(job, graph)),
                Err(error) => fails(job, error),
            },
            Task::Check(blob) => self.check(blob),
            Task::Move(blob) => self.transfer(blob),
            Task::Publish(job, ref document) => match self.publish(job, document) {
                Ok(moved) => Box::new(move |queue| queue.published(job, moved)),
                Err(error) => fails(job, error),
            },
            Task::Finish(job) => match self.finish(job) {
                Ok(()) => Box::new(|_| {}),
                Err(error) => fails(job, error),
            },
        }
    }

    fn observer(&self) -> &'a dyn Observer {
        self.transfers.observer
    }

    /// What a job needs that its sink has not as a whole.
    fn walk(&self, job: usize) -> Result<Graph, ContentError> {
        let CopyJob { from, to, roots, .. } = &self.jobs[job];
        // One job has all the threads for its documents; many have each other's.
        let threads = (ASKING / self.jobs.len()).max(1);
        let is_whole = |what: &Descriptor| to.has_whole(what);
        let graph = graph::walk_missing(*from, &is_whole, roots, self.options.sparse, threads, self.observer())?;
        self.observer().event(&Event::Planned { blobs: graph.count(), bytes: graph.bytes() });
        for what in &graph.whole {
            self.observer().event(&Event::Skipped(what.clone()));
        }
        Ok(graph)
    }

    fn check(&self, at: usize) -> Box<dyn FnOnce(&mut Queue) + Send> {
        let (what, job, mounts) = {
            let state = self.lock();
            let blob = state.queue.blob(at);
            (blob.what.clone(), blob.jobs.first().copied(), blob.mounts.clone())
        };
        let Some(job) = job else { return Box::new(move |queue| queue.stopped(at)) };
        match self.find(&what, &self.jobs[job], &mounts) {
            Ok(Found::There) => {
                self.observer().event(&Event::Skipped(what));
                Box::new(move |queue| queue.stored(at, None))
            }
            Ok(Found::Missing) => Box::new(move |queue| queue.missing(at)),
            Err(error) => fails_blob(at, error),
        }
    }

    fn find(&self, what: &Descriptor, job: &CopyJob<'_>, mounts: &[Reference]) -> Result<Found, ContentError> {
        // What this copy has just stored in another repository is surely there; asking first would be in vain.
        for repository in mounts {
            if job.to.mount_from(what, repository)? {
                return Ok(Found::There);
            }
        }
        if job.to.has(what)? {
            return Ok(Found::There);
        }
        for repository in &self.options.mounts {
            if job.to.mount_from(what, repository)? {
                return Ok(Found::There);
            }
        }
        if what.is_elsewhere() && self.stays_elsewhere(what, job)? {
            return Ok(Found::There);
        }
        Ok(Found::Missing)
    }

    /// Whether a layer that may not be distributed is left out, which is said: whoever runs the image gets it from its
    /// URLs.
    fn stays_elsewhere(&self, what: &Descriptor, job: &CopyJob<'_>) -> Result<bool, ContentError> {
        let is_registry = job.to.storage().repository.is_some();
        if !is_registry || self.options.foreign == ForeignLayers::Send {
            match job.from.fetch(what, 0) {
                Err(ContentError::MissingBlob { .. }) => {
                    self.observer().event(&Event::Warning(left_out(what)));
                    return Ok(true);
                }
                reader => drop(reader?),
            }
            return Ok(false);
        }
        let text = format!("{}; `--allow-nondistributable-artifacts` sends it all the same", left_out(what));
        self.observer().event(&Event::Warning(text));
        Ok(true)
    }

    fn transfer(&self, at: usize) -> Box<dyn FnOnce(&mut Queue) + Send> {
        let (what, jobs, stop) = {
            let state = self.lock();
            let blob = state.queue.blob(at);
            (blob.what.clone(), blob.jobs.clone(), Arc::clone(&blob.stop))
        };
        self.observer().event(&Event::Started(what.clone()));
        let mut total = 0;
        let mut first: Option<ContentError> = None;
        for job in jobs {
            let CopyJob { from, to, .. } = &self.jobs[job];
            let (result, moved) = self.transfers.blob(&what, *from, *to, &stop);
            total += moved;
            match result {
                Ok(End::Stored) => {
                    self.observer().event(&Event::Finished(what));
                    return Box::new(move |queue| queue.stored(at, Some(total)));
                }
                Ok(End::Stopped) => {
                    let error = "stopped, since nothing needs it any more".to_owned();
                    self.observer().event(&Event::Failed { what, error });
                    return Box::new(move |queue| queue.stopped(at));
                }
                // Another job's source may have it. What the sink refused it refuses again.
                Err(error) => {
                    let is_sources = is_of(&error, &from.place()) && from.place() != to.place();
                    first.get_or_insert(error);
                    if !is_sources {
                        break;
                    }
                }
            }
        }
        let error = first.unwrap_or(ContentError::MissingBlob { place: "no source".to_owned(), digest: what.digest });
        self.observer().event(&Event::Failed { what, error: error.to_string() });
        fails_blob(at, error)
    }

    /// Stores a document of a job; how many bytes moved, none if it was there.
    fn publish(&self, job: usize, document: &Document) -> Result<Option<u64>, ContentError> {
        let CopyJob { from, to, names, .. } = &self.jobs[job];
        let what = &document.what;
        if document.is_unasked && to.has(what)? {
            self.observer().event(&Event::Skipped(what.clone()));
            return Ok(None);
        }
        self.observer().event(&Event::Started(what.clone()));
        let mine: Vec<Reference> =
            names.iter().filter(|(_, root)| root.digest == what.digest).map(|(name, _)| name.clone()).collect();
        let store = || {
            let bytes = document.bytes(*from)?;
            to.publish_as(what, &bytes, &mine)?;
            Ok(bytes.len() as u64)
        };
        match store() {
            Ok(bytes) => {
                self.lock().named.insert((job, what.digest));
                self.observer().event(&Event::Progress { what: what.clone(), bytes });
                self.observer().event(&Event::Finished(what.clone()));
                Ok(Some(bytes))
            }
            Err(error) => {
                let text = ContentError::to_string(&error);
                self.observer().event(&Event::Failed { what: what.clone(), error: text });
                Err(error)
            }
        }
    }

    /// Gives names that are not given yet.
    fn finish(&self, job: usize) -> Result<(), ContentError> {
        let CopyJob { to, names, .. } = &self.jobs[job];
        names.iter().try_for_each(|(name, root)| {
            let is_given = self.lock().named.contains(&(job, root.digest));
            if is_given || to.is_tagged(name, root)? { Ok(()) } else { to.tag(name, root) }
        })
    }
}

/// What is said of a layer that may not be distributed.
pub(crate) fn left_out(what: &Descriptor) -> String {
    let digest = what.digest;
    format!("the layer {digest} may not be distributed and is left out: it is to be had from {}", what.urls.join(", "))
}

/// Whether an error tells of a place.
fn is_of(error: &ContentError, place: &str) -> bool {
    error.to_string().contains(place)
}

fn fails(job: usize, error: ContentError) -> Box<dyn FnOnce(&mut Queue) + Send> {
    Box::new(move |queue| queue.fail(job, &Arc::new(error)))
}

fn fails_blob(blob: usize, error: ContentError) -> Box<dyn FnOnce(&mut Queue) + Send> {
    Box::new(move |queue| queue.failed(blob, &Arc::new(error)))
}
