//! Charts on disk: a directory or a `.tgz` read into a [`Chart`], and the `helm` binary when it is asked for.

mod binary;
mod directory;
mod error;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

pub use binary::render_with;
pub use error::ChartsError;

use crate::helm::{Chart, MAX_CHART};

/// How far symbolic links of a chart's directory may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links<'p> {
    /// Anywhere, as Helm follows them: for a chart that the user names.
    Anywhere,
    /// Not out of this directory: for a chart in a build context.
    Below(&'p Path),
}

/// Reads the chart in a directory or packed in a `.tgz`.
///
/// # Errors
/// The path cannot be read, a link leads out, it is larger than a chart may be, or it holds no chart.
pub fn read(path: &Path, links: Links<'_>) -> Result<Chart, ChartsError> {
    let failed = |source| ChartsError::Read { path: path.to_owned(), source };
    let wrong = |source| ChartsError::Chart { path: path.to_owned(), source: Box::new(source) };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Chart::load(directory::files(path, links)?).map_err(wrong);
    }
    // What is packed is never larger than unpacked, but for a few headers.
    let packed = BufReader::new(File::open(path).map_err(failed)?).take(MAX_CHART);
    Chart::unpack(packed).map_err(wrong)
}
