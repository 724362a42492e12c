//! A directory of the context as `RUN --mount=type=bind` shows it: without what the ignore file leaves out.
//!
//! ```text
//! nothing is left out    the directory itself
//! else                   a directory of our own: files are copied into it, directories of which nothing is left out
//!                        are mounted into it, others are made in the same way
//! ```
//!
//! So what is copied are the files that lie beside something that is left out, mostly those of the topmost directory.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::error::BuildError;
use super::sources::Judge;
use super::walk::{Base, Found, Verdict, split};

/// A directory, as far as it is seen.
struct View {
    found: Found,
    is_whole: bool,
    files: Vec<Found>,
    directories: Vec<View>,
}

/// What is to be mounted: a directory (or file), and what goes into it, by paths relative to it.
pub(super) struct Shown {
    pub(super) root: PathBuf,
    pub(super) inside: Vec<(Vec<u8>, PathBuf)>,
}

/// Finds out how the directory `found` is shown. `scratch` gives a new directory if one is needed.
///
/// # Errors
/// When files cannot be looked at or copied.
pub(super) fn show(
    base: &Base,
    found: &Found,
    judge: &Judge<'_>,
    scratch: impl FnOnce() -> Result<PathBuf, BuildError>,
) -> Result<Shown, BuildError> {
    let own = std::path::absolute(base.name(&found.path)).map_err(failed("find", base, &found.path))?;
    if found.facts.kind != FileType::Directory {
        return Ok(Shown { root: own, inside: Vec::new() });
    }
    let view = View::of(base, found.clone(), judge)?;
    if view.is_whole {
        return Ok(Shown { root: own, inside: Vec::new() });
    }
    let mut shown = Shown { root: scratch()?.join("shown"), inside: Vec::new() };
    let root = shown.root.clone();
    view.make(base, &root, b"", &mut shown.inside)?;
    Ok(shown)
}

impl View {
    fn of(base: &Base, found: Found, judge: &Judge<'_>) -> Result<Self, BuildError> {
        let mut view = Self { found, is_whole: true, files: Vec::new(), directories: Vec::new() };
        for child in base.children(&view.found.path)? {
            let is_directory = child.facts.kind == FileType::Directory;
            match judge(&child.path, is_directory) {
                Verdict::Skip => view.is_whole = false,
                verdict if is_directory => {
                    let below = Self::of(base, child, judge)?;
                    view.is_whole &= below.is_whole && verdict == Verdict::Take;
                    // One that is only entered is there for the sake of what is taken below it.
                    if verdict == Verdict::Take || !below.is_empty() {
                        view.directories.push(below);
                    }
                }
                _ => view.files.push(child),
            }
        }
        Ok(view)
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.is_empty()
    }

    /// Makes it at `place`, which is `below` in what is mounted.
    fn make(
        &self,
        base: &Base,
        place: &Path,
        below: &[u8],
        inside: &mut Vec<(Vec<u8>, PathBuf)>,
    ) -> Result<(), BuildError> {
        fs::create_dir(place).map_err(failed("copy", base, &self.found.path))?;
        if self.is_whole && !below.is_empty() {
            let own = std::path::absolute(base.name(&self.found.path));
            inside.push((below.to_vec(), own.map_err(failed("find", base, &self.found.path))?));
            return Ok(());
        }
        for file in &self.files {
            let (from, to) = (base.name(&file.path), place.join(name(file)));
            copy(file, &from, &to).map_err(failed("copy", base, &file.path))?;
        }
        for directory in &self.directories {
            let below = super::destination::join(below, split(&directory.found.path).1);
            directory.make(base, &place.join(name(&directory.found)), &below, inside)?;
        }
        imitate(&self.found, place).map_err(failed("copy", base, &self.found.path))
    }
}

fn name(found: &Found) -> &std::ffi::OsStr {
    std::ffi::OsStr::from_bytes(split(&found.path).1)
}

fn copy(file: &Found, from: &Path, to: &Path) -> io::Result<()> {
    match file.facts.kind {
        FileType::RegularFile => {
            fs::copy(from, to)?;
            imitate(file, to)
        }
        FileType::Symlink => symlink(fs::read_link(from)?, to),
        // What is no file has no content to be read.
        _ => Ok(()),
    }
}

/// Owner (where we may), mode and time.
fn imitate(found: &Found, place: &Path) -> io::Result<()> {
    let facts = &found.facts;
    match lchown(place, Some(facts.owner.0), Some(facts.owner.1)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EINVAL)) => {}
        other => other?,
    }
    fs::set_permissions(place, fs::Permissions::from_mode(facts.mode))?;
    let (seconds, nanos) = facts.modified;
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, place, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?)
}

fn failed(doing: &'static str, base: &Base, path: &[u8]) -> impl FnOnce(io::Error) -> BuildError {
    super::sources::source_error(doing, base.name(path))
}
