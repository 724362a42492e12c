//! The HTTP side of content: a registry as a [`content::Source`], and plain downloads.
//!
//! ```text
//! Client (TLS, proxy, credentials, tokens) ──▶ Repository: Source   resolve, fetch with byte ranges
//!                                          └─▶ get(url)             ADD, contexts, archives
//! ```
//!
//! Invariants: TLS is verified unless the options say otherwise; only loopback is spoken to in plain HTTP by itself;
//! credentials are sent to the registry they are for and nowhere else, redirects included; no secret is in an error or
//! in `Debug` output. Reads are verified by whoever takes them in (`content::Ingest`), not here.
//!
//! It does not push: that is the next thing this crate grows.

mod auth;
mod client;
mod credentials;
mod download;
mod error;
mod logins;
mod repository;

pub use client::{Client, ClientOptions, Notice, Tls, redacted};
pub use credentials::{Credentials, Secret};
pub use download::Download;
pub use error::{RegistryError, ServerMessage};
pub use logins::{Login, Logins};
pub use repository::Repository;
