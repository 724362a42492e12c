//! Users and groups of an image, as its `etc/passwd` and `etc/group` have them.

use super::{RootfsError, Tree};

/// No account file is larger, in bytes.
const LIMIT: u64 = 8 << 20;

/// Whom a process runs as, or a file is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Further groups that list the user; empty when the group was given explicitly.
    pub groups: Vec<u32>,
    /// Home directory; `/` for an id without an account.
    pub home: String,
    /// Login name, if there is an account.
    pub name: Option<String>,
}

impl Identity {
    /// All groups of a process, the primary one first: one that is missing among the others could be shaken off by a
    /// program that sets its group to theirs.
    pub fn all_groups(&self) -> Vec<u32> {
        let others = self.groups.iter().copied().filter(|group| *group != self.gid);
        std::iter::once(self.gid).chain(others).collect()
    }
}

/// The account files' bytes; both may be empty.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// `etc/passwd`.
    pub passwd: Vec<u8>,
    /// `etc/group`.
    pub group: Vec<u8>,
}

impl Accounts {
    /// Reads the files from an image.
    ///
    /// # Errors
    /// When a layer cannot be read or a file is absurdly large.
    pub fn of(tree: &Tree<'_>) -> Result<Self, RootfsError> {
        let read = |path: &[u8]| Ok::<_, RootfsError>(tree.read_file(path, LIMIT)?.unwrap_or_default());
        Ok(Self { passwd: read(b"etc/passwd")?, group: read(b"etc/group")? })
    }

    /// Reads `USER`, `USER:GROUP`, `UID`, `UID:GID` and mixtures, as USER and `--chown` have them; an empty text is
    /// root. A number needs no account.
    ///
    /// # Errors
    /// [`RootfsError::UnknownAccount`] for a name that is not there.
    pub fn lookup(&self, spec: &str) -> Result<Identity, RootfsError> {
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (spec, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let mut identity = self.user(user)?;
        if let Some(group) = group {
            identity.gid = self.group(group)?;
            identity.groups.clear();
        }
        Ok(identity)
    }

    fn user(&self, user: &str) -> Result<Identity, RootfsError> {
        let number = user.parse::<u32>().ok();
        // name:password:uid:gid:comment:home:shell
        let found = records(&self.passwd).find_map(|fields| {
            let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            (fields[0] == user || number == Some(uid)).then(|| Identity {
                uid,
                gid,
                groups: self.groups_of(fields[0], gid),
                home: fields.get(5).filter(|home| !home.is_empty()).map_or("/", |home| home).to_owned(),
                name: Some(fields[0].to_owned()),
            })
        });
        match (found, number) {
            (Some(identity), _) => Ok(identity),
            (None, Some(uid)) => Ok(Identity { uid, gid: 0, groups: Vec::new(), home: "/".to_owned(), name: None }),
            (None, None) => Err(RootfsError::UnknownAccount { kind: "user", name: user.to_owned() }),
        }
    }

    fn group(&self, group: &str) -> Result<u32, RootfsError> {
        let named = records(&self.group).find(|fields| fields[0] == group);
        let gid = named.and_then(|fields| fields.get(2)?.parse().ok());
        gid.or_else(|| group.parse().ok())
            .ok_or_else(|| RootfsError::UnknownAccount { kind: "group", name: group.to_owned() })
    }

    fn groups_of(&self, name: &str, primary: u32) -> Vec<u32> {
        // name:password:gid:member,member
        let lists = |fields: &Vec<&str>| fields.get(3).is_some_and(|members| members.split(',').any(|it| it == name));
        let listed = records(&self.group).filter(lists);
        let mut groups: Vec<u32> = listed.filter_map(|fields| fields[2].parse().ok()).collect();
        groups.retain(|gid| *gid != primary);
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// The account a text stands for, in an image. See [`Accounts::lookup`].
///
/// # Errors
/// When the image does not know the name or cannot be read.
pub fn lookup_user(tree: &Tree<'_>, spec: &str) -> Result<Identity, RootfsError> {
    let is_numeric = |part: &str| part.parse::<u32>().is_ok();
    match spec.split_once(':') {
        Some((uid, gid)) if is_numeric(uid) && is_numeric(gid) => Accounts::default().lookup(spec),
        _ => Accounts::of(tree)?.lookup(spec),
    }
}

fn records(file: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    let lines = file.split(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| line.trim_end().split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let accounts = Accounts {
            passwd: b"root:x:0:0:root:/root:/bin/sh\nbad line\nweb:x:33:34::/srv:/bin/false\nbare:x:5:6\n".to_vec(),
            group: b"root:x:0:\nweb:x:34:web\nstaff:x:50:bare,web\nlog:x:4:web\n".to_vec(),
        };
        for (spec, want) in [
            ("", Some((0, 0, vec![], "/root"))),
            ("root", Some((0, 0, vec![], "/root"))),
            ("web", Some((33, 34, vec![4, 50], "/srv"))),
            ("33", Some((33, 34, vec![4, 50], "/srv"))),
            ("web:staff", Some((33, 50, vec![], "/srv"))),
            ("web:7", Some((33, 7, vec![], "/srv"))),
            ("web:", Some((33, 34, vec![4, 50], "/srv"))),
            ("1000", Some((1000, 0, vec![], "/"))),
            ("1000:1001", Some((1000, 1001, vec![], "/"))),
            ("bare", Some((5, 6, vec![50], "/"))),
            ("nobody", None),
            ("root:nogroup", None),
            ("4294967296", None),
        ] {
            let found = accounts.lookup(spec).ok().map(|it| (it.uid, it.gid, it.groups, it.home));
            let want = want.map(|(uid, gid, groups, home)| (uid, gid, groups, home.to_owned()));
            assert_eq!(found, want, "{spec}");
        }
    }
}
