//! The nouns of running cluster images: kind, commands, environment, where files go; the cluster and its hosts.
//!
//! ```text
//! config ─ kind, version, distribution     (labels)
//!        ─ commands ─ rewrite ─ ShellScript (ENTRYPOINT, CMD, --cmd)
//!        ─ Environment                      (ENV < spec.env < -e)
//! Cluster ─ images, hosts (Address, Role, Ssh), environment, file changes
//! HostFacts, Problem                       (what a host is like, and what is wrong with it)
//! ```
//!
//! Invariants: pure (no file, process, clock or random); a value of the environment never becomes part of a shell's
//! text; the same image, cluster and overrides always give the same names and scripts.
//!
//! What it does not do: run anything, read an image, render a template.

mod address;
mod commands;
mod desired;
mod environment;
mod error;
mod heredoc;
mod host;
mod kind;
mod layout;
mod merge;
mod observed;
mod rewrite;

pub use address::{Address, AddressError, HostName, SSH_PORT};
pub use commands::{commands, shell};
pub use desired::{Cluster, FileChange, Strategy};
pub use environment::Environment;
pub use error::ClusterError;
pub use host::{Host, Role, Secret, Ssh};
pub use kind::{Distribution, ImageKind, label};
pub use layout::{ClusterName, Layout, mount_name};
pub use merge::merge;
pub use observed::{HostFacts, Problem};
pub use rewrite::{ShellScript, rewrite};
