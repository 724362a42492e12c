//! Where COPY and ADD put things: the rules of the Dockerfile reference, on the files that the image has so far.
//!
//! | destination | one file | a directory, several sources |
//! |---|---|---|
//! | ends with `/`, or is a directory in the image | into it, under its name | into it, contents |
//! | anything else | becomes that file | a new directory, contents |
//!
//! Symbolic links of the image are followed as a process in it would; they never lead out.

use content::tar::EntryKind;

use super::error::BuildError;
use super::shown::shown;
use super::walk::split;

/// Symbolic links that are followed on one path at most, as Linux does.
const MAX_LINKS: usize = 40;

/// What is known about the files of an image.
pub(crate) trait Places {
    /// The file at a path whose directories are no symbolic links; none if there is none. The root always is there.
    ///
    /// # Errors
    /// When the image cannot be looked into.
    fn at(&self, path: &[u8]) -> Result<Option<EntryKind>, BuildError>;
}

/// A destination as it is written, made absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// As written, for messages.
    pub(crate) written: String,
    /// Normalised, without leading slash; empty for the root.
    pub(crate) path: Vec<u8>,
    /// Whether it can only be a directory: it ends with a slash or a dot.
    pub(crate) is_directory: bool,
}

impl Target {
    /// Reads a destination; a relative one begins at `workdir`, which is absolute or empty.
    pub(crate) fn parse(written: &str, workdir: &str) -> Self {
        let last = written.rsplit('/').next().unwrap_or_default();
        Self {
            written: written.to_owned(),
            path: absolute(written, workdir),
            is_directory: matches!(last, "" | "." | ".."),
        }
    }
}

/// A path as the image has it: normalised, without leading slash; `..` ends at the root.
pub(crate) fn absolute(path: &str, workdir: &str) -> Vec<u8> {
    let mut parts: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { workdir };
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/").into_bytes()
}

/// A directory of the image that files go into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Landing {
    /// Where they go, free of symbolic links.
    pub(crate) path: Vec<u8>,
    /// Directories that have to be made first, parents in front.
    pub(crate) missing: Vec<Vec<u8>>,
}

/// Finds a path that is to be a directory.
///
/// # Errors
/// When a file is in the way.
pub(crate) fn land(places: &dyn Places, target: &Target) -> Result<Landing, BuildError> {
    let (path, kind) = resolve(places, &target.path)?;
    if kind.is_some_and(|kind| kind != EntryKind::Directory) {
        return Err(in_the_way(target, &path));
    }
    let mut missing = Vec::new();
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for prefix in ends.chain((!path.is_empty()).then_some(path.len())).map(|end| &path[..end]) {
        match places.at(prefix)? {
            None => missing.push(prefix.to_vec()),
            Some(EntryKind::Directory) => {}
            Some(_) => return Err(in_the_way(target, prefix)),
        }
    }
    Ok(Landing { path, missing })
}

/// Finds where a single file named `name` goes: its path, and the directories that have to be made first.
///
/// # Errors
/// When a file is in the way.
pub(crate) fn land_file(places: &dyn Places, target: &Target, name: &[u8]) -> Result<Landing, BuildError> {
    let (path, kind) = resolve(places, &target.path)?;
    if target.is_directory || kind == Some(EntryKind::Directory) {
        let landing = land(places, target)?;
        return Ok(Landing { path: join(&landing.path, name), missing: landing.missing });
    }
    let (parent, _) = split(&path);
    let parent = Target { written: target.written.clone(), path: parent.to_vec(), is_directory: true };
    Ok(Landing { missing: land(places, &parent)?.missing, path })
}

/// Follows the symbolic links of a path; the path that it leads to, and what is there. What does not exist is taken as
/// written.
///
/// # Errors
/// When there are too many symbolic links.
pub(crate) fn resolve(places: &dyn Places, path: &[u8]) -> Result<(Vec<u8>, Option<EntryKind>), BuildError> {
    let mut todo: Vec<Vec<u8>> = parts(path).rev().map(<[u8]>::to_vec).collect();
    let (mut done, mut kind, mut links) = (Vec::new(), Some(EntryKind::Directory), 0);
    while let Some(part) = todo.pop() {
        if part == b".." {
            done = split(&done).0.to_vec();
            kind = Some(EntryKind::Directory);
            continue;
        }
        let next = join(&done, &part);
        kind = places.at(&next)?;
        let Some(EntryKind::Symlink { target }) = &kind else {
            done = next;
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            let reason = "it leads through too many symbolic links".to_owned();
            return Err(BuildError::Value { what: "the path", text: shown(path), reason });
        }
        if target.starts_with(b"/") {
            done.clear();
        }
        todo.extend(parts(target).rev().map(<[u8]>::to_vec));
        kind = Some(EntryKind::Directory);
    }
    Ok((done, kind))
}

/// A path and a name below it.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory.is_empty(), name.is_empty()) {
        (true, _) => name.to_vec(),
        (_, true) => directory.to_vec(),
        _ => [directory, b"/", name].concat(),
    }
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

fn in_the_way(target: &Target, parent: &[u8]) -> BuildError {
    BuildError::ParentNotDirectory { destination: target.written.clone(), parent: format!("/{}", shown(parent)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Fixed(BTreeMap<&'static str, EntryKind>);

    impl Places for Fixed {
        fn at(&self, path: &[u8]) -> Result<Option<EntryKind>, BuildError> {
            match path {
                b"" => Ok(Some(EntryKind::Directory)),
                path => Ok(self.0.get(str::from_utf8(path).unwrap()).cloned()),
            }
        }
    }

    fn image() -> Fixed {
        let link = |target: &str| EntryKind::Symlink { target: target.as_bytes().to_vec() };
        Fixed(BTreeMap::from([
            ("usr", EntryKind::Directory),
            ("usr/lib", EntryKind::Directory),
            ("usr/file", EntryKind::File { size: 1 }),
            ("lib", link("usr/lib")),
            ("abs", link("/usr")),
            ("up", link("../../usr/lib")),
            ("dangling", link("/new/place")),
            ("loop", link("loop")),
        ]))
    }

    #[test]
    fn one_file_goes_where_docker_puts_it() {
        for (destination, workdir, want, missing) in [
            ("/", "", "f", vec![]),
            (".", "", "f", vec![]),
            ("/usr", "", "usr/f", vec![]),
            ("/usr/", "", "usr/f", vec![]),
            ("/usr/new", "", "usr/new", vec![]),
            ("/usr/new/", "", "usr/new/f", vec!["usr/new"]),
            ("a/b", "/w", "w/a/b", vec!["w", "w/a"]),
            ("lib/x", "", "usr/lib/x", vec![]),
            ("lib", "", "usr/lib/f", vec![]),
            ("lib/", "", "usr/lib/f", vec![]),
            ("abs/lib", "", "usr/lib/f", vec![]),
            ("up/x", "", "usr/lib/x", vec![]),
            ("dangling", "", "new/place", vec!["new"]),
            ("../../x", "/usr", "x", vec![]),
        ] {
            let landing = land_file(&image(), &Target::parse(destination, workdir), b"f").unwrap();
            let got: Vec<_> = landing.missing.iter().map(|path| str::from_utf8(path).unwrap()).collect();
            assert_eq!((str::from_utf8(&landing.path).unwrap(), got), (want, missing), "{destination}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        for destination in ["/usr/file/x", "/usr/file/", "/loop", "/loop/x"] {
            assert!(land_file(&image(), &Target::parse(destination, ""), b"f").is_err(), "{destination}");
        }
        assert!(land(&image(), &Target::parse("/usr/file", "")).is_err());
    }
}
