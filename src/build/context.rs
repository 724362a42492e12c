//! The files that a build is given: a directory as it is, or a tar that is unpacked into the store's scratch space.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use content::Scratch;
use content::packing::Packing;
use content::tar::TarReader;
use registry_client::redacted;

use super::error::BuildError;
use super::event::BuildEvent;
use super::kubefile_source::{LIMIT as KUBEFILE_LIMIT, NAMES};
use super::request::{BuildRequest, ContextPlace, KubefilePlace};
use super::walk::Base;
use super::world::World;
use crate::rootfs::{Extractor, Ownership, UnpackOptions};

/// Bytes of standard input that tell what it is: a tar has zeros in them.
const LOOKED_AT: u64 = 512;

/// The files that a build is given.
pub(crate) struct Context {
    /// The directory.
    pub(crate) path: PathBuf,
    /// The directory, open.
    pub(crate) base: Arc<Base>,
    /// Holds the files of an unpacked tar.
    _scratch: Option<Scratch>,
}

impl Context {
    /// Opens the context of a request.
    ///
    /// # Errors
    /// When it is no directory, cannot be fetched, or is no tar.
    pub(crate) fn open(request: &BuildRequest, world: &World<'_>) -> Result<Self, BuildError> {
        match &request.context {
            ContextPlace::Directory(path) => Self::directory(&request.working_directory.join(path)),
            ContextPlace::Stdin => world.with_stdin(|stdin| Self::stdin(stdin, request, world)),
            ContextPlace::Url(url) => {
                let fetched = world.fetch.fetch(url);
                let fetched = fetched.map_err(|source| BuildError::Fetch { url: redacted(url), source })?;
                Self::tar(fetched.body, Path::new(&redacted(url)), world)
            }
        }
    }

    /// A directory as a context.
    ///
    /// # Errors
    /// When it is none or cannot be opened.
    pub(crate) fn directory(path: &Path) -> Result<Self, BuildError> {
        // Messages name this path: components leave out what `.` adds to it when one is joined to another.
        let path: PathBuf = path.components().collect();
        let base = Base::open(&path).map_err(|source| BuildError::Context { path: path.clone(), source })?;
        Ok(Self { path, base: Arc::new(base), _scratch: None })
    }

    /// A tar on standard input; or, as with docker and buildah, a Kubefile that wants no files.
    fn stdin(stdin: &mut (dyn Read + Send), request: &BuildRequest, world: &World<'_>) -> Result<Self, BuildError> {
        let name = Path::new("standard input");
        let problem = |source| BuildError::Context { path: name.to_owned(), source };
        let mut head = Vec::new();
        (&mut *stdin).take(LOOKED_AT).read_to_end(&mut head).map_err(problem)?;
        let is_text = str::from_utf8(&head).is_ok_and(|text| !text.contains('\0') && !text.trim().is_empty());
        let input = Cursor::new(head).chain(stdin);
        if !is_text || request.kubefile != KubefilePlace::Discovered {
            return Self::tar(input, name, world);
        }
        let scratch = world.store.scratch("context")?;
        let mut kubefile = File::create_new(scratch.path().join(NAMES[0])).map_err(problem)?;
        // Whoever parses it says that it is too long.
        io::copy(&mut input.take(KUBEFILE_LIMIT + 1), &mut kubefile).map_err(problem)?;
        let mut context = Self::directory(scratch.path())?;
        context._scratch = Some(scratch);
        Ok(context)
    }

    fn tar(input: impl Read + Send, name: &Path, world: &World<'_>) -> Result<Self, BuildError> {
        let scratch = world.store.scratch("context")?;
        let problem = |source| BuildError::Context { path: name.to_owned(), source };
        let (packing, input) = Packing::detect(BufReader::new(input)).map_err(problem)?;
        let input = packing.open(input).map_err(problem)?;
        let mut tar = TarReader::new(BufReader::with_capacity(1 << 18, input));
        let options = UnpackOptions { ownership: Ownership::Caller, ..UnpackOptions::default() };
        let mut extractor = Extractor::new(scratch.path(), &options)?;
        let unreadable = |source| BuildError::Archive { path: name.to_owned(), source };
        while let Some(entry) = tar.next().map_err(unreadable)? {
            let mut content = Content { tar: &mut tar, failure: None };
            let applied = extractor.apply(&entry, &mut content);
            applied.map_err(|error| content.failure.map_or_else(|| error.into(), problem))?;
        }
        for warning in extractor.finish()?.warnings {
            world.observer.event(&BuildEvent::Warning(format!("{}: {warning}", name.display())));
        }
        let mut context = Self::directory(scratch.path())?;
        context._scratch = Some(scratch);
        Ok(context)
    }
}

/// The content of an entry. Keeps why it could not be read: whoever writes it to a file would call it a failure to
/// write, and of the wrong file.
struct Content<'a, R> {
    tar: &'a mut TarReader<R>,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tar.read(buffer).map_err(|error| {
            let kind = error.kind();
            self.failure = Some(error);
            kind.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_named_without_needless_dots() {
        for (path, want) in [("./.", "."), ("././src", "./src"), ("/./usr/", "/usr")] {
            assert_eq!(Context::directory(Path::new(path)).unwrap().path, Path::new(want), "{path}");
        }
    }
}
