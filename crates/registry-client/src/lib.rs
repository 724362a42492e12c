//! The HTTP side of content: registries as [`content::Source`] and [`content::Sink`], logins, and plain downloads.
//!
//! ```text
//! Client ── routes (registries.conf, hosts.toml) ──▶ Repository ── retry ──▶ exchange (auth, redirects) ──▶ http, tls
//!       └── logins, ping, catalog, download
//! ```
//!
//! Invariants: TLS is verified unless the options or the registry's configuration say otherwise; only loopback is spoken
//! to in plain HTTP by itself; credentials are sent to the registry they are for and nowhere else, redirects included; no
//! secret is in an error or in `Debug` output. Reads are verified by whoever takes them in (`content::Ingest`), not here.

mod auth;
mod bucket;
mod client;
mod credentials;
mod download;
mod error;
mod exchange;
mod http;
mod options;
mod repository;
mod retry;
mod routes;
mod tls;
mod uploads;

pub use bucket::{Below, Bucket, Depth, Object, Parts, Unfinished};
pub use client::{Client, redacted};
pub use credentials::{Credentials, Login, Logins, Secret};
pub use download::Download;
pub use error::{RegistryError, ServerMessage, Tried};
pub use options::{ClientOptions, Mirrors, Notice};
pub use repository::Repository;
pub use tls::Tls;
