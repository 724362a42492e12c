//! The nouns of running a cluster image: its kind, its commands, its environment, and where its files go.
//!
//! ```text
//! config ─ kind, version, distribution     (labels)
//!        ─ commands ─ rewrite ─ ShellScript (ENTRYPOINT, CMD, --cmd)
//!        ─ Environment                      (ENV < spec.env < -e)
//! ```
//!
//! Invariants: pure (no file, process, clock or random); a value of the environment never becomes part of a shell's
//! text; the same image, cluster and overrides always give the same names and scripts.
//!
//! What it does not do: run anything, read an image, render a template.

mod commands;
mod environment;
mod error;
mod heredoc;
mod kind;
mod layout;
mod rewrite;

pub use commands::{commands, shell};
pub use environment::Environment;
pub use error::ClusterError;
pub use kind::{Distribution, ImageKind, label};
pub use layout::{ClusterName, Layout, mount_name};
pub use rewrite::{ShellScript, rewrite};
