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

mod error;
mod options;

pub use error::ChartError;
pub use options::{RenderOptions, Stage, Values, ValuesFile};

use std::collections::BTreeMap;

/// One file of a chart; the path is relative to the chart's directory, parts separated by `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartFile {
    /// Where it lies in the chart, such as `templates/service.yaml`.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// A chart with its subcharts, read and checked.
#[derive(Clone, Debug)]
pub struct Chart {
    name: String,
    version: String,
    app_version: String,
    annotations: BTreeMap<String, String>,
    crds: Vec<ChartFile>,
    sources: BTreeMap<String, String>,
    is_library: bool,
}

impl Chart {
    /// Reads a chart from the files of its directory, in any order: `Chart.yaml` of either version, `values.yaml`,
    /// `values.schema.json`, `templates/`, `crds/`, and subcharts in `charts/`, as directories or `.tgz`.
    /// `.helmignore` is applied.
    ///
    /// # Errors
    /// A file that cannot be understood, named.
    pub fn load(files: impl IntoIterator<Item = ChartFile>) -> Result<Self, ChartError> {
        let _files: Vec<ChartFile> = files.into_iter().collect();
        Err(ChartError::Unsupported)
    }

    /// The chart's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The chart's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The version of the application; empty when the chart names none.
    pub fn app_version(&self) -> &str {
        &self.app_version
    }

    /// The annotations of `Chart.yaml`, such as `helm.sh/images`.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// Whether it is a library chart, which renders nothing by itself.
    pub fn is_library(&self) -> bool {
        self.is_library
    }

    /// The text of a template, of a subchart too, by the name that Helm prints: `app/charts/db/templates/service.yaml`.
    pub fn template_source(&self, template: &str) -> Option<&str> {
        self.sources.get(template).map(String::as_str)
    }

    /// The files of `crds/`, of subcharts too; the paths are those that Helm prints, such as `app/crds/x.yaml`.
    pub fn crds(&self) -> &[ChartFile] {
        &self.crds
    }
}

/// What one template became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The template, as Helm names it: `app/charts/db/templates/service.yaml`.
    pub template: String,
    /// The text, of any number of YAML documents.
    pub text: String,
}

/// One document of a rendered template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The template it comes from.
    pub template: String,
    /// Its text, without separators.
    pub text: String,
    /// The hooks that Helm runs it for, such as `pre-install` or `test`; empty for an ordinary object.
    pub hooks: Vec<String>,
}

/// Renders every template of a chart and of its enabled subcharts, without notes.
///
/// # Errors
/// See [`ChartError`]; one of a template names chart, template and line.
pub fn render(_chart: &Chart, _options: &RenderOptions) -> Result<Vec<Rendered>, ChartError> {
    Err(ChartError::Unsupported)
}

/// Cuts rendered templates into their documents, in the order `helm template` prints them: by kind, hooks last.
///
/// # Errors
/// A document that is not YAML.
pub fn manifests(_rendered: &[Rendered]) -> Result<Vec<Manifest>, ChartError> {
    Err(ChartError::Unsupported)
}
