//! The files of a chart's directory, as Helm walks it: `.helmignore` is obeyed before anything is read, links are
//! followed, sizes are bounded.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{ChartsError, Links};
use crate::helm::{ChartError, ChartFile, Ignore, Kind, MAX_CHART, MAX_FILE};

/// How many directories a chart may nest.
const MAX_DEPTH: usize = 64;

pub(super) fn files(root: &Path, links: Links<'_>) -> Result<Vec<ChartFile>, ChartsError> {
    let boundary = match links {
        Links::Anywhere => None,
        Links::Below(path) => Some(path.canonicalize().map_err(failed(path))?),
    };
    let mut walk = Walk { root, boundary, ignore: ignore(root)?, files: Vec::new(), left: MAX_CHART };
    walk.inside(root, "")?;
    walk.directory(root, "", 0)?;
    Ok(walk.files)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ChartsError {
    let path = path.to_owned();
    move |source| ChartsError::Read { path, source }
}

fn ignore(root: &Path) -> Result<Ignore, ChartsError> {
    let path = root.join(Ignore::FILE);
    match fs::read(&path) {
        Ok(bytes) => Ignore::parse(&String::from_utf8_lossy(&bytes)).map_err(|reason| ChartsError::Chart {
            path: root.to_owned(),
            source: Box::new(ChartError::Invalid { file: Ignore::FILE.to_owned(), reason }),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ignore::default()),
        Err(source) => Err(ChartsError::Read { path, source }),
    }
}

struct Walk<'r> {
    root: &'r Path,
    boundary: Option<PathBuf>,
    ignore: Ignore,
    files: Vec<ChartFile>,
    /// How many bytes may still be read.
    left: u64,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, below: &str, depth: usize) -> Result<(), ChartsError> {
        if depth > MAX_DEPTH {
            return Err(ChartsError::TooDeep { path: below.into(), limit: MAX_DEPTH });
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed(directory))? {
            let name = entry.map_err(failed(directory))?.file_name();
            names.push(name.into_string().map_err(|name| ChartsError::Name { path: Path::new(below).join(name) })?);
        }
        names.sort();
        for name in names {
            let path = directory.join(&name);
            let below = if below.is_empty() { name } else { format!("{below}/{name}") };
            self.entry(&path, below, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, below: String, depth: usize) -> Result<(), ChartsError> {
        let found = fs::symlink_metadata(path).map_err(failed(path))?;
        let found = if found.is_symlink() {
            // What is ignored under its own name need not lead anywhere.
            if self.ignore.ignores(&below, Kind::File) && self.ignore.ignores(&below, Kind::Directory) {
                return Ok(());
            }
            self.inside(path, &below)?;
            fs::metadata(path).map_err(failed(path))?
        } else {
            found
        };
        if found.is_dir() {
            if self.ignore.ignores(&below, Kind::Directory) {
                return Ok(());
            }
            return self.directory(path, &below, depth + 1);
        }
        if self.ignore.ignores(&below, Kind::File) {
            return Ok(());
        }
        if !found.is_file() {
            return Err(ChartsError::Special { path: below.into() });
        }
        self.file(path, below)
    }

    fn file(&mut self, path: &Path, below: String) -> Result<(), ChartsError> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed(path))?;
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed(path))?;
        let size = bytes.len() as u64;
        if size > MAX_FILE {
            return Err(ChartsError::TooLarge { path: path.to_owned(), what: "a file of a chart", limit: MAX_FILE });
        }
        self.left = self.left.checked_sub(size).ok_or_else(|| ChartsError::TooLarge {
            path: self.root.to_owned(),
            what: "a chart",
            limit: MAX_CHART,
        })?;
        self.files.push(ChartFile { path: below, bytes });
        Ok(())
    }

    /// A link, or the chart itself, must stay inside the boundary.
    fn inside(&self, path: &Path, below: &str) -> Result<(), ChartsError> {
        let Some(boundary) = &self.boundary else { return Ok(()) };
        let target = path.canonicalize().map_err(failed(path))?;
        if target.starts_with(boundary) {
            return Ok(());
        }
        let path = if below.is_empty() { path.to_owned() } else { below.into() };
        Err(ChartsError::LeadsOut { path, boundary: boundary.clone() })
    }
}
