//! Requests and responses of HTTP/1.1 (RFC 9110, RFC 9112), as handlers see them.

mod date;
mod method;
mod query;
mod request;
mod response;
mod target;

pub use date::http_date;
pub use method::Method;
pub use query::Query;
pub use request::{Head, Headers, Peer, Request};
pub use response::{Body, Response, Status};
pub use target::{decode, encode};
