//! Files of a context, as discovery wants them: sorted, links followed as long as they stay inside, nothing read twice.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use content::Origin;

use super::error::CarryError;
use crate::discover::Findings;

/// No list, manifest or file of values is larger, in bytes.
const LIMIT: u64 = 64 << 20;
/// Directories inside each other.
const MAX_DEPTH: usize = 64;

/// The directory that is looked through.
#[derive(Debug)]
pub(crate) struct Context {
    /// Without links.
    root: PathBuf,
}

/// A file of the context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Relative to the context, with `/`.
    pub(crate) path: String,
    pub(crate) kind: Kind,
}

/// What a file is, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    File,
    Directory,
}

impl Context {
    pub(crate) fn open(path: &Path) -> Result<Self, CarryError> {
        let root = fs::canonicalize(path).map_err(CarryError::io("open the directory", path))?;
        Ok(Self { root })
    }

    /// Where a path of the context is.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// What a path is: none if there is nothing, or if it leads out of the context.
    pub(crate) fn kind(&self, path: &str) -> Option<Kind> {
        let real = fs::canonicalize(self.at(path)).ok().filter(|real| real.starts_with(&self.root))?;
        let found = fs::metadata(real).ok()?;
        match () {
            () if found.is_dir() => Some(Kind::Directory),
            () if found.is_file() => Some(Kind::File),
            () => None,
        }
    }

    /// What is in a directory, sorted; none where there is none. A link that leads out of the context is noted.
    pub(crate) fn list(&self, directory: &str, findings: &mut Findings) -> Result<Vec<Entry>, CarryError> {
        if self.kind(directory) != Some(Kind::Directory) {
            return Ok(Vec::new());
        }
        let path = self.at(directory);
        let failed = || CarryError::io("read the directory", &path);
        let mut found = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            let Some(name) = name.to_str() else {
                let name = name.to_string_lossy().into_owned();
                findings.note(origin(&join(directory, &name)), "the name is not UTF-8; it is not looked at");
                continue;
            };
            let path = join(directory, name);
            match self.kind(&path) {
                Some(kind) => found.push(Entry { path, kind }),
                None if self.at(&path).is_symlink() => {
                    findings.note(origin(&path), "the link leads out of the context, or nowhere; it is not looked at");
                }
                None => {}
            }
        }
        found.sort();
        Ok(found)
    }

    /// All files below a directory (or the file itself), sorted.
    pub(crate) fn below(&self, top: &str, findings: &mut Findings) -> Result<Vec<String>, CarryError> {
        if self.kind(top) == Some(Kind::File) {
            return Ok(vec![top.to_owned()]);
        }
        let mut files = Vec::new();
        let mut todo = vec![(top.to_owned(), BTreeSet::new())];
        while let Some((directory, mut above)) = todo.pop() {
            // A link to a directory that it is in would be followed for ever.
            let real = fs::canonicalize(self.at(&directory)).unwrap_or_default();
            if !above.insert(real) || above.len() > MAX_DEPTH {
                continue;
            }
            for entry in self.list(&directory, findings)? {
                match entry.kind {
                    _ if is_hidden(&entry.path) || findings.ignore().has_path(&entry.path) => {}
                    Kind::File => files.push(entry.path),
                    Kind::Directory => todo.push((entry.path, above.clone())),
                }
            }
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The text of a file. One that is too large or not text is a mistake and gives none.
    pub(crate) fn text(&self, path: &str, findings: &mut Findings) -> Result<Option<String>, CarryError> {
        let bytes = self.bytes(path)?;
        let help = || Some(format!("if it holds no images, put `./{path}` on a line of .sealignore"));
        let Some(bytes) = bytes else {
            findings.mistake(origin(path), format!("it is larger than {} MiB", LIMIT >> 20), help());
            return Ok(None);
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
                let origin = Origin { line: Some(line), ..origin(path) };
                findings.mistake(origin, "it is not UTF-8 text", help());
                Ok(None)
            }
        }
    }

    /// The bytes of a file; none if there are too many.
    fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, CarryError> {
        let full = self.at(path);
        let mut bytes = Vec::new();
        let read = File::open(&full).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes));
        read.map_err(CarryError::io("read", &full))?;
        Ok((bytes.len() as u64 <= LIMIT).then_some(bytes))
    }

    /// The text of a file that need not be there.
    pub(crate) fn optional(&self, path: &str, findings: &mut Findings) -> Result<Option<String>, CarryError> {
        match fs::symlink_metadata(self.at(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CarryError::io("read", &self.at(path))(error)),
            Ok(_) if self.kind(path) != Some(Kind::File) => {
                findings.note(origin(path), "it is no file; it is not looked at");
                Ok(None)
            }
            Ok(_) => self.text(path, findings),
        }
    }
}

/// The origin of a file as a whole.
pub(crate) fn origin(path: &str) -> Origin {
    Origin { file: path.to_owned(), line: None, what: String::new(), rule: "file".to_owned() }
}

/// A path below another one.
pub(crate) fn join(directory: &str, name: &str) -> String {
    match directory.is_empty() {
        true => name.to_owned(),
        false => format!("{directory}/{name}"),
    }
}

/// A path of a command, relative to the context: without `./`, a leading `/`, and `..`; none if it leads out.
pub(crate) fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Files that programs hide, such as `.git` and `.#lock`.
pub(crate) fn is_hidden(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with('.'))
}

/// What editors and package managers leave beside a file.
pub(crate) fn is_backup(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let endings = ["~", ".bak", ".orig", ".old", ".rej", ".swp", ".swo", ".tmp", ".dpkg-old", ".dpkg-dist", ".rpmsave"];
    endings.iter().any(|ending| name.ends_with(ending)) || name.starts_with('#') && name.ends_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::Ignore;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_inside_and_never_in_circles() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("m/deep")).unwrap();
        fs::create_dir_all(root.join("shared")).unwrap();
        for file in ["m/a.yaml", "m/deep/b.yaml", "m/.hidden", "shared/c.yaml", "m/old.yaml"] {
            fs::write(root.join(file), "x").unwrap();
        }
        symlink("..", root.join("m/deep/up")).unwrap();
        symlink("../shared", root.join("m/shared")).unwrap();
        symlink("/etc", root.join("m/out")).unwrap();
        symlink("nothing", root.join("m/gone")).unwrap();
        let context = Context::open(root).unwrap();
        let mut findings = Findings::new(Ignore::parse("./m/old.yaml"));
        let files = context.below("m", &mut findings).unwrap();
        assert_eq!(files, ["m/a.yaml", "m/deep/b.yaml", "m/shared/c.yaml"]);
        let notes: Vec<_> = findings.notes().map(|note| note.origin.file.as_str()).collect();
        assert_eq!(notes, ["m/gone", "m/out"]);
        assert!(context.below("none", &mut findings).unwrap().is_empty());
    }

    #[test]
    fn paths_of_commands_stay_inside() {
        for (path, want) in [
            ("./charts/a/", Some("charts/a")),
            ("/charts/../x", Some("x")),
            ("a/../../b", None),
            ("..", None),
            (".", Some("")),
        ] {
            assert_eq!(clean(path).as_deref(), want, "{path}");
        }
    }
}
