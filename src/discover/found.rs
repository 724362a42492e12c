//! What discovery finds: images, each with everyone who wants it; strings that only look like images; and mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use content::Origin;
use oci::Reference;

use super::ignore::Ignore;

/// Where an image is to be taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    /// The registry that its name says.
    Registry,
    /// The storage of podman, buildah and CRI-O on this machine.
    ContainersStorage,
    /// The Docker daemon of this machine.
    DockerDaemon,
}

/// An image that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name, as it was written where it was found first.
    pub reference: Reference,
    /// Where to take it from.
    pub from: From,
    /// Who wants it, sorted.
    pub origins: Vec<Origin>,
}

/// The kinds of files that hold images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArchiveKind {
    /// A tar of an OCI layout.
    Oci,
    /// What `docker save` writes.
    Docker,
    /// An OCI layout in a directory.
    OciDirectory,
    /// A `dir:` directory.
    Directory,
}

/// Images that lie in a file or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// What it is.
    pub kind: ArchiveKind,
    /// Its path, relative to the list that names it.
    pub path: String,
    /// The one image that is meant, where the line says it (`PATH:NAME`).
    pub pick: Option<String>,
    /// The name that its image gets (`PATH@NAME`); none for the names that it holds.
    pub name: Option<Reference>,
    /// The line that names it.
    pub origin: Origin,
}

/// Something that the user should know though nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where.
    pub origin: Origin,
    /// What.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

/// What is wrong with an input: a file that cannot be read as what it is, a name that is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub origin: Origin,
    /// What is wrong there.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.reason)
    }
}

/// All that was found. What `.sealignore` names is not in it.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    ignore: Ignore,
    images: BTreeMap<(String, From), Found>,
    likely: BTreeMap<String, Found>,
    archives: Vec<Archived>,
    notes: BTreeSet<Note>,
    mistakes: BTreeSet<Mistake>,
}

impl Findings {
    /// Nothing found yet.
    pub fn new(ignore: Ignore) -> Self {
        Self { ignore, ..Self::default() }
    }

    /// Adds what was found elsewhere.
    pub fn extend(&mut self, other: Self) {
        for found in other.images.into_values() {
            let Found { reference, from, origins } = found;
            origins.into_iter().for_each(|origin| self.take(reference.clone(), from, origin));
        }
        for found in other.likely.into_values() {
            found.origins.into_iter().for_each(|origin| self.report(found.reference.clone(), origin));
        }
        for archived in other.archives {
            if !self.archives.contains(&archived) {
                self.archives.push(archived);
            }
        }
        self.notes.extend(other.notes);
        self.mistakes.extend(other.mistakes);
    }

    /// What is left out.
    pub fn ignore(&self) -> &Ignore {
        &self.ignore
    }

    /// The images that are wanted, sorted by normal name.
    pub fn images(&self) -> impl Iterator<Item = &Found> {
        self.images.values()
    }

    /// Strings that look like images and were not taken, sorted.
    pub fn likely(&self) -> impl Iterator<Item = &Found> {
        let is_known = |found: &&Found| !self.images.keys().any(|(name, _)| *name == found.reference.normal());
        self.likely.values().filter(is_known)
    }

    /// Files with images that lists name.
    pub fn archives(&self) -> &[Archived] {
        &self.archives
    }

    /// What else the user should know.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter()
    }

    /// What is wrong.
    pub fn mistakes(&self) -> impl Iterator<Item = &Mistake> {
        self.mistakes.iter()
    }

    /// Takes an image.
    pub fn take(&mut self, reference: Reference, from: From, origin: Origin) {
        if !self.ignore.has(&reference) {
            let key = (reference.normal(), from);
            put(self.images.entry(key).or_insert_with(|| empty(reference, from)), origin);
        }
    }

    /// Takes a text that must be the name of an image, because that is what the place is for.
    pub fn take_text(&mut self, text: &str, origin: Origin) {
        if self.ignore.has_text(text) {
            return;
        }
        match text.parse::<Reference>() {
            Ok(reference) => self.take(reference, From::Registry, origin),
            Err(error) => {
                let help = Some(format!(
                    "if it is filled in later, put `{text}` on a line of .sealignore, and the image's name in a file of images/shim"
                ));
                self.mistakes.insert(Mistake { origin, reason: error.to_string(), help });
            }
        }
    }

    /// Reports a text that looks like an image.
    pub(crate) fn report(&mut self, reference: Reference, origin: Origin) {
        if !self.ignore.has(&reference) {
            let key = reference.normal();
            put(self.likely.entry(key).or_insert_with(|| empty(reference, From::Registry)), origin);
        }
    }

    pub(crate) fn archive(&mut self, archived: Archived) {
        if !archived.name.as_ref().is_some_and(|name| self.ignore.has(name)) {
            self.archives.push(archived);
        }
    }

    /// Says something that the user should know.
    pub fn note(&mut self, origin: Origin, text: impl Into<String>) {
        self.notes.insert(Note { origin, text: text.into() });
    }

    /// Says that an input is wrong.
    pub fn mistake(&mut self, origin: Origin, reason: impl Into<String>, help: Option<String>) {
        self.mistakes.insert(Mistake { origin, reason: reason.into(), help });
    }
}

fn empty(reference: Reference, from: From) -> Found {
    Found { reference, from, origins: Vec::new() }
}

fn put(found: &mut Found, origin: Origin) {
    if let Err(at) = found.origins.binary_search(&origin) {
        found.origins.insert(at, origin);
    }
}
