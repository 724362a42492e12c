//! Builds, carries, serves and runs cluster images: the library behind the `sealos` command.

/// The nouns of running a cluster image: kind, commands, environment, places.
pub mod cluster;
/// Carries out a plan and keeps a journal.
pub mod execute;
/// Desired and observed state to a plan.
pub mod plan;
pub mod rootfs;
/// Go-template dialect for `*.tmpl`, Helm charts and `--format`; Handlebars for `*.hbs`.
pub mod template;
/// How we act on one host.
pub mod transport;
