//! Helm charts rendered in process, as `helm template` renders them: files in, manifests out.
//!
//! ```text
//! files ─ Chart::load ─▶ Chart ─┐
//! values, --set, versions ──────┴─ render ─▶ Rendered templates ─ manifests ─▶ Manifest, hooks last
//! ```
//!
//! Pure: no file, process, clock or random. Functions of charts that need one of those (`now`, `randAlphaNum`, `genCA`,
//! …) have stand-ins that depend on the chart alone, so the same chart renders the same text anywhere, any day.
//! Nothing is fetched: a dependency that is not in `charts/` is an error that says so.

mod archive;
mod capabilities;
mod chart;
mod coalesce;
mod error;
mod glob;
mod ignore;
mod manifest;
mod metadata;
mod objects;
mod options;
mod render;
mod schema;
mod set;
mod stand_ins;
mod tree;

#[cfg(test)]
mod tests;

pub use archive::{MAX_CHART, MAX_FILE};
pub use chart::Chart;
pub use error::ChartError;
pub use ignore::{Ignore, Kind};
pub use manifest::{Manifest, manifests};
pub use options::{RenderOptions, Stage, Values, ValuesFile};
pub use render::render;

/// One file of a chart; the path is relative to the chart's directory, parts separated by `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartFile {
    /// Where it lies in the chart, such as `templates/service.yaml`.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// What one template became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The template, as Helm names it: `app/charts/db/templates/service.yaml`.
    pub template: String,
    /// The text, of any number of YAML documents.
    pub text: String,
}

/// The chart that a template belongs to: `db` for `app/charts/db/templates/service.yaml`.
fn chart_of(template: &str) -> &str {
    let path = template.split("/templates/").next().unwrap_or(template);
    path.rsplit("/charts/").next().unwrap_or(path)
}
