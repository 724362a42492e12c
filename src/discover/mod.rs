//! Which container images do these charts and manifests need, and why.
//!
//! ```text
//! lists, manifests, rendered charts, commands ─▶ Findings: images with everyone who wants them,
//!                                                strings that look like images, notes, mistakes
//! ```
//!
//! Invariants: pure (texts come in, findings go out; no file, process, clock or random); everything that is taken
//! names its file, its rule and, where it is known, its line; nothing that looks like an image is passed over in
//! silence; the order in which inputs are read does not show.
//!
//! What it does not do: find and read the files, render charts and kustomizations, ask registries.

mod command;
mod found;
mod glob;
mod ignore;
mod inputs;
mod lists;
mod manifest;
mod path;
mod place;
mod rules;
mod text;
mod yaml;

pub use command::helm::HelmCall;
pub use command::shell::Variables;
pub use command::{Asked, CommandPlace, Wanted, command, script};
pub use found::{ArchiveKind, Archived, Findings, Found, From, Mistake, Note};
pub use ignore::Ignore;
pub use inputs::{ChartOutput, chart, chart_output, embedded, generated, kustomization, manifests, rendered};
pub use lists::list;
pub use rules::{Rules, RulesError};
pub use yaml::YamlError;
