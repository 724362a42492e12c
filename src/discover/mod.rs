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

mod found;
mod glob;
mod ignore;
mod lists;
mod manifest;
mod path;
mod place;
mod rules;
mod text;
mod yaml;

pub use found::{ArchiveKind, Archived, Findings, Found, From, Mistake, Note};
pub use ignore::Ignore;
pub use rules::{Rules, RulesError};
pub use yaml::YamlError;
