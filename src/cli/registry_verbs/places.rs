//! Whether what is served can be read and written: looked at anew whenever somebody asks.

use std::fs;
use std::path::{Path, PathBuf};

use registry::health::Condition;
use rustix::fs::{Access, access, statvfs};

use super::place::Use;

/// Less free space than this of a file system is warned about, in percent.
const LITTLE: u64 = 3;

/// The files and directories that are served. What is said of them names none: it is for everybody.
pub(super) struct Places {
    all: Vec<(PathBuf, Kind)>,
    how: Use,
}

/// What there was when serving began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
    /// A store that nothing was put in yet.
    Nothing,
}

impl Kind {
    fn of(path: &Path) -> Self {
        match path.metadata() {
            Ok(found) if found.is_dir() => Self::Directory,
            Ok(_) => Self::File,
            Err(_) => Self::Nothing,
        }
    }
}

impl Places {
    pub(super) fn new(paths: Vec<PathBuf>, how: Use) -> Self {
        let kind = |path: PathBuf| {
            let kind = Kind::of(&path);
            (path, kind)
        };
        Self { all: paths.into_iter().map(kind).collect(), how }
    }

    pub(super) fn condition(&self) -> Condition {
        let all = self.all.iter().map(|(path, before)| self.look(path, *before));
        all.reduce(worse).unwrap_or(Condition::Ready)
    }

    fn look(&self, path: &Path, before: Kind) -> Condition {
        let can_be_read = match before {
            Kind::Directory => fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_none_or(|one| one.is_ok())),
            Kind::File => fs::File::open(path).is_ok() && !path.is_dir(),
            Kind::Nothing => true,
        };
        if !can_be_read {
            return Condition::NotReady("the content cannot be read".to_owned());
        }
        if self.how == Use::Read || before != Kind::Directory {
            return Condition::Ready;
        }
        if access(path, Access::WRITE_OK).is_err() {
            return Condition::Warning("the content cannot be written".to_owned());
        }
        match statvfs(path) {
            Ok(space) if space.f_bavail.saturating_mul(100) < space.f_blocks.saturating_mul(LITTLE) => {
                Condition::Warning("the file system is almost full".to_owned())
            }
            _ => Condition::Ready,
        }
    }
}

fn worse(one: Condition, other: Condition) -> Condition {
    let weight = |condition: &Condition| match condition {
        Condition::Ready => 0,
        Condition::Warning(_) => 1,
        Condition::NotReady(_) => 2,
    };
    if weight(&other) > weight(&one) { other } else { one }
}
