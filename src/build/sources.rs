//! Which files COPY and ADD take: patterns on a directory ([`Base`]) or on the files of an image ([`Tree`]).
//!
//! As BuildKit does: a source that is a symbolic link is followed (beneath its ground), links below a source are kept;
//! what the ignore file leaves out is not there at all.

use std::io;
use std::path::PathBuf;

use content::tar::EntryKind;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::destination::join;
use super::error::BuildError;
use super::shown::shown;
use super::walk::{Base, Found, Verdict, WalkError, split};
use crate::kubefile::glob::Pattern;
use crate::rootfs::{Node, Tree};

/// Names that are shown for a source that is not there.
const NEARBY: usize = 3;

/// Decides about files by path, relative to the ground, and whether they are directories.
pub(crate) type Judge<'a> = dyn Fn(&[u8], bool) -> Verdict + 'a;

/// What a path of a ground is.
pub(crate) enum Look {
    /// It leads here, and is a directory or not.
    There {
        /// Without symbolic links.
        path: Vec<u8>,
        /// Whether it is a directory.
        is_directory: bool,
    },
    /// There is nothing.
    Missing,
    /// It leads out of the ground.
    Outside,
}

/// Where sources are looked for.
pub(crate) trait Ground {
    /// A file of it.
    type File;

    /// How it is called in messages.
    fn place(&self) -> String;
    /// What a path is, symbolic links followed.
    fn look(&self, path: &[u8]) -> Result<Look, BuildError>;
    /// The names in a directory, sorted; none if it is no directory.
    fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, BuildError>;
    /// The file at a path that is free of symbolic links and all files below it, parents first.
    fn walk(&self, path: &[u8], judge: &Judge<'_>) -> Result<Vec<Self::File>, BuildError>;
}

/// One source that was found, with all that is below it.
pub(crate) struct Pick<F> {
    /// Its path without symbolic links.
    pub(crate) root: Vec<u8>,
    /// The name under which it goes into a directory.
    pub(crate) name: Vec<u8>,
    /// With `--parents`: the directories that are kept in front of it.
    pub(crate) parents: Vec<u8>,
    /// Whether it is a directory.
    pub(crate) is_directory: bool,
    /// Its files, itself first (unless it was left out).
    pub(crate) files: Vec<F>,
}

/// What COPY asks of its sources.
pub(crate) struct Wanted<'a> {
    /// What of the ground is there at all: the ignore file's word.
    pub(crate) judge: &'a Judge<'a>,
    /// What `--exclude` leaves out, by path relative to the source (or its name).
    pub(crate) exclude: &'a Judge<'a>,
    /// Whether `--parents` was given.
    pub(crate) keeps_parents: bool,
}

/// The files that a pattern means.
///
/// # Errors
/// When there are none, they leave the ground, or cannot be looked at.
pub(crate) fn select<G: Ground>(
    ground: &G,
    pattern: &str,
    wanted: &Wanted<'_>,
) -> Result<Vec<Pick<G::File>>, BuildError> {
    let (pivot, clean) = clean(pattern, ground)?;
    let mut picks = Vec::new();
    let mut was_ignored = false;
    for candidate in candidates(ground, &clean)? {
        let (root, is_directory) = match ground.look(&candidate)? {
            Look::There { path, is_directory } => (path, is_directory),
            Look::Missing => continue,
            Look::Outside => {
                return Err(BuildError::LeavesContext { pattern: pattern.to_owned(), place: ground.place() });
            }
        };
        let verdict = if candidate.is_empty() { Verdict::Take } else { (wanted.judge)(&candidate, is_directory) };
        if verdict == Verdict::Skip {
            was_ignored = true;
            continue;
        }
        let (front, name) = split(&candidate);
        let top = if is_directory { root.clone() } else { split(&root).0.to_vec() };
        let judge = |path: &[u8], is_directory: bool| {
            let below = path.strip_prefix(&top[..]).unwrap_or(path);
            let below = below.strip_prefix(b"/").unwrap_or(below);
            match below.is_empty() {
                true => Verdict::Take,
                false => both((wanted.judge)(path, is_directory), (wanted.exclude)(below, is_directory)),
            }
        };
        let files = ground.walk(&root, &judge)?;
        if files.is_empty() && !is_directory {
            continue;
        }
        let kept = if wanted.keeps_parents { if is_directory { &candidate } else { front } } else { &b""[..] };
        let parents = kept.strip_prefix(&pivot[..]).unwrap_or(kept);
        let parents = parents.strip_prefix(b"/").unwrap_or(parents).to_vec();
        picks.push(Pick { root, name: name.to_vec(), parents, is_directory, files });
    }
    // `--exclude` may leave nothing of a pattern that matches.
    match picks.is_empty() {
        true => Err(missing(ground, pattern, &clean, was_ignored)?),
        false => Ok(picks),
    }
}

fn both(a: Verdict, b: Verdict) -> Verdict {
    match (a, b) {
        (Verdict::Skip, _) | (_, Verdict::Skip) => Verdict::Skip,
        (Verdict::Enter, _) | (_, Verdict::Enter) => Verdict::Enter,
        _ => Verdict::Take,
    }
}

/// A pattern without `.`, `..` and slashes at its ends, and the directory in front of a `/./` (the pivot of `--parents`).
fn clean<G: Ground>(pattern: &str, ground: &G) -> Result<(Vec<u8>, Vec<u8>), BuildError> {
    let mut kept: Vec<&str> = Vec::new();
    let mut pivot = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" => {}
            "." => pivot = kept.join("/").into_bytes(),
            ".." => {
                if kept.pop().is_none() {
                    return Err(BuildError::LeavesContext { pattern: pattern.to_owned(), place: ground.place() });
                }
            }
            part => kept.push(part),
        }
    }
    Ok((pivot, kept.join("/").into_bytes()))
}

/// The paths that a pattern matches, sorted; the pattern itself if it has no wildcards.
fn candidates<G: Ground>(ground: &G, pattern: &[u8]) -> Result<Vec<Vec<u8>>, BuildError> {
    let mut found = vec![Vec::new()];
    for part in parts(pattern) {
        let mut next = Vec::new();
        if part == b"**" {
            found.into_iter().try_for_each(|path| any_depth(ground, path, &mut next))?;
            found = next;
            continue;
        }
        let text = String::from_utf8_lossy(part);
        if !Pattern::is_pattern(&text) {
            found.iter_mut().for_each(|path| *path = join(path, part));
            continue;
        }
        let glob = Pattern::parse(&text).map_err(|reason| BuildError::Value {
            what: "the pattern",
            text: shown(pattern),
            reason: reason.to_string(),
        })?;
        for path in found {
            for name in ground.names(&path)? {
                if glob.matches(&String::from_utf8_lossy(&name)) {
                    next.push(join(&path, &name));
                }
            }
        }
        found = next;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The components of a path or pattern.
fn parts(pattern: &[u8]) -> impl Iterator<Item = &[u8]> {
    pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

/// The path and every directory below it.
fn any_depth<G: Ground>(ground: &G, path: Vec<u8>, into: &mut Vec<Vec<u8>>) -> Result<(), BuildError> {
    for name in ground.names(&path)? {
        let below = join(&path, &name);
        if let Look::There { path: real, is_directory: true } = ground.look(&below)? {
            // A link to a directory above would be followed for ever.
            if real == below {
                any_depth(ground, below, into)?;
            }
        }
    }
    into.push(path);
    Ok(())
}

fn missing<G: Ground>(ground: &G, pattern: &str, clean: &[u8], ignored: bool) -> Result<BuildError, BuildError> {
    let (mut parent, _) = split(clean);
    while !parent.is_empty() && !matches!(ground.look(parent)?, Look::There { is_directory: true, .. }) {
        parent = split(parent).0;
    }
    let wanted = String::from_utf8_lossy(clean).into_owned();
    let mut near: Vec<(usize, String)> = Vec::new();
    for name in ground.names(parent)? {
        let path = shown(&join(parent, &name));
        near.push((distance(&wanted, &path), path));
    }
    near.sort();
    let nearby = near.into_iter().take(NEARBY).map(|(_, path)| format!("`{path}`")).collect();
    Ok(BuildError::NoSource { pattern: pattern.to_owned(), place: ground.place(), nearby, ignored })
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl Ground for Base {
    type File = Found;

    fn place(&self) -> String {
        format!("the context `{}`", self.name(b"").display())
    }

    fn look(&self, path: &[u8]) -> Result<Look, BuildError> {
        let found = self.look(path).and_then(|facts| Ok((self.resolve(path)?, facts)));
        match found {
            Ok((path, facts)) => Ok(Look::There { path, is_directory: facts.kind == FileType::Directory }),
            Err(source) => match Errno::from_io_error(&source) {
                Some(Errno::NOENT | Errno::NOTDIR) => Ok(Look::Missing),
                Some(Errno::XDEV) => Ok(Look::Outside),
                _ => Err(BuildError::Source { doing: "look at", path: self.name(path), source }),
            },
        }
    }

    fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, BuildError> {
        let Look::There { path, is_directory: true } = Ground::look(self, path)? else { return Ok(Vec::new()) };
        Ok(self.children(&path)?.into_iter().map(|file| split(&file.path).1.to_vec()).collect())
    }

    fn walk(&self, path: &[u8], judge: &Judge<'_>) -> Result<Vec<Found>, BuildError> {
        let mut found = Vec::new();
        self.walk(path, &mut |path, kind| judge(path, kind == FileType::Directory), &mut found)?;
        Ok(found)
    }
}

impl From<WalkError> for BuildError {
    fn from(error: WalkError) -> Self {
        let WalkError { path, doing, source } = error;
        Self::Source { doing, path, source }
    }
}

/// The files of an image, and how it is called in messages.
pub(crate) struct ImageGround<'a, 'b> {
    /// Its files.
    pub(crate) tree: &'a Tree<'b>,
    /// How it is called.
    pub(crate) name: String,
}

impl Ground for ImageGround<'_, '_> {
    type File = Node;

    fn place(&self) -> String {
        self.name.clone()
    }

    fn look(&self, path: &[u8]) -> Result<Look, BuildError> {
        let path = self.tree.resolve(path)?;
        Ok(match self.tree.get(&path) {
            _ if path.is_empty() => Look::There { path, is_directory: true },
            Some(node) => Look::There { path, is_directory: node.entry.kind == EntryKind::Directory },
            None => Look::Missing,
        })
    }

    fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, BuildError> {
        let path = self.tree.resolve(path)?;
        Ok(self.tree.children(&path).map(|node| split(&node.entry.path).1.to_vec()).collect())
    }

    fn walk(&self, path: &[u8], judge: &Judge<'_>) -> Result<Vec<Node>, BuildError> {
        let mut found: Vec<Node> = Vec::new();
        let mut skipped: Option<Vec<u8>> = None;
        let mut below: Vec<&Node> = self.tree.get(path).into_iter().chain(self.tree.below(path)).collect();
        below.sort_by(|a, b| super::item::order(&a.entry.path, &b.entry.path));
        for node in below {
            let path = &node.entry.path;
            if skipped.as_ref().is_some_and(|skipped| path.starts_with(skipped)) {
                continue;
            }
            let is_directory = node.entry.kind == EntryKind::Directory;
            match judge(path, is_directory) {
                Verdict::Take => found.push(node.clone()),
                Verdict::Enter => {}
                Verdict::Skip if is_directory => skipped = Some([path, &b"/"[..]].concat()),
                Verdict::Skip => {}
            }
        }
        Ok(found)
    }
}

/// An error about a file of a base.
pub(crate) fn source_error(doing: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> BuildError {
    move |source| BuildError::Source { doing, path, source }
}
