//! Changes an htpasswd file: whole, private, one change after the other.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::htpasswd::{self, Users};
use super::password::PasswordHash;
use super::private_file;

/// What changing a file did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is a new user.
    Added,
    /// A user has another password.
    Replaced,
    /// A user is gone.
    Removed,
    /// There was no such user.
    Absent,
}

/// Why a file is not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It cannot be read or written.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not text.
    #[error("`{}` is not text; is it an htpasswd file?", .0.display())]
    NotText(PathBuf),
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EditError {
    let path = path.to_owned();
    move |source| EditError::Io { doing, path, source }
}

/// Gives a user a password; the file is made where there is none.
///
/// # Errors
/// When it cannot be read or written. It is then as it was.
pub fn set(path: &Path, user: &str, hash: &PasswordHash) -> Result<Change, EditError> {
    edit(path, |text| {
        let change = if htpasswd::mentions(text, user) { Change::Replaced } else { Change::Added };
        (change, Some(htpasswd::with(text, user, hash)))
    })
}

/// Takes a user away.
///
/// # Errors
/// When the file cannot be read or written. It is then as it was.
pub fn remove(path: &Path, user: &str) -> Result<Change, EditError> {
    edit(path, |text| match htpasswd::without(text, user) {
        Some(text) => (Change::Removed, Some(text)),
        None => (Change::Absent, None),
    })
}

/// The hash of one user, whatever else is in the file; none when there is no such user or their hash is not accepted.
///
/// # Errors
/// When the file cannot be read.
pub fn find(path: &Path, user: &str) -> Result<Option<PasswordHash>, EditError> {
    let text = read(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut hashes = lines.filter_map(|line| line.split_once(':')).filter(|(name, _)| *name == user);
    Ok(hashes.next().and_then(|(_, hash)| hash.parse().ok()))
}

/// What keeps a registry from using a file, if anything does.
///
/// # Errors
/// When it cannot be read.
pub fn complaint(path: &Path) -> Result<Option<htpasswd::HtpasswdError>, EditError> {
    Ok(Users::parse(&read(path)?).err())
}

fn read(path: &Path) -> Result<String, EditError> {
    let bytes = fs::read(path).map_err(failed("read", path))?;
    String::from_utf8(bytes).map_err(|_bytes| EditError::NotText(path.to_owned()))
}

fn edit(path: &Path, change: impl FnOnce(&str) -> (Change, Option<String>)) -> Result<Change, EditError> {
    // The directory is locked and not the file: that is replaced.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(parent).map_err(failed("open the directory of", path))?;
    directory.lock().map_err(failed("lock the directory of", path))?;
    let text = match read(path) {
        Err(EditError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => String::new(),
        result => result?,
    };
    let (change, text) = change(&text);
    if let Some(text) = text {
        private_file::replace(path, text.as_bytes()).map_err(failed("write", path))?;
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    use std::thread;

    use super::super::password::Scheme;
    use super::*;

    fn hash(text: &str) -> PasswordHash {
        PasswordHash::create(Scheme::Bcrypt(4), &text.into()).unwrap()
    }

    #[test]
    fn users_come_and_go_and_htpasswd_agrees() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        assert_eq!(set(&path, "anna", &hash("one")).unwrap(), Change::Added);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(set(&path, "ben", &hash("two")).unwrap(), Change::Added);
        assert_eq!(set(&path, "anna", &hash("three")).unwrap(), Change::Replaced);
        for (user, password, want) in [("anna", "three", true), ("anna", "one", false), ("ben", "two", true)] {
            let verified = Command::new("htpasswd").arg("-vb").arg(&path).args([user, password]).output().unwrap();
            assert_eq!(verified.status.success(), want, "{user} {password}");
            assert_eq!(find(&path, user).unwrap().unwrap().verify(&password.into()), want);
        }
        assert_eq!(remove(&path, "anna").unwrap(), Change::Removed);
        assert_eq!(remove(&path, "anna").unwrap(), Change::Absent);
        assert!(find(&path, "anna").unwrap().is_none() && complaint(&path).unwrap().is_none());
        fs::write(&path, "old:{SHA}x\n").unwrap();
        assert_eq!(set(&path, "anna", &hash("one")).unwrap(), Change::Added);
        assert!(fs::read_to_string(&path).unwrap().starts_with("old:{SHA}x\nanna:$2y$"));
        assert!(complaint(&path).unwrap().unwrap().to_string().starts_with("line 1: user `old`"));
        assert!(matches!(set(&dir.path().join("no/users"), "a", &hash("b")), Err(EditError::Io { .. })));
        fs::write(&path, b"\xff").unwrap();
        assert!(matches!(set(&path, "a", &hash("b")), Err(EditError::NotText(_))));
    }

    #[test]
    fn changes_at_the_same_time_are_all_made() {
        let dir = tempfile::tempdir().unwrap();
        let (path, hash) = (dir.path().join("users"), hash("x"));
        thread::scope(|scope| {
            for at in 0..16 {
                let (path, hash) = (&path, &hash);
                scope.spawn(move || set(path, &format!("user{at}"), hash).unwrap());
            }
        });
        assert_eq!(Users::parse(&fs::read_to_string(&path).unwrap()).unwrap().len(), 16);
    }
}
