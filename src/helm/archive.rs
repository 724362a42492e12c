//! A packed chart (`.tgz`) becomes its files, in memory: bounded like Helm bounds it, and nothing outside its directory.

use std::io::Read;

use content::tar::{EntryKind, TarReader};
use flate2::read::MultiGzDecoder;

use super::{ChartError, ChartFile};

/// The largest file of a chart, in bytes, as Helm has it.
pub const MAX_FILE: u64 = 5 << 20;
/// The largest chart unpacked, in bytes, as Helm has it.
pub const MAX_CHART: u64 = 100 << 20;

fn wrong(reason: impl Into<String>) -> ChartError {
    ChartError::Archive { reason: reason.into() }
}

/// The files of a packed chart, without the directory that all of them lie in.
///
/// # Errors
/// Not gzip or tar, larger than a chart may be, or a path that leaves the chart.
pub(crate) fn unpack(packed: impl Read) -> Result<Vec<ChartFile>, ChartError> {
    // One byte more than allowed is enough to notice; the headers of tar are not counted by Helm.
    let mut tar = TarReader::new(MultiGzDecoder::new(packed));
    let mut files = Vec::new();
    let mut left = MAX_CHART;
    while let Some(entry) = tar.next().map_err(|error| wrong(error.to_string()))? {
        let size = match entry.kind {
            EntryKind::File { size } => size,
            EntryKind::Directory => continue,
            _ => 0,
        };
        let name = String::from_utf8_lossy(tar.raw_path()).into_owned();
        let path = inside(&name)?;
        if size > MAX_FILE {
            return Err(wrong(format!("`{name}` is larger than {MAX_FILE} bytes")));
        }
        left = left.checked_sub(size).ok_or_else(|| wrong(format!("it is larger than {MAX_CHART} bytes unpacked")))?;
        let mut bytes = Vec::new();
        if matches!(entry.kind, EntryKind::File { .. }) {
            tar.content().take(size).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
        }
        files.push(ChartFile { path, bytes });
    }
    if files.is_empty() {
        return Err(wrong("there are no files in it"));
    }
    Ok(files)
}

/// The path below the chart's directory.
fn inside(name: &str) -> Result<String, ChartError> {
    let name = name.strip_prefix("./").unwrap_or(name);
    let outside = || wrong(format!("`{name}` lies outside the chart's directory"));
    let name = if name.contains('\\') { name.replace('\\', "/") } else { name.to_owned() };
    let (directory, path) = name.split_once('/').ok_or_else(outside)?;
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if directory == "Chart.yaml" || path.starts_with('/') || parts.is_empty() || parts.contains(&"..") {
        return Err(outside());
    }
    let drive = parts[0].len() == 2 && parts[0].ends_with(':');
    if drive {
        return Err(outside());
    }
    Ok(parts.join("/"))
}
