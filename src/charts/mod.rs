//! Charts on disk: a directory or a `.tgz` read into a [`Chart`], and the `helm` binary when it is asked for.

use std::path::Path;

use crate::helm::{Chart, ChartError, Manifest, RenderOptions};

/// Reads the chart in a directory or packed in a `.tgz`.
///
/// # Errors
/// The path cannot be read, leaves the chart, is larger than a chart may be, or holds no chart.
pub fn read(_path: &Path) -> Result<Chart, ChartError> {
    Err(ChartError::Unsupported)
}

/// Renders with `helm template` of the given binary instead of in process.
///
/// # Errors
/// The binary cannot be run, or says what is wrong with the chart.
pub fn render_with(_helm: &Path, _chart: &Path, _options: &RenderOptions) -> Result<Vec<Manifest>, ChartError> {
    Err(ChartError::Unsupported)
}
