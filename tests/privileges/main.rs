//! Who may do what: builds and runs as root, as an ordinary user and where user namespaces are forbidden; RUN in every
//! isolation; and that nothing stays behind. Through the real binary, with the real runtimes. Needs root, which can
//! become any of these users.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod commands;
mod forbidden;
mod lab;
mod ordinary;
#[path = "../sandbox/mod.rs"]
mod sandbox;
