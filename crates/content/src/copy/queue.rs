//! What is to be done next: a pure table of jobs and blobs, without threads or bytes.
//!
//! ```text
//! Walk(job) ─▶ Check(blob) ─▶ Move(blob) ─▶ … all of the job's blobs ─▶ Document(wave 0) ─▶ Document(wave 1) ─▶ Finish(job)
//! ```
//!
//! Small tasks (questions, documents) go before blobs and do not count among those that move at once. Among blobs the
//! huge ones go first, so that none is left for the end; then those of the first jobs, the larger first.
//!
//! Long because one state machine is read in one piece.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oci::{Descriptor, Digest, Reference};

use super::Copied;
use crate::graph::{Document, Graph};
use crate::{ContentError, Storage};

/// A blob of this size and more begins before all others.
const HUGE: u64 = 256 << 20;
/// A blob below it is a small task: its requests take longer than its bytes.
const SMALL: u64 = 256 << 10;

/// A failure that several jobs may share.
pub(super) type Failure = Arc<ContentError>;

/// Something for a thread to do.
pub(super) enum Task {
    /// Find out what a job's roots need.
    Walk(usize),
    /// Ask whether a blob is there, or can be mounted.
    Check(usize),
    /// Move a blob.
    Move(usize),
    /// Store a document of a job.
    Publish(usize, Arc<Document>),
    /// Give a job's roots their names.
    Finish(usize),
}

/// One blob in one place.
pub(super) struct Blob {
    pub(super) what: Descriptor,
    /// The jobs that want it; the first asked first.
    pub(super) jobs: Vec<usize>,
    /// Repositories of the same registry that have it since this copy.
    pub(super) mounts: Vec<Reference>,
    pub(super) stop: Arc<AtomicBool>,
    storage: Storage,
    state: BlobState,
    /// The same blob in other repositories of the registry, waiting to be mounted from here.
    followers: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BlobState {
    Open,
    Done,
    Failed,
}

struct Job {
    storage: Storage,
    /// Blobs or documents without which nothing goes on.
    waiting: usize,
    waves: VecDeque<Vec<Arc<Document>>>,
    failure: Option<Failure>,
    copied: Copied,
}

/// A blob that is ready to move.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_huge: bool,
    job: Reverse<usize>,
    size: u64,
    blob: usize,
}

/// All of it.
pub(super) struct Queue {
    jobs: Vec<Job>,
    blobs: Vec<Blob>,
    known: HashMap<(Storage, Digest), usize>,
    /// Of a blob that several repositories want, the one that gets it first.
    leaders: HashMap<(String, Digest), usize>,
    small: VecDeque<Task>,
    large: BinaryHeap<Rank>,
    running: usize,
    moving: usize,
    /// Blobs that may move at once.
    limit: usize,
}

impl Queue {
    pub(super) fn new(storages: Vec<Storage>, limit: usize) -> Self {
        let job =
            |storage| Job { storage, waiting: 0, waves: VecDeque::new(), failure: None, copied: Copied::default() };
        let jobs: Vec<Job> = storages.into_iter().map(job).collect();
        let small = (0..jobs.len()).map(Task::Walk).collect();
        Self {
            jobs,
            blobs: Vec::new(),
            known: HashMap::new(),
            leaders: HashMap::new(),
            small,
            large: BinaryHeap::new(),
            running: 0,
            moving: 0,
            limit: limit.max(1),
        }
    }

    /// The next task, if one may begin.
    pub(super) fn next(&mut self) -> Option<Task> {
        loop {
            let task = match self.small.pop_front() {
                Some(task) => task,
                None if self.moving >= self.limit => return None,
                None => {
                    let blob = self.large.pop()?.blob;
                    self.moving += 1;
                    Task::Move(blob)
                }
            };
            if self.is_wanted(&task) {
                self.running += 1;
                return Some(task);
            }
            self.drop_task(&task);
        }
    }

    /// Whether nothing is left and nothing runs.
    pub(super) fn is_done(&self) -> bool {
        self.running == 0 && self.small.is_empty() && self.large.is_empty()
    }

    /// How many tasks could begin now.
    pub(super) fn ready(&self) -> usize {
        self.small.len() + self.large.len().min(self.limit - self.moving.min(self.limit))
    }

    pub(super) fn blob(&self, at: usize) -> &Blob {
        &self.blobs[at]
    }

    pub(super) fn into_results(self) -> Vec<Result<Copied, Failure>> {
        let result = |job: Job| match job.failure {
            Some(failure) => Err(failure),
            None => Ok(job.copied),
        };
        // Blobs may hold the same failures.
        drop(self.blobs);
        self.jobs.into_iter().map(result).collect()
    }

    /// A task of a job has ended; to be told before what it led to.
    pub(super) fn ended(&mut self, task: &Task) {
        self.running -= 1;
        if let Task::Move(blob) = task
            && self.is_large(*blob)
        {
            self.moving -= 1;
        }
    }

    /// What a job needs is known; what it has nothing of is empty.
    pub(super) fn walked(&mut self, at: usize, graph: Graph) {
        self.jobs[at].copied.skipped += graph.whole.len() as u64;
        self.jobs[at].waves = graph.waves.into_iter().map(|wave| wave.into_iter().map(Arc::new).collect()).collect();
        self.jobs[at].waiting = graph.blobs.len();
        for what in graph.blobs {
            self.want(at, what);
        }
        self.go_on(at);
    }

    /// A job wants a blob.
    fn want(&mut self, job: usize, what: Descriptor) {
        let storage = self.jobs[job].storage.clone();
        let key = (storage.clone(), what.digest);
        if let Some(&known) = self.known.get(&key) {
            match self.blobs[known].state {
                BlobState::Done => self.have(job, 1),
                // It failed for another job; perhaps this one's source has it.
                BlobState::Failed => {
                    let blob = &mut self.blobs[known];
                    (blob.state, blob.stop) = (BlobState::Open, Arc::default());
                    blob.jobs = vec![job];
                    self.small.push_back(Task::Check(known));
                }
                BlobState::Open => self.blobs[known].jobs.push(job),
            }
            return;
        }
        let at = self.blobs.len();
        self.known.insert(key, at);
        let realm = (storage.realm.clone(), what.digest);
        let mut blob = Blob {
            what,
            jobs: vec![job],
            mounts: Vec::new(),
            stop: Arc::default(),
            storage,
            state: BlobState::Open,
            followers: Vec::new(),
        };
        match self.leaders.get(&realm).copied() {
            Some(leader) if self.blobs[leader].state == BlobState::Open => {
                self.blobs[leader].followers.push(at);
                self.blobs.push(blob);
            }
            leader => {
                match leader.filter(|leader| self.blobs[*leader].state == BlobState::Done) {
                    Some(leader) => blob.mounts.extend(self.repository(leader)),
                    None => drop(self.leaders.insert(realm, at)),
                }
                self.blobs.push(blob);
                self.small.push_back(Task::Check(at));
            }
        }
    }

    fn repository(&self, blob: usize) -> Option<Reference> {
        self.blobs[blob].storage.repository.as_ref().and_then(|text| text.parse().ok())
    }

    /// A blob is neither there nor can it be mounted.
    pub(super) fn missing(&mut self, at: usize) {
        if !self.is_large(at) {
            self.small.push_back(Task::Move(at));
            return;
        }
        let Blob { what, jobs, .. } = &self.blobs[at];
        let job = Reverse(jobs.iter().copied().min().unwrap_or(usize::MAX));
        self.large.push(Rank { is_huge: what.size >= HUGE, job, size: what.size, blob: at });
    }

    /// A blob is there: it moved (so many bytes), or was there before.
    pub(super) fn stored(&mut self, at: usize, moved: Option<u64>) {
        let jobs = std::mem::take(&mut self.blobs[at].jobs);
        self.blobs[at].state = BlobState::Done;
        if let (Some(bytes), Some(&first)) = (moved, jobs.first()) {
            // Whoever asked first paid for it.
            self.jobs[first].copied.sent += 1;
            self.jobs[first].copied.bytes += bytes;
        }
        for (rank, job) in jobs.iter().enumerate() {
            self.have(*job, u64::from(rank > 0 || moved.is_none()));
        }
        let from = self.repository(at);
        for follower in std::mem::take(&mut self.blobs[at].followers) {
            self.blobs[follower].mounts.extend(from.clone());
            self.small.push_back(Task::Check(follower));
        }
    }

    /// A blob cannot be stored.
    pub(super) fn failed(&mut self, at: usize, failure: &Failure) {
        let blob = &mut self.blobs[at];
        blob.state = BlobState::Failed;
        for job in std::mem::take(&mut blob.jobs) {
            self.fail(job, failure);
        }
        self.free_followers(at);
    }

    /// Nobody wanted it any more.
    pub(super) fn stopped(&mut self, at: usize) {
        self.blobs[at].state = BlobState::Failed;
        // A job may have come to want it meanwhile.
        let jobs = std::mem::take(&mut self.blobs[at].jobs);
        let alive: Vec<usize> = jobs.into_iter().filter(|job| self.jobs[*job].failure.is_none()).collect();
        match alive.is_empty() {
            true => self.free_followers(at),
            false => {
                let blob = &mut self.blobs[at];
                (blob.jobs, blob.state, blob.stop) = (alive, BlobState::Open, Arc::default());
                self.small.push_back(Task::Check(at));
            }
        }
    }

    /// What waited for a blob that never came goes its own way: one of them, the others after it.
    fn free_followers(&mut self, at: usize) {
        let mut followers = std::mem::take(&mut self.blobs[at].followers).into_iter();
        let Some(next) = followers.next() else { return };
        let realm = (self.blobs[next].storage.realm.clone(), self.blobs[next].what.digest);
        self.leaders.insert(realm, next);
        self.blobs[next].followers.extend(followers);
        self.small.push_back(Task::Check(next));
    }

    /// A document of a job is stored (so many bytes), or was there.
    pub(super) fn published(&mut self, job: usize, moved: Option<u64>) {
        match moved {
            Some(bytes) => {
                self.jobs[job].copied.sent += 1;
                self.jobs[job].copied.bytes += bytes;
                self.have(job, 0);
            }
            None => self.have(job, 1),
        }
    }

    fn have(&mut self, job: usize, skipped: u64) {
        self.jobs[job].copied.skipped += skipped;
        self.jobs[job].waiting -= 1;
        self.go_on(job);
    }

    fn go_on(&mut self, at: usize) {
        let job = &mut self.jobs[at];
        if job.waiting > 0 || job.failure.is_some() {
            return;
        }
        match job.waves.pop_front() {
            Some(wave) => {
                job.waiting = wave.len();
                self.small.extend(wave.into_iter().map(|document| Task::Publish(at, document)));
            }
            None => self.small.push_back(Task::Finish(at)),
        }
    }

    /// A job cannot be finished: what only it wants is not begun, or ends.
    pub(super) fn fail(&mut self, at: usize, failure: &Failure) {
        if self.jobs[at].failure.is_some() {
            return;
        }
        self.jobs[at].failure = Some(Arc::clone(failure));
        for blob in &self.blobs {
            let is_its = blob.state == BlobState::Open && blob.jobs.contains(&at);
            if is_its && blob.jobs.iter().all(|job| self.jobs[*job].failure.is_some()) {
                blob.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn is_wanted(&self, task: &Task) -> bool {
        let lives = |job: &usize| self.jobs[*job].failure.is_none();
        match task {
            Task::Walk(job) | Task::Publish(job, _) | Task::Finish(job) => lives(job),
            Task::Check(blob) | Task::Move(blob) => self.blobs[*blob].jobs.iter().any(lives),
        }
    }

    fn drop_task(&mut self, task: &Task) {
        if let Task::Move(blob) = task
            && self.is_large(*blob)
        {
            self.moving -= 1;
        }
        if let Task::Check(blob) | Task::Move(blob) = task {
            self.stopped(*blob);
        }
    }

    fn is_large(&self, blob: usize) -> bool {
        self.blobs[blob].what.size >= SMALL
    }
}

#[cfg(test)]
mod tests;
