//! Uploads that were begun and not finished: the addresses that registries gave for them, remembered so that the next
//! attempt goes on where the last one ended, also in another process.
//!
//! A session of a larger blob has a small file of its own, outside of any store, for its owner only (addresses may be
//! signed). The file is locked while its upload runs: a second process that sends the same blob begins its own.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use oci::Digest;

/// Smaller blobs are not worth a file.
const REMEMBERED_FROM: u64 = 1 << 20;
/// Registries forget uploads after a week or earlier.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Registry, repository and blob.
type Key = (String, String, Digest);

/// The sessions of this user.
pub(crate) struct Sessions {
    directory: Option<PathBuf>,
    cleaned: Once,
    known: Mutex<HashMap<Key, Known>>,
}

/// An address, and whether nothing was sent to it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) location: String,
    pub(crate) is_fresh: bool,
}

/// The session of one blob.
pub(crate) struct Session<'a> {
    sessions: &'a Sessions,
    key: Key,
    file: Option<(File, PathBuf)>,
}

impl Sessions {
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self { directory: directory.or_else(usual), cleaned: Once::new(), known: Mutex::default() }
    }

    /// Keeps an address that nothing was sent to: a mount that was refused leaves one.
    pub(crate) fn keep_fresh(&self, registry: &str, repository: &str, digest: &Digest, location: &str) {
        let known = Known { location: location.to_owned(), is_fresh: true };
        self.known().insert((registry.to_owned(), repository.to_owned(), *digest), known);
    }

    /// The session of a blob, and its address if one is known.
    pub(crate) fn open(
        &self,
        registry: &str,
        repository: &str,
        digest: &Digest,
        size: u64,
    ) -> (Session<'_>, Option<Known>) {
        let key = (registry.to_owned(), repository.to_owned(), *digest);
        // Without a file the upload works all the same; it only cannot be taken up by another process.
        let file = if size >= REMEMBERED_FROM { self.file(&key).ok().flatten() } else { None };
        let mut session = Session { sessions: self, file, key };
        let known = self.known().remove(&session.key).or_else(|| session.read());
        (session, known)
    }

    fn file(&self, key: &Key) -> io::Result<Option<(File, PathBuf)>> {
        let Some(directory) = &self.directory else { return Ok(None) };
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        self.cleaned.call_once(|| clean(directory));
        let (registry, repository, digest) = key;
        let path = directory.join(Digest::of(format!("{registry}\n{repository}\n{digest}").as_bytes()).hex());
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        Ok(file.try_lock().is_ok().then_some((file, path)))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session<'_> {
    fn read(&mut self) -> Option<Known> {
        let (file, _) = self.file.as_mut()?;
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_to_string(&mut text).ok()?;
        let location = text.strip_suffix('\n')?.to_owned();
        Some(Known { location, is_fresh: false })
    }

    /// The upload's address is now this one.
    pub(crate) fn set(&mut self, location: &str) {
        let Some((file, _)) = self.file.as_mut() else { return };
        let mut write = || {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(format!("{location}\n").as_bytes())
        };
        // A session that is not remembered costs a transfer, not the upload.
        drop(write());
    }

    /// The upload is interrupted; whoever begins it again in this process finds it.
    pub(crate) fn suspend(self, location: &str) {
        let known = Known { location: location.to_owned(), is_fresh: false };
        self.sessions.known().insert(self.key, known);
    }

    /// The upload is finished, or nobody knows it any more.
    pub(crate) fn forget(&mut self) {
        if let Some((_, path)) = &self.file {
            drop(fs::remove_file(path));
        }
        self.file = None;
    }
}

fn usual() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("sealos/uploads"))
}

/// Removes what no registry remembers any more. What cannot be removed does no harm.
fn clean(directory: &PathBuf) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > LIFE) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_remembered_by_the_next_process_and_not_shared_with_a_running_one() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = || Sessions::new(Some(dir.path().join("uploads")));
        let digest = Digest::of(b"x");
        let first = sessions();
        let (mut session, known) = first.open("hub", "a", &digest, 1 << 30);
        assert_eq!(known, None);
        session.set("http://hub/upload?state=long-and-old");
        session.set("http://hub/upload?1");
        let other = sessions();
        assert_eq!(other.open("hub", "a", &digest, 1 << 30).1, None, "it is running");
        drop(session);
        let want = Known { location: "http://hub/upload?1".to_owned(), is_fresh: false };
        assert_eq!(other.open("hub", "b", &digest, 1 << 30).1, None, "another repository");
        let (mut session, known) = other.open("hub", "a", &digest, 1 << 30);
        assert_eq!(known, Some(want));
        session.forget();
        drop(session);
        assert_eq!(sessions().open("hub", "a", &digest, 1 << 30).1, None, "it is finished");
    }

    #[test]
    fn files_are_for_their_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(Some(dir.path().join("uploads")));
        let (mut session, _) = sessions.open("hub", "a", &Digest::of(b"x"), 1 << 30);
        session.set("http://hub/upload?secret");
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("uploads")), 0o700);
        for entry in fs::read_dir(dir.path().join("uploads")).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
    }
}
