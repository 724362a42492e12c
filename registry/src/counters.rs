//! Figures about what the registry does: atomics, counted where things happen, read where they are shown.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::http::Method;
use crate::record::{Kind, Record};

/// The upper ends of the classes of a duration, in seconds; longer ones are in the class above the last.
pub const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

const KINDS: usize = Kind::ALL.len();
const METHODS: usize = 8;
/// Status codes 100 to 599.
const STATUSES: usize = 500;

/// A figure that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The figure.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A figure that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// So many more or fewer.
    pub fn add(&self, count: i64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// A new value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The figure.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All figures of a registry.
#[derive(Debug)]
pub struct Counters {
    requests: Box<[[[Counter; STATUSES]; METHODS]]>,
    durations: Box<[Durations]>,
    /// Bytes of requests' bodies.
    pub received: Counter,
    /// Bytes of responses' bodies.
    pub sent: Counter,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Connections that were refused or cut because a limit was reached.
    pub refused: Counter,
    /// Requests being answered.
    pub active: Gauge,
    /// Upload sessions that are open.
    pub uploads: Gauge,
    /// Blobs that were stored.
    pub blobs_stored: Counter,
    /// Manifests that were stored.
    pub manifests_stored: Counter,
    /// Attempts to authenticate that failed.
    pub rejected: Counter,
    /// Requests for something that only an upstream had.
    pub upstream_misses: Counter,
    /// Requests that an upstream could have answered but that were answered from here.
    pub upstream_hits: Counter,
    /// Requests that were answered from here because an upstream did not answer.
    pub upstream_stale: Counter,
    /// Requests to an upstream that failed.
    pub upstream_failures: Counter,
    /// What came from upstreams and could not be kept here.
    pub upstream_unkept: Counter,
    /// Bytes fetched from upstreams.
    pub upstream_bytes: Counter,
    /// Blobs that garbage collection removed.
    pub collected: Counter,
    /// Bytes that garbage collection freed.
    pub freed: Counter,
    /// Blobs whose bytes were found not to be what their name says.
    pub corrupt: Counter,
}

/// How long requests took.
#[derive(Debug, Default)]
pub struct Durations {
    classes: [Counter; SECONDS.len() + 1],
    microseconds: Counter,
}

impl Durations {
    fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = SECONDS.iter().position(|end| seconds <= *end).unwrap_or(SECONDS.len());
        self.classes[class].one();
        self.microseconds.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many are in each class of [`SECONDS`], and above it.
    pub fn classes(&self) -> impl Iterator<Item = u64> {
        self.classes.iter().map(Counter::get)
    }

    /// The sum of all, in seconds.
    pub fn seconds(&self) -> f64 {
        Duration::from_micros(self.microseconds.get()).as_secs_f64()
    }
}

impl Counters {
    /// All at zero.
    pub fn new() -> Self {
        let row = || std::array::from_fn(|_| std::array::from_fn(|_| Counter::default()));
        Self {
            requests: (0..KINDS).map(|_| row()).collect(),
            durations: (0..KINDS).map(|_| Durations::default()).collect(),
            received: Counter::default(),
            sent: Counter::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            refused: Counter::default(),
            active: Gauge::default(),
            uploads: Gauge::default(),
            blobs_stored: Counter::default(),
            manifests_stored: Counter::default(),
            rejected: Counter::default(),
            upstream_misses: Counter::default(),
            upstream_hits: Counter::default(),
            upstream_stale: Counter::default(),
            upstream_failures: Counter::default(),
            upstream_unkept: Counter::default(),
            upstream_bytes: Counter::default(),
            collected: Counter::default(),
            freed: Counter::default(),
            corrupt: Counter::default(),
        }
    }

    /// Counts an answered request.
    pub fn count(&self, record: &Record<'_>) {
        let status = usize::from(record.status.0).saturating_sub(100).min(STATUSES - 1);
        self.requests[record.kind as usize][record.method as usize][status].one();
        self.durations[record.kind as usize].add(record.took);
        self.received.add(record.received);
        self.sent.add(record.sent);
    }

    /// How many requests of each kind and method were answered with each status; only those that there were.
    pub fn requests(&self) -> impl Iterator<Item = (Kind, Method, u16, u64)> {
        const ALL: [Method; METHODS] = [
            Method::Get,
            Method::Head,
            Method::Post,
            Method::Put,
            Method::Patch,
            Method::Delete,
            Method::Options,
            Method::Other,
        ];
        Kind::ALL.into_iter().flat_map(move |kind| {
            ALL.into_iter().flat_map(move |method| {
                (100u16..600).filter_map(move |status| {
                    let cell = &self.requests[kind as usize][method as usize][usize::from(status - 100)];
                    Some((kind, method, status, cell.get())).filter(|(.., count)| *count > 0)
                })
            })
        })
    }

    /// How long requests of a kind took.
    pub fn durations(&self, kind: Kind) -> &Durations {
        &self.durations[kind as usize]
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}
