//! How a registry serves: what is allowed, and the limits that keep one client from taking everything.

use std::time::Duration;

/// Whether anything can be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Pushes and deletes are taken.
    #[default]
    Writable,
    /// They are refused with 405.
    ReadOnly,
}

/// Whether a manifest is taken whose blobs are not all there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completeness {
    /// The configuration and layers must be there, except those that may not be distributed. The manifests of an index
    /// need not be: an image for one platform is carried with the index of all.
    #[default]
    Required,
    /// Nothing must be there.
    Sparse,
}

/// Whether a client that wants a blob is sent to where the blob lies, if that is a place which it can read itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// The bytes go through the registry.
    #[default]
    Never,
    /// With 307 and a URL that is good for some minutes.
    ToStore,
}

/// How a registry serves.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Whether anything can be changed.
    pub mode: Mode,
    /// Whether a manifest is taken whose blobs are not all there.
    pub completeness: Completeness,
    /// Whether clients are sent elsewhere for blobs.
    pub redirects: Redirects,
    /// The largest manifest, in bytes.
    pub manifest_limit: usize,
    /// The largest head of a request (request line and header fields), in bytes.
    pub head_limit: usize,
    /// The most connections at once; more wait to be accepted.
    pub connections: usize,
    /// The most requests that are answered at once on threads of their own (large bodies, other servers); more are told
    /// to come back.
    pub long_requests: usize,
    /// The most upload sessions at once.
    pub upload_sessions: usize,
    /// The most requests at once that carry blobs.
    pub concurrent_uploads: usize,
    /// How long a connection may be idle between requests.
    pub idle: Duration,
    /// How long the head of a request may take.
    pub head_time: Duration,
    /// How long a body, either way, may make no progress.
    pub stall: Duration,
    /// The slowest that a body may be on the whole, in bytes a second, after [`ServeOptions::stall`].
    pub slowest: u64,
    /// How long an upload session that nobody uses is kept.
    pub upload_expiry: Duration,
    /// How long answers being given may take once the end was asked for.
    pub drain: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            mode: Mode::Writable,
            completeness: Completeness::Required,
            redirects: Redirects::Never,
            manifest_limit: 4 << 20,
            head_limit: 32 << 10,
            connections: 4096,
            long_requests: 512,
            upload_sessions: 4096,
            concurrent_uploads: 256,
            idle: Duration::from_secs(120),
            head_time: Duration::from_secs(20),
            stall: Duration::from_secs(60),
            slowest: 512,
            upload_expiry: Duration::from_secs(24 * 3600),
            drain: Duration::from_secs(30),
        }
    }
}
