//! The embedded registry: an OCI distribution server.
//!
//! ```text
//! Listener ─▶ engine ─▶ Request ─▶ Access ─▶ protocol ─▶ Backend ─▶ Response ─▶ engine
//!            (HTTP/1.1)               │       (/v2/…)                    │
//!                                     └─▶ Route (/, /metrics, …) ────────┘──▶ Record ─▶ Log, Counters
//! ```
//!
//! Everything is threads and blocking calls, as in the rest of the workspace. Idle connections cost no thread: they wait
//! in one epoll; a request that is complete is answered by the thread that read it. What may take longer than a
//! millisecond (a large body, a password hash, another server) says so with [`seat::leave`], and another thread takes
//! over the waiting.
//!
//! What a request may see and do is fixed here, in small modules without state: [`http`] (requests and responses),
//! [`gate`] (who may do what), [`route`] (everything that is not `/v2/`), [`listener`] (where connections come from),
//! [`record`] (what is said about an answered request), [`counters`], [`stop`] (the end), [`backend`] (where content is
//! kept), [`service`] (all of these together).

pub mod access;
pub mod access_log;
mod answer;
pub mod backend;
pub mod counters;
mod document;
mod engine;
pub mod exposure;
pub mod gate;
pub mod health;
pub mod http;
pub mod listener;
pub mod metrics;
pub mod names;
pub mod notify;
pub mod options;
pub mod page;
mod protocol;
pub mod record;
pub mod route;
pub mod seat;
pub mod service;
pub mod stop;
pub mod tls;
pub mod unit;

pub use engine::{ServeError, serve};
